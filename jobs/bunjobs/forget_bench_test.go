package bunjobs_test

import (
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// BenchmarkForget forgets a day of history, of which a thousandth are dead letters: from
// a partition, and row by row. One operation is one job.
func BenchmarkForget(b *testing.B) {
	for _, d := range []struct {
		name  string
		fresh func(testing.TB) string
		parts bool
	}{{"SQLite", dbtest.SQLite, false}, {"PostgreSQL, a partition", dbtest.Postgres, true}, {"PostgreSQL, rows", dbtest.Postgres, false}} {
		b.Run(d.name, func(b *testing.B) {
			db := open(b, d.fresh(b))
			store := bunjobs.New(db)
			if d.parts {
				forget(b, store, keep, noon)
			}
			fillHistory(b, db, max(1, b.N/1000), jobs.Discarded, noon)
			fillHistory(b, db, b.N, jobs.Completed, noon.Add(time.Second))
			slowest := time.Duration(0)
			b.ResetTimer()
			for finished := false; !finished; {
				begun := time.Now()
				var err error
				if finished, err = store.Forget(b.Context(), keep, 1000, noon.Add(8*day)); err != nil {
					b.Fatal(err)
				}
				slowest = max(slowest, time.Since(begun))
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
			b.ReportMetric(float64(slowest.Milliseconds()), "ms/slowest-step")
		})
	}
}
