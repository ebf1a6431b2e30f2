package jobs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

// SchedulesOptions configure [Schedules]. The zero value of each field means its
// default.
type SchedulesOptions struct {
	// Parse reads what a [Plan] may hold besides intervals and single times.
	// Default: nothing.
	Parse TimetableParser
	// Worker gives Poll and Logger. Default: those of [NewWorker].
	Worker *WorkerOptions
}

// Schedules keeps the recurring work of one tenant. It is safe for concurrent use.
type Schedules struct {
	store ScheduleStore
	queue *Queue
	opts  SchedulesOptions
	check func(before Schedule) error // what Put asks first; nil for nothing
}

// NewSchedules returns the schedules of the queue's tenant on a store, which must be
// the queue's own. Options may be nil.
func NewSchedules(store ScheduleStore, queue *Queue, opts *SchedulesOptions) *Schedules {
	s := &Schedules{store: store, queue: queue}
	if opts != nil {
		s.opts = *opts
	}
	var w WorkerOptions
	if s.opts.Worker != nil {
		w = *s.opts.Worker
	}
	w.setDefaults()
	s.opts.Worker = &w
	return s
}

// ForTenant returns the schedules of another tenant.
func (s *Schedules) ForTenant(tenant string) *Schedules {
	c := *s
	c.queue = s.queue.ForTenant(tenant)
	return &c
}

// With returns the same schedules on other stores, such as those bound to the
// caller's transaction.
func (s *Schedules) With(store ScheduleStore, queue QueueStore) *Schedules {
	c := *s
	c.store, c.queue = store, s.queue.With(queue)
	return &c
}

// Get returns a schedule, or ErrNotFound.
func (s *Schedules) Get(ctx context.Context, name string) (Schedule, error) {
	schedule, err := s.find(ctx, s.queue.tenant, name)
	return s.show("get", schedule, err)
}

// List returns the tenant's schedules whose names come after a given one, ordered by
// name, at most limit of them. It returns an ErrInvalid for a limit outside 1 to
// 1000.
func (s *Schedules) List(ctx context.Context, after string, limit int) ([]Schedule, error) {
	if err := checkRange("/limit", limit, 1000); err != nil {
		return nil, fmt.Errorf("jobs: list schedules: %w", err)
	}
	all, err := s.store.ListSchedules(ctx, s.queue.tenant, after, limit)
	if err != nil {
		return nil, fmt.Errorf("jobs: list schedules: %w", err)
	}
	for i := range all {
		all[i] = shown(all[i])
	}
	return all, nil
}

// Delete removes a schedule; jobs that it has stored stay. It returns ErrNotFound if
// there is none.
func (s *Schedules) Delete(ctx context.Context, name string) error {
	err := findable(name)
	if err == nil {
		err = s.store.DeleteSchedule(ctx, s.queue.tenant, name)
	}
	if err != nil {
		return fmt.Errorf("jobs: delete schedule: %w", err)
	}
	return nil
}

// Pause keeps a schedule from firing until Resume. It returns ErrNotFound if there
// is none.
func (s *Schedules) Pause(ctx context.Context, name string) (Schedule, error) {
	schedule, err := s.existing(ctx, name, func(schedule *Schedule, _ time.Time) error {
		schedule.Paused = true
		return nil
	})
	return s.show("pause", schedule, err)
}

// Resume lets a paused schedule fire again, from now on: times that passed
// meanwhile were not missed. It returns ErrNotFound if there is none.
func (s *Schedules) Resume(ctx context.Context, name string) (Schedule, error) {
	schedule, err := s.existing(ctx, name, func(schedule *Schedule, now time.Time) error {
		table, err := parseTimetable(schedule.Spec, schedule.TimeZone, s.opts.Parse)
		if err != nil || !schedule.Paused {
			return err
		}
		schedule.Paused = false
		schedule.NextAt = table.Next(now)
		return nil
	})
	return s.show("resume", schedule, err)
}

