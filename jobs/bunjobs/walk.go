package bunjobs

import (
	"context"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// pass is a walk through the history from the lowest ID on. It goes on where the last
// step ended, and a new one begins each hour: what stays, such as dead letters, is not
// walked past again with every step.
type pass struct {
	mu    sync.Mutex // held during a step
	begun time.Time
	on    bool
	last  jobs.ID // that was looked at
}

// passInterval is the time from the beginning of a pass to that of the next.
const passInterval = time.Hour

// begin reports whether there is a step to take at an instant.
func (p *pass) begin(now time.Time) bool {
	if p.on {
		return true
	}
	if since := now.Sub(p.begun); since >= 0 && since < passInterval {
		return false
	}
	p.begun, p.on, p.last = now, true, 0
	return true
}

// doneRow is what forgetting a job takes to know.
type doneRow struct {
	ID         int64      `bun:"id"`
	Tenant     string     `bun:"tenant"`
	Queue      string     `bun:"queue"`
	State      uint8      `bun:"state"`
	FinishedAt bundb.Time `bun:"finished_at"`
}

const doneColumns = bun.Safe("id, tenant, queue, state, finished_at")

func (r *doneRow) info() jobs.Info {
	return jobs.Info{ID: jobs.ID(r.ID), Tenant: r.Tenant, Queue: r.Queue, State: jobs.State(r.State), FinishedAt: r.FinishedAt.Time}
}

// walk looks at up to limit jobs and deletes those that are over. An ID begins with the
// time and a job finishes after it was made, so a pass ends at the first job that cannot
// be over. (A clock that was ahead puts that off by as much.)
func (s *Store) walk(ctx context.Context, keep jobs.Retention, limit int, now time.Time) (bool, error) {
	cutoff, _ := keep.Cutoffs(now)
	if cutoff.IsZero() || !s.pass.mu.TryLock() {
		return true, nil
	}
	defer s.pass.mu.Unlock()
	if !s.pass.begin(now) {
		return true, nil
	}
	last, ended := s.pass.last, false
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		var rows []doneRow
		last, ended = s.pass.last, false
		err := tx.NewRaw("SELECT ? FROM ? WHERE id > ? ORDER BY id LIMIT ?", doneColumns, done, int64(last), limit).Scan(ctx, &rows)
		if err != nil {
			return err
		}
		var over []jobs.Info
		for i := range rows {
			if info := rows[i].info(); keep.Over(info, now) {
				over = append(over, info)
			}
		}
		all, err := deleteDone(ctx, tx, over)
		if err != nil || !all {
			return err
		}
		if len(rows) > 0 {
			last = jobs.ID(rows[len(rows)-1].ID)
		}
		ended = len(rows) < limit || last.Time().After(cutoff)
		return nil
	})
	if err != nil {
		return false, err
	}
	s.pass.last, s.pass.on = last, !ended
	return ended, nil
}

// deleteDone deletes jobs of the history, or first a part of their logs, and reports
// whether that was all.
func deleteDone(ctx context.Context, tx bun.Tx, over []jobs.Info) (all bool, err error) {
	if len(over) == 0 {
		return true, nil
	}
	ids := make([]int64, len(over))
	for i := range over {
		ids[i] = int64(over[i].ID)
	}
	if all, err := deleteLogs(ctx, tx, ids); err != nil || !all {
		return false, err
	}
	if _, err := tx.NewRaw("DELETE FROM ? WHERE id IN (?)", done, bun.List(ids)).Exec(ctx); err != nil {
		return false, err
	}
	return true, tallyJobs(ctx, tx, over, -1)
}
