package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

// dueBatch bounds the due schedules that one call of the store returns.
const dueBatch = 100

// maxFirePoll is how late a schedule fires at most while the store answers.
const maxFirePoll = time.Second

// Run fires the schedules of all tenants until ctx ends. Any number of processes may
// run it on one database: each time of a schedule gives one job. A process fires
// the schedules whose kinds it has registered and whose plans it can read. While the
// store is away Run waits for it; it returns nil.
func (s *Schedules) Run(ctx context.Context) error {
	poll := min(s.opts.Worker.Poll*5, maxFirePoll)
	for {
		if err := s.FireDue(ctx); err != nil && ctx.Err() == nil {
			s.opts.Worker.Logger.ErrorContext(ctx, "jobs: schedules were not fired", slog.Any("error", err), slog.String("cause", fault.Cause(err)))
		}
		if !sleep(ctx, jitter(poll)) {
			return nil
		}
	}
}

// FireDue fires the schedules of all tenants whose time has come, for programs that
// run on a clock of their own; others call Run. It returns the first error, after it
// has tried all.
func (s *Schedules) FireDue(ctx context.Context) error {
	now, err := s.store.Instant(ctx, s.queue.now())
	if err != nil {
		return fmt.Errorf("jobs: fire: %w", err)
	}
	var kinds []string
	for _, k := range s.queue.registry.Kinds() {
		kinds = append(kinds, k.Name)
	}
	var failed error
	for after := ScheduleID(0); ; {
		due, err := s.store.DueSchedules(ctx, kinds, after, dueBatch, now)
		if err != nil {
			return fmt.Errorf("jobs: fire: %w", err)
		}
		for _, schedule := range due {
			after = schedule.ID
			// Another process that was faster has moved the schedule on.
			if err := s.fireAt(ctx, schedule, now); err != nil && !errors.Is(err, ErrConflict) && failed == nil {
				failed = fmt.Errorf("jobs: fire %q: %w", schedule.Name, err)
			}
		}
		if len(due) < dueBatch {
			return failed
		}
	}
}

// fireAt fires a schedule for the times that have come by now.
func (s *Schedules) fireAt(ctx context.Context, schedule Schedule, now time.Time) error {
	table, err := parseTimetable(schedule.Spec, schedule.TimeZone, s.opts.Parse)
	if err != nil {
		return err
	}
	times := dueTimes(table, schedule.NextAt, now, schedule.CatchUp, schedule.MaxCatchUp)
	_, err = s.fire(ctx, schedule, times, table.Next(now), now)
	return err
}

// fire stores a job for each time.
func (s *Schedules) fire(ctx context.Context, schedule Schedule, times []time.Time, next, now time.Time) ([]Fire, error) {
	firing := Firing{Schedule: schedule.ID, Version: schedule.Version, NextAt: next, LastAt: schedule.LastAt}
	fires := make([]Fire, len(times))
	for i, at := range times {
		id := s.queue.ids.next(s.queue.clock())
		args, err := s.jobArgs(schedule, id)
		if err != nil {
			return nil, err
		}
		firing.LastAt = at
		firing.Jobs = append(firing.Jobs, Insertion{Info: &Info{
			ID: id, Tenant: schedule.Tenant, Kind: schedule.Kind, Queue: schedule.Queue, Priority: schedule.Priority,
			Args: args, MaxAttempts: schedule.MaxAttempts, Timeout: schedule.Timeout, RunAt: at, LimitKey: schedule.LimitKey,
			Metadata: schedule.Metadata,
		}})
		fires[i] = Fire{At: at, Job: id}
	}
	call, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := s.store.Fire(call, firing, now); err != nil {
		return nil, err
	}
	s.queue.tellStored(firing.Jobs)
	return fires, nil
}
