package bunjobs

import (
	"context"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

var _ jobs.HistoryStore = (*Store)(nil)

// maxForgottenLines bounds the lines of logs that a step deletes.
const maxForgottenLines = 10_000

// Forget implements [jobs.HistoryStore].
func (s *Store) Forget(ctx context.Context, keep jobs.Retention, limit int, now time.Time) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, bundb.Err(err)
	}
	now = bundb.Clock(s.db, now)
	if !bundb.Partitioned(s.db) {
		finished, err := s.walk(ctx, keep, limit, now)
		return finished, bundb.Err(err)
	}
	// What a change of partitions locks would stay locked until the end of the
	// caller's transaction, so none is made within one.
	if _, nested := s.db.(bun.Tx); !nested {
		changed, err := history.Change(ctx, s.db, func(ctx context.Context, tx bun.Tx) (bool, error) {
			a, err := newArchive(ctx, tx, keep, limit, now)
			if err != nil || !a.mine {
				return false, err
			}
			return a.arrange(ctx)
		})
		if err != nil || changed {
			return false, bundb.Err(err)
		}
	}
	finished := true
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		a, err := newArchive(ctx, tx, keep, limit, now)
		if err == nil {
			finished, err = a.deleteOver(ctx)
		}
		return err
	})
	return finished, bundb.Err(err)
}

// ForgetTenant implements [jobs.HistoryStore].
func (s *Store) ForgetTenant(ctx context.Context, tenant string, limit int) (bool, error) {
	finished := false
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		if err := history.Hold(ctx, tx); err != nil {
			return err
		}
		var found []doneRow
		err := tx.NewRaw("SELECT ? FROM ? WHERE tenant = ? ORDER BY id LIMIT ? ?", doneColumns, done, tenant, limit, bundb.ForUpdate(tx)).Scan(ctx, &found)
		if err != nil || len(found) == 0 {
			finished = err == nil
			return err
		}
		ids, over := make([]int64, len(found)), make([]jobs.Info, len(found))
		for i, f := range found {
			ids[i], over[i] = f.ID, f.info()
		}
		all, err := deleteLogs(ctx, tx, ids)
		if err != nil || !all {
			return err
		}
		if _, err := tx.NewRaw("DELETE FROM ? WHERE tenant = ? AND id IN (?)", done, tenant, bun.List(ids)).Exec(ctx); err != nil {
			return err
		}
		finished = len(found) < limit
		return tallyJobs(ctx, tx, over, -1)
	})
	return finished, bundb.Err(err)
}

// place is where a job stands in the history.
type place struct {
	Row string `bun:"place"`
	doneRow
}

// deleteRows deletes up to limit jobs that match from a partition, with their logs, and
// returns how many. It passes over rows that others hold.
func deleteRows(ctx context.Context, tx bun.Tx, table, match schema.QueryAppender, limit int) (int, error) {
	var found []place
	err := tx.NewRaw("SELECT CAST(? AS text) AS place, ? FROM ? WHERE ? LIMIT ? ?", bundb.Row(tx), doneColumns, table, match, limit, bundb.SkipLocked(tx)).Scan(ctx, &found)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	rows, ids, over := make([]string, len(found)), make([]int64, len(found)), make([]jobs.Info, len(found))
	for i, f := range found {
		rows[i], ids[i], over[i] = f.Row, f.ID, f.info()
	}
	if all, err := deleteLogs(ctx, tx, ids); err != nil || !all {
		return limit, err
	}
	if _, err := tx.NewRaw("DELETE FROM ? WHERE ? IN (?)", table, bundb.Row(tx), bun.List(rows)).Exec(ctx); err != nil {
		return 0, err
	}
	return len(found), tallyJobs(ctx, tx, over, -1)
}

// deleteLogs deletes what handlers wrote about jobs, and reports whether that was all.
func deleteLogs(ctx context.Context, tx bun.Tx, ids []int64) (all bool, err error) {
	n, err := bundb.Exec(ctx, tx, bun.SafeQuery(
		"DELETE FROM levqor_jobs_log WHERE (job, line) IN (SELECT job, line FROM levqor_jobs_log WHERE job IN (?) LIMIT ?)",
		bun.List(ids), maxForgottenLines))
	return n < maxForgottenLines, err
}
