// Package dbtest gives tests throw-away databases: a SQLite file, and a schema of
// its own on the PostgreSQL server at LEVQOR_TEST_POSTGRES or on loopback.
//
// A server that does not answer skips the test, loudly; with CI=true it fails
// it, so a green run there has seen both databases.
package dbtest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bunopen"
)

const local = "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"

// Each runs fn as a subtest on each database. Each call of fresh returns the URL
// of an empty one.
func Each(t *testing.T, fn func(t *testing.T, fresh func(testing.TB) string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { fn(t, SQLite) })
	t.Run("PostgreSQL", func(t *testing.T) { fn(t, Postgres) })
}

// SQLite returns the URL of a file that does not exist yet.
func SQLite(tb testing.TB) string {
	tb.Helper()
	return "sqlite://" + filepath.Join(tb.TempDir(), "test.db")
}

// Postgres returns the URL of an empty schema, which goes when the test ends.
func Postgres(tb testing.TB) string {
	tb.Helper()
	if err := reachable(); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("PostgreSQL does not answer, and CI=true: %v", err)
		}
		tb.Skipf("SKIPPED, NOT PASSED: PostgreSQL does not answer; set LEVQOR_TEST_POSTGRES to a server's URL: %v", err)
	}
	schema := "levqor_test_" + strings.ToLower(rand.Text())
	execute(tb, server(), "CREATE SCHEMA "+schema)
	tb.Cleanup(func() { execute(tb, server(), "DROP SCHEMA "+schema+" CASCADE") })

	u, err := url.Parse(server())
	if err != nil {
		tb.Fatal("LEVQOR_TEST_POSTGRES is not a URL")
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

// Open opens a database until the test ends.
func Open(tb testing.TB, address string) *bun.DB {
	tb.Helper()
	db, err := bunopen.Open(address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

func server() string {
	if u := os.Getenv("LEVQOR_TEST_POSTGRES"); u != "" {
		return u
	}
	return local
}

var reachable = sync.OnceValue(func() error {
	db, err := bunopen.Open(server())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return db.PingContext(ctx)
})

func execute(tb testing.TB, address, statement string) {
	tb.Helper()
	db, err := bunopen.Open(address)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(context.Background(), statement); err != nil {
		tb.Fatal(err)
	}
}
