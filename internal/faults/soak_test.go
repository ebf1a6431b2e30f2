//go:build unix

package faults_test

import (
	"slices"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
)

// A worker and a process that enqueues run at 70 % of the peak that was measured just
// before. What they and the database use is the same in the last third of the time as in
// the second: no more than 20 % above.
//
// The sample is 20 s and looks every second; it holds the worker alone to that, since the
// database clears away its dead rows once a minute. LEVQOR_FAULTS is how many minutes, 30
// for the goal, with a look in each.
func TestASoakIsFlat(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		parallel(t)
		r := newRig(t, dbtest.SQLite(t))
		r.soak(r.fileGauges())
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		parallel(t)
		r := newRig(t, newCluster(t).url("test"))
		r.soak(r.serverGauges())
	})
}

// soak runs the load and looks at the gauges.
func (r *rig) soak(gauges []*gauge) {
	r.Helper()
	looks, pause := 20, time.Second
	if full() {
		looks, pause = max(3, size(r.T, 0)), time.Minute
	}
	w := r.start(task{Role: "work", Places: 100, Quiet: true, Period: 100 * time.Millisecond})
	r.await(patience, "the worker tells its figures", func() bool { return w.told("sum") > 0 })
	stored, peak := r.peak()
	rate := peak * 7 / 10
	enqueuer := r.start(task{Role: "enqueue", Rate: rate, Batch: max(1, rate/20), Quiet: true})
	gauges = slices.Concat([]*gauge{paceGauge()}, r.workerGauges(), gauges)
	before := r.settled()
	for range looks {
		time.Sleep(pause) // the load is what the test is about
		now := r.settled()
		for _, g := range gauges {
			g.values = append(g.values, g.read(float64(now-before)))
		}
		before = now
	}
	enqueuer.stop(patience)
	r.awaitEmpty()
	r.settle(w)
	stored += int(r.all("stored")[0].epoch)
	if n, once := r.count("SELECT count(*) FROM levqor_jobs_done WHERE state = 5"), r.count("SELECT count(DISTINCT id) FROM levqor_jobs_done"); n != stored || once != stored {
		r.Errorf("%d jobs are completed, %d of them different, want %d", n, once, stored)
	}
	r.Logf("%d jobs/s of %d at most\n%s", rate, peak, table(gauges))
	for _, g := range gauges {
		if (full() || g.always) && g.grew() {
			r.Errorf("%s grew", g.name)
		}
	}
}

// settled returns how many jobs the worker has settled, by its latest word.
func (r *rig) settled() int {
	all := r.all("sum")
	return int(all[len(all)-1].epoch)
}

// peak enqueues as much as the worker can take, for some seconds. It returns how many jobs
// it stored, and how many a second were done.
func (r *rig) peak() (stored, perSecond int) {
	r.Helper()
	const backlog, batch = 5000, 500
	args := slices.Repeat([]jobs.Args{step{}}, batch)
	begun, begin := time.Time{}, 0
	for {
		if stored-r.settled() < backlog {
			r.put(args...)
			stored += batch
		} else {
			time.Sleep(time.Millisecond)
		}
		switch done := r.settled(); {
		case begun.IsZero() && done > 0: // warm
			begun, begin = time.Now(), done
		case !begun.IsZero() && time.Since(begun) > 3*time.Second:
			return stored, max(1, int(float64(done-begin)/time.Since(begun).Seconds()))
		}
	}
}
