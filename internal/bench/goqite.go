package main

import (
	"context"
	"database/sql"
	"time"

	"maragu.dev/goqite"
	goqitejobs "maragu.dev/goqite/jobs"
)

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

// goqiteOn is a sample of goqite on a new file with n jobs.
func (s *sqlite) goqiteOn(n int, work func(context.Context, *sql.DB, *goqite.Queue) (int, error)) sample {
	return s.opened(func(ctx context.Context, db *sql.DB) (figures, error) {
		if _, err := db.ExecContext(ctx, goqiteSchema); err != nil {
			return nil, err
		}
		q := goqite.New(goqite.NewOpts{DB: db, Name: "noop"})
		if _, err := fillGoqite(ctx, db, q, n); err != nil {
			return nil, err
		}
		return s.speed(ctx, func(ctx context.Context) (int, error) { return work(ctx, db, q) })
	})
}

var goqiteJob = goqite.Message{Body: []byte(`{"n":1,"t":0}`)}

func fillGoqite(ctx context.Context, db *sql.DB, q *goqite.Queue, n int) (int, error) {
	for i := 0; i < n; i += 1000 {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return 0, err
		}
		for range min(1000, n-i) {
			if _, err := goqitejobs.CreateTx(ctx, tx, q, "noop", goqiteJob); err != nil {
				return 0, err
			}
		}
		if err := tx.Commit(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (s *sqlite) goqiteInsertMany() sample {
	return s.goqiteOn(0, func(ctx context.Context, db *sql.DB, q *goqite.Queue) (int, error) {
		return fillGoqite(ctx, db, q, s.sqliteJobs)
	})
}

func (s *sqlite) goqiteInsert(n, callers int) sample {
	return s.goqiteOn(0, func(ctx context.Context, _ *sql.DB, q *goqite.Queue) (int, error) {
		return side(n, callers, func(int) error {
			_, err := goqitejobs.Create(ctx, q, "noop", goqiteJob)
			return err
		})
	})
}

// goqiteBurnDown receives and deletes, which is faster than goqite's own runner.
func (s *sqlite) goqiteBurnDown() sample {
	return s.goqiteOn(s.sqliteJobs, func(ctx context.Context, _ *sql.DB, q *goqite.Queue) (int, error) {
		n := 0
		for begun := time.Now(); n < s.sqliteJobs && time.Since(begun) < s.window; n++ {
			m, err := q.Receive(ctx)
			if err != nil {
				return n, err
			}
			if err := q.Delete(ctx, m.ID); err != nil {
				return n, err
			}
		}
		return n, nil
	})
}
