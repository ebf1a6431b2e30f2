package bunjobs_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
)

// The program holds all connections of its pool for longer than a lease lasts. Another
// worker takes the jobs over; when connections are free again both go on, and each job
// has ended once.
func TestAnExhaustedPoolLosesNothing(t *testing.T) {
	const n, connections, lease = 60, 2, time.Second
	r := newRig(t, dbtest.Postgres(t))
	poor := newRig(t, r.url)
	poor.db.SetMaxOpenConns(connections)
	for _, side := range []*rig{r, poor} {
		side.handle(func(ctx context.Context, _ *jobs.Job[note]) (string, error) {
			select {
			case <-time.After(30 * time.Millisecond):
			case <-ctx.Done():
			}
			return "ok", ctx.Err()
		}, &jobs.KindOptions{Backoff: func(int) time.Duration { return time.Millisecond }})
	}
	opts := &jobs.WorkerOptions{Queues: map[string]int{"default": 3}, Poll: 10 * time.Millisecond, Lease: lease, Heartbeat: 100 * time.Millisecond}
	ids := r.enqueue(n, nil)
	defer poor.work(poor.store, opts)()
	r.await("the poor one works", 10*time.Second, func() bool { return r.count(jobs.Completed) > 5 })
	var hogs []*sql.Conn
	for range connections {
		hog, err := poor.db.DB.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		hogs = append(hogs, hog)
	}
	defer r.work(r.store, opts)()
	r.await("the other one takes all over", 20*time.Second, func() bool { return r.count(jobs.Completed) == n })
	for _, hog := range hogs {
		_ = hog.Close()
	}
	for _, id := range ids {
		if job := r.get(id); string(job.Result) != `"ok"` || job.Attempt > 2 {
			t.Errorf("the job is %+v", job)
		}
	}
	poorOnly := poor.enqueue(1, &jobs.EnqueueOptions{Queue: "default"})
	if _, err := jobs.Await[string](t.Context(), poor.queue, poorOnly[0]); err != nil {
		t.Errorf("Await = %v", err)
	}
	var nodes int
	if err := r.db.NewRaw("SELECT count(*) FROM levqor_jobs_node WHERE lease_until > now()").Scan(t.Context(), &nodes); err != nil {
		t.Fatal(err)
	}
	r.await("the poor one has joined again", 10*time.Second, func() bool {
		err := r.db.NewRaw("SELECT count(*) FROM levqor_jobs_node WHERE lease_until > now()").Scan(t.Context(), &nodes)
		return err == nil && nodes == 2
	})
}
