package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/levqor/sdk/internal/bunopen"
)

// sqlite makes a new file for each sample.
type sqlite struct {
	plan
	meter
	dir   string
	files int
}

// create makes the folder of the files.
func (s *sqlite) create() (err error) {
	s.dir, err = os.MkdirTemp("", "levqor-bench")
	return err
}

func (s *sqlite) drop() { _ = os.RemoveAll(s.dir) }

// next makes file name another one, and the one before room for it.
func (s *sqlite) next() string {
	old, _ := filepath.Glob(s.file() + "*")
	for _, path := range old {
		_ = os.Remove(path)
	}
	s.files++
	return s.file()
}

// file is that of the last sample.
func (s *sqlite) file() string { return filepath.Join(s.dir, fmt.Sprintf("%d.db", s.files)) }

// dial opens a file with the settings that bunopen gives ours, but for foreign keys,
// which make no difference to ours, and with a choice of two.
func dial(path, synchronous, begin string) (*sql.DB, error) {
	params := url.Values{"_txlock": {begin}, "_pragma": {
		"busy_timeout(15000)", "journal_mode(WAL)", "synchronous(" + synchronous + ")", "temp_store(MEMORY)",
	}}
	db, err := sql.Open("sqlite", "file:"+path+"?"+params.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// opened is a sample of a rival on a new file.
func (s *sqlite) opened(fn func(ctx context.Context, db *sql.DB) (figures, error)) sample {
	return func(ctx context.Context) (figures, error) {
		db, err := dial(s.next(), "NORMAL", "immediate")
		if err != nil {
			return nil, err
		}
		defer func() { _ = db.Close() }()
		return fn(ctx, db)
	}
}

func (s *sqlite) name() string { return "sqlite" }

func (s *sqlite) empty(ctx context.Context) (*engine, func(), error) {
	db, err := bunopen.Open("sqlite://" + s.next())
	if err != nil {
		return nil, nil, err
	}
	return open(ctx, db)
}

// open returns our queue on a new file, and what closes it.
func open(ctx context.Context, db *bun.DB) (*engine, func(), error) {
	l, err := newEngine(ctx, db)
	if err != nil {
		_ = db.Close()
		return nil, nil, err
	}
	return l, func() { _ = db.Close() }, nil
}

func (s *sqlite) rest(context.Context) error { return nil }

func (s *sqlite) speed(ctx context.Context, work work) (figures, error) {
	n, used, err := s.span(ctx, work)
	all := used.rate(n)
	if s.full {
		all = append(all, s.cpu(n, used)...)
	}
	return all, err
}

func (s *sqlite) hold(ctx context.Context) (func(), error) {
	db, err := dial(s.file(), "NORMAL", "deferred")
	if err != nil {
		return nil, err
	}
	release := func() { _ = db.Close() }
	tx, err := db.BeginTx(context.WithoutCancel(ctx), nil)
	if err == nil {
		var n int
		err = tx.QueryRowContext(ctx, "SELECT count(*) FROM levqor_jobs_node").Scan(&n) // begins to read
	}
	if err != nil {
		release()
		return nil, err
	}
	return func() { _ = tx.Rollback(); release() }, nil
}

// durable is SQLite that waits for the disk at each commit.
type durable struct{ *sqlite }

func (d durable) empty(ctx context.Context) (*engine, func(), error) {
	db, err := dial(d.next(), "FULL", "immediate")
	if err != nil {
		return nil, nil, err
	}
	return open(ctx, bun.NewDB(db, sqlitedialect.New()))
}
