//go:build unix

package faults_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

// The server is restarted in mid-load, in order and as by a crash, and for 3 s all
// connections are cut every 100 ms. The processes live, what was acknowledged is done,
// once, and the throughput comes back.
//
// The sample is one round of the three; LEVQOR_FAULTS is how many, and then 95 % of the
// throughput must be back within 10 s after the fault.
func TestAServerThatComesBackIsWorkedOnAsBefore(t *testing.T) {
	parallel(t)
	c := newCluster(t)
	for range size(t, 1) {
		for _, f := range []struct {
			name  string
			fault func(r *rig)
		}{
			{"restarted in order", func(*rig) { c.stop(fast); c.start() }},
			{"restarted as by a crash", func(*rig) { c.stop(immediate); c.start() }},
			{"all connections cut every 100 ms", func(r *rig) {
				cut := 0
				for begun := time.Now(); time.Since(begun) < 3*time.Second; time.Sleep(100 * time.Millisecond) {
					cut += c.cut(r, "child")
				}
				if cut < 30 {
					r.Errorf("%d connections were cut", cut)
				}
				r.Logf("%d connections cut", cut)
			}},
		} {
			t.Run(f.name, func(t *testing.T) { breakServer(t, c, f.fault) })
		}
	}
}

// breakServer breaks the server while two workers are at their limit of 400 jobs/s.
func breakServer(t *testing.T, c *cluster, fault func(*rig)) {
	t.Helper()
	r := newRig(t, c.url("test"))
	if _, err := r.db.NewRaw("TRUNCATE levqor_jobs_live, levqor_jobs_done, levqor_jobs_node").Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	working := task{Role: "work", URL: c.url("child"), Places: 10, Lease: 4 * time.Second}
	workers := []*child{r.start(working), r.start(working)}
	enqueuer := r.start(task{Role: "enqueue", URL: c.url("child"), Rate: 450, Batch: 15, Job: step{Lasts: 50 * time.Millisecond}})
	r.await(patience, "jobs are done", func() bool { return len(r.all("settled")) > 600 })
	before := r.pace()

	fault(r)
	over := time.Now()
	r.await(patience, "the throughput is back", func() bool { return time.Since(over) > time.Second && r.pace() >= 0.95*before })
	back := time.Since(over)
	if full() && back > 10*time.Second {
		t.Errorf("the throughput was back after %v, want 10 s", back)
	}
	enqueuer.stop(patience)
	r.awaitEmpty()
	r.settle(workers...)
	acknowledged := ids(r.all("ack"))
	r.contains(r.history(), acknowledged)
	r.checkErrors()
	t.Logf("%.0f jobs/s before, 95 %% of that %.1f s after; %d jobs acknowledged, %d insertions failed", before, back.Seconds(), len(acknowledged), len(r.all("failed")))
}

// checkErrors sees to it that the children took the faults of a database for such, and
// not for their own.
func (r *rig) checkErrors() {
	r.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	heard := slices.Clone(r.log)
	for _, e := range r.events["failed"] {
		heard = append(heard, e.rest)
	}
	for _, text := range heard {
		if strings.Contains(text, "database error") {
			r.Errorf("a fault was taken for a bug: %s", text)
		}
	}
}

// pace returns how many jobs were completed in the last second.
func (r *rig) pace() float64 {
	n := 0
	for _, e := range slices.Backward(r.all("settled")) {
		age := time.Since(e.at)
		if age > 2*time.Second { // what was heard before is older, but for what a busy child held back
			break
		}
		if age < time.Second && e.rest == jobs.Completed.String() {
			n++
		}
	}
	return float64(n)
}
