package jobstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/jobs"
)

// scheduleEnv is what a case about schedules works with.
type scheduleEnv struct {
	env
	jobs.ScheduleStore
}

type scheduleCase struct {
	name string
	run  func(e *scheduleEnv)
}

// schedule returns a schedule of tenant "a" that is due at t0.
func schedule(name string, changes ...func(*jobs.Schedule)) jobs.Schedule {
	s := jobs.Schedule{
		ID: jobs.ScheduleID(lastID.Add(1)), Tenant: "a", Name: name, Spec: "every 1m", TimeZone: "Europe/Berlin",
		CatchUp: jobs.CatchUpAll, MaxCatchUp: 7, Kind: "k", Queue: "q", Priority: 4, MaxAttempts: 3, Timeout: jobs.NoTimeout,
		Metadata: labels(), Args: []byte(`{"n":1}`), NextAt: t0,
	}
	for _, change := range changes {
		change(&s)
	}
	return s
}

func (e *scheduleEnv) put(s jobs.Schedule) jobs.Schedule {
	e.Helper()
	stored, err := e.PutSchedule(e.ctx, s, t0)
	if err != nil {
		e.Fatalf("PutSchedule = %v", err)
	}
	return stored
}

func (e *scheduleEnv) wantSchedule(want jobs.Schedule) {
	e.Helper()
	got, err := e.GetSchedule(e.ctx, want.Tenant, want.Name)
	if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		e.Errorf("GetSchedule = %+v, %v; want %+v", got, err, want)
	}
}

// firing returns what fires a schedule for some instants and lets it fire next a
// minute after the last.
func firing(s jobs.Schedule, times ...time.Time) jobs.Firing {
	f := jobs.Firing{Schedule: s.ID, Version: s.Version}
	for _, at := range times {
		f.LastAt, f.NextAt = at, at.Add(time.Minute)
		f.Jobs = append(f.Jobs, job(runAt(at)))
	}
	return f
}

func (e *scheduleEnv) fire(s jobs.Schedule, f jobs.Firing) jobs.Schedule {
	e.Helper()
	if err := e.Fire(e.ctx, f, t0); err != nil {
		e.Fatalf("Fire = %v", err)
	}
	s.Version, s.NextAt, s.LastAt = s.Version+1, f.NextAt, f.LastAt
	return s
}

func (e *scheduleEnv) due(kinds []string, after jobs.ScheduleID, limit int) []string {
	e.Helper()
	all, err := e.DueSchedules(e.ctx, kinds, after, limit, t0)
	if err != nil {
		e.Fatalf("DueSchedules = %v", err)
	}
	return scheduleNames(all)
}

func scheduleNames(all []jobs.Schedule) []string {
	names := []string{}
	for _, s := range all {
		names = append(names, s.Name)
	}
	return names
}

func (e *scheduleEnv) wantNames(got []string, promise string, want ...string) {
	e.Helper()
	if !slices.Equal(got, want) {
		e.Errorf("got %v, want %v: %s", got, want, promise)
	}
}

