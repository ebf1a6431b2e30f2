// Package pgxjobs tells the workers of other processes at once what was enqueued, by
// LISTEN and NOTIFY of PostgreSQL.
//
//	signals, err := pgxjobs.Open("postgres://app@db.example.com/app", nil)
//	defer signals.Close()
//	registry := jobs.NewRegistry(&jobs.RegistryOptions{Signals: signals})
//
// A worker with that registry listens and sends; a process that only enqueues runs
// [jobs.Registry.SendSignals]. Jobs are found without signals too, so nothing depends on
// them but the time until a job starts in another process.
//
// # Connections
//
// Each process has up to two of its own, one that listens and one that sends. Both go to
// the server itself: a pooler in transaction mode passes no notifications on, and Listen
// says so. Nothing is sent within the caller's transactions: whoever has issued NOTIFY
// takes a lock of the whole server to commit. What is sent is the names of queues and the
// IDs of cancelled jobs, for everybody who may connect to the database.
//
// Processes hear each other if they connect to the same database with the same first
// schema in their search_path, so two installations in one database do not disturb each
// other.
package pgxjobs

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/internal/pgxurl"
	"github.com/levqor/sdk/jobs"
)

// Options configure [Signals]. The zero value of each field means its default.
type Options struct {
	// Timeout bounds the wait for an answer of the server. After twice that time
	// without a signal the listener asks whether its connection still stands, so one
	// that was cut without a word is noticed within three times Timeout.
	// Default: 5 s.
	Timeout time.Duration
}

// Signals implements [jobs.Signals]. It starts nothing and connects when it is used.
type Signals struct {
	config  *pgx.ConnConfig
	timeout time.Duration
	sender  chan *pgx.Conn // holds the connection that sends, nil if there is none, while nobody uses it
	closed  chan struct{}
	closing sync.Once
}

var _ jobs.Signals = (*Signals)(nil)

// Open returns signals on the server at a "postgres://" URL, as libpq reads it. Options
// may be nil. It returns an ErrInvalid, which never repeats the URL, for anything else.
// Servers on other machines are reached over TLS alone and prove who they are, unless
// sslmode in the URL says otherwise.
func Open(url string, opts *Options) (*Signals, error) {
	if !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
		return nil, invalid("unknown_scheme", "must begin with postgres://: only PostgreSQL carries signals, and other databases need none")
	}
	config, err := pgxurl.Parse(url)
	if err != nil {
		return nil, invalid("invalid_url", "is not a PostgreSQL URL")
	}
	return New(config, opts), nil
}

// New returns signals on the server that a configuration names, one that
// [pgx.ParseConfig] made. Options may be nil.
func New(config *pgx.ConnConfig, opts *Options) *Signals {
	s := &Signals{config: config.Copy(), timeout: 5 * time.Second, sender: make(chan *pgx.Conn, 1), closed: make(chan struct{})}
	if opts != nil && opts.Timeout > 0 {
		s.timeout = opts.Timeout
	}
	s.config.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing is worth preparing
	if s.config.RuntimeParams["application_name"] == "" {
		s.config.RuntimeParams["application_name"] = "levqor signals"
	}
	s.sender <- nil
	return s
}

// Close closes the connection that sends. What is sent afterwards returns an
// ErrUnavailable, and nobody can begin to listen; who listens goes on. It returns nil.
func (s *Signals) Close() error {
	s.closing.Do(func() {
		close(s.closed)
		if conn := <-s.sender; conn != nil {
			s.hangUp(conn)
		}
	})
	return nil
}

// Send implements [jobs.Signals]. The texts leave in one statement, and once more on
// another connection if the one of the last time is gone.
func (s *Signals) Send(ctx context.Context, texts []string) error {
	if err := ctx.Err(); err != nil || len(texts) == 0 {
		return err
	}
	select {
	case conn := <-s.sender:
		conn, err := s.send(ctx, conn, texts)
		s.sender <- conn
		return opaque(ctx, err)
	case <-s.closed:
		return fault.Opaque(fault.ErrUnavailable, errors.New("the signals are closed"))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send returns the connection for the next time, nil if there is none.
func (s *Signals) send(ctx context.Context, conn *pgx.Conn, texts []string) (*pgx.Conn, error) {
	if conn != nil {
		if s.notify(ctx, conn, texts) == nil {
			return conn, nil
		}
		s.hangUp(conn)
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.notify(ctx, conn, texts); err != nil {
		s.hangUp(conn)
		return nil, err
	}
	return conn, nil
}

func (s *Signals) notify(ctx context.Context, conn *pgx.Conn, texts []string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := conn.Exec(ctx, "SELECT pg_notify("+channel+", text) FROM unnest($1::text[]) AS text", texts)
	return err
}

// channel is the name of the channel as the server computes it: one for each schema.
const channel = "'levqor_jobs_' || md5(current_schema())"

func (s *Signals) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return pgx.ConnectConfig(ctx, s.config)
}

// hangUp closes a connection without waiting for long.
func (s *Signals) hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // it is of no use any more, whatever it says
}
