package bunjobs_test

import (
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
)

// The statistics of a queue are those of some moment. Whichever it was, a settlement may
// read neither the whole table nor the index of running jobs from end to end.
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
		whole, ofNodes := r.scans()
		outcomes := make([]jobs.Outcome, 500)
		for i := range outcomes {
			outcomes[i] = jobs.Outcome{Lease: jobs.Lease{ID: running[i].ID, Epoch: running[i].Epoch}, Queue: jobs.DefaultQueue, State: jobs.Completed}
		}
		if _, err := r.store.Settle(t.Context(), outcomes, time.Time{}); err != nil {
			t.Fatal(err)
		}
		wholeAfter, ofNodesAfter := r.scans()
		if wholeAfter != whole || ofNodesAfter != ofNodes {
			t.Errorf("with the statistics of when %s, the table was read %d times and the index of running jobs %d times, want never",
				moment, wholeAfter-whole, ofNodesAfter-ofNodes)
		}
		if n := r.count(jobs.Completed); n != len(outcomes) {
			t.Errorf("%d jobs are completed, want %d", n, len(outcomes))
		}
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
