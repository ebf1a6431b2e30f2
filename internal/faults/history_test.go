//go:build unix

package faults_test

import (
	"strings"
	"time"

	"github.com/levqor/sdk/jobs"
)

// patience is how long a test waits for what must come, however busy the machine is.
const patience = 3 * time.Minute

// put enqueues jobs and returns their IDs.
func (r *rig) put(args ...jobs.Args) []jobs.ID {
	r.Helper()
	entries := make([]jobs.Entry, len(args))
	for i := range args {
		entries[i] = jobs.Entry{Args: args[i], Options: &jobs.EnqueueOptions{MaxAttempts: 1000}}
	}
	infos, err := r.queue.EnqueueMany(r.Context(), entries)
	if err != nil {
		r.Fatal(err)
	}
	ids := make([]jobs.ID, len(infos))
	for i := range infos {
		ids[i] = infos[i].ID
	}
	return ids
}

// count returns the number that a query has as its answer, -1 while the database is
// away.
func (r *rig) count(query string) int {
	n := -1
	if err := r.db.NewRaw(query).Scan(r.Context(), &n); err != nil {
		return -1
	}
	return n
}

// read scans the answer to a query, waiting for a database that has just come back.
func (r *rig) read(rows *[]past, query string) {
	r.Helper()
	r.await(patience, query, func() bool {
		*rows = nil
		return r.db.NewRaw(query).Scan(r.Context(), rows) == nil
	})
}

// awaitEmpty waits until no job is left to do.
func (r *rig) awaitEmpty() {
	r.Helper()
	r.await(patience, "all jobs are over", func() bool { return r.count("SELECT count(*) FROM levqor_jobs_live") == 0 })
}

// settle waits until the dead have been buried, stops the workers, and sees to it that
// no lease is left.
func (r *rig) settle(workers ...*child) {
	r.Helper()
	r.await(patience, "the leases of the dead are gone", func() bool {
		return r.count("SELECT count(*) FROM levqor_jobs_node") == len(workers)
	})
	for _, w := range workers {
		w.stop(patience)
	}
	if n := r.count("SELECT count(*) FROM levqor_jobs_node"); n != 0 {
		r.Errorf("%d leases are left", n)
	}
}

// past is a job that is over.
type past struct {
	ID     int64      `bun:"id"`
	Kind   string     `bun:"kind"`
	State  jobs.State `bun:"state"`
	Epoch  int64      `bun:"epoch"`
	Result string     `bun:"result"`
	Failed string     `bun:"attempts"`
}

// history returns the jobs that are over, each of which must be there once, completed,
// with the result of the attempt that held the lease. No outcome may have been given up:
// a database that is away is waited for.
func (r *rig) history() map[jobs.ID]past {
	r.Helper()
	var rows []past
	r.read(&rows, "SELECT id, kind, state, epoch, result, coalesce(attempts, '') AS attempts FROM levqor_jobs_done")
	all := make(map[jobs.ID]past, len(rows))
	for _, p := range rows {
		id := jobs.ID(p.ID)
		if _, twice := all[id]; twice {
			r.Errorf("job %s is in the history twice", id)
		}
		all[id] = p
		if p.State != jobs.Completed {
			r.Errorf("job %s is %s", id, p.State)
		} else if result, err := decode(p.Result); err != nil || result.Epoch != p.Epoch {
			r.Errorf("job %s was completed under epoch %d with %s, %v", id, p.Epoch, p.Result, err)
		}
		if strings.Contains(p.Failed, "could not be stored") {
			r.Errorf("an outcome of job %s was given up: %s", id, p.Failed)
		}
	}
	return all
}

// contains sees to it that jobs are in the history.
func (r *rig) contains(history map[jobs.ID]past, ids []jobs.ID) {
	r.Helper()
	lost := 0
	for _, id := range ids {
		if _, ok := history[id]; !ok {
			lost++
		}
	}
	if lost > 0 {
		r.Errorf("%d of %d jobs are lost", lost, len(ids))
	}
}

// ids returns those of events.
func ids(events []event) []jobs.ID {
	all := make([]jobs.ID, len(events))
	for i, e := range events {
		all[i] = e.id
	}
	return all
}
