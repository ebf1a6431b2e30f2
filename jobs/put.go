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

// OnlyIf returns the same schedules, of which Put stores only those for which check
// returns nil, and else returns its error. Check gets the schedule that is there, with
// Version 0 where there is none. Nobody changes it between the check and the change, so
// check is called again where somebody did. Put gives up with an ErrConflict where that
// was so a hundred times.
func (s *Schedules) OnlyIf(check func(before Schedule) error) *Schedules {
	c := *s
	c.check = check
	return &c
}

// Put stores a schedule, in the place of the one with that name if there is one,
// so a program may put its schedules each time that it starts: where neither Spec
// nor TimeZone change, the next time stays, also one that has been missed. It
// returns an ErrInvalid that names each wrong field, below "/args" or of the plan,
// also for a plan that never fires within five years, and an ErrConflict where others
// changed the schedule meanwhile, a hundred times.
func (s *Schedules) Put(ctx context.Context, name string, plan Plan, args Args) (Schedule, error) {
	job, err := s.prepare(name, &plan, args)
	table, tableErr := parseTimetable(plan.Spec, plan.TimeZone, s.opts.Parse)
	if err := errors.Join(err, tableErr); err != nil {
		return Schedule{}, fmt.Errorf("jobs: put schedule: %w", err)
	}
	stored, err := s.change(ctx, job.Tenant, name, func(schedule *Schedule, now time.Time) (err error) {
		if err := s.checked(*schedule); err != nil {
			return err
		}
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

// checked returns what the check of OnlyIf says of a schedule, as people see it.
func (s *Schedules) checked(before Schedule) error {
	if s.check == nil {
		return nil
	}
	return s.check(shown(before))
}

// prepare checks all but when a schedule fires, and returns what its jobs are like.
func (s *Schedules) prepare(name string, plan *Plan, args Args) (Insertion, error) {
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

// maxTries bounds how often a change is tried because another came first. Of changes at
// once one comes first each time, so it is how many callers may change one thing at once.
const maxTries = 100

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
		schedule, err := s.find(ctx, tenant, name)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Schedule{}, err
		}
		if err := fn(&schedule, now); err != nil {
			return Schedule{}, err
		}
		stored, err := s.store.PutSchedule(ctx, schedule, now)
		if !errors.Is(err, ErrConflict) {
			return shown(stored), err
		}
	}
	return Schedule{}, fmt.Errorf("%w: %w", errMoved, ErrConflict)
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
