package e2e_test

import (
	"database/sql"
	"net/url"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/driver/pgdriver"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
	"github.com/levqor/sdk/jobs/jobstest"
)

// The stores of jobs keep their promises with each driver and protocol that a host may
// have, to the server itself and through a pooler.
func TestStoresWithOtherDrivers(t *testing.T) {
	for name, open := range map[string]func(*testing.T) *bun.DB{
		"pgdriver":                  func(t *testing.T) *bun.DB { return withPgdriver(t, dbtest.Postgres(t)) },
		"pgdriver behind PgBouncer": func(t *testing.T) *bun.DB { return withPgdriver(t, dbtest.PgBouncer(t, dbtest.Postgres(t))) },
		"pgx, simple":               func(t *testing.T) *bun.DB { return withPgx(t, dbtest.Postgres(t), "simple_protocol") },
		"pgx, simple, behind PgBouncer": func(t *testing.T) *bun.DB {
			return withPgx(t, dbtest.PgBouncer(t, dbtest.Postgres(t)), "simple_protocol")
		},
	} {
		t.Run(name, func(t *testing.T) {
			suites(t, func(t *testing.T) *bunjobs.Store {
				db := open(t)
				if err := bunjobs.Migrate(t.Context(), db); err != nil {
					t.Fatalf("Migrate = %v", err)
				}
				return bunjobs.New(db)
			})
		})
	}
}

func suites(t *testing.T, store func(*testing.T) *bunjobs.Store) {
	t.Helper()
	t.Run("Store", func(t *testing.T) {
		jobstest.TestStore(t, func(t *testing.T) jobs.Store { return store(t) })
	})
	t.Run("ScheduleStore", func(t *testing.T) {
		jobstest.TestScheduleStore(t, func(t *testing.T) jobstest.ScheduleStore { return store(t) })
	})
	t.Run("LimitStore", func(t *testing.T) {
		jobstest.TestLimitStore(t, func(t *testing.T) jobstest.LimitStore { return store(t) })
	})
	t.Run("HealthStore", func(t *testing.T) {
		jobstest.TestHealthStore(t, func(t *testing.T) jobstest.HealthStore { return store(t) })
	})
	t.Run("CountStore", func(t *testing.T) {
		jobstest.TestCountStore(t, func(t *testing.T) jobstest.CountStore { return store(t) })
	})
	t.Run("DeadLetterStore", func(t *testing.T) {
		jobstest.TestDeadLetterStore(t, func(t *testing.T) jobstest.DeadLetterStore { return store(t) })
	})
	t.Run("SealedStore", func(t *testing.T) {
		jobstest.TestSealedStore(t, func(t *testing.T) jobstest.SealedStore { return store(t) })
	})
	t.Run("HistoryStore", func(t *testing.T) {
		jobstest.TestHistoryStore(t, func(t *testing.T) jobstest.HistoryStore { return store(t) })
	})
	t.Run("LogStore", func(t *testing.T) {
		jobstest.TestLogStore(t, func(t *testing.T) jobstest.LogStore { return store(t) })
	})
}

// withPgx opens a database as programs of the SDK do.
func withPgx(t *testing.T, address, mode string) *bun.DB {
	t.Helper()
	u, q := parse(t, address)
	q.Set("default_query_exec_mode", mode)
	u.RawQuery = q.Encode()
	return dbtest.Open(t, u.String())
}

// withPgdriver opens a database with bun's own driver.
func withPgdriver(t *testing.T, address string) *bun.DB {
	t.Helper()
	u, q := parse(t, address)
	q.Del("default_query_exec_mode") // a word of pgx
	u.RawQuery = q.Encode()
	db := bun.NewDB(sql.OpenDB(pgdriver.NewConnector(pgdriver.WithDSN(u.String()))), pgdialect.New())
	t.Cleanup(func() { db.Close() })
	return db
}

func parse(t *testing.T, address string) (*url.URL, url.Values) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u, u.Query()
}
