package bunjobs

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

var _ jobs.ScheduleStore = (*Store)(nil)

// scheduleRow is a schedule.
type scheduleRow struct {
	bun.BaseModel `bun:"table:levqor_jobs_schedule,alias:s"`

	ID          int64      `bun:"id,pk"`
	Tenant      string     `bun:"tenant"`
	Name        string     `bun:"name"`
	Spec        string     `bun:"spec"`
	TimeZone    string     `bun:"time_zone"`
	CatchUp     uint8      `bun:"catch_up"`
	MaxCatchUp  int        `bun:"max_catch_up"`
	Kind        string     `bun:"kind"`
	Queue       string     `bun:"queue"`
	Priority    int        `bun:"priority"`
	MaxAttempts int        `bun:"max_attempts"`
	Timeout     int64      `bun:"timeout"`
	LimitKey    string     `bun:"limit_key"`
	Metadata    *string    `bun:"metadata"`
	Args        string     `bun:"args"`
	Paused      bool       `bun:"paused"`
	NextAt      bundb.Time `bun:"next_at"`
	LastAt      bundb.Time `bun:"last_at"`
	CreatedAt   bundb.Time `bun:"created_at"`
	Version     int64      `bun:"version"`
}

func scheduleRowOf(s jobs.Schedule) scheduleRow {
	return scheduleRow{
		ID: int64(s.ID), Tenant: s.Tenant, Name: s.Name, Spec: s.Spec, TimeZone: s.TimeZone,
		CatchUp: uint8(s.CatchUp), MaxCatchUp: s.MaxCatchUp,
		Kind: s.Kind, Queue: s.Queue, Priority: s.Priority, MaxAttempts: s.MaxAttempts, Timeout: microseconds(s.Timeout), LimitKey: s.LimitKey,
		Metadata: metadataText(s.Metadata), Args: string(s.Args), Paused: s.Paused, NextAt: bundb.Time{Time: s.NextAt}, LastAt: bundb.Time{Time: s.LastAt},
		CreatedAt: bundb.Time{Time: s.CreatedAt}, Version: s.Version,
	}
}

func (r *scheduleRow) schedule() jobs.Schedule {
	return jobs.Schedule{
		ID: jobs.ScheduleID(r.ID), Tenant: r.Tenant, Name: r.Name, Spec: r.Spec, TimeZone: r.TimeZone,
		CatchUp: jobs.CatchUp(r.CatchUp), MaxCatchUp: r.MaxCatchUp,
		Kind: r.Kind, Queue: r.Queue, Priority: r.Priority, MaxAttempts: r.MaxAttempts, Timeout: duration(r.Timeout), LimitKey: r.LimitKey,
		Metadata: metadataOf(r.Metadata), Args: []byte(r.Args), Paused: r.Paused, NextAt: r.NextAt.Time, LastAt: r.LastAt.Time,
		CreatedAt: r.CreatedAt.Time, Version: r.Version,
	}
}

func schedules(rows []scheduleRow) []jobs.Schedule {
	all := make([]jobs.Schedule, len(rows))
	for i := range rows {
		all[i] = rows[i].schedule()
	}
	return all
}

// Instant implements [jobs.ScheduleStore].
func (s *Store) Instant(ctx context.Context, now time.Time) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, bundb.Err(err)
	}
	at, err := bundb.Instant(ctx, s.db, now)
	return at, bundb.Err(err)
}

// PutSchedule implements [jobs.ScheduleStore].
func (s *Store) PutSchedule(ctx context.Context, schedule jobs.Schedule, now time.Time) (jobs.Schedule, error) {
	var stored scheduleRow
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		at, err := bundb.Instant(ctx, tx, now)
		if err != nil {
			return err
		}
		known := schedule.Version
		stored = scheduleRowOf(schedule)
		stored.Version++
		if known == 0 {
			stored.CreatedAt = bundb.Time{Time: at}
			return changedOne(bundb.Exec(ctx, tx, tx.NewInsert().Model(&stored).On("CONFLICT DO NOTHING")))
		}
		return changedOne(bundb.Exec(ctx, tx, tx.NewUpdate().Model(&stored).ExcludeColumn("id").Where("id = ? AND version = ?", stored.ID, known)))
	})
	if err != nil {
		return jobs.Schedule{}, bundb.Err(err)
	}
	return stored.schedule(), nil
}

// changedOne returns an ErrConflict if a statement found no row in the state that
// the caller knew.
func changedOne(n int, err error) error {
	if err == nil && n == 0 {
		return jobs.ErrConflict
	}
	return err
}

// GetSchedule implements [jobs.ScheduleStore].
func (s *Store) GetSchedule(ctx context.Context, tenant, name string) (jobs.Schedule, error) {
	var found scheduleRow
	if err := s.db.NewSelect().Model(&found).Where("tenant = ? AND name = ?", tenant, name).Scan(ctx); err != nil {
		return jobs.Schedule{}, bundb.Err(err)
	}
	return found.schedule(), nil
}

