package jobs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/levqor/sdk/internal/fault"
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

// Put stores a schedule, in the place of the one with that name if there is one,
// so a program may put its schedules each time that it starts: where neither Spec
// nor TimeZone change, the next time stays, also one that has been missed. It
// returns an ErrInvalid that names each wrong field, below "/args" or of the plan,
// also for a plan that never fires within five years.
func (s *Schedules) Put(ctx context.Context, name string, plan Plan, args Args) (Schedule, error) {
	job, err := s.check(name, &plan, args)
	table, tableErr := parseTimetable(plan.Spec, plan.TimeZone, s.opts.Parse)
	if err := errors.Join(err, tableErr); err != nil {
		return Schedule{}, fmt.Errorf("jobs: put schedule: %w", err)
	}
	stored, err := s.change(ctx, job.Tenant, name, func(schedule *Schedule, now time.Time) (err error) {
		same := schedule.Version > 0 && schedule.Spec == plan.Spec && schedule.TimeZone == plan.TimeZone
		if !same {
			if schedule.NextAt, err = firstAfter(table, now); err != nil {
				return err
			}
		}
		if schedule.Version == 0 {
			schedule.ID = ScheduleID(s.queue.ids.next(s.queue.clock()))
		}
		schedule.Args, err = s.queue.seal(job.Kind, ID(schedule.ID), args)
		schedule.Tenant, schedule.Name, schedule.Spec, schedule.TimeZone = job.Tenant, name, plan.Spec, plan.TimeZone
		schedule.CatchUp, schedule.MaxCatchUp = plan.CatchUp, plan.MaxCatchUp
		schedule.Kind, schedule.Queue, schedule.Priority = job.Kind, job.Queue, job.Priority
		schedule.MaxAttempts, schedule.Timeout, schedule.LimitKey = job.MaxAttempts, job.Timeout, job.LimitKey
		schedule.Metadata = job.Metadata
		return err
	})
	if err != nil {
		return Schedule{}, fmt.Errorf("jobs: put schedule: %w", err)
	}
	return stored, nil
}

// PutJSON stores a schedule whose jobs' arguments come as the JSON text of a
// registered kind. It returns an ErrUnknownKind for any other kind, and an
// ErrInvalid as Put does.
func (s *Schedules) PutJSON(ctx context.Context, name string, plan Plan, kind string, args []byte) (Schedule, error) {
	k, err := s.queue.registry.Kind(kind)
	if err != nil {
		return Schedule{}, err
	}
	decoded, err := k.decode(args)
	if err != nil {
		return Schedule{}, fmt.Errorf("jobs: put schedule: %w", fault.Under("/args", err))
	}
	return s.Put(ctx, name, plan, decoded)
}

// check checks all but when a schedule fires, and returns what its jobs are like.
func (s *Schedules) check(name string, plan *Plan, args Args) (Insertion, error) {
	plan.MaxCatchUp = cmp.Or(plan.MaxCatchUp, 100)
	errs := []error{checkName("/name", name), checkRange("/max_catch_up", plan.MaxCatchUp, 1000)}
	if int(plan.CatchUp) >= len(catchUpNames) {
		errs = append(errs, invalid("/catch_up", "unknown_catch_up", "must be latest, skip or all"))
	}
	if o := plan.Options; o != nil && (o.Delay != 0 || !o.RunAt.IsZero()) {
		errs = append(errs, invalid("/run_at", "contradictory", "the plan says when its jobs run"))
	}
	if o := plan.Options; o != nil && o.Unique != nil {
		errs = append(errs, invalid("/unique", "contradictory", "each time of a schedule gives one job"))
	}
	job := Insertion{Info: &Info{}}
	errs = append(errs, s.queue.prepare(&job, Entry{Args: args, Options: plan.Options}))
	return job, errors.Join(errs...)
}

// Get returns a schedule, or ErrNotFound.
func (s *Schedules) Get(ctx context.Context, name string) (Schedule, error) {
	schedule, err := s.store.GetSchedule(ctx, s.queue.tenant, name)
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
		all[i].Args = redact(all[i].Args)
	}
	return all, nil
}

// Delete removes a schedule; jobs that it has stored stay. It returns ErrNotFound if
// there is none.
func (s *Schedules) Delete(ctx context.Context, name string) error {
	if err := s.store.DeleteSchedule(ctx, s.queue.tenant, name); err != nil {
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
		schedule, err := s.store.GetSchedule(ctx, s.queue.tenant, name)
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
	err := checkRange("/limit", limit, 1000)
	var fires []Fire
	if err == nil {
		fires, err = s.store.ListFires(ctx, s.queue.tenant, name, before, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("jobs: list fires: %w", err)
	}
	return fires, nil
}

// maxTries bounds how often a change is tried again because another came first.
const maxTries = 10

// existing changes a schedule that must be there.
func (s *Schedules) existing(ctx context.Context, name string, fn func(schedule *Schedule, now time.Time) error) (Schedule, error) {
	return s.change(ctx, s.queue.tenant, name, func(schedule *Schedule, now time.Time) error {
		if schedule.Version == 0 {
			return ErrNotFound
		}
		return fn(schedule, now)
	})
}

// change applies fn to a schedule as it is stored, or to none, and stores it.
func (s *Schedules) change(ctx context.Context, tenant, name string, fn func(schedule *Schedule, now time.Time) error) (Schedule, error) {
	now, err := s.store.Instant(ctx, s.queue.now())
	if err != nil {
		return Schedule{}, err
	}
	for range maxTries {
		schedule, err := s.store.GetSchedule(ctx, tenant, name)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Schedule{}, err
		}
		if err := fn(&schedule, now); err != nil {
			return Schedule{}, err
		}
		stored, err := s.store.PutSchedule(ctx, schedule, now)
		if !errors.Is(err, ErrConflict) {
			stored.Args = redact(stored.Args)
			return stored, err
		}
	}
	return Schedule{}, fmt.Errorf("%w: %w", errMoved, ErrConflict)
}

func (s *Schedules) show(op string, schedule Schedule, err error) (Schedule, error) {
	if err != nil {
		return Schedule{}, fmt.Errorf("jobs: %s schedule: %w", op, err)
	}
	schedule.Args = redact(schedule.Args)
	return schedule, nil
}

// unsealed returns a schedule's arguments as the value that was put.
func (s *Schedules) unsealed(schedule Schedule) (Args, error) {
	kind, err := s.queue.registry.Kind(schedule.Kind)
	if err != nil {
		return nil, err
	}
	value := reflect.New(kind.Args)
	info := Info{ID: ID(schedule.ID), Kind: schedule.Kind, Args: schedule.Args}
	if err := decodeArgs(s.queue.registry.opts.Sealer, info, value.Interface()); err != nil {
		return nil, err
	}
	args, ok := value.Elem().Interface().(Args)
	if !ok {
		return nil, fmt.Errorf("kind %s: %w", schedule.Kind, ErrUnknownKind)
	}
	return args, nil
}

// jobArgs returns the stored form of the arguments of a schedule's job.
func (s *Schedules) jobArgs(schedule Schedule, id ID) ([]byte, error) {
	if !bytes.Contains(schedule.Args, []byte(sealedMark)) {
		return schedule.Args, nil
	}
	args, err := s.unsealed(schedule)
	if err != nil {
		return nil, err
	}
	return s.queue.seal(schedule.Kind, id, args)
}
