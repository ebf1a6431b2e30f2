package jobstest

import (
	"context"
	"errors"
	"time"

	"github.com/levqor/sdk/jobs"
)

// healthEnv is what a case about health works with.
type healthEnv struct {
	scheduleEnv
	jobs.HealthStore
}

type healthCase struct {
	name string
	run  func(e *healthEnv)
}

// wantHealth compares all but the age of transactions, which others have too.
func (e *healthEnv) wantHealth(now time.Time, want jobs.Health, promise string) {
	e.Helper()
	got, at, err := e.Health(e.ctx, now)
	if err != nil {
		e.Fatalf("Health = %v", err)
	}
	e.wantTime(at, now, "the instant of Health")
	got.OldestTransaction = 0
	if got != want {
		e.Errorf("Health = %+v, want %+v: %s", got, want, promise)
	}
}

var healthCases = []healthCase{
	{"an empty store is in good health", func(e *healthEnv) {
		e.wantHealth(t0, jobs.Health{}, "there is nothing")
	}},
	{"the oldest ready job is that which waits longest of the first ones of all lines", func(e *healthEnv) {
		e.insert(t0, job(queue("q1"), priority(1), runAt(t0.Add(-10*time.Minute))))
		e.insert(t0, job(queue("q2"), tenant("b"), priority(9), runAt(t0.Add(-20*time.Minute))))
		e.insert(t0, job(queue("q2"), tenant("b"), priority(9), runAt(t0.Add(-15*time.Minute))))
		e.wantHealth(t0, jobs.Health{OldestReady: 20 * time.Minute, OldestReadyQueue: "q2"}, "its priority does not make it younger")
		e.insert(t0, job(queue("q3"), limitKey("x"), runAt(t0.Add(-40*time.Minute))))
		e.wantHealth(t0, jobs.Health{OldestReady: 40 * time.Minute, OldestReadyQueue: "q3"}, "lines with a limit key count")
		e.insert(t0, job(queue("q1"), priority(9), runAt(t0.Add(-60*time.Minute))))
		e.wantHealth(t0, jobs.Health{OldestReady: 40 * time.Minute, OldestReadyQueue: "q3"}, "it stands behind another")
	}},
	{"a job that is ready has an age at once", func(e *healthEnv) {
		e.insert(t0, job())
		e.wantHealth(t0, jobs.Health{OldestReadyQueue: "q"}, "it has not waited")
		e.wantHealth(t0.Add(time.Second), jobs.Health{OldestReady: time.Second, OldestReadyQueue: "q"}, "it waits for a second")
	}},
	{"leases are counted, and those that ran out lag", func(e *healthEnv) {
		e.join(1, t0)
		e.join(2, t0.Add(5*time.Second))
		e.wantHealth(t0, jobs.Health{Nodes: 2}, "both are alive")
		e.wantHealth(t0.Add(lease+3*time.Second), jobs.Health{Nodes: 1, LeaseLag: 3 * time.Second}, "one is dead and not rescued")
	}},
	{"what is due and not done lags", func(e *healthEnv) {
		e.insert(t0, job(delay(time.Minute)))
		e.wantHealth(t0, jobs.Health{}, "it is not due")
		e.wantHealth(t0.Add(3*time.Minute), jobs.Health{DueLag: 2 * time.Minute}, "it was not promoted")
		e.put(schedule("paused", func(s *jobs.Schedule) { s.NextAt, s.Paused = t0.Add(-time.Hour), true }))
		e.put(schedule("s", func(s *jobs.Schedule) { s.NextAt = t0.Add(-2 * time.Minute) }))
		e.wantHealth(t0.Add(3*time.Minute), jobs.Health{DueLag: 5 * time.Minute}, "a schedule was not fired")
	}},
	{"a context that has ended is told", func(e *healthEnv) {
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		if _, _, err := e.Health(ctx, t0); !errors.Is(err, context.Canceled) || err.Error() != context.Canceled.Error() {
			e.Errorf("Health = %v, want the context's error alone", err)
		}
	}},
}