// ListSchedules implements [jobs.ScheduleStore].
func (s *Store) ListSchedules(ctx context.Context, tenant, after string, limit int) ([]jobs.Schedule, error) {
	var found []scheduleRow
	err := s.db.NewSelect().Model(&found).Where("tenant = ? AND name > ?", tenant, after).Order("name").Limit(int64(limit)).Scan(ctx)
	return schedules(found), bundb.Err(err)
}

// DeleteSchedule implements [jobs.ScheduleStore].
func (s *Store) DeleteSchedule(ctx context.Context, tenant, name string) error {
	return bundb.Err(bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		var id int64
		if err := tx.NewRaw("DELETE FROM levqor_jobs_schedule WHERE tenant = ? AND name = ? RETURNING id", tenant, name).Scan(ctx, &id); err != nil {
			return err
		}
		_, err := tx.NewRaw("DELETE FROM levqor_jobs_fire WHERE schedule = ?", id).Exec(ctx)
		return err
	}))
}

// DueSchedules implements [jobs.ScheduleStore].
func (s *Store) DueSchedules(ctx context.Context, kinds []string, after jobs.ScheduleID, limit int, now time.Time) ([]jobs.Schedule, error) {
	if len(kinds) == 0 {
		return nil, nil
	}
	var found []scheduleRow
	err := s.db.NewSelect().Model(&found).
		Where("NOT paused AND next_at <= ?", bundb.Now(s.db, now)).
		Where("kind IN (?)", bun.List(kinds)).Where("id > ?", int64(after)).
		Order("id").Limit(int64(limit)).Scan(ctx)
	return schedules(found), bundb.Err(err)
}

// Fire implements [jobs.ScheduleStore].
func (s *Store) Fire(ctx context.Context, firing jobs.Firing, now time.Time) error {
	return bundb.Err(bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		moved, err := bundb.Exec(ctx, tx, bun.SafeQuery(
			"UPDATE levqor_jobs_schedule SET next_at = ?, last_at = ?, version = version + 1 WHERE id = ? AND version = ?",
			bundb.Time{Time: firing.NextAt}, bundb.Time{Time: firing.LastAt}, int64(firing.Schedule), firing.Version))
		if err := changedOne(moved, err); err != nil {
			return err
		}
		fresh, err := keepFires(ctx, tx, firing)
		if err != nil {
			return err
		}
		taken, err := New(tx).Insert(ctx, fresh, now)
		if err == nil && len(taken) > 0 {
			err = jobs.ErrConflict
		}
		if err != nil {
			return err
		}
		return forgetFires(ctx, tx, firing.Schedule)
	}))
}

// keepFires remembers the fires of a firing and returns the jobs of those that are
// new.
func keepFires(ctx context.Context, tx bun.Tx, firing jobs.Firing) ([]jobs.Insertion, error) {
	var fresh []jobs.Insertion
	for _, job := range firing.Jobs {
		n, err := bundb.Exec(ctx, tx, bun.SafeQuery("INSERT INTO levqor_jobs_fire (schedule, at, job) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			int64(firing.Schedule), bundb.Time{Time: job.RunAt}, int64(job.ID)))
		if err != nil {
			return nil, err
		}
		if n == 1 {
			fresh = append(fresh, job)
		}
	}
	return fresh, nil
}

// forgetFires keeps the fires of a schedule from growing without end.
func forgetFires(ctx context.Context, tx bun.Tx, id jobs.ScheduleID) error {
	_, err := tx.NewRaw(`
		DELETE FROM levqor_jobs_fire WHERE schedule = ?0 AND at <=
			(SELECT at FROM levqor_jobs_fire WHERE schedule = ?0 ORDER BY at DESC LIMIT 1 OFFSET ?1)`,
		int64(id), jobs.KeptFires).Exec(ctx)
	return err
}

// ListFires implements [jobs.ScheduleStore].
func (s *Store) ListFires(ctx context.Context, tenant, name string, before time.Time, limit int) ([]jobs.Fire, error) {
	schedule, err := s.GetSchedule(ctx, tenant, name)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		At  bundb.Time `bun:"at"`
		Job int64      `bun:"job"`
	}
	query := s.db.NewSelect().TableExpr("levqor_jobs_fire").Column("at", "job").Where("schedule = ?", int64(schedule.ID))
	if !before.IsZero() {
		query.Where("at < ?", bundb.Time{Time: before})
	}
	if err := query.OrderExpr("at DESC").Limit(int64(limit)).Scan(ctx, &rows); err != nil && !errors.Is(bundb.Err(err), jobs.ErrNotFound) {
		return nil, bundb.Err(err)
	}
	fires := make([]jobs.Fire, len(rows))
	for i, r := range rows {
		fires[i] = jobs.Fire{At: r.At.Time, Job: jobs.ID(r.Job)}
	}
	return fires, nil
}
