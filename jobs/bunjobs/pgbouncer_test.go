package bunjobs_test

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
	"github.com/levqor/sdk/jobs/jobstest"
)

// A pooler in transaction mode gives each transaction another connection, so nothing
// may count on what a connection remembers.
func TestBehindPgBouncerInTransactionMode(t *testing.T) {
	if _, err := exec.LookPath("pgbouncer"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("pgbouncer is missing, and CI=true")
		}
		t.Skip("SKIPPED, NOT PASSED: pgbouncer is not installed")
	}
	store := func(t *testing.T) *bunjobs.Store { return bunjobs.New(open(t, pgBouncer(t))) }
	t.Run("Store", func(t *testing.T) {
		jobstest.TestStore(t, func(t *testing.T) jobs.Store { return store(t) })
	})
	t.Run("ScheduleStore", func(t *testing.T) {
		jobstest.TestScheduleStore(t, func(t *testing.T) jobstest.ScheduleStore { return store(t) })
	})
	t.Run("LimitStore", func(t *testing.T) {
		jobstest.TestLimitStore(t, func(t *testing.T) jobstest.LimitStore { return store(t) })
	})
	t.Run("HistoryStore", func(t *testing.T) {
		jobstest.TestHistoryStore(t, func(t *testing.T) jobstest.HistoryStore { return store(t) })
	})
}

// pgBouncer starts a pooler in front of an empty schema and returns its URL.
func pgBouncer(t *testing.T) string {
	t.Helper()
	server, err := url.Parse(dbtest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().(*net.TCPAddr)
	listener.Close()
	user := "user=" + server.User.Username()
	if password, ok := server.User.Password(); ok {
		user += " password='" + password + "'"
	}
	port := server.Port()
	if port == "" {
		port = "5432"
	}
	ini := filepath.Join(t.TempDir(), "pgbouncer.ini")
	config := fmt.Sprintf(`[databases]
pooled = host=%s port=%s dbname=%s %s connect_query='SET search_path TO %s'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 6
`, server.Hostname(), port, strings.TrimPrefix(server.Path, "/"), user, server.Query().Get("search_path"), address.Port)
	if err := os.WriteFile(ini, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-q", ini}
	if os.Geteuid() == 0 { // it does not run as root
		args = append([]string{"-u", "nobody"}, args...)
	}
	cmd := exec.Command("pgbouncer", args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 200 {
		conn, err := net.Dial("tcp", address.String())
		if err == nil {
			conn.Close()
			return fmt.Sprintf("postgres://%s@%s/pooled?sslmode=disable&default_query_exec_mode=exec", server.User.Username(), address)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("pgbouncer does not answer")
	return ""
}
