package main

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/mikestefanello/backlite"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"maragu.dev/goqite"
	goqitejobs "maragu.dev/goqite/jobs"

	"github.com/levqor/sdk/internal/bunopen"
)

// sqlite makes a new file for each sample.
type sqlite struct {
	plan
	dir   string
	files int
}

func newSQLite(p plan) (*sqlite, error) {
	dir, err := os.MkdirTemp("", "levqor-bench")
	return &sqlite{plan: p, dir: dir}, err
}

func (s *sqlite) drop() { _ = os.RemoveAll(s.dir) }

func (s *sqlite) file() string {
	s.files++
	return filepath.Join(s.dir, fmt.Sprintf("%d.db", s.files))
}

// open opens a file for a rival with the settings that ours has.
func (s *sqlite) open() (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+s.file()+"?_txlock=immediate&_pragma=busy_timeout(15000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=temp_store(MEMORY)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

func (s *sqlite) measures() []measure {
	const size = 1000
	return []measure{
		{name: "sqlite.burndown", unit: "jobs/s", ours: s.ours(func(ctx context.Context, l *levqor) (float64, error) {
			if _, err := l.insertMany(ctx, s.jobs, size); err != nil {
				return 0, err
			}
			return l.burnDown(ctx, s.jobs, tuned())
		}), rivals: map[string]sample{"river": s.riverBurnDown, "goqite": s.goqiteBurnDown, "backlite": s.backliteBurnDown}},
		{name: "sqlite.insert.bulk", unit: "jobs/s", ours: s.ours(func(ctx context.Context, l *levqor) (float64, error) {
			return l.insertMany(ctx, s.jobs, size)
		}), rivals: map[string]sample{"river": s.riverInsert, "goqite": s.goqiteInsert, "backlite": s.backliteInsert}},
	}
}

func (s *sqlite) ours(fn func(context.Context, *levqor) (float64, error)) sample {
	return func(ctx context.Context) (float64, error) {
		db, err := bunopen.Open("sqlite://" + s.file())
		if err != nil {
			return 0, err
		}
		defer func() { _ = db.Close() }()
		l, err := newLevqor(ctx, db)
		if err != nil {
			return 0, err
		}
		return fn(ctx, l)
	}
}

func (s *sqlite) river(ctx context.Context) (riverQueue[*sql.Tx], *sql.DB, error) {
	db, err := s.open()
	if err != nil {
		return riverQueue[*sql.Tx]{}, nil, err
	}
	q, err := newRiver(ctx, riversqlite.New(db))
	return q, db, err
}

func (s *sqlite) riverBurnDown(ctx context.Context) (float64, error) {
	q, db, err := s.river(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	if _, err := q.insertMany(ctx, s.sqliteJobs, 1000); err != nil {
		return 0, err
	}
	return q.burnDown(ctx, s.sqliteJobs, 1000, true, s.window)
}

func (s *sqlite) riverInsert(ctx context.Context) (float64, error) {
	q, db, err := s.river(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	return q.insertMany(ctx, s.sqliteJobs, 1000)
}

// goqite's own schema, of its version 0.4.0, is not part of its package.
const goqiteSchema = `
	CREATE TABLE goqite (
		id text PRIMARY KEY DEFAULT ('m_' || lower(hex(randomblob(16)))),
		created text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
		updated text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
		queue text NOT NULL,
		body blob NOT NULL,
		timeout text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
		received integer NOT NULL DEFAULT 0,
		priority integer NOT NULL DEFAULT 0
	) STRICT;
	CREATE TRIGGER goqite_updated_timestamp AFTER UPDATE ON goqite BEGIN
		UPDATE goqite SET updated = strftime('%Y-%m-%dT%H:%M:%fZ') WHERE id = old.id;
	END;
	CREATE INDEX goqite_queue_priority_created_idx ON goqite (queue, priority DESC, created);`

func (s *sqlite) goqite(ctx context.Context) (*goqite.Queue, *sql.DB, error) {
	db, err := s.open()
	if err != nil {
		return nil, nil, err
	}
	if _, err := db.ExecContext(ctx, goqiteSchema); err != nil {
		return nil, nil, err
	}
	return goqite.New(goqite.NewOpts{DB: db, Name: "noop"}), db, nil
}

func fillGoqite(ctx context.Context, db *sql.DB, q *goqite.Queue, n int) error {
	for i := 0; i < n; i += 1000 {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		for range min(1000, n-i) {
			if _, err := goqitejobs.CreateTx(ctx, tx, q, "noop", goqite.Message{Body: []byte(`{"n":1,"t":0}`)}); err != nil {
				return err
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}

func (s *sqlite) goqiteInsert(ctx context.Context) (float64, error) {
	q, db, err := s.goqite(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	begun := time.Now()
	err = fillGoqite(ctx, db, q, s.sqliteJobs)
	return rate(s.sqliteJobs, begun), err
}

// goqiteBurnDown receives and deletes, which is faster than goqite's own runner.
func (s *sqlite) goqiteBurnDown(ctx context.Context) (float64, error) {
	q, db, err := s.goqite(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	if err := fillGoqite(ctx, db, q, s.sqliteJobs); err != nil {
		return 0, err
	}
	begun := time.Now()
	n := 0
	for ; n < s.sqliteJobs && time.Since(begun) < s.window; n++ {
		m, err := q.Receive(ctx)
		if err != nil {
			return 0, err
		}
		if err := q.Delete(ctx, m.ID); err != nil {
			return 0, err
		}
	}
	return rate(n, begun), nil
}

type task struct{ N, T int }

// Config implements [backlite.Task].
func (task) Config() backlite.QueueConfig {
	return backlite.QueueConfig{Name: "noop", MaxAttempts: 3, Timeout: 5 * time.Second, Backoff: time.Second}
}

func (s *sqlite) backlite(work func()) (*backlite.Client, *sql.DB, error) {
	db, err := s.open()
	if err != nil {
		return nil, nil, err
	}
	client, err := backlite.NewClient(backlite.ClientConfig{DB: db, Logger: slog.New(slog.DiscardHandler), NumWorkers: 1000, ReleaseAfter: time.Minute})
	if err != nil {
		return nil, nil, err
	}
	client.Register(backlite.NewQueue(func(context.Context, task) error { work(); return nil }))
	return client, db, client.Install()
}

func fillBacklite(client *backlite.Client, n int) error {
	for i := 0; i < n; i += 1000 {
		tasks := make([]backlite.Task, min(1000, n-i))
		for k := range tasks {
			tasks[k] = task{N: i + k}
		}
		if _, err := client.Add(tasks...).Save(); err != nil {
			return err
		}
	}
	return nil
}

func (s *sqlite) backliteInsert(context.Context) (float64, error) {
	client, db, err := s.backlite(func() {})
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	begun := time.Now()
	err = fillBacklite(client, s.jobs)
	return rate(s.jobs, begun), err
}

func (s *sqlite) backliteBurnDown(ctx context.Context) (float64, error) {
	var count atomic.Int64
	done := make(chan struct{})
	client, db, err := s.backlite(func() {
		if count.Add(1) == int64(s.sqliteJobs) {
			close(done)
		}
	})
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	if err := fillBacklite(client, s.sqliteJobs); err != nil {
		return 0, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	begun := time.Now()
	client.Start(ctx)
	select {
	case <-done:
	case <-time.After(s.window):
	}
	client.Stop(ctx)
	return rate(int(count.Load()), begun), nil
}
