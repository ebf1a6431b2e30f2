package bunjobs

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// Get implements [jobs.QueueStore].
func (s *Store) Get(ctx context.Context, tenant string, id jobs.ID) (jobs.Info, error) {
	info, err := s.get(ctx, tenant, id)
	if errors.Is(err, jobs.ErrNotFound) {
		// It may have moved to a partition that was made after the statement was planned.
		info, err = s.get(ctx, tenant, id)
	}
	return info, err
}

func (s *Store) get(ctx context.Context, tenant string, id jobs.ID) (jobs.Info, error) {
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

// List implements [jobs.QueueStore]. Each part of the page has an index of its own, and
// those that cannot hold any of it are left out.
func (s *Store) List(ctx context.Context, q jobs.ListQuery) ([]jobs.Info, error) {
	waiting, running, over := len(q.States) == 0, len(q.States) == 0, len(q.States) == 0
	for _, state := range q.States {
		waiting = waiting || state != jobs.Running && !state.Final()
		running = running || state == jobs.Running
		over = over || state.Final()
	}
	var parts pages
	if waiting {
		parts = append(parts, s.page(live, q).Where("state <> 3 AND ?", indexed(q.Tenant)).OrderExpr("id DESC"))
	}
	if running { // few, and not to be looked for in the order of all IDs
		parts = append(parts, s.page(live, q).Where("state = 3").OrderExpr("+id DESC"))
	}
	if over {
		parts = append(parts, s.page(done, q).OrderExpr("id DESC"))
	}
	var found []row
	err := s.db.NewRaw("SELECT ? FROM (?) AS j ORDER BY id DESC LIMIT ?", bun.Safe(columns), parts, q.Limit).Scan(ctx, &found)
	if err != nil {
		return nil, bundb.Err(err)
	}
	return infos(found), nil
}

// pages writes the union of parts of a page, which have an order and a limit each.
type pages []schema.QueryAppender

// AppendQuery writes the union.
func (p pages) AppendQuery(gen schema.QueryGen, b []byte) ([]byte, error) {
	for i, part := range p {
		if i > 0 {
			b = append(b, " UNION ALL "...)
		}
		b = append(b, "SELECT * FROM ("...)
		var err error
		if b, err = part.AppendQuery(gen, b); err != nil {
			return nil, err
		}
		b = append(b, ") AS p"...)
	}
	return b, nil
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
		Where("tenant = ?", q.Tenant).Limit(int64(q.Limit))
	if len(q.States) > 0 {
		query.Where("?", among(q.States))
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

// among is the condition that a job is in one of the states. Partial indexes are chosen
// by the form of it.
func among(all []jobs.State) schema.QueryAppender {
	if len(all) == 1 {
		return bun.SafeQuery("state = ?", int(all[0]))
	}
	numbers := make([]int, len(all))
	for i, st := range all {
		numbers[i] = int(st)
	}
	return bun.SafeQuery("state IN (?)", bun.List(numbers))
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
			if err := tallyJobs(ctx, tx, []jobs.Info{before.info()}, -1); err != nil {
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
	var ended []jobs.Info
	for _, j := range changed {
		if j.State.Final() {
			over, ended = append(over, rowOf(j)), append(ended, j)
		} else {
			waiting = append(waiting, rowOf(j))
		}
	}
	if err := saveWaiting(ctx, tx, waiting); err != nil {
		return err
	}
	if err := saveOver(ctx, tx, over); err != nil {
		return err
	}
	return tallyJobs(ctx, tx, ended, 1)
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
