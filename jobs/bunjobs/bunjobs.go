// Package bunjobs keeps jobs in PostgreSQL or SQLite through bun.
//
//	err := bunjobs.Migrate(ctx, db)       // once, when the program starts
//	store := bunjobs.New(db)
//	queue := jobs.New(store, registry, nil)
//
// A store takes a [bun.IDB], so it can be bound to the caller's transaction: the
// job then commits or vanishes with the caller's own rows.
//
//	err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
//		// … the caller's own rows …
//		_, err := queue.With(bunjobs.New(tx)).Enqueue(ctx, SendReceipt{Order: id}, nil)
//		return err
//	})
//
// On SQLite the database must have been opened with immediate transactions and a
// busy timeout (_txlock=immediate and _pragma=busy_timeout(15000) with the driver
// modernc.org/sqlite), and with a single connection: while a transaction is open,
// use stores that are bound to it, since any other call waits for it.
//
// # Tables
//
// Jobs that are not over stand in levqor_jobs_live, those that are over in
// levqor_jobs_done, worker processes in levqor_jobs_node. The split keeps the
// table and the indexes that every claim goes through as small as the backlog,
// whatever the history. On PostgreSQL levqor_jobs_done has a partition for each day,
// which [Store.Forget] makes ahead and drops; the role of the workers owns the tables
// for that, or else history is deleted row by row.
//
// What is over is counted as it ends, in levqor_jobs_tally; what is not over is counted by
// workers now and then, in levqor_jobs_count.
package bunjobs

import (
	"context"
	"embed"
	"io/fs"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

//go:embed migrations
var files embed.FS

// Migrations returns the schema as files, postgres/NNNN_name.tx.up.sql and
// sqlite/NNNN_name.tx.up.sql, for teams that apply them with a tool of their own.
func Migrations() fs.FS { return bundb.Sub(files) }

func migrations() bundb.Migrations { return bundb.Migrations{Room: "jobs", Files: Migrations()} }

// Migrate creates or updates the tables, all of the missing steps or none. Any
// number of processes may call it at once: one works, the others wait.
func Migrate(ctx context.Context, db *bun.DB) error { return migrations().Migrate(ctx, db) }

// Check returns nil if the database answers and Migrate has nothing to do, else a
// jobs.ErrUnavailable.
func Check(ctx context.Context, db *bun.DB) error { return migrations().Check(ctx, db) }

// maxLooks bounds how often a call looks again because others have changed what it
// found, or because nothing of what it found will do.
const maxLooks = 10

// Store is a [jobs.Store] on a database or a transaction.
type Store struct {
	db     bun.IDB
	turns  turns
	queues queues
	pass   pass
	floors floors
	seen   sightings
}

var _ jobs.Store = (*Store)(nil)

// New returns a store on a database, or one bound to a transaction.
func New(db bun.IDB) *Store { return &Store{db: db} }
