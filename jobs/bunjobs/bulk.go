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

// ChangeBatch implements [jobs.QueueStore].
func (s *Store) ChangeBatch(ctx context.Context, tenant string, change jobs.BulkChange, now time.Time) (jobs.BulkResult, error) {
	var result jobs.BulkResult
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		at, err := bundb.Instant(ctx, tx, now)
		if err != nil {
			return err
		}
		found, err := lockMatching(ctx, tx, tenant, &change)
		if err != nil {
			return err
		}
		result = jobs.BulkResult{Done: len(found) < change.Limit}
		if len(found) > 0 {
			result.Last = found[len(found)-1].ID
		}
		if change.Operation == jobs.BulkRetry {
			if found, err = withoutReplaced(ctx, tx, tenant, found); err != nil {
				return err
			}
		}
		result.Changed = len(found)
		return applyBulk(ctx, tx, &change, found, at)
	})
	return result, bundb.Err(err)
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
		query := tx.NewSelect().ColumnExpr(columns).TableExpr("?", table).
			Where("tenant = ? AND id > ?", tenant, int64(change.After)).
			Where("?", among(change.States())).
			OrderExpr("id").Limit(int64(change.Limit))
		if f := change.Filter; f.Kind != "" {
			query.Where("kind = ?", f.Kind)
		}
		if f := change.Filter; f.Queue != "" {
			query.Where("queue = ?", f.Queue)
		}
		if from := change.Filter.CreatedFrom; !from.IsZero() {
			query.Where("created_at >= ?", bundb.Time{Time: from})
		}
		if before := change.Filter.CreatedBefore; !before.IsZero() {
			query.Where("created_at < ?", bundb.Time{Time: before})
		}
		if err := tx.NewRaw("? ?", query, bundb.ForUpdate(tx)).Scan(ctx, &part); err != nil {
			return nil, err
		}
		all = append(all, part...)
	}
	slices.SortFunc(all, func(a, b row) int { return cmp.Compare(a.ID, b.ID) })
	return infos(all[:min(len(all), change.Limit)]), nil
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
