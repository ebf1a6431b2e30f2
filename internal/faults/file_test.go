//go:build unix

package faults_test

import (
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
)

// Two workers and a process that enqueues share one SQLite file, and one of the three is
// killed again and again while all write. The file stays whole, what was acknowledged is
// done, once, and nobody hears of a lock.
//
// The sample is 10 kills; LEVQOR_FAULTS is how many.
func TestKilledWritersHarmNoFile(t *testing.T) {
	parallel(t)
	r := newRig(t, dbtest.SQLite(t))
	rnd := seeded()
	working := task{Role: "work", Places: 50, Lease: 2 * time.Second, Heartbeat: 200 * time.Millisecond}
	tasks := []task{working, working, {Role: "enqueue", Rate: 1000, Batch: 10}}
	children := make([]*child, len(tasks))
	for i := range tasks {
		children[i] = r.start(tasks[i])
	}
	kills := size(t, 10)
	for range kills {
		victim := rnd.IntN(len(children))
		writes := func() bool { return children[victim].told("settled")+children[victim].told("ack") > 0 }
		r.await(patience, "the process writes", writes)
		time.Sleep(between(rnd, 0, 500*time.Millisecond)) // a random point is what the test is about
		children[victim].kill()
		children[victim] = r.start(tasks[victim])
		var found string
		if err := r.db.NewRaw("PRAGMA integrity_check").Scan(t.Context(), &found); err != nil || found != "ok" {
			t.Fatalf("integrity_check = %q, %v", found, err)
		}
	}
	children[2].stop(patience)
	r.awaitEmpty()
	r.settle(children[:2]...)
	history := r.history()
	r.contains(history, ids(r.all("ack")))
	for _, e := range r.all("failed") {
		t.Errorf("an enqueuer was refused: %s", e.rest)
	}
	for _, text := range r.log {
		if strings.Contains(text, "locked") || strings.Contains(text, "BUSY") {
			t.Errorf("a lock was heard of: %s", text)
		}
	}
	t.Logf("%d kills, %d jobs acknowledged, %d done", kills, len(r.all("ack")), len(history))
}
