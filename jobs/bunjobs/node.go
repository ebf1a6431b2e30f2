package bunjobs

import (
	"context"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// Join implements [jobs.WorkerStore].
func (s *Store) Join(ctx context.Context, node jobs.Node, lease time.Duration, now time.Time) error {
	_, err := s.db.NewRaw("INSERT INTO levqor_jobs_node (id, name, lease_until) VALUES (?, ?, ?)",
		int64(node.ID), node.Name, bundb.After(s.db, now, lease)).Exec(ctx)
	return bundb.Err(err)
}

// heldRow is what a heartbeat reads of a running job.
type heldRow struct {
	ID    int64 `bun:"id"`
	Epoch int64 `bun:"epoch"`
	Old   bool  `bun:"old"` // claimed more than a lease ago
}

// Beat implements [jobs.WorkerStore].
func (s *Store) Beat(ctx context.Context, node jobs.NodeID, lease time.Duration, held []jobs.Lease, now time.Time) ([]jobs.ID, error) {
	now = bundb.Clock(s.db, now)
	var lost []jobs.ID
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		res, err := tx.NewRaw("UPDATE levqor_jobs_node SET lease_until = ? WHERE id = ?",
			bundb.After(tx, now, lease), int64(node)).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return jobs.ErrLeaseLost
		}
		// Only a walk along the index marks the entries of jobs that are over, so that the
		// next heartbeat passes them over.
		if err := bundb.ByIndex(ctx, tx); err != nil {
			return err
		}
		var rows []heldRow
		err = tx.NewRaw("SELECT id, epoch, started_at < ? AS old FROM levqor_jobs_live WHERE node = ? AND state = 3",
			bundb.After(tx, now, -lease), int64(node)).Scan(ctx, &rows)
		if err != nil {
			return err
		}
		var orphans []int64
		lost, orphans = compare(held, rows)
		return handBack(ctx, tx, node, orphans)
	})
	return lost, bundb.Err(err)
}

// compare returns the leases that the node holds and the store does not know,
// and the jobs that the node has had for long and does not hold.
func compare(held []jobs.Lease, rows []heldRow) (lost []jobs.ID, orphans []int64) {
	epochs := make(map[jobs.ID]int64, len(rows))
	mine := make(map[jobs.Lease]bool, len(held))
	for _, r := range rows {
		epochs[jobs.ID(r.ID)] = r.Epoch
	}
	for _, l := range held {
		mine[l] = true
		if epoch, ok := epochs[l.ID]; !ok || epoch != l.Epoch {
			lost = append(lost, l.ID)
		}
	}
	for _, r := range rows {
		if r.Old && !mine[jobs.Lease{ID: jobs.ID(r.ID), Epoch: r.Epoch}] {
			orphans = append(orphans, r.ID)
		}
	}
	return lost, orphans
}

func handBack(ctx context.Context, tx bun.Tx, node jobs.NodeID, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.NewRaw("UPDATE levqor_jobs_live SET state = 2, attempt = attempt - 1, node = NULL WHERE node = ? AND ? AND id IN (?)",
		int64(node), isRunning, bun.List(ids)).Exec(ctx)
	return err
}

// Leave implements [jobs.WorkerStore].
func (s *Store) Leave(ctx context.Context, node jobs.NodeID, _ time.Time) error {
	return bundb.Err(bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewRaw("DELETE FROM levqor_jobs_node WHERE id = ?", int64(node)).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewRaw("UPDATE levqor_jobs_live SET state = 2, attempt = attempt - 1, node = NULL WHERE node = ? AND state = 3", int64(node)).Exec(ctx)
		return err
	}))
}

// Rescue implements [jobs.WorkerStore].
func (s *Store) Rescue(ctx context.Context, now time.Time) (int, error) {
	now = bundb.Clock(s.db, now)
	rescued := 0
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		rescued = 0
		var dead []int64
		err := tx.NewRaw("SELECT id FROM levqor_jobs_node WHERE lease_until <= ? ?",
			bundb.Now(tx, now), bundb.SkipLocked(tx)).Scan(ctx, &dead)
		if err != nil || len(dead) == 0 {
			return err
		}
		running, err := readLive(ctx, tx, bun.SafeQuery("state = 3 AND node IN (?)", bun.List(dead)), now, bundb.SkipLocked(tx))
		if err != nil {
			return err
		}
		changed := make([]jobs.Info, len(running))
		for i, r := range running {
			changed[i] = r.info().AfterRescue(r.Now.Time)
		}
		rescued = len(changed)
		if err := save(ctx, tx, changed); err != nil {
			return err
		}
		return bury(ctx, tx, dead)
	})
	return rescued, bundb.Err(err)
}

// bury removes those of dead nodes that hold no job any more. The others have jobs that
// a transaction is about to end; who waited for it would not renew its own lease
// meanwhile.
func bury(ctx context.Context, tx bun.Tx, dead []int64) error {
	_, err := tx.NewRaw(`
		DELETE FROM levqor_jobs_node WHERE id IN (?)
		AND NOT EXISTS (SELECT 1 FROM levqor_jobs_live WHERE state = 3 AND node = levqor_jobs_node.id)`, bun.List(dead)).Exec(ctx)
	return err
}

// isRunning is the condition that a job is running, for statements that find their jobs by
// ID. PostgreSQL cannot match it with the index of running jobs, which it would rather read
// from end to end: the entries of jobs that are over stay there for a minute, so that took
// settling completed jobs three times as long in a backlog of 600,000.
const isRunning = bun.Safe("state + 0 = 3")

// lockRunning reads and locks those of the jobs that match, by their IDs, that are running.
func lockRunning(ctx context.Context, tx bun.Tx, match schema.QueryWithArgs, now time.Time) ([]timedRow, error) {
	return readLive(ctx, tx, bun.SafeQuery("? AND ?", isRunning, match), now, bundb.ForUpdate(tx))
}

// readLive reads the jobs that match and locks them as a clause says, always in the same
// order, so two callers do not wait for each other.
func readLive(ctx context.Context, tx bun.Tx, match schema.QueryWithArgs, now time.Time, lock bun.Safe) ([]timedRow, error) {
	var rows []timedRow
	err := tx.NewRaw("SELECT ?, ? AS now FROM levqor_jobs_live WHERE ? ORDER BY id ?",
		bun.Safe(columns), bundb.Now(tx, now), match, lock).Scan(ctx, &rows)
	return rows, err
}
