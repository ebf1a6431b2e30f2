package bunjobs_test

import (
	"context"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// The statistics of a queue are those of some moment. Whichever it was, completing jobs may
// read neither the whole table nor the index of running jobs from end to end, and ending
// them otherwise not the latter.
func TestSettlementsFindJobsByIDWhateverTheStatisticsSay(t *testing.T) {
	for _, moment := range []string{"there are none", "all are ready", "all run"} {
		r := newRig(t, dbtest.Postgres(t))
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
		whole, ofNodes := r.scansOf(running[:500], jobs.Completed)
		if whole != 0 || ofNodes != 0 {
			t.Errorf("with the statistics of when %s, the table was read %d times and the index of running jobs %d times, want never", moment, whole, ofNodes)
		}
		if _, ofNodes := r.scansOf(running[500:600], jobs.Scheduled); ofNodes != 0 {
			t.Errorf("with the statistics of when %s, snoozing read the index of running jobs %d times, want never", moment, ofNodes)
		}
		if completed, snoozed := r.count(jobs.Completed), r.count(jobs.Scheduled); completed != 500 || snoozed != 100 {
			t.Errorf("%d jobs are completed and %d wait, want 500 and 100", completed, snoozed)
		}
	}
}

// scansOf records that attempts ended so. It returns how often that read the table of jobs
// from end to end, and how often its index of running jobs.
func (r *rig) scansOf(running []jobs.Info, state jobs.State) (whole, ofNodes int) {
	r.Helper()
	outcomes := make([]jobs.Outcome, len(running))
	for i, job := range running {
		outcomes[i] = jobs.Outcome{Lease: jobs.Lease{ID: job.ID, Epoch: job.Epoch}, Queue: job.Queue, State: state, Delay: time.Hour}
	}
	err := r.db.RunInTx(r.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		scans := func() (n [2]int, err error) {
			err = tx.NewRaw("SELECT pg_stat_get_xact_numscans('levqor_jobs_live'::regclass), pg_stat_get_xact_numscans('levqor_jobs_live_node'::regclass)").
				Scan(ctx, &n[0], &n[1])
			return n, err
		}
		before, err := scans()
		if err != nil {
			return err
		}
		if _, err := bunjobs.New(tx).Settle(ctx, outcomes, time.Time{}); err != nil {
			return err
		}
		after, err := scans()
		whole, ofNodes = after[0]-before[0], after[1]-before[1]
		return err
	})
	if err != nil {
		r.Fatal(err)
	}
	return whole, ofNodes
}