var scheduleCases = []scheduleCase{
	{"Instant is the given one, or the store's clock", func(e *scheduleEnv) {
		got, err := e.Instant(e.ctx, t0)
		if err != nil {
			e.Fatal(err)
		}
		e.wantTime(got, t0, "the given instant")
		got, err = e.Instant(e.ctx, time.Time{})
		if d := time.Since(got).Abs(); err != nil || d > time.Minute { //nolint:forbidigo // the store's clock is to be near this one
			e.Errorf("the store's clock is %v off, %v", d, err)
		}
	}},
	{"a schedule comes back as it was put", func(e *scheduleEnv) {
		in := schedule("s")
		stored := e.put(in)
		in.Version, in.CreatedAt = 1, t0
		if fmt.Sprintf("%+v", stored) != fmt.Sprintf("%+v", in) {
			e.Errorf("PutSchedule returned %+v, want %+v", stored, in)
		}
		e.wantSchedule(in)
		in.Spec, in.Paused, in.NextAt, in.LastAt, in.TimeZone = "at never", true, time.Time{}, t0, ""
		again := e.put(in)
		in.Version = 2
		e.wantSchedule(again)
		if again.Version != 2 || !again.Paused || !again.NextAt.IsZero() {
			e.Errorf("the second PutSchedule returned %+v", again)
		}
		e.wantTime(again.CreatedAt, t0, "CreatedAt")
	}},
	{"a name is taken once in a tenant", func(e *scheduleEnv) {
		e.put(schedule("s"))
		_, err := e.PutSchedule(e.ctx, schedule("s"), t0)
		e.wantErr(err, jobs.ErrConflict, "the tenant has a schedule of that name")
		e.put(schedule("s", func(s *jobs.Schedule) { s.Tenant = "b" }))
		e.put(schedule("s", func(s *jobs.Schedule) { s.Tenant = "" }))
	}},
	{"a change of what has moved on is refused", func(e *scheduleEnv) {
		old := e.put(schedule("s"))
		current := e.put(old)
		_, err := e.PutSchedule(e.ctx, old, t0)
		e.wantErr(err, jobs.ErrConflict, "another change came first")
		e.wantErr(e.Fire(e.ctx, firing(old, t0), t0), jobs.ErrConflict, "another change came first")
		e.wantSchedule(current)
	}},
	{"tenants are apart", func(e *scheduleEnv) {
		in := e.put(schedule("s"))
		_, err := e.GetSchedule(e.ctx, "b", "s")
		e.wantErr(err, jobs.ErrNotFound, "it belongs to another tenant")
		e.wantErr(e.DeleteSchedule(e.ctx, "b", "s"), jobs.ErrNotFound, "it belongs to another tenant")
		_, err = e.ListFires(e.ctx, "b", "s", time.Time{}, 10)
		e.wantErr(err, jobs.ErrNotFound, "it belongs to another tenant")
		all, err := e.ListSchedules(e.ctx, "b", "", 10)
		if err != nil || len(all) != 0 {
			e.Errorf("ListSchedules = %v, %v; want none of another tenant's", all, err)
		}
		e.wantSchedule(in)
	}},
	{"a list is ordered by name, page after page", func(e *scheduleEnv) {
		for _, name := range []string{"b", "B", "a-c", "ab", "a"} {
			e.put(schedule(name))
		}
		first, err := e.ListSchedules(e.ctx, "a", "", 3)
		if err != nil {
			e.Fatal(err)
		}
		e.wantNames(scheduleNames(first), "by bytes", "B", "a", "a-c")
		second, err := e.ListSchedules(e.ctx, "a", "a-c", 3)
		if err != nil {
			e.Fatal(err)
		}
		e.wantNames(scheduleNames(second), "the next page", "ab", "b")
	}},
	{"a deleted schedule is gone, its jobs stay", func(e *scheduleEnv) {
		s := e.put(schedule("s"))
		f := firing(s, t0)
		s = e.fire(s, f)
		if err := e.DeleteSchedule(e.ctx, "a", "s"); err != nil {
			e.Fatalf("DeleteSchedule = %v", err)
		}
		_, err := e.GetSchedule(e.ctx, "a", "s")
		e.wantErr(err, jobs.ErrNotFound, "it was deleted")
		e.wantErr(e.DeleteSchedule(e.ctx, "a", "s"), jobs.ErrNotFound, "it was deleted")
		e.wantErr(e.Fire(e.ctx, firing(s, t0.Add(time.Minute)), t0), jobs.ErrConflict, "it was deleted")
		e.get(f.Jobs[0].ID)
		e.put(schedule("s"))
		if fires, err := e.ListFires(e.ctx, "a", "s", time.Time{}, 10); err != nil || len(fires) != 0 {
			e.Errorf("ListFires = %v, %v; want none of the schedule before", fires, err)
		}
	}},
	{"due are those whose time has come, of known kinds, that are not paused", func(e *scheduleEnv) {
		first := e.put(schedule("due"))
		e.put(schedule("other tenant", func(s *jobs.Schedule) { s.Tenant, s.NextAt = "b", t0.Add(-time.Hour) }))
		e.put(schedule("later", func(s *jobs.Schedule) { s.NextAt = t0.Add(time.Microsecond) }))
		e.put(schedule("over", func(s *jobs.Schedule) { s.NextAt = time.Time{} }))
		e.put(schedule("paused", func(s *jobs.Schedule) { s.Paused = true }))
		e.put(schedule("unknown", func(s *jobs.Schedule) { s.Kind = "unknown" }))
		e.put(schedule("second kind", func(s *jobs.Schedule) { s.Kind = "k2" }))
		e.wantNames(e.due([]string{"k", "k2"}, 0, 10), "in the order of their IDs", "due", "other tenant", "second kind")
		e.wantNames(e.due([]string{"k", "k2"}, 0, 2), "the limit holds", "due", "other tenant")
		e.wantNames(e.due([]string{"k", "k2"}, first.ID, 10), "those after an ID", "other tenant", "second kind")
		e.wantNames(e.due(nil, 0, 10), "no kinds, no schedules")
	}},
	{"a firing stores its jobs and moves the schedule on", func(e *scheduleEnv) {
		s := e.put(schedule("s"))
		f := firing(s, t0.Add(-time.Minute), t0)
		f.Jobs[0].Metadata = labels()
		s = e.fire(s, f)
		e.wantSchedule(s)
		for i, in := range f.Jobs {
			got := e.get(in.ID)
			if got.State != jobs.Ready || in.State != jobs.Ready {
				e.Errorf("job %d is %s, returned as %s; want ready", i, got.State, in.State)
			}
			e.wantStored(*in.Info, "Fire")
		}
		e.wantNames(e.due([]string{"k"}, 0, 10), "it has moved on")
	}},
	{"a time fires once", func(e *scheduleEnv) {
		s := e.put(schedule("s"))
		s = e.fire(s, firing(s, t0))
		f := firing(s, t0, t0.Add(time.Minute))
		s = e.fire(s, f)
		e.wantSchedule(s)
		_, err := e.Get(e.ctx, "a", f.Jobs[0].ID)
		e.wantErr(err, jobs.ErrNotFound, "the schedule had fired for that time")
		e.get(f.Jobs[1].ID)
	}},
	{"a firing without times moves the schedule on", func(e *scheduleEnv) {
		s := e.put(schedule("s"))
		f := jobs.Firing{Schedule: s.ID, Version: s.Version, NextAt: t0.Add(time.Hour), LastAt: t0}
		e.wantSchedule(e.fire(s, f))
	}},
	{"a firing is all or nothing", func(e *scheduleEnv) {
		s := e.put(schedule("s"))
		f := firing(s, t0.Add(-time.Minute), t0)
		e.insert(t0, job(func(j *jobs.Insertion) { j.ID = f.Jobs[1].ID }))
		e.wantErr(e.Fire(e.ctx, f, t0), jobs.ErrConflict, "an ID is taken")
		e.wantSchedule(s)
		_, err := e.Get(e.ctx, "a", f.Jobs[0].ID)
		e.wantErr(err, jobs.ErrNotFound, "the other job of the firing was not stored")
		if fires, err := e.ListFires(e.ctx, "a", "s", time.Time{}, 10); err != nil || len(fires) != 0 {
			e.Errorf("ListFires = %v, %v; want none", fires, err)
		}
	}},
	{"fires are listed latest first, page after page", func(e *scheduleEnv) {
		s := e.put(schedule("s"))
		f := firing(s, t0, t0.Add(time.Minute), t0.Add(2*time.Minute))
		e.fire(s, f)
		page, err := e.ListFires(e.ctx, "a", "s", time.Time{}, 2)
		if err != nil || len(page) != 2 {
			e.Fatalf("ListFires = %v, %v; want 2", page, err)
		}
		rest, err := e.ListFires(e.ctx, "a", "s", page[1].At, 2)
		if err != nil || len(rest) != 1 {
			e.Fatalf("ListFires = %v, %v; want 1", rest, err)
		}
		for i, fire := range append(page, rest...) {
			e.wantTime(fire.At, f.Jobs[2-i].RunAt, "the time of a fire")
			if fire.Job != f.Jobs[2-i].ID {
				e.Errorf("fire %d has job %v, want %v", i, fire.Job, f.Jobs[2-i].ID)
			}
		}
	}},
	{"old fires are forgotten", func(e *scheduleEnv) {
		s := e.put(schedule("s"))
		const extra = 20
		var times []time.Time
		for i := range jobs.KeptFires + extra {
			times = append(times, t0.Add(time.Duration(i)*time.Second))
		}
		s = e.fire(s, firing(s, times...))
		e.fire(s, firing(s, t0.Add(24*time.Hour)))
		fires, err := e.ListFires(e.ctx, "a", "s", time.Time{}, 2*jobs.KeptFires)
		if err != nil || len(fires) < jobs.KeptFires || len(fires) > jobs.KeptFires+extra/2 {
			e.Errorf("%d fires are kept, %v; want %d", len(fires), err, jobs.KeptFires)
		}
	}},
	{"of many that fire at once, one does", func(e *scheduleEnv) {
		s := e.put(schedule("s"))
		var fired, refused atomic.Int32
		atOnce(8, func(int) {
			switch err := e.Fire(e.ctx, firing(s, t0), t0); {
			case err == nil:
				fired.Add(1)
			case errors.Is(err, jobs.ErrConflict):
				refused.Add(1)
			default:
				e.Errorf("Fire = %v", err)
			}
		})
		all, err := e.List(e.ctx, jobs.ListQuery{Tenant: "a", Limit: 100})
		if fired.Load() != 1 || refused.Load() != 7 || len(all) != 1 || err != nil {
			e.Errorf("%d fired and %d were refused, %d jobs, %v; want 1, 7, 1", fired.Load(), refused.Load(), len(all), err)
		}
	}},
	{"of many that put one name at once, one does", func(e *scheduleEnv) {
		var put atomic.Int32
		atOnce(8, func(int) {
			_, err := e.PutSchedule(e.ctx, schedule("s"), t0)
			if err == nil {
				put.Add(1)
			} else if !errors.Is(err, jobs.ErrConflict) {
				e.Errorf("PutSchedule = %v", err)
			}
		})
		if put.Load() != 1 {
			e.Errorf("%d of them put it, want 1", put.Load())
		}
	}},
	{"a context that has ended changes nothing", func(e *scheduleEnv) {
		s := e.put(schedule("s"))
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		_, put := e.PutSchedule(ctx, s, t0)
		_, get := e.GetSchedule(ctx, "a", "s")
		_, list := e.ListSchedules(ctx, "a", "", 10)
		_, due := e.DueSchedules(ctx, []string{"k"}, 0, 10, t0)
		_, fires := e.ListFires(ctx, "a", "s", time.Time{}, 10)
		_, instant := e.Instant(ctx, t0)
		for i, err := range []error{put, get, list, due, fires, instant, e.Fire(ctx, firing(s, t0), t0), e.DeleteSchedule(ctx, "a", "s")} {
			if !errors.Is(err, context.Canceled) || err.Error() != context.Canceled.Error() {
				e.Errorf("call %d = %v, want the context's error alone", i, err)
			}
		}
		e.wantSchedule(s)
	}},
}
