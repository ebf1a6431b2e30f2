package bunjobs_test

import (
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
)

// The statistics of a queue are those of some moment. Whichever it was, completing jobs may
// read neither the whole table nor the index of running jobs from end to end, and ending
// them otherwise not the latter.
func TestSettlementsFindJobsByIDWhateverTheStatisticsSay(t *testing.T) {
	for _, moment := range []string{"there are none", "all are ready", "all run"} {
		r := newRig(t, dbtest.Postgres(t))
		r.db.SetMaxOpenConns(1) // whose counters are read
		r.join(1)
		analyze := func(at string) {
			if at == moment {
				r.exec("ANALYZE levqor_jobs_live")
			}
		}
		analyze("there are none")
		r.enqueue(5000, nil)
		analyze("all are ready")
		running := r.claim(1, 5000)
		analyze("all run")
		if len(running) != 5000 {
			t.Fatalf("%d jobs were claimed, want all", len(running))
		}
		whole, ofNodes := r.scans()
		r.end(running[:500], jobs.Completed)
		wholeAfter, ofNodesAfter := r.scans()
		if wholeAfter != whole || ofNodesAfter != ofNodes {
			t.Errorf("with the statistics of when %s, the table was read %d times and the index of running jobs %d times, want never",
				moment, wholeAfter-whole, ofNodesAfter-ofNodes)
		}
		r.end(running[500:600], jobs.Scheduled)
		if _, after := r.scans(); after != ofNodes {
			t.Errorf("with the statistics of when %s, snoozing read the index of running jobs %d times, want never", moment, after-ofNodes)
		}
		if completed, snoozed := r.count(jobs.Completed), r.count(jobs.Scheduled); completed != 500 || snoozed != 100 {
			t.Errorf("%d jobs are completed and %d wait, want 500 and 100", completed, snoozed)
		}
	}
}

// end records that attempts ended so.
func (r *rig) end(running []jobs.Info, state jobs.State) {
	r.Helper()
	outcomes := make([]jobs.Outcome, len(running))
	for i, job := range running {
		outcomes[i] = jobs.Outcome{Lease: jobs.Lease{ID: job.ID, Epoch: job.Epoch}, Queue: job.Queue, State: state, Delay: time.Hour}
	}
	if _, err := r.store.Settle(r.Context(), outcomes, time.Time{}); err != nil {
		r.Fatal(err)
	}
}

// scans returns how often this connection has read the table of jobs from end to end, and
// how often its index of running jobs.
func (r *rig) scans() (whole, ofNodes int) {
	r.Helper()
	r.exec("SELECT pg_stat_force_next_flush()")
	err := r.db.NewRaw(`SELECT seq_scan, (SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelid = 'levqor_jobs_live_node'::regclass)
		FROM pg_stat_user_tables WHERE relid = 'levqor_jobs_live'::regclass`).Scan(r.Context(), &whole, &ofNodes)
	if err != nil {
		r.Fatal(err)
	}
	return whole, ofNodes
}
