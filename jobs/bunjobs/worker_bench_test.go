package bunjobs_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// BenchmarkWorker works a backlog off; one operation is one job.
func BenchmarkWorker(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			store, registry := bunjobs.New(open(b, d.fresh(b))), jobs.NewRegistry(nil)
			ctx, stop := context.WithCancel(b.Context())
			var done atomic.Int64
			err := jobs.Handle(registry, func(context.Context, *jobs.Job[note]) (any, error) {
				if done.Add(1) == int64(b.N) {
					stop()
				}
				return nil, nil
			}, nil)
			if err != nil {
				b.Fatal(err)
			}
			fillNotes(b, jobs.New(store, registry, nil), b.N)
			worker, err := jobs.NewWorker(store, registry, &jobs.WorkerOptions{Queues: map[string]int{"default": 1000}})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			if err := worker.Run(ctx); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

func fillNotes(b *testing.B, queue *jobs.Queue, n int) {
	b.Helper()
	for begin := 0; begin < n; begin += batch {
		entries := make([]jobs.Entry, min(batch, n-begin))
		for i := range entries {
			entries[i].Args = note{"x"}
		}
		if _, err := queue.EnqueueMany(b.Context(), entries); err != nil {
			b.Fatal(err)
		}
	}
}
