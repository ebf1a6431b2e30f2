//go:build unix

package faults_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

// lossBound is how much of what was acknowledged a server with synchronous_commit=off
// may lose: three times its wal_writer_delay of 200 ms, says its manual.
const lossBound = 600 * time.Millisecond

// A server that answers before it has written crashes in mid-load. Of free jobs, what was
// stored in the last moments may be gone, and nothing older; what is there ends once.
// Settlements of paid jobs are never gone, since these wait for the disk.
//
// The sample is one crash of each; LEVQOR_FAULTS is how many.
func TestACrashLosesTheLastMomentsAlone(t *testing.T) {
	parallel(t)
	c := newCluster(t, "synchronous_commit=off", "wal_writer_delay=200ms")
	for range size(t, 1) {
		t.Run("free", func(t *testing.T) { crashServer(t, c, false) })
		t.Run("paid", func(t *testing.T) { crashServer(t, c, true) })
	}
}

func crashServer(t *testing.T, c *cluster, isPaid bool) {
	t.Helper()
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
	r.await(patience, "time passes", func() bool { return time.Since(known) > lossBound+time.Second })
	crash := time.Now()
	c.stop(immediate)
	c.start()

	for id, epoch := range r.epochs() {
		if epoch < epochs[id] {
			t.Errorf("the epoch of job %d went back from %d to %d", id, epochs[id], epoch)
		}
	}
	here := r.stored()
	bound := crash.Add(-lossBound - map[bool]time.Duration{false: time.Second}[full()])
	lost, oldest := 0, time.Duration(0)
	for _, e := range r.all("ack") {
		if e.at.After(crash) || here[e.id] {
			continue
		}
		lost++
		oldest = max(oldest, crash.Sub(e.at))
		if e.at.Before(bound) {
			t.Errorf("job %s was acknowledged %v before the crash and is lost", e.id, crash.Sub(e.at))
		}
	}
	settlements := r.checkSettlements(crash, bound, isPaid)
	enqueuer.stop(patience)
	r.awaitEmpty()
	r.settle(workers...)
	r.history()
	t.Logf("%d jobs lost, the oldest acknowledged %v before the crash; %d of %d settlements lost", lost, oldest, settlements, len(r.all("settled")))
}

// epochs returns those of all jobs that are there.
func (r *rig) epochs() map[int64]int64 {
	r.Helper()
	var rows []struct {
		ID    int64 `bun:"id"`
		Epoch int64 `bun:"epoch"`
	}
	err := r.db.NewRaw("SELECT id, epoch FROM levqor_jobs_live UNION ALL SELECT id, epoch FROM levqor_jobs_done").Scan(r.Context(), &rows)
	if err != nil {
		r.Fatal(err)
	}
	all := make(map[int64]int64, len(rows))
	for _, row := range rows {
		all[row.ID] = row.Epoch
	}
	return all
}

func (r *rig) stored() map[jobs.ID]bool {
	r.Helper()
	all := map[jobs.ID]bool{}
	for id := range r.epochs() {
		all[jobs.ID(id)] = true
	}
	return all
}

// checkSettlements returns how many of those that were acknowledged before a crash are
// lost. Of paid jobs none may be, of others those of the last moments.
func (r *rig) checkSettlements(crash, bound time.Time, isPaid bool) (lost int) {
	r.Helper()
	for _, e := range r.all("settled") {
		if e.at.After(crash) || r.count("SELECT count(*) FROM levqor_jobs_done WHERE id = "+strconv.FormatInt(int64(e.id), 10)) == 1 {
			continue
		}
		lost++
		if isPaid || e.at.Before(bound) {
			r.Errorf("the settlement of job %s, acknowledged %v before the crash, is lost", e.id, crash.Sub(e.at))
		}
	}
	return lost
}
