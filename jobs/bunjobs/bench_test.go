package bunjobs_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// databases are those that benchmarks run on, with the number of workers that
// suits each: SQLite has one writer.
var databases = []struct {
	name    string
	fresh   func(testing.TB) string
	workers int
}{{"SQLite", dbtest.SQLite, 1}, {"PostgreSQL", dbtest.Postgres, 4}}

// batch is how many jobs a statement of the benchmarks touches.
const batch = 1000

// BenchmarkBurnDown claims and completes a backlog; one operation is one job.
func BenchmarkBurnDown(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			store := bunjobs.New(open(b, d.fresh(b)))
			fill(b, store, b.N)
			if err := store.Join(b.Context(), jobs.Node{ID: 1}, time.Hour, time.Time{}); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			var wg sync.WaitGroup
			for range d.workers {
				wg.Go(func() {
					if err := burn(b.Context(), store); err != nil {
						b.Error(err)
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

func burn(ctx context.Context, store jobs.WorkerStore) error {
	for {
		claimed, err := store.Claim(ctx, jobs.Claim{Node: 1, Queue: "q", Kinds: []string{"k"}, Limit: batch}, time.Time{})
		if err != nil || len(claimed) == 0 {
			return err
		}
		outcomes := make([]jobs.Outcome, len(claimed))
		for i, c := range claimed {
			outcomes[i] = jobs.Outcome{Lease: jobs.Lease{ID: c.ID, Epoch: c.Epoch}, Tenant: c.Tenant, Queue: c.Queue, State: jobs.Completed, Result: []byte(`{"ok":true}`)}
		}
		results, err := store.Settle(ctx, outcomes, time.Time{})
		if err := errors.Join(append(results, err)...); err != nil {
			return err
		}
	}
}

// BenchmarkInsertMany stores jobs in batches; one operation is one job.
func BenchmarkInsertMany(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			store := bunjobs.New(open(b, d.fresh(b)))
			b.ResetTimer()
			fill(b, store, b.N)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

// BenchmarkInsert stores one job at a time.
func BenchmarkInsert(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			store := bunjobs.New(open(b, d.fresh(b)))
			b.ResetTimer()
			for i := range b.N {
				if _, err := store.Insert(b.Context(), []jobs.Insertion{insertion(i)}, time.Time{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func insertion(i int) jobs.Insertion {
	return jobs.Insertion{Info: &jobs.Info{
		ID: jobs.ID(i + 1), Tenant: "a", Kind: "k", Queue: "q", Priority: 5, MaxAttempts: 3, Timeout: time.Minute,
		Args: []byte(`{"document":"reports/2031/05/quarterly-figures.pdf","language":"en","pages":12,"summary":true}`),
	}}
}

func fill(b *testing.B, store jobs.QueueStore, n int) {
	b.Helper()
	for begin := 0; begin < n; begin += batch {
		all := make([]jobs.Insertion, min(batch, n-begin))
		for i := range all {
			all[i] = insertion(begin + i)
		}
		if taken, err := store.Insert(b.Context(), all, time.Time{}); err != nil || len(taken) > 0 {
			b.Fatal(taken, err)
		}
	}
}

// BenchmarkRecount counts a backlog, as fast as it may, and reads the counts; one
// operation is one job.
func BenchmarkRecount(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			store := bunjobs.New(open(b, d.fresh(b)))
			fill(b, store, b.N)
			b.ResetTimer()
			if _, err := store.Recount(b.Context(), time.Time{}); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			const looks = 100
			begun := time.Now()
			for range looks {
				counts, err := store.Counts(b.Context(), "a", time.Time{})
				if err != nil || counts.Queues["q"][jobs.Ready] != b.N {
					b.Fatalf("Counts = %v, %v; want %d ready", counts, err, b.N)
				}
			}
			b.ReportMetric(time.Since(begun).Seconds()*1000/looks, "ms/look")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}
