package bunjobs

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// errTaken rolls an insertion back.
var errTaken = errors.New("an ID is taken")

// Insert implements [jobs.QueueStore].
func (s *Store) Insert(ctx context.Context, batch []jobs.Insertion, now time.Time) ([]int, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	var stored []row
	insert := func(ctx context.Context, db bun.IDB) error {
		if err := insertRows(ctx, db, batch, now, &stored); err != nil {
			return err
		}
		if len(stored) < len(batch) {
			return errTaken
		}
		return nil
	}
	var err error
	if len(batch) == 1 {
		err = insert(ctx, s.db) // one statement needs no transaction of its own
	} else {
		err = bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error { return insert(ctx, tx) })
	}
	if err != nil && !errors.Is(err, errTaken) {
		return nil, bundb.Err(err)
	}
	return fill(batch, stored), nil
}

// insertRows stores the jobs whose IDs are free, in either table, and returns
// what the database decided about them.
func insertRows(ctx context.Context, db bun.IDB, batch []jobs.Insertion, now time.Time, stored *[]row) error {
	*stored = (*stored)[:0]
	tuples := bundb.Tuples{Len: len(batch), Values: func(i int) []any {
		j := batch[i]
		runAt := bundb.After(db, now, j.Delay)
		if !j.RunAt.IsZero() {
			runAt = bundb.Time{Time: j.RunAt}
		}
		return []any{
			int64(j.ID), j.Tenant, j.Kind, j.Queue, j.Priority, string(j.Args),
			j.MaxAttempts, microseconds(j.Timeout), bundb.Now(db, now), runAt,
		}
	}}
	return db.NewRaw(`
		WITH v (id, tenant, kind, queue, priority, args, max_attempts, timeout, created_at, run_at) AS (VALUES ?)
		INSERT INTO ? (id, tenant, kind, queue, state, priority, args, fraction, note, attempt, max_attempts, timeout, created_at, run_at, epoch)
		SELECT id, tenant, kind, queue, CASE WHEN run_at > created_at THEN ? ELSE ? END, priority, args, 0, '', 0, max_attempts, timeout, created_at, run_at, 0
		FROM v
		WHERE NOT EXISTS (SELECT 1 FROM ? AS d WHERE d.id = v.id)
		ON CONFLICT (id) DO NOTHING
		RETURNING id, state, created_at, run_at`,
		tuples, live, jobs.Scheduled, jobs.Ready, done).Scan(ctx, stored)
}

// fill sets what the database decided about each job, and returns the indexes of
// the jobs that it did not store.
func fill(batch []jobs.Insertion, stored []row) (taken []int) {
	byID := make(map[jobs.ID]*row, len(stored))
	for i := range stored {
		byID[jobs.ID(stored[i].ID)] = &stored[i]
	}
	for i := range batch {
		r, ok := byID[batch[i].ID]
		if !ok {
			taken = append(taken, i)
			continue
		}
		delete(byID, batch[i].ID) // a second job with this ID was not stored
		batch[i].State = jobs.State(r.State)
		batch[i].CreatedAt, batch[i].RunAt = r.CreatedAt.Time, r.RunAt.Time
	}
	return taken
}

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

// List implements [jobs.QueueStore].
func (s *Store) List(ctx context.Context, q jobs.ListQuery) ([]jobs.Info, error) {
	var found []row
	err := s.db.NewSelect().
		ColumnExpr(columns).
		TableExpr("(SELECT * FROM (?) AS a UNION ALL SELECT * FROM (?) AS b) AS j", s.page(live, q), s.page(done, q)).
		OrderExpr("id DESC").Limit(int64(q.Limit)).
		Scan(ctx, &found)
	if err != nil {
		return nil, bundb.Err(err)
	}
	return infos(found), nil
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
			if _, err := tx.NewRaw("DELETE FROM ? WHERE id = ?", done, before.ID).Exec(ctx); err != nil {
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

// lock reads and locks a tenant's job. The third look finds one that was retried
// between the first and the second.
func lock(ctx context.Context, tx bun.Tx, tenant string, id jobs.ID, now time.Time) (timedRow, error) {
	for _, table := range []bun.Ident{live, done, live} {
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
	return timedRow{}, jobs.ErrNotFound
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
	_, err := tx.NewInsert().Model(&rows).
		On("CONFLICT (id) DO UPDATE").
		Set("state = EXCLUDED.state").
		Set("attempt = EXCLUDED.attempt").
		Set("max_attempts = EXCLUDED.max_attempts").
		Set("attempts = EXCLUDED.attempts").
		Set("run_at = EXCLUDED.run_at").
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
