package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
)

// scheduling is a program with schedules on a clock of its own.
type scheduling struct {
	*jobs.Schedules
	store    *jobs.MemStore
	queue    *jobs.Queue
	registry *jobs.Registry
	clock    time.Time
}

var morning = time.Date(2031, 5, 6, 9, 0, 0, 0, time.UTC)

func newScheduling(tb testing.TB, parse jobs.TimetableParser) *scheduling {
	tb.Helper()
	s := &scheduling{store: jobs.NewMemStore(), registry: jobs.NewRegistry(nil), clock: morning}
	if err := jobs.Handle(s.registry, greet, nil); err != nil {
		tb.Fatal(err)
	}
	s.queue = jobs.New(s.store, s.registry, &jobs.Options{Now: func() time.Time { return s.clock }})
	s.Schedules = jobs.NewSchedules(s.store, s.queue, &jobs.SchedulesOptions{Parse: parse})
	return s
}

// at moves the clock by d and fires what is due.
func (s *scheduling) after(tb testing.TB, d time.Duration) {
	tb.Helper()
	s.clock = s.clock.Add(d)
	if err := s.FireDue(tb.Context()); err != nil {
		tb.Fatalf("FireDue = %v", err)
	}
}

// fired returns how long after the morning a schedule has fired, the latest first.
func (s *scheduling) fired(tb testing.TB, name string) []time.Duration {
	tb.Helper()
	fires, err := s.Fires(tb.Context(), name, time.Time{}, 1000)
	if err != nil {
		tb.Fatal(err)
	}
	times := make([]time.Duration, len(fires))
	for i, f := range fires {
		times[i] = f.At.Sub(morning)
		info, err := s.queue.Get(tb.Context(), f.Job)
		if err != nil || !info.RunAt.Equal(f.At) {
			tb.Errorf("the job of %v is due at %v, %v", f.At, info.RunAt, err)
		}
	}
	return times
}

// wantFired compares with minutes after the morning.
func wantFired(tb testing.TB, got []time.Duration, want ...int) {
	tb.Helper()
	var times []time.Duration
	for _, m := range want {
		times = append(times, time.Duration(m)*time.Minute)
	}
	if !slices.Equal(got, times) {
		tb.Errorf("fired for %v, want %v", got, times)
	}
}

func TestAScheduleFiresAtItsTimes(t *testing.T) {
	s := newScheduling(t, nil)
	stored, err := s.Put(t.Context(), "s", jobs.Plan{Spec: "every 10m", Options: &jobs.EnqueueOptions{Queue: "other", Priority: 2}}, Greet{Name: "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	if !stored.NextAt.Equal(morning.Add(10 * time.Minute)) {
		t.Errorf("the first time is %v", stored.NextAt)
	}
	s.after(t, 9*time.Minute)
	wantFired(t, s.fired(t, "s"))
	s.after(t, time.Minute)
	s.after(t, 0)
	wantFired(t, s.fired(t, "s"), 10)
	s.after(t, 10*time.Minute)
	wantFired(t, s.fired(t, "s"), 20, 10)
	all, err := s.queue.List(t.Context(), jobs.ListQuery{Limit: 10})
	if err != nil || len(all) != 2 || all[0].Queue != "other" || all[0].Priority != 2 || string(all[0].Args) != `{"name":"Ada"}` {
		t.Errorf("the jobs are %+v, %v", all, err)
	}
	next, err := s.Upcoming(t.Context(), "s", 3)
	if err != nil || fmt.Sprint(next) != fmt.Sprint([]time.Time{morning.Add(30 * time.Minute), morning.Add(40 * time.Minute), morning.Add(50 * time.Minute)}) {
		t.Errorf("Upcoming = %v, %v", next, err)
	}
}

func TestMissedTimesAreMadeUpForByPolicy(t *testing.T) {
	tests := []struct {
		policy jobs.CatchUp
		most   int
		away   time.Duration
		want   []int
	}{
		{jobs.CatchUpSkip, 0, 45*time.Minute + 30*time.Second, nil},
		{jobs.CatchUpSkip, 0, 40*time.Minute + 59*time.Second, []int{40}},
		{jobs.CatchUpLatest, 0, 45 * time.Minute, []int{40}},
		{jobs.CatchUpLatest, 0, 40 * time.Minute, []int{40}},
		{jobs.CatchUpAll, 0, 45 * time.Minute, []int{40, 30, 20, 10}},
		{jobs.CatchUpAll, 2, 45 * time.Minute, []int{40, 30}},
		{jobs.CatchUpAll, 3, 2 * 365 * 24 * time.Hour, []int{1051200, 1051190, 1051180}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s, at most %d, after %v", tt.policy, tt.most, tt.away), func(t *testing.T) {
			s := newScheduling(t, nil)
			if _, err := s.Put(t.Context(), "s", jobs.Plan{Spec: "every 10m", CatchUp: tt.policy, MaxCatchUp: tt.most}, Greet{}); err != nil {
				t.Fatal(err)
			}
			s.after(t, tt.away)
			wantFired(t, s.fired(t, "s"), tt.want...)
			next, err := s.Upcoming(t.Context(), "s", 1)
			if err != nil || !next[0].After(s.clock) || next[0].After(s.clock.Add(10*time.Minute)) {
				t.Errorf("the next time is %v, %v; now is %v", next, err, s.clock)
			}
		})
	}
}

