//go:build unix

package faults_test

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
)

// A worker is stopped with jobs in hand, longer than its lease, and goes on while the
// worker that took them over is at work. What it then reports is refused, what it wrote
// in a transaction with the job's completion is rolled back, and the other's results
// stand. Of the jobs, the first half are completed in a transaction, on PostgreSQL one
// that was open all the time.
//
// The sample is one round; LEVQOR_FAULTS is how many.
func TestAWorkerThatWasStoppedChangesNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		parallel(t)
		sqlite := filepath.Base(t.Name()) == "SQLite" // where a transaction would keep the other from writing
		for range size(t, 1) {
			stopWorker(newRig(t, fresh(t)), !sqlite)
		}
	})
}

func stopWorker(r *rig, early bool) {
	if _, err := r.db.NewRaw("CREATE TABLE effect (job bigint NOT NULL, pid bigint NOT NULL)").Exec(r.Context()); err != nil {
		r.Fatal(err)
	}
	gates := r.TempDir()
	open := func(epoch int) {
		if err := os.WriteFile(filepath.Join(gates, strconv.Itoa(epoch)), nil, 0o600); err != nil {
			r.Fatal(err)
		}
	}
	args := make([]jobs.Args, 8)
	for i := range args {
		args[i] = step{Gates: gates, Completes: i < len(args)/2, Early: early}
	}
	tuned := task{Role: "work", Lease: 2 * time.Second, Heartbeat: 200 * time.Millisecond}
	first := r.start(tuned)
	stored := r.put(args...)
	r.await(patience, "the first worker has all jobs", func() bool { return first.told("run") == len(args) })
	first.freeze()
	second := r.start(tuned)
	r.await(patience, "the second worker has all jobs", func() bool { return second.told("run") == len(args) })
	open(1)
	first.signal(syscall.SIGCONT)
	r.await(patience, "the first worker is refused", func() bool { return first.told("refused")+first.told("accepted") == len(args)/2 })
	first.stop(patience) // its outcomes are recorded, or refused, when it ends
	open(2)
	r.awaitEmpty()
	r.settle(second)

	for _, e := range r.all("refused") {
		if e.pid != first.pid || e.rest != "true" {
			r.Errorf("the completion of job %s by the worker %d failed, with a lost lease: %s", e.id, e.pid, e.rest)
		}
	}
	history := r.history()
	r.contains(history, stored)
	for _, id := range stored {
		if result, err := decode(history[id].Result); err != nil || result.PID != second.pid {
			r.Errorf("job %s has the result of worker %d, %v; want that of the second, %d", id, result.PID, err, second.pid)
		}
	}
	if n := r.count("SELECT count(*) FROM effect WHERE pid = " + strconv.Itoa(first.pid)); n != 0 {
		r.Errorf("%d rows of the worker that had lost its lease are committed", n)
	}
	if n := r.count("SELECT count(*) FROM effect WHERE pid = " + strconv.Itoa(second.pid)); n != len(args)/2 {
		r.Errorf("%d rows of the second worker are committed, want %d", n, len(args)/2)
	}
}

// freeze stops the child while this process has the right to write, which a child that
// stops in the middle of a write would keep from everybody on SQLite. The last of its
// threads stops some time after the signal.
func (c *child) freeze() {
	c.Helper()
	tx, err := c.db.BeginTx(c.Context(), nil)
	if err != nil {
		c.Fatal(err)
	}
	c.signal(syscall.SIGSTOP)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(c.pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		c.Fatalf("the child has not stopped: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		c.Fatal(err)
	}
}
