package bunjobs_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// The server cuts every connection again and again while jobs run. The worker
// goes on, and each job ends once.
func TestAWorkerOutlivesCutConnections(t *testing.T) {
	const n, cuts = 400, 8
	url := dbtest.Postgres(t) + "&application_name=cut"
	db, admin := open(t, url), dbtest.Open(t, url+"ter")
	registry := jobs.NewRegistry(nil)
	var runs atomic.Int32
	err := jobs.Handle(registry, func(context.Context, *jobs.Job[note]) (string, error) {
		runs.Add(1)
		time.Sleep(20 * time.Millisecond)
		return "done", nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	store := bunjobs.New(db)
	queue := jobs.New(store, registry, nil)
	entries := make([]jobs.Entry, n)
	for i := range entries {
		entries[i].Args = note{"x"}
	}
	infos, err := queue.EnqueueMany(t.Context(), entries)
	if err != nil {
		t.Fatal(err)
	}
	worker, err := jobs.NewWorker(store, registry, &jobs.WorkerOptions{
		Queues: map[string]int{"default": 10}, Poll: 10 * time.Millisecond, Lease: 4 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	connections := 0
	for range cuts {
		time.Sleep(100 * time.Millisecond)
		var cut int
		err := admin.NewRaw("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'cut'").Scan(ctx, &cut)
		if err != nil {
			t.Fatal(err)
		}
		connections += cut
	}
	if connections < cuts {
		t.Errorf("%d connections were cut in %d goes", connections, cuts)
	}
	for _, info := range infos {
		// A look at the job may be cut off as well.
		if result, err := jobs.Await[string](ctx, queue, info.ID); err != nil || result != "done" {
			t.Fatalf("Await = %q, %v", result, err)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
	all, err := queue.List(t.Context(), jobs.ListQuery{Limit: 1000})
	if err != nil || len(all) != n {
		t.Errorf("there are %d jobs, %v; want %d", len(all), err, n)
	}
	for _, info := range all {
		if info.State != jobs.Completed {
			t.Errorf("job %s is %s", info.ID, info.State)
		}
	}
	t.Logf("%d jobs, %d attempts, %d connections cut", n, runs.Load(), connections)
}