// RunNow stores a job of the schedule at once, whether it is paused or not, and
// returns the fire. Its time is the instant of the call. It returns ErrNotFound if
// there is no such schedule, and ErrUnknownKind if this process does not know its
// kind.
func (s *Schedules) RunNow(ctx context.Context, name string) (Fire, error) {
	for range maxTries {
		schedule, err := s.find(ctx, s.queue.tenant, name)
		if err != nil {
			return Fire{}, fmt.Errorf("jobs: run schedule: %w", err)
		}
		now, err := s.store.Instant(ctx, s.queue.now())
		if err != nil {
			return Fire{}, fmt.Errorf("jobs: run schedule: %w", err)
		}
		fires, err := s.fire(ctx, schedule, []time.Time{now}, schedule.NextAt, now)
		if err == nil {
			return fires[0], nil
		}
		if !errors.Is(err, ErrConflict) {
			return Fire{}, fmt.Errorf("jobs: run schedule: %w", err)
		}
	}
	return Fire{}, fmt.Errorf("jobs: run schedule: %w: %w", errMoved, ErrConflict)
}

// Upcoming returns the next times of a schedule, at most n of them, none for one
// that is paused. It returns ErrNotFound if there is no such schedule.
func (s *Schedules) Upcoming(ctx context.Context, name string, n int) ([]time.Time, error) {
	schedule, err := s.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.Next(schedule, n)
}

// Next returns the next times of a schedule that was got before, at most n of them,
// none for one that is paused or over. It returns ErrInvalid if this process cannot
// read its plan.
func (s *Schedules) Next(schedule Schedule, n int) ([]time.Time, error) {
	if schedule.Paused || schedule.NextAt.IsZero() {
		return nil, nil
	}
	table, err := parseTimetable(schedule.Spec, schedule.TimeZone, s.opts.Parse)
	if err != nil {
		return nil, fmt.Errorf("jobs: next times: %w", err)
	}
	return upcoming(table, schedule.NextAt.Add(-time.Microsecond), n), nil
}

// Fires returns the times before an instant that a schedule has fired for, the
// latest first, at most limit of them; the zero instant means now. At least
// [KeptFires] are remembered. It returns an ErrInvalid for a limit outside 1 to
// 1000, and ErrNotFound.
func (s *Schedules) Fires(ctx context.Context, name string, before time.Time, limit int) ([]Fire, error) {
	err := cmp.Or(checkRange("/limit", limit, 1000), findable(name))
	var fires []Fire
	if err == nil {
		fires, err = s.store.ListFires(ctx, s.queue.tenant, name, before, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("jobs: list fires: %w", err)
	}
	return fires, nil
}

// find returns a schedule as it is stored, or ErrNotFound.
func (s *Schedules) find(ctx context.Context, tenant, name string) (Schedule, error) {
	if err := findable(name); err != nil {
		return Schedule{}, err
	}
	return s.store.GetSchedule(ctx, tenant, name)
}

// findable returns an ErrNotFound for a name that no schedule can have. Stores are not
// asked: a database takes some of them, such as those with NUL, for an error.
func findable(name string) error {
	if checkName("/name", name) != nil {
		return fmt.Errorf("schedule name: %w", ErrNotFound)
	}
	return nil
}

func (s *Schedules) show(op string, schedule Schedule, err error) (Schedule, error) {
	if err != nil {
		return Schedule{}, fmt.Errorf("jobs: %s schedule: %w", op, err)
	}
	return shown(schedule), nil
}

// shown returns a schedule as people see it. Each sealing of a secret gives another text,
// so a hash of that text changes with each, and nothing can be guessed by it.
func shown(schedule Schedule) Schedule {
	if bytes.Contains(schedule.Args, []byte(sealedMark)) {
		sum := sha256.Sum256(schedule.Args)
		schedule.Seal = base64.RawURLEncoding.EncodeToString(sum[:16])
		schedule.Args = redact(schedule.Args)
	}
	return schedule
}
