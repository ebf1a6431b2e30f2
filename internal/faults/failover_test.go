//go:build unix

package faults_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

// A server that answers before it has written dies with its machine in mid-load. Of free
// jobs, what was stored in the last moments may be gone: three times its
// wal_writer_delay, says its manual. Nothing older is, and what is there ends once.
// Settlements of paid jobs are never gone, since these wait for the disk, however long the
// server puts its own writing off.
//
// The sample is one crash of each; LEVQOR_FAULTS is how many.
func TestACrashLosesTheLastMomentsAlone(t *testing.T) {
	parallel(t)
	c := newCluster(t, "synchronous_commit=off", "bgwriter_lru_maxpages=0", "checkpoint_timeout=1d")
	for range size(t, 1) {
		t.Run("free", func(t *testing.T) { crashServer(t, c, 200*time.Millisecond, false) })
		t.Run("paid", func(t *testing.T) { crashServer(t, c, 10*time.Second, true) })
	}
}

func crashServer(t *testing.T, c *cluster, delay time.Duration, isPaid bool) {
	t.Helper()
	c.set(fmt.Sprintf("wal_writer_delay=%dms", delay.Milliseconds()))
	r := newRig(t, c.url("test"))
	if _, err := r.db.NewRaw("TRUNCATE levqor_jobs_live, levqor_jobs_done, levqor_jobs_node").Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	working := task{Role: "work", URL: c.url("child"), Places: 10, Lease: 4 * time.Second}
	workers := []*child{r.start(working), r.start(working)}
	enqueuer := r.start(task{Role: "enqueue", URL: c.url("child"), Rate: 400, Batch: 10, Paid: isPaid, Job: step{Lasts: 20 * time.Millisecond}})
	r.await(patience, "jobs are done", func() bool { return len(r.all("settled")) > 600 })
	epochs := r.epochs()
	known := time.Now()
	r.await(patience, "that is on disk", func() bool { return time.Since(known) > 2*time.Second })
	died := c.die(r)
	c.start()

	for id, epoch := range r.epochs() {
		if epoch < epochs[id] {
			t.Errorf("the epoch of job %d went back from %d to %d", id, epochs[id], epoch)
		}
	}
	r.await(patience, "jobs are stored again", func() bool {
		all := r.all("ack")
		return all[len(all)-1].at.After(died.Add(time.Second))
	})
	enqueuer.stop(patience)
	r.awaitEmpty()
	r.settle(workers...)
	history := r.history()
	r.checkErrors()
	bound := died.Add(-3 * delay)
	if !full() {
		bound = bound.Add(-time.Second) // the server may have had to wait for its turn
	}
	jobsLost := r.lost("ack", died, bound, history)
	settlementsLost := r.lost("settled", died, bound, r.unrepeated(history))
	if isPaid && len(settlementsLost) > 0 {
		t.Errorf("%d settlements of paid jobs are lost", len(settlementsLost))
	}
	t.Logf("of %d jobs %s, of %d settlements %s, of %d claims %s", len(r.all("ack")), span(jobsLost),
		len(r.all("settled")), span(settlementsLost), len(r.all("run")), span(r.claimsLost(died, bound)))
}

// epochs returns those of all jobs that are there.
func (r *rig) epochs() map[int64]int64 {
	r.Helper()
	var rows []past
	r.read(&rows, "SELECT id, epoch FROM levqor_jobs_live UNION ALL SELECT id, epoch FROM levqor_jobs_done")
	all := make(map[int64]int64, len(rows))
	for _, p := range rows {
		all[p.ID] = p.Epoch
	}
	return all
}

// unrepeated returns the jobs of a history that did not run again after they had been
// settled.
func (r *rig) unrepeated(history map[jobs.ID]past) map[jobs.ID]past {
	settled := map[jobs.ID]time.Time{}
	for _, e := range slices.Backward(r.all("settled")) {
		settled[e.id] = e.at
	}
	once := maps.Clone(history)
	for _, e := range r.all("run") {
		if at, ok := settled[e.id]; ok && e.at.After(at) {
			delete(once, e.id)
		}
	}
	return once
}

// lost returns how long before the death of a server it acknowledged what it lost. None
// may be older than a bound.
func (r *rig) lost(word string, died, bound time.Time, kept map[jobs.ID]past) (ages []time.Duration) {
	r.Helper()
	for _, e := range r.all(word) {
		if _, ok := kept[e.id]; ok || e.at.After(died) {
			continue
		}
		ages = append(ages, died.Sub(e.at))
		if e.at.Before(bound) {
			r.Errorf("what was acknowledged of job %s (%s) %v before the crash is lost", e.id, word, died.Sub(e.at))
		}
	}
	return ages
}

// claimsLost returns how long before the death of a server it gave out what it gave out
// again under the same epoch, since it had forgotten.
func (r *rig) claimsLost(died, bound time.Time) (ages []time.Duration) {
	r.Helper()
	begun := map[jobs.Lease]time.Time{}
	for _, e := range r.all("run") {
		lease := jobs.Lease{ID: e.id, Epoch: e.epoch}
		if other, again := begun[lease]; again {
			first := time.Unix(0, min(other.UnixNano(), e.at.UnixNano()))
			if first.Before(died) {
				ages = append(ages, died.Sub(first))
			}
			if first.Before(bound) {
				r.Errorf("epoch %d of job %s was given out twice, at first %v before the crash", e.epoch, e.id, died.Sub(first))
			}
		}
		begun[lease] = e.at
	}
	return ages
}

func span(ages []time.Duration) string {
	if len(ages) == 0 {
		return "none are lost"
	}
	return fmt.Sprintf("%d are lost, the first from %.2f s before", len(ages), slices.Max(ages).Seconds())
}
