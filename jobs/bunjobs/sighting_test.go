package bunjobs_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// Claims that follow a trail must still find what becomes ready behind it: a job of a
// better priority, and one of a tenant that had none before.
func TestATransactionThatStaysOpenHidesNoJob(t *testing.T) {
	db := open(t, dbtest.Postgres(t))
	store := bunjobs.New(db)
	ctx := t.Context()
	if err := store.Join(ctx, jobs.Node{ID: 1}, time.Hour, time.Time{}); err != nil {
		t.Fatal(err)
	}
	ids := jobs.ID(0)
	insert := func(tenant string, priority, n int) {
		t.Helper()
		batch := make([]jobs.Insertion, n)
		for i := range batch {
			ids++
			batch[i] = jobs.Insertion{Info: &jobs.Info{ID: ids, Tenant: tenant, Kind: "k", Queue: "q", Priority: priority, Args: []byte("{}"), MaxAttempts: 1}}
		}
		if taken, err := store.Insert(ctx, batch, time.Time{}); err != nil || len(taken) > 0 {
			t.Fatalf("Insert = %v, %v", taken, err)
		}
	}
	work := func() (claimed []jobs.Info) {
		t.Helper()
		claimed, err := store.Claim(ctx, jobs.Claim{Node: 1, Queue: "q", Kinds: []string{"k"}, Limit: 500}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		outcomes := make([]jobs.Outcome, len(claimed))
		for i, info := range claimed {
			outcomes[i] = jobs.Outcome{Lease: jobs.Lease{ID: info.ID, Epoch: info.Epoch}, State: jobs.Completed}
		}
		if _, err := store.Settle(ctx, outcomes, time.Time{}); err != nil {
			t.Fatal(err)
		}
		return claimed
	}
	insert("a", 5, 20_000)
	held, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Rollback()
	if _, err := held.ExecContext(ctx, "SELECT 1 FROM levqor_jobs_live LIMIT 1"); err != nil {
		t.Fatal(err)
	}
	for done := 0; done < 20_000; {
		done += len(work())
	}
	insert("a", 1, 1)
	better := ids
	insert("b", 5, 1)
	other := ids
	insert("a", 5, 1)
	missing := map[jobs.ID]bool{better: true, other: true, ids: true}
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for len(missing) > 0 {
		if bounded.Err() != nil {
			t.Fatalf("%v were not found in a minute", missing)
		}
		for _, info := range work() {
			delete(missing, info.ID)
		}
	}
}
