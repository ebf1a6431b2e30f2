package bunjobs

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// Get implements [jobs.QueueStore].
func (s *Store) Get(ctx context.Context, tenant string, id jobs.ID) (jobs.Info, error) {
	var found row
	// One statement, so a job that moves between the tables is seen once.
	err := s.db.NewRaw(`
		SELECT ? FROM ? WHERE tenant = ? AND id = ?
		UNION ALL
		SELECT ? FROM ? WHERE tenant = ? AND id = ?`,
		bun.Safe(columns), live, tenant, int64(id), bun.Safe(columns), done, tenant, int64(id)).Scan(ctx, &found)
	if err != nil {
		return jobs.Info{}, bundb.Err(err)
	}
	return found.info(), nil
}

// List implements [jobs.QueueStore]. Each part of the page has an index of its own.
func (s *Store) List(ctx context.Context, q jobs.ListQuery) ([]jobs.Info, error) {
	var found []row
	err := s.db.NewSelect().
		ColumnExpr(columns).
		TableExpr("(SELECT * FROM (?) AS a UNION ALL SELECT * FROM (?) AS b UNION ALL SELECT * FROM (?) AS c) AS j",
			s.page(live, q).Where("state <> 3 AND ?", indexed(q.Tenant)), s.page(live, q).Where("state = 3"), s.page(done, q)).
		OrderExpr("id DESC").Limit(int64(q.Limit)).
		Scan(ctx, &found)
	if err != nil {
		return nil, bundb.Err(err)
	}
	return infos(found), nil
}

// indexed repeats the condition of the index on tenants where it holds.
func indexed(tenant string) bun.Safe {
	if tenant == "" {
		return "1 = 1"
	}
	return "tenant <> ''"
}

// page selects the part of a page that stands in one table.
func (s *Store) page(table bun.Ident, q jobs.ListQuery) *bun.SelectQuery {
	query := s.db.NewSelect().ColumnExpr(columns).TableExpr("?", table).
		Where("tenant = ?", q.Tenant).OrderExpr("id DESC").Limit(int64(q.Limit))
	if len(q.States) > 0 {
		query.Where("state IN (?)", bun.List(states(q.States)))
	}
	if q.Kind != "" {
		query.Where("kind = ?", q.Kind)
	}
	if q.Queue != "" {
		query.Where("queue = ?", q.Queue)
	}
	if q.Before != 0 {
		query.Where("id < ?", int64(q.Before))
	}
	return query
}

func states(all []jobs.State) []int {
	numbers := make([]int, len(all))
	for i, st := range all {
		numbers[i] = int(st)
	}
	return numbers
}

// Cancel implements [jobs.QueueStore].
func (s *Store) Cancel(ctx context.Context, tenant string, id jobs.ID, now time.Time) (jobs.Info, error) {
	return s.change(ctx, tenant, id, now, jobs.Info.AfterCancel)
}

// Retry implements [jobs.QueueStore].
func (s *Store) Retry(ctx context.Context, tenant string, id jobs.ID, now time.Time) (jobs.Info, error) {
	return s.change(ctx, tenant, id, now, jobs.Info.AfterRetry)
}

// change locks a job, applies a transition and writes the result.
func (s *Store) change(ctx context.Context, tenant string, id jobs.ID, now time.Time, transition func(jobs.Info, time.Time) (jobs.Info, error)) (jobs.Info, error) {
	var after jobs.Info
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		before, err := lock(ctx, tx, tenant, id, now)
		if err != nil {
			return err
		}
		after, err = transition(before.info(), before.Now.Time)
		if err != nil || after.State == jobs.State(before.State) {
			return err
		}
		if jobs.State(before.State).Final() {
			if _, err := tx.NewRaw("DELETE FROM ? WHERE tenant = ? AND id = ? AND finished_at = ?", done, tenant, before.ID, before.FinishedAt).Exec(ctx); err != nil {
				return err
			}
		}
		return save(ctx, tx, []jobs.Info{after})
	})
	if err != nil {
		return jobs.Info{}, bundb.Err(err)
	}
	return after, nil
}

// timedRow is a row with the instant at which it was read.
type timedRow struct {
	row
	Now bundb.Time `bun:"now"`
}

// lock reads and locks a tenant's job. It looks again for one that moves between the
// tables while it looks.
func lock(ctx context.Context, tx bun.Tx, tenant string, id jobs.ID, now time.Time) (timedRow, error) {
	for range maxLooks {
		for _, table := range []bun.Ident{live, done} {
			var found []timedRow
			err := tx.NewRaw("SELECT ?, ? AS now FROM ? WHERE tenant = ? AND id = ? ?",
				bun.Safe(columns), bundb.Now(tx, now), table, tenant, int64(id), bundb.ForUpdate(tx)).Scan(ctx, &found)
			if err != nil {
				return timedRow{}, err
			}
			if len(found) > 0 {
				return found[0], nil
			}
		}
		if _, err := New(tx).Get(ctx, tenant, id); err != nil {
			return timedRow{}, err
		}
	}
	return timedRow{}, jobs.ErrConflict // changed by others all the time
}

// save writes jobs that no worker runs. Their rows are locked, or new to their
// table.
func save(ctx context.Context, tx bun.Tx, changed []jobs.Info) error {
	var waiting, over []row
	for _, j := range changed {
		if j.State.Final() {
			over = append(over, rowOf(j))
		} else {
			waiting = append(waiting, rowOf(j))
		}
	}
	if err := saveWaiting(ctx, tx, waiting); err != nil {
		return err
	}
	return saveOver(ctx, tx, over)
}

func saveWaiting(ctx context.Context, tx bun.Tx, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	turning := make([]waitingRow, len(rows))
	for i, r := range rows {
		info := r.info()
		turning[i] = waitingRow{row: r, Turn: bundb.Time{Time: info.Turn()}}
	}
	_, err := tx.NewInsert().Model(&turning).
		On("CONFLICT (id) DO UPDATE").
		Set("state = EXCLUDED.state").
		Set("queue = EXCLUDED.queue").
		Set("priority = EXCLUDED.priority").
		Set("attempt = EXCLUDED.attempt").
		Set("max_attempts = EXCLUDED.max_attempts").
		Set("attempts = EXCLUDED.attempts").
		Set("run_at = EXCLUDED.run_at").
		Set("turn = EXCLUDED.turn").
		Set("node = NULL").
		Exec(ctx)
	return err
}

func saveOver(ctx context.Context, tx bun.Tx, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	ids := make([]int64, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	if _, err := tx.NewRaw("DELETE FROM ? WHERE id IN (?)", live, bun.List(ids)).Exec(ctx); err != nil {
		return err
	}
	_, err := tx.NewInsert().Model(&rows).ModelTableExpr("?", done).Exec(ctx)
	return err
}
