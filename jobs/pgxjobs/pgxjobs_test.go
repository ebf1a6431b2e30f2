package pgxjobs_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/jobstest"
	"github.com/levqor/sdk/jobs/pgxjobs"
)

// signals returns those of a URL until the test ends.
func signals(tb testing.TB, url string, opts *pgxjobs.Options) *pgxjobs.Signals {
	tb.Helper()
	s, err := pgxjobs.Open(url, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSignals(t *testing.T) {
	jobstest.TestSignals(t, func(t *testing.T) (one, two jobs.Signals) {
		url := dbtest.Postgres(t)
		return signals(t, url, nil), signals(t, url, nil)
	})
}

func TestSchemasDoNotDisturbEachOther(t *testing.T) {
	ours, theirs := signals(t, dbtest.Postgres(t), nil), signals(t, dbtest.Postgres(t), nil)
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	began, ended, texts := make(chan struct{}), make(chan error, 1), make(chan string, 10)
	go func() {
		ended <- ours.Listen(ctx, func() { close(began) }, func(text string) { texts <- text })
	}()
	select {
	case <-began:
	case err := <-ended:
		t.Fatalf("Listen = %v", err)
	}
	// What others send first would come first.
	for _, err := range []error{theirs.Send(ctx, []string{"theirs"}), ours.Send(ctx, []string{"ours"})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	select {
	case text := <-texts:
		if text != "ours" {
			t.Errorf("%q was heard", text)
		}
	case <-ctx.Done():
		t.Error("nothing was heard")
	}
}

// A pooler in transaction mode takes LISTEN and passes nothing on.
func TestAPoolerThatPassesNothingOnIsNoticed(t *testing.T) {
	s := signals(t, dbtest.PgBouncer(t, dbtest.Postgres(t)), &pgxjobs.Options{Timeout: time.Second})
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	err := s.Listen(ctx, func() { t.Error("Listen began") }, func(string) {})
	if !errors.Is(err, jobs.ErrUnavailable) || err.Error() != jobs.ErrUnavailable.Error() {
		t.Fatalf("Listen = %v, want ErrUnavailable alone", err)
	}
	if cause := fault.Cause(err); !strings.Contains(cause, "pooler") {
		t.Errorf("the cause is %q", cause)
	}
	if err := s.Send(t.Context(), []string{"through the pooler"}); err != nil {
		t.Errorf("Send = %v", err)
	}
}

func TestAServerThatIsAwayIsUnavailable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := listener.Addr().String()
	listener.Close()
	s := signals(t, "postgres://nobody:hunter2@"+refusing+"/x?sslmode=disable", nil)
	listen := s.Listen(t.Context(), func() { t.Error("Listen began") }, func(string) {})
	for i, err := range []error{s.Send(t.Context(), []string{"x"}), listen} {
		if !errors.Is(err, jobs.ErrUnavailable) || err.Error() != jobs.ErrUnavailable.Error() {
			t.Errorf("call %d = %v, want ErrUnavailable alone", i, err)
		}
	}
}

func TestClosedSignalsSendNothing(t *testing.T) {
	s := signals(t, dbtest.Postgres(t), nil)
	if err := s.Send(t.Context(), []string{"x"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
	if err := s.Send(t.Context(), []string{"x"}); !errors.Is(err, jobs.ErrUnavailable) {
		t.Errorf("Send = %v, want ErrUnavailable", err)
	}
}

func TestOnlyPostgreSQLCarriesSignals(t *testing.T) {
	for _, url := range []string{"", "sqlite:///secret.db", "host=secret", "postgres://secret:%zz@x/y", "mysql://secret/x"} {
		_, err := pgxjobs.Open(url, nil)
		if !errors.Is(err, jobs.ErrInvalid) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "/signals_url") {
			t.Errorf("Open(%q) = %v", url, err)
		}
	}
}

// What the caller does with its configuration later does not matter.
func TestNewKeepsTheConfiguration(t *testing.T) {
	config, err := pgx.ParseConfig(dbtest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	s := pgxjobs.New(config, nil)
	defer s.Close()
	config.Port = 1
	if err := s.Send(t.Context(), []string{"x"}); err != nil {
		t.Errorf("Send = %v", err)
	}
}
