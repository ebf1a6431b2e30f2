package bunjobs_test

import (
	"context"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// A job is completed while the partition that it belongs in is being made: its row waits
// for the default partition and may not go there any more.
func TestAJobIsCompletedWhileItsPartitionIsMade(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	db := open(t, dbtest.Postgres(t))
	store := bunjobs.New(db)
	now := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
	job := jobs.Insertion{Info: &jobs.Info{ID: 7, Kind: "k", Queue: "q", Priority: 5, Args: []byte("{}"), MaxAttempts: 1, Timeout: time.Minute}}
	if _, err := store.Insert(ctx, []jobs.Insertion{job}, now); err != nil {
		t.Fatal(err)
	}
	if err := store.Join(ctx, jobs.Node{ID: 1}, time.Hour, now); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Claim(ctx, jobs.Claim{Node: 1, Queue: "q", Kinds: []string{"k"}, Limit: 1}, now); err != nil || len(got) != 1 {
		t.Fatalf("Claim = %d jobs, %v", len(got), err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `CREATE TABLE part (LIKE levqor_jobs_done INCLUDING ALL);
		LOCK TABLE levqor_jobs_done_default IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	type answer struct {
		lost []error
		err  error
	}
	settled := make(chan answer, 1)
	go func() {
		lost, err := store.Settle(ctx, []jobs.Outcome{{Lease: jobs.Lease{ID: 7, Epoch: 1}, State: jobs.Completed}}, now)
		settled <- answer{lost, err}
	}()
	for waiting := 0; waiting == 0; time.Sleep(10 * time.Millisecond) {
		err := db.NewRaw("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'levqor_jobs_done_default'::regclass").Scan(ctx, &waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.ExecContext(ctx, "ALTER TABLE levqor_jobs_done ATTACH PARTITION part FOR VALUES FROM ('2031-01-01') TO ('2032-01-01')"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := <-settled; got.err != nil || got.lost[0] != nil {
		t.Errorf("Settle = %v, %v", got.lost, got.err)
	}
	if info, err := store.Get(ctx, "", 7); err != nil || info.State != jobs.Completed {
		t.Errorf("the job is %s, %v; want it completed", info.State, err)
	}
}
