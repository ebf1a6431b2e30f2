package bunjobs_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
)

// A process whose clock is wrong, and runs at a speed of its own, works beside one with a
// right clock. Leases and schedules go by the server's: nobody is rescued early, and each
// time of a schedule gives one job.
func TestANodeWithAWrongClockHarmsNobody(t *testing.T) {
	now := time.Now()
	workBesideAClock(t, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
	workBesideAClock(t, now.Add(-time.Hour))
	workBesideAClock(t, now.Add(time.Hour))
}

// workBesideAClock has a process whose clock begins at an instant take part.
func workBesideAClock(t *testing.T, begins time.Time) {
	t.Helper()
	const lease, held = 2 * time.Second, 10
	right := newRig(t, dbtest.Postgres(t))
	plan := jobs.Plan{Spec: "every 1s", CatchUp: jobs.CatchUpAll, Options: &jobs.EnqueueOptions{Queue: "ticks"}}
	var over atomic.Bool
	right.hold(&over)
	if _, err := jobs.NewSchedules(right.store, right.queue, nil).Put(t.Context(), "s", plan, note{}); err != nil {
		t.Fatal(err)
	}
	ids := right.enqueue(held, nil)
	time.AfterFunc(2*lease, func() { over.Store(true) })
	leave := right.takePart(lease, held/2)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(begins)) // takes no time
		if at := time.Now(); !at.Equal(begins) {
			t.Fatalf("the clock says %v, want %v", at, begins)
		}
		wrong := newRig(t, right.url)
		wrong.hold(&over)
		leave := wrong.takePart(lease, held/2)
		for !over.Load() {
			time.Sleep(time.Millisecond)
		}
		leave()
		_ = wrong.db.Close()
	})
	leave()
	for _, id := range ids {
		if job := right.get(id); job.State != jobs.Completed || job.Attempt != 1 {
			t.Errorf("the job is %s at attempt %d, its failures %+v; want it completed by the first", job.State, job.Attempt, job.Attempts)
		}
	}
	ticks, err := right.queue.List(t.Context(), jobs.ListQuery{Queue: "ticks", Limit: 1000})
	if err != nil || len(ticks) < 3 {
		t.Fatalf("the schedule gave %d jobs, %v", len(ticks), err)
	}
	seen := map[int64]bool{}
	first, last := ticks[0].RunAt.Unix(), ticks[0].RunAt.Unix()
	for _, job := range ticks { // in the order of their IDs, which begin with the clocks of the nodes
		seen[job.RunAt.Unix()] = true
		first, last = min(first, job.RunAt.Unix()), max(last, job.RunAt.Unix())
		if late := job.CreatedAt.Sub(job.RunAt); late < 0 || late > 30*time.Second {
			t.Errorf("a time was fired %v late", late)
		}
	}
	if len(seen) != len(ticks) || int(last-first)+1 != len(ticks) {
		t.Errorf("%d jobs for %d of %d seconds", len(ticks), len(seen), last-first+1)
	}
}

// hold handles notes until the time is over.
func (r *rig) hold(over *atomic.Bool) {
	r.handle(func(ctx context.Context, _ *jobs.Job[note]) (string, error) {
		for !over.Load() && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		return "ok", context.Cause(ctx)
	}, &jobs.KindOptions{Timeout: jobs.NoTimeout})
}

// takePart works off jobs and fires schedules until the returned function is called.
func (r *rig) takePart(lease time.Duration, places int) (leave func()) {
	stop := r.work(r.store, &jobs.WorkerOptions{
		Queues: map[string]int{"default": places}, Poll: 20 * time.Millisecond, Lease: lease, Heartbeat: lease / 20,
	})
	ctx, end := context.WithCancel(context.Background())
	fired := make(chan struct{})
	go func() { defer close(fired); _ = jobs.NewSchedules(r.store, r.queue, nil).Run(ctx) }()
	return func() {
		end()
		<-fired
		stop()
	}
}
