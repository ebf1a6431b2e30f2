package jobs

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

// memSchedules are the schedules of a [MemStore].
type memSchedules struct {
	schedules map[ScheduleID]Schedule
	fires     map[ScheduleID][]Fire // the earliest first; never changed in place
}

var _ ScheduleStore = (*MemStore)(nil)

// Instant implements [ScheduleStore].
func (s *MemStore) Instant(ctx context.Context, now time.Time) (time.Time, error) {
	return timeid.Instant(now), ctx.Err()
}

// PutSchedule implements [ScheduleStore].
func (s *MemStore) PutSchedule(ctx context.Context, schedule Schedule, now time.Time) (Schedule, error) {
	if err := ctx.Err(); err != nil {
		return Schedule{}, err
	}
	defer s.lock()()
	old, found := s.schedules[schedule.ID]
	if !found {
		_, found = s.findSchedule(schedule.Tenant, schedule.Name)
	}
	if old.Version != schedule.Version || found && schedule.Version == 0 {
		return Schedule{}, ErrConflict
	}
	if schedule.Version == 0 {
		schedule.CreatedAt = timeid.Instant(now)
	}
	schedule.Version++
	schedule = schedule.clone()
	set(s.memState, s.schedules, schedule.ID, schedule)
	return schedule.clone(), nil
}

// GetSchedule implements [ScheduleStore].
func (s *MemStore) GetSchedule(ctx context.Context, tenant, name string) (Schedule, error) {
	if err := ctx.Err(); err != nil {
		return Schedule{}, err
	}
	defer s.lock()()
	schedule, found := s.findSchedule(tenant, name)
	if !found {
		return Schedule{}, ErrNotFound
	}
	return schedule.clone(), nil
}

// ListSchedules implements [ScheduleStore].
func (s *MemStore) ListSchedules(ctx context.Context, tenant, after string, limit int) ([]Schedule, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer s.lock()()
	return s.schedulesWhere(limit, func(a, b Schedule) int { return cmp.Compare(a.Name, b.Name) }, func(schedule Schedule) bool {
		return schedule.Tenant == tenant && schedule.Name > after
	}), nil
}

// DeleteSchedule implements [ScheduleStore].
func (s *MemStore) DeleteSchedule(ctx context.Context, tenant, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer s.lock()()
	schedule, found := s.findSchedule(tenant, name)
	if !found {
		return ErrNotFound
	}
	remove(s.memState, s.schedules, schedule.ID)
	remove(s.memState, s.fires, schedule.ID)
	return nil
}

// DueSchedules implements [ScheduleStore].
func (s *MemStore) DueSchedules(ctx context.Context, kinds []string, after ScheduleID, limit int, now time.Time) ([]Schedule, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer s.lock()()
	now = timeid.Instant(now)
	return s.schedulesWhere(limit, func(a, b Schedule) int { return cmp.Compare(a.ID, b.ID) }, func(schedule Schedule) bool {
		return schedule.ID > after && !schedule.Paused && !schedule.NextAt.IsZero() && !schedule.NextAt.After(now) &&
			slices.Contains(kinds, schedule.Kind)
	}), nil
}

// Fire implements [ScheduleStore].
func (s *MemStore) Fire(ctx context.Context, firing Firing, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer s.lock()()
	schedule, found := s.schedules[firing.Schedule]
	if !found || schedule.Version != firing.Version {
		return ErrConflict
	}
	fires := slices.Clone(s.fires[schedule.ID])
	var fresh []Insertion
	for _, job := range firing.Jobs {
		if slices.ContainsFunc(fires, func(f Fire) bool { return f.At.Equal(job.RunAt) }) {
			continue
		}
		fires = append(fires, Fire{At: job.RunAt.UTC(), Job: job.ID})
		fresh = append(fresh, job)
	}
	if taken := s.insert(fresh, timeid.Instant(now)); len(taken) > 0 {
		return ErrConflict
	}
	slices.SortFunc(fires, func(a, b Fire) int { return a.At.Compare(b.At) })
	set(s.memState, s.fires, schedule.ID, fires[max(0, len(fires)-KeptFires):])
	schedule.NextAt, schedule.LastAt = firing.NextAt, firing.LastAt
	schedule.Version++
	set(s.memState, s.schedules, schedule.ID, schedule)
	return nil
}

// ListFires implements [ScheduleStore].
func (s *MemStore) ListFires(ctx context.Context, tenant, name string, before time.Time, limit int) ([]Fire, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer s.lock()()
	schedule, found := s.findSchedule(tenant, name)
	if !found {
		return nil, ErrNotFound
	}
	var page []Fire
	for _, fire := range slices.Backward(s.fires[schedule.ID]) {
		if len(page) < limit && (before.IsZero() || fire.At.Before(before)) {
			page = append(page, fire)
		}
	}
	return page, nil
}

func (s *MemStore) findSchedule(tenant, name string) (Schedule, bool) {
	for schedule := range maps.Values(s.schedules) {
		if schedule.Tenant == tenant && schedule.Name == name {
			return schedule, true
		}
	}
	return Schedule{}, false
}

func (s *MemStore) schedulesWhere(limit int, order func(a, b Schedule) int, match func(Schedule) bool) []Schedule {
	var found []Schedule
	for schedule := range maps.Values(s.schedules) {
		if match(schedule) {
			found = append(found, schedule.clone())
		}
	}
	slices.SortFunc(found, order)
	return found[:min(len(found), limit)]
}

// clone returns a schedule that shares no memory with s.
func (s Schedule) clone() Schedule {
	s.Args, s.Metadata = slices.Clone(s.Args), maps.Clone(s.Metadata)
	return s
}
