package bunjobs

import (
	"cmp"
	"context"
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

var _ jobs.SealedStore = (*Store)(nil)

// sealedArgs is the column of those Args that are to be looked at, else NULL: most hold no
// secret and need not travel.
const sealedArgs = bun.Safe("CASE WHEN ready AND args LIKE '%" + jobs.SealedMark + "%' THEN args END AS args")

// ListSealed implements [jobs.SealedStore]. It is one statement, so a job that moves
// between the tables is seen once, and one that moves to a new partition is seen.
func (s *Store) ListSealed(ctx context.Context, of jobs.SealedKind, after jobs.ID, limit int) ([]jobs.SealedArgs, jobs.ID, error) {
	var rows []struct {
		ID   int64   `bun:"id"`
		Kind string  `bun:"kind"`
		Args *string `bun:"args"`
	}
	part := func(table bun.Ident, ready schema.QueryAppender) *bun.SelectQuery {
		return s.db.NewSelect().ColumnExpr("id, kind, args, ? AS ready", ready).TableExpr("?", table).
			Where("id > ?", int64(after)).OrderExpr("id").Limit(int64(limit))
	}
	always, schedules := bun.Safe("1 = 1"), bun.Ident("levqor_jobs_schedule")
	parts := pages{part(schedules, always)}
	if of == jobs.SealedJobs {
		parts = pages{part(live, always), part(done, bun.SafeQuery("state <> ?", int(jobs.Completed)))}
	}
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		if err := history.Hold(ctx, tx); err != nil {
			return err
		}
		return tx.NewRaw("SELECT id, kind, ? FROM (?) AS j ORDER BY id LIMIT ?", sealedArgs, parts, limit).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, 0, bundb.Err(err)
	}
	var found []jobs.SealedArgs
	var last jobs.ID
	for _, r := range rows {
		last = jobs.ID(r.ID)
		if r.Args != nil {
			found = append(found, jobs.SealedArgs{ID: last, Kind: r.Kind, Args: []byte(*r.Args)})
		}
	}
	return found, last, nil
}

// ReplaceArgs implements [jobs.SealedStore]. Rows are locked in the order of their IDs, so
// two callers do not wait for each other.
func (s *Store) ReplaceArgs(ctx context.Context, of jobs.SealedKind, changes []jobs.ArgsChange) (replaced int, err error) {
	changes = slices.SortedFunc(slices.Values(changes), func(a, b jobs.ArgsChange) int { return cmp.Compare(a.ID, b.ID) })
	err = bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		replaced = 0
		for _, c := range changes {
			n, err := replaceArgs(ctx, tx, of, c)
			if err != nil {
				return err
			}
			replaced += n
		}
		return nil
	})
	if err != nil {
		return 0, bundb.Err(err)
	}
	return replaced, nil
}

func replaceArgs(ctx context.Context, tx bun.Tx, of jobs.SealedKind, c jobs.ArgsChange) (int, error) {
	if of == jobs.SealedSchedules {
		return bundb.Exec(ctx, tx, bun.SafeQuery("UPDATE levqor_jobs_schedule SET args = ?, version = version + 1 WHERE id = ? AND args = ?",
			string(c.After), int64(c.ID), string(c.Before)))
	}
	for _, table := range []bun.Ident{live, done} {
		n, err := bundb.Exec(ctx, tx, bun.SafeQuery("UPDATE ? SET args = ? WHERE id = ? AND args = ?",
			table, string(c.After), int64(c.ID), string(c.Before)))
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, nil
}
