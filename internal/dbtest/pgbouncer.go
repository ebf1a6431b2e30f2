package dbtest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// PgBouncer starts a pooler in transaction mode in front of a URL that [Postgres] has
// returned, until the test ends, and returns the URL of the same schema behind it.
func PgBouncer(tb testing.TB, server string) string {
	tb.Helper()
	if _, err := exec.LookPath("pgbouncer"); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatal("pgbouncer is missing, and CI=true")
		}
		tb.Skip("SKIPPED, NOT PASSED: pgbouncer is not installed")
	}
	u, err := url.Parse(server)
	if err != nil {
		tb.Fatal("not a URL")
	}
	address := freeAddress(tb)
	ini := filepath.Join(tb.TempDir(), "pgbouncer.ini")
	if err := os.WriteFile(ini, []byte(poolerConfig(u, address)), 0o600); err != nil {
		tb.Fatal(err)
	}
	args := []string{"-q", ini}
	if os.Geteuid() == 0 { // it does not run as root
		args = append([]string{"-u", "nobody"}, args...)
	}
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), "pgbouncer", args...) //nolint:gosec // a fixed program
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 500 {
		conn, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", address.String())
		if err == nil {
			_ = conn.Close()
			return fmt.Sprintf("postgres://%s@%s/pooled?sslmode=disable&default_query_exec_mode=exec", u.User.Username(), address)
		}
		time.Sleep(10 * time.Millisecond)
	}
	tb.Fatal("pgbouncer does not answer")
	return ""
}

func poolerConfig(server *url.URL, address *net.TCPAddr) string {
	user := "user=" + server.User.Username()
	if password, ok := server.User.Password(); ok {
		user += " password='" + password + "'"
	}
	port := server.Port()
	if port == "" {
		port = "5432"
	}
	return fmt.Sprintf(`[databases]
pooled = host=%s port=%s dbname=%s %s connect_query='SET search_path TO %s'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 6
`, server.Hostname(), port, strings.TrimPrefix(server.Path, "/"), user, server.Query().Get("search_path"), address.Port)
}

// freeAddress returns one that nobody listens at.
func freeAddress(tb testing.TB) *net.TCPAddr {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		tb.Fatalf("the listener is at %v", listener.Addr())
	}
	return address
}
