package bunjobs

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// Settle implements [jobs.WorkerStore].
func (s *Store) Settle(ctx context.Context, outcomes []jobs.Outcome, now time.Time) ([]error, error) {
	results := make([]error, len(outcomes))
	open := make(map[jobs.Lease]int, len(outcomes)) // the index of each lease's first outcome
	var completed, other []jobs.Outcome
	for i, out := range outcomes {
		results[i] = jobs.ErrLeaseLost
		if _, late := open[out.Lease]; late {
			continue
		}
		open[out.Lease] = i
		if out.State == jobs.Completed && out.Error == "" {
			completed = append(completed, out)
		} else {
			other = append(other, out)
		}
	}
	var settled []jobs.Lease
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		settled = settled[:0]
		if err := complete(ctx, tx, completed, now, &settled); err != nil {
			return err
		}
		return settle(ctx, tx, other, now, &settled)
	})
	if err != nil {
		return nil, bundb.Err(err)
	}
	for _, lease := range settled {
		results[open[lease]] = nil
	}
	return results, nil
}

// Columns that a completed job takes along, and those that completing it sets.
const (
	kept    = "id, tenant, kind, queue, priority, args, fraction, note, attempt, max_attempts, attempts, timeout, created_at, run_at, started_at, epoch"
	keptOfJ = "j.id, j.tenant, j.kind, j.queue, j.priority, j.args, j.fraction, j.note, j.attempt, j.max_attempts, j.attempts, j.timeout, j.created_at, j.run_at, j.started_at, j.epoch"
)

// complete ends attempts as most of them end. It does for many rows in one
// statement, and without reading them, what [jobs.Info.AfterSettle] says.
func complete(ctx context.Context, tx bun.Tx, outcomes []jobs.Outcome, now time.Time, settled *[]jobs.Lease) error {
	if len(outcomes) == 0 {
		return nil
	}
	moved, err := bundb.Move{
		From: live, To: done,
		Names: "id, epoch, result",
		Values: bundb.Tuples{Len: len(outcomes), Values: func(i int) []any {
			out := outcomes[i]
			return []any{int64(out.Lease.ID), out.Lease.Epoch, text(out.Result)}
		}},
		Where:   "j.epoch = v.epoch AND j.state = 3",
		Columns: kept + ", state, result, finished_at",
		Select:  bun.SafeQuery(keptOfJ+", ?, v.result, ?", int(jobs.Completed), bundb.Now(tx, now)),
	}.Run(ctx, tx)
	for _, key := range moved {
		*settled = append(*settled, jobs.Lease{ID: jobs.ID(key.ID), Epoch: key.Epoch})
	}
	return err
}

// settle ends the attempts of jobs that run on or failed.
func settle(ctx context.Context, tx bun.Tx, outcomes []jobs.Outcome, now time.Time, settled *[]jobs.Lease) error {
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
		out, ok := byLease[lease]
		if !ok {
			continue
		}
		changed = append(changed, r.info().AfterSettle(out, r.Now.Time))
		*settled = append(*settled, lease)
	}
	return save(ctx, tx, changed)
}

// SaveProgress implements [jobs.WorkerStore].
func (s *Store) SaveProgress(ctx context.Context, lease jobs.Lease, p jobs.Progress) error {
	res, err := s.db.NewUpdate().Model((*row)(nil)).
		Set("fraction = ?", p.Fraction).Set("note = ?", p.Note).
		Where("id = ? AND epoch = ? AND state = 3", int64(lease.ID), lease.Epoch).
		Exec(ctx)
	if err != nil {
		return bundb.Err(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return jobs.ErrLeaseLost
	}
	return nil
}
