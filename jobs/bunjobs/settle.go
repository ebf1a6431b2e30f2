package bunjobs

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// Settle implements [jobs.WorkerStore].
func (s *Store) Settle(ctx context.Context, outcomes []jobs.Outcome, now time.Time) ([]error, error) {
	now = bundb.Clock(s.db, now)
	results := make([]error, len(outcomes))
	open := make(map[jobs.Lease]int, len(outcomes)) // the index of each lease's first outcome
	completed := make([]jobs.Outcome, 0, len(outcomes))
	var other []jobs.Outcome
	for i, out := range outcomes {
		if _, late := open[out.Lease]; late {
			results[i] = jobs.ErrLeaseLost
			continue
		}
		open[out.Lease] = i
		if out.State == jobs.Completed && out.Error == "" {
			completed = append(completed, out)
		} else {
			other = append(other, out)
		}
	}
	inTx := bundb.InTx
	if slices.ContainsFunc(outcomes, func(out jobs.Outcome) bool { return out.Durable }) {
		inTx = bundb.InDurableTx
	}
	var lost []jobs.Lease
	err := inTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		lost = lost[:0]
		if err := nameJobs(ctx, tx, completed); err != nil {
			return err
		}
		if err := complete(ctx, tx, completed, now, &lost); err != nil {
			return err
		}
		if err := tallyCompleted(ctx, tx, completed, lost, now); err != nil {
			return err
		}
		return settle(ctx, tx, other, now, &lost)
	})
	if err != nil {
		return nil, bundb.Err(err)
	}
	for _, lease := range lost {
		results[open[lease]] = jobs.ErrLeaseLost
	}
	return results, nil
}

// Columns that a completed job takes along, and those that completing it sets.
const (
	kept    = "id, tenant, kind, queue, priority, args, fraction, note, attempt, max_attempts, attempts, timeout, created_at, run_at, started_at, limit_key, unique_key, metadata, epoch"
	keptOfJ = "j.id, j.tenant, j.kind, j.queue, j.priority, j.args, j.fraction, j.note, j.attempt, j.max_attempts, j.attempts, j.timeout, j.created_at, j.run_at, j.started_at, j.limit_key, j.unique_key, j.metadata, j.epoch"
)

// complete ends attempts as most of them end. It does for many rows in one
// statement, and without reading them, what [jobs.Info.AfterSettle] says.
func complete(ctx context.Context, tx bun.Tx, outcomes []jobs.Outcome, now time.Time, lost *[]jobs.Lease) error {
	if len(outcomes) == 0 {
		return nil
	}
	settled, all, err := bundb.Move{
		From: live, To: done,
		Rows: bundb.Rows{Len: len(outcomes), Columns: []bundb.Column{
			{Name: "id", Int: func(i int) (int64, bool) { return int64(outcomes[i].Lease.ID), true }},
			{Name: "epoch", Int: func(i int) (int64, bool) { return outcomes[i].Lease.Epoch, true }},
			{Name: "result", Text: func(i int) (string, bool) { return readOnly(outcomes[i].Result), outcomes[i].Result != nil }},
		}},
		Where:   isRunning,
		Columns: kept + ", state, result, finished_at",
		Select:  bun.SafeQuery(keptOfJ+", ?, v.result, ?", int(jobs.Completed), bundb.Now(tx, now)),
	}.Run(ctx, tx)
	if err != nil || all {
		return err
	}
	// Two outcomes may name one job under two epochs, one of which is current.
	current := map[jobs.Lease]bool{}
	for _, s := range settled {
		current[jobs.Lease{ID: jobs.ID(s[0]), Epoch: s[1]}] = true
	}
	for _, out := range outcomes {
		if !current[out.Lease] {
			*lost = append(*lost, out.Lease)
		}
	}
	return nil
}

// settle ends the attempts of jobs that run on or failed.
func settle(ctx context.Context, tx bun.Tx, outcomes []jobs.Outcome, now time.Time, lost *[]jobs.Lease) error {
	if len(outcomes) == 0 {
		return nil
	}
	byLease := make(map[jobs.Lease]jobs.Outcome, len(outcomes))
	ids := make([]int64, len(outcomes))
	for i, out := range outcomes {
		byLease[out.Lease], ids[i] = out, int64(out.Lease.ID)
	}
	running, err := lockRunning(ctx, tx, bun.SafeQuery("id IN (?)", bun.List(ids)), now)
	if err != nil {
		return err
	}
	var changed []jobs.Info
	for _, r := range running {
		lease := jobs.Lease{ID: jobs.ID(r.ID), Epoch: r.Epoch}
		if out, ok := byLease[lease]; ok {
			changed = append(changed, r.info().AfterSettle(out, r.Now.Time))
			delete(byLease, lease)
		}
	}
	for lease := range byLease {
		*lost = append(*lost, lease)
	}
	return save(ctx, tx, changed)
}

// SaveProgress implements [jobs.WorkerStore].
func (s *Store) SaveProgress(ctx context.Context, lease jobs.Lease, p jobs.Progress) error {
	res, err := s.db.NewUpdate().Model((*row)(nil)).
		Set("fraction = ?", p.Fraction).Set("note = ?", p.Note).
		Where("id = ? AND epoch = ? AND ?", int64(lease.ID), lease.Epoch, isRunning).
		Exec(ctx)
	if err != nil {
		return bundb.Err(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return jobs.ErrLeaseLost
	}
	return nil
}