func TestTimesThatAreKeptLateAreNotMissed(t *testing.T) {
	for _, policy := range []jobs.CatchUp{jobs.CatchUpLatest, jobs.CatchUpSkip, jobs.CatchUpAll} {
		s := newScheduling(t, nil)
		if _, err := s.Put(t.Context(), "s", jobs.Plan{Spec: "every 1s", CatchUp: policy}, Greet{}); err != nil {
			t.Fatal(err)
		}
		for range 30 {
			s.after(t, 3*time.Second)
		}
		if n := len(s.fired(t, "s")); n != 90 {
			t.Errorf("%s: %d of 90 times were kept", policy, n)
		}
	}
}

func TestAPausedScheduleRests(t *testing.T) {
	s := newScheduling(t, nil)
	if _, err := s.Put(t.Context(), "s", jobs.Plan{Spec: "every 10m", CatchUp: jobs.CatchUpAll}, Greet{}); err != nil {
		t.Fatal(err)
	}
	if paused, err := s.Pause(t.Context(), "s"); err != nil || !paused.Paused {
		t.Fatalf("Pause = %+v, %v", paused, err)
	}
	s.after(t, time.Hour)
	wantFired(t, s.fired(t, "s"))
	if next, err := s.Upcoming(t.Context(), "s", 3); err != nil || len(next) > 0 {
		t.Errorf("Upcoming = %v, %v; want none", next, err)
	}
	if _, err := s.RunNow(t.Context(), "s"); err != nil {
		t.Errorf("RunNow = %v", err)
	}
	wantFired(t, s.fired(t, "s"), 60)
	// A program that puts its schedules when it starts does not end the pause.
	if put, err := s.Put(t.Context(), "s", jobs.Plan{Spec: "every 10m", CatchUp: jobs.CatchUpAll}, Greet{}); err != nil || !put.Paused {
		t.Errorf("Put = %+v, %v; want it paused", put, err)
	}
	s.clock = s.clock.Add(5 * time.Minute)
	for range 2 { // the second changes nothing
		if resumed, err := s.Resume(t.Context(), "s"); err != nil || resumed.Paused || !resumed.NextAt.Equal(morning.Add(70*time.Minute)) {
			t.Errorf("Resume = %+v, %v", resumed, err)
		}
	}
	s.after(t, 5*time.Minute)
	wantFired(t, s.fired(t, "s"), 70, 60)
}

func TestAProgramThatStartsAgainLosesNoTime(t *testing.T) {
	s := newScheduling(t, nil)
	plan := jobs.Plan{Spec: "every 10m", CatchUp: jobs.CatchUpAll}
	for range 2 {
		if _, err := s.Put(t.Context(), "s", plan, Greet{}); err != nil {
			t.Fatal(err)
		}
		s.clock = s.clock.Add(30 * time.Minute) // nobody fires
	}
	s.after(t, 0)
	wantFired(t, s.fired(t, "s"), 60, 50, 40, 30, 20, 10)
	plan.Spec = "every 20m"
	if changed, err := s.Put(t.Context(), "s", plan, Greet{}); err != nil || !changed.NextAt.Equal(morning.Add(80*time.Minute)) {
		t.Errorf("Put = %+v, %v; want the next time of the new plan", changed, err)
	}
}

func TestASingleTimeFiresOnce(t *testing.T) {
	s := newScheduling(t, nil)
	plan := jobs.Plan{Spec: "at 2031-05-06T11:30:00+02:00"}
	if _, err := s.Put(t.Context(), "s", plan, Greet{}); err != nil {
		t.Fatal(err)
	}
	s.after(t, time.Hour)
	s.after(t, time.Hour)
	wantFired(t, s.fired(t, "s"), 30)
	got, err := s.Put(t.Context(), "s", plan, Greet{}) // the program starts again
	if err != nil || !got.NextAt.IsZero() {
		t.Errorf("Put = %+v, %v; want it over", got, err)
	}
}

