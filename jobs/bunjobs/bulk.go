package bunjobs

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

var _ jobs.SerialStore = (*Store)(nil)

// Serial implements [jobs.SerialStore].
func (s *Store) Serial() bool { return bundb.SingleWriter(s.db) }

// ChangeBatch implements [jobs.QueueStore].
func (s *Store) ChangeBatch(ctx context.Context, tenant string, change jobs.BulkChange, now time.Time) (jobs.BulkResult, error) {
	now = bundb.Clock(s.db, now)
	var result jobs.BulkResult
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) (err error) {
		if change.Operation == jobs.BulkCancel {
			result, err = cancelBatch(ctx, tx, tenant, &change, now)
		} else {
			result, err = changeBatch(ctx, tx, tenant, &change, now)
		}
		return err
	})
	return result, bundb.Err(err)
}

// cancelBatch does for many rows in one statement, and without reading all of them, what
// [jobs.Info.AfterCancel] says: on SQLite claims wait meanwhile.
func cancelBatch(ctx context.Context, tx bun.Tx, tenant string, change *jobs.BulkChange, now time.Time) (jobs.BulkResult, error) {
	at, err := bundb.Instant(ctx, tx, now)
	if err != nil {
		return jobs.BulkResult{}, err
	}
	var found []jobs.Info
	query := matching(tx, live, tenant, change).Column("id", "epoch", "queue")
	err = bundb.Each(ctx, tx, bun.SafeQuery("? ?", query, bundb.ForUpdate(tx)), func(scan func(...any) error) error {
		job := jobs.Info{Tenant: tenant, State: jobs.Cancelled, FinishedAt: at}
		err := scan(&job.ID, &job.Epoch, &job.Queue)
		found = append(found, job)
		return err
	})
	result := jobs.BulkResult{Changed: len(found), Done: len(found) < change.Limit}
	if err != nil || len(found) == 0 {
		return result, err
	}
	result.Last = found[len(found)-1].ID
	_, _, err = bundb.Move{
		From: live, To: done,
		Rows: bundb.Rows{Len: len(found), Columns: []bundb.Column{
			{Name: "id", Int: func(i int) (int64, bool) { return int64(found[i].ID), true }},
			{Name: "epoch", Int: func(i int) (int64, bool) { return found[i].Epoch, true }},
		}},
		Where:   "1 = 1",
		Columns: kept + ", result, state, finished_at",
		Select:  bun.SafeQuery(keptOfJ+", j.result, ?, ?", int(jobs.Cancelled), bundb.Time{Time: at}),
	}.Run(ctx, tx)
	if err != nil {
		return result, err
	}
	return result, tallyJobs(ctx, tx, found, 1)
}

// changeBatch reads the jobs, applies the change in Go and writes them.
func changeBatch(ctx context.Context, tx bun.Tx, tenant string, change *jobs.BulkChange, now time.Time) (jobs.BulkResult, error) {
	at, err := bundb.Instant(ctx, tx, now)
	if err != nil {
		return jobs.BulkResult{}, err
	}
	found, err := lockMatching(ctx, tx, tenant, change)
	if err != nil {
		return jobs.BulkResult{}, err
	}
	result := jobs.BulkResult{Done: len(found) < change.Limit}
	if len(found) > 0 {
		result.Last = found[len(found)-1].ID
	}
	if change.Operation == jobs.BulkRetry {
		if found, err = withoutReplaced(ctx, tx, tenant, found); err != nil {
			return jobs.BulkResult{}, err
		}
	}
	result.Changed = len(found)
	return result, applyBulk(ctx, tx, change, found, at)
}

// lockMatching reads and locks the first jobs that match, in the order of their IDs.
func lockMatching(ctx context.Context, tx bun.Tx, tenant string, change *jobs.BulkChange) ([]jobs.Info, error) {
	var all []row
	for _, table := range []bun.Ident{live, done} {
		final := table == done
		if !slices.ContainsFunc(change.States(), func(s jobs.State) bool { return s.Final() == final }) {
			continue
		}
		var part []row
		query := matching(tx, table, tenant, change).ColumnExpr(columns)
		if err := tx.NewRaw("? ?", query, bundb.ForUpdate(tx)).Scan(ctx, &part); err != nil {
			return nil, err
		}
		all = append(all, part...)
	}
	slices.SortFunc(all, func(a, b row) int { return cmp.Compare(a.ID, b.ID) })
	return infos(all[:min(len(all), change.Limit)]), nil
}

// matching selects the first jobs of a table that match, in the order of their IDs.
func matching(tx bun.Tx, table bun.Ident, tenant string, change *jobs.BulkChange) *bun.SelectQuery {
	query := tx.NewSelect().TableExpr("?", table).
		Where("tenant = ? AND id > ?", tenant, int64(change.After)).
		Where("?", among(change.States())).
		OrderExpr("id").Limit(int64(change.Limit))
	f := change.Filter
	if f.Kind != "" {
		query.Where("kind = ?", f.Kind)
	}
	if f.Queue != "" {
		query.Where("queue = ?", f.Queue)
	}
	if !f.CreatedFrom.IsZero() {
		query.Where("created_at >= ?", bundb.Time{Time: f.CreatedFrom})
	}
	if !f.CreatedBefore.IsZero() {
		query.Where("created_at < ?", bundb.Time{Time: f.CreatedBefore})
	}
	return query
}

// withoutReplaced leaves out jobs that are over and whose unique place another has
// taken, of the same batch too.
func withoutReplaced(ctx context.Context, tx bun.Tx, tenant string, found []jobs.Info) ([]jobs.Info, error) {
	var keys []string
	for _, job := range found {
		if job.UniqueKey != "" && job.State.Final() {
			keys = append(keys, job.UniqueKey)
		}
	}
	if len(keys) == 0 {
		return found, nil
	}
	var taken []string
	err := tx.NewRaw("SELECT unique_key FROM ? WHERE tenant = ? AND unique_key IN (?)", live, tenant, bun.List(keys)).Scan(ctx, &taken)
	kept := found[:0]
	for _, job := range found {
		if job.UniqueKey != "" && job.State.Final() {
			if slices.Contains(taken, job.UniqueKey) {
				continue
			}
			taken = append(taken, job.UniqueKey)
		}
		kept = append(kept, job)
	}
	return kept, err
}

// applyBulk writes what becomes of locked jobs.
func applyBulk(ctx context.Context, tx bun.Tx, change *jobs.BulkChange, found []jobs.Info, at time.Time) error {
	changed := make([]jobs.Info, 0, len(found))
	var returned []int64 // from the history
	var left []jobs.Info // the same, as they were there
	var first time.Time  // that one of them finished
	for _, job := range found {
		after, err := change.Apply(job, at)
		if err != nil {
			return err
		}
		if job.State.Final() {
			if len(returned) == 0 || job.FinishedAt.Before(first) {
				first = job.FinishedAt
			}
			returned, left = append(returned, int64(job.ID)), append(left, job)
		}
		changed = append(changed, after)
	}
	if len(returned) > 0 {
		if _, err := tx.NewRaw("DELETE FROM ? WHERE tenant = ? AND id IN (?) AND finished_at >= ?", done, found[0].Tenant, bun.List(returned), bundb.Time{Time: first}).Exec(ctx); err != nil {
			return err
		}
		if err := tallyJobs(ctx, tx, left, -1); err != nil {
			return err
		}
	}
	return save(ctx, tx, changed)
}