func TestBadSchedulesAreRefusedWithTheFieldAndNotStored(t *testing.T) {
	s := newScheduling(t, func(spec string, _ *time.Location) (jobs.Timetable, error) {
		if spec == "never" {
			return never{}, nil
		}
		return nil, errors.New("is nonsense")
	})
	tests := []struct {
		name string
		plan jobs.Plan
		want string
	}{
		{"s", jobs.Plan{}, "/spec required"},
		{"s", jobs.Plan{Spec: "whenever"}, "/spec invalid_timetable"},
		{"s", jobs.Plan{Spec: "never"}, "/spec never_fires"},
		{"s", jobs.Plan{Spec: "every"}, "/spec invalid_timetable"},
		{"s", jobs.Plan{Spec: "every day"}, "/spec invalid_timetable"},
		{"s", jobs.Plan{Spec: "every 999ms"}, "/spec out_of_range"},
		{"s", jobs.Plan{Spec: "every -1h"}, "/spec out_of_range"},
		{"s", jobs.Plan{Spec: "every 50000h"}, "/spec out_of_range"},
		{"s", jobs.Plan{Spec: "at noon"}, "/spec invalid_timetable"},
		{"s", jobs.Plan{Spec: "at 2031-05-06T09:00:00Z"}, "/spec never_fires"},
		{"s", jobs.Plan{Spec: "at 2099-05-06T09:00:00Z"}, "/spec never_fires"},
		{"s", jobs.Plan{Spec: "every 1h", TimeZone: "Mars/Olympus"}, "/time_zone unknown_time_zone"},
		{"s", jobs.Plan{Spec: "every 1h", TimeZone: "Local"}, "/time_zone unknown_time_zone"},
		{"s", jobs.Plan{Spec: "every 1h", TimeZone: "../../etc/passwd"}, "/time_zone unknown_time_zone"},
		{"", jobs.Plan{Spec: "every 1h"}, "/name required"},
		{"a b", jobs.Plan{Spec: "every 1h"}, "/name invalid_character"},
		{"s", jobs.Plan{Spec: "every 1h", CatchUp: 9}, "/catch_up unknown_catch_up"},
		{"s", jobs.Plan{Spec: "every 1h", MaxCatchUp: -1}, "/max_catch_up too_small"},
		{"s", jobs.Plan{Spec: "every 1h", MaxCatchUp: 1001}, "/max_catch_up too_large"},
		{"s", jobs.Plan{Spec: "every 1h", Options: &jobs.EnqueueOptions{Delay: 1}}, "/run_at contradictory"},
		{"s", jobs.Plan{Spec: "every 1h", Options: &jobs.EnqueueOptions{RunAt: morning}}, "/run_at contradictory"},
		{"s", jobs.Plan{Spec: "every 1h", Options: &jobs.EnqueueOptions{Priority: 10}}, "/priority too_large"},
		{"a b", jobs.Plan{Spec: "x", MaxCatchUp: -1}, "/name invalid_character, /max_catch_up too_small, /spec invalid_timetable"},
	}
	for _, tt := range tests {
		_, err := s.Put(t.Context(), tt.name, tt.plan, Greet{})
		var got []string
		for _, f := range fault.All(err) {
			got = append(got, f.Field+" "+f.Code)
		}
		if !errors.Is(err, jobs.ErrInvalid) || strings.Join(got, ", ") != tt.want {
			t.Errorf("Put(%q, %+v) = %v, want %s", tt.name, tt.plan, err, tt.want)
		}
	}
	if _, err := s.PutJSON(t.Context(), "s", jobs.Plan{Spec: "every 1h"}, "unknown", []byte(`{}`)); !errors.Is(err, jobs.ErrUnknownKind) {
		t.Errorf("PutJSON = %v, want ErrUnknownKind", err)
	}
	if _, err := s.PutJSON(t.Context(), "s", jobs.Plan{Spec: "every 1h"}, "greet", []byte(`{"nam":1}`)); !errors.Is(err, jobs.ErrInvalid) {
		t.Errorf("PutJSON = %v, want ErrInvalid", err)
	}
	if all, err := s.List(t.Context(), "", 10); err != nil || len(all) > 0 {
		t.Errorf("List = %v, %v; want nothing stored", all, err)
	}
	for name, call := range map[string]func() error{
		"Get":    func() error { _, err := s.Get(t.Context(), "x"); return err },
		"Pause":  func() error { _, err := s.Pause(t.Context(), "x"); return err },
		"Resume": func() error { _, err := s.Resume(t.Context(), "x"); return err },
		"RunNow": func() error { _, err := s.RunNow(t.Context(), "x"); return err },
		"Fires":  func() error { _, err := s.Fires(t.Context(), "x", time.Time{}, 1); return err },
		"Delete": func() error { return s.Delete(t.Context(), "x") },
	} {
		if err := call(); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("%s of no schedule = %v, want ErrNotFound", name, err)
		}
	}
}

// untouched is a store that panics if anybody asks it for more than the time.
type untouched struct{ jobs.ScheduleStore }

func (untouched) Instant(context.Context, time.Time) (time.Time, error) { return time.Now(), nil }

// A database may take a NUL for an error of its own.
func TestStoresAreNotAskedForNamesThatNoScheduleCanHave(t *testing.T) {
	s := jobs.NewSchedules(untouched{}, jobs.New(jobs.NewMemStore(), jobs.NewRegistry(nil), nil), nil)
	for _, name := range []string{"", "\x00", "a\x00", "a b", "\xff", strings.Repeat("a", 65)} {
		for call, do := range map[string]func() error{
			"Get":    func() error { _, err := s.Get(t.Context(), name); return err },
			"Pause":  func() error { _, err := s.Pause(t.Context(), name); return err },
			"Resume": func() error { _, err := s.Resume(t.Context(), name); return err },
			"RunNow": func() error { _, err := s.RunNow(t.Context(), name); return err },
			"Fires":  func() error { _, err := s.Fires(t.Context(), name, time.Time{}, 1); return err },
			"Delete": func() error { return s.Delete(t.Context(), name) },
		} {
			if err := do(); !errors.Is(err, jobs.ErrNotFound) {
				t.Errorf("%s of %q = %v, want ErrNotFound", call, name, err)
			}
		}
	}
}

type never struct{}

func (never) Next(time.Time) time.Time { return time.Time{} }

func TestASchedulesSecretsAreSealedForEachJob(t *testing.T) {
	store, registry := jobs.NewMemStore(), jobs.NewRegistry(&jobs.RegistryOptions{Sealer: reverser{}})
	seen := make(chan string, 2)
	err := jobs.Handle(registry, func(_ context.Context, job *jobs.Job[secretArgs]) (any, error) {
		seen <- job.Args.Tokens[0]
		return nil, nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	clock := morning
	queue := jobs.New(store, registry, &jobs.Options{Now: func() time.Time { return clock }})
	s := jobs.NewSchedules(store, queue, nil)
	stored, err := s.Put(t.Context(), "s", jobs.Plan{Spec: "every 1m"}, secretArgs{Tokens: []string{"hunter2"}})
	if err != nil || strings.Contains(string(stored.Args), "hunter2") || !strings.Contains(string(stored.Args), "[secret]") {
		t.Fatalf("Put = %s, %v", stored.Args, err)
	}
	clock = clock.Add(time.Minute)
	if err := s.FireDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	worker, err := jobs.NewWorker(store, registry, &jobs.WorkerOptions{Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- worker.Run(ctx) }()
	if got := <-seen; got != "hunter2" {
		t.Errorf("the handler saw %q", got)
	}
	stop()
	<-done
}

func TestRunFiresInTimeAndOnceOnManyNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, registry := jobs.NewMemStore(), jobs.NewRegistry(nil)
		if err := jobs.Handle(registry, greet, nil); err != nil {
			t.Fatal(err)
		}
		queue := jobs.New(store, registry, nil)
		ctx, stop := context.WithCancel(t.Context())
		var nodes sync.WaitGroup
		for range 3 {
			s := jobs.NewSchedules(store, queue, nil)
			nodes.Go(func() { _ = s.Run(ctx) })
		}
		s := jobs.NewSchedules(store, queue, nil)
		if _, err := s.Put(ctx, "s", jobs.Plan{Spec: "every 5s"}, Greet{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour + 2*time.Second)
		synctest.Wait()
		fires, err := s.Fires(ctx, "s", time.Time{}, 1000)
		if err != nil || len(fires) != 720 {
			t.Errorf("%d fires in an hour, %v; want 720", len(fires), err)
		}
		for _, f := range fires {
			info, err := queue.Get(ctx, f.Job)
			if late := info.CreatedAt.Sub(f.At); err != nil || late < 0 || late > time.Second {
				t.Errorf("fired %v late, %v", late, err)
			}
		}
		stop()
		nodes.Wait()
	})
}

func ExampleNewSchedules() {
	store, registry := jobs.NewMemStore(), jobs.NewRegistry(nil)
	if err := jobs.Handle(registry, greet, nil); err != nil {
		fmt.Println(err)
		return
	}
	now := func() time.Time { return time.Date(2031, 5, 6, 9, 7, 0, 0, time.UTC) }
	schedules := jobs.NewSchedules(store, jobs.New(store, registry, &jobs.Options{Now: now}), nil)
	s, err := schedules.Put(context.Background(), "good-morning", jobs.Plan{Spec: "every 30m"}, Greet{Name: "Ada"})
	fmt.Println(s.NextAt.Format(time.TimeOnly), err)
	// Output: 09:30:00 <nil>
}
