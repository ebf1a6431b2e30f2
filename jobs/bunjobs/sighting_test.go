package bunjobs_test

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

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

// lookers is a hook that holds up the first claim that looks at a line from its beginning,
// and counts the others.
type lookers struct {
	armed, behind  atomic.Bool // behind: a claim began behind what is in the way
	others         atomic.Int32
	held, released chan struct{}
}

func (l *lookers) BeforeQuery(ctx context.Context, event *bun.QueryEvent) context.Context {
	if !strings.Contains(event.Query, "UPDATE \"levqor_jobs_live\" AS j") {
		return ctx
	}
	if strings.Contains(event.Query, "(turn, id) >=") {
		l.behind.Store(true)
		return ctx
	}
	if l.armed.CompareAndSwap(true, false) {
		close(l.held)
		<-l.released
	} else {
		l.others.Add(1)
	}
	return ctx
}

func (l *lookers) AfterQuery(context.Context, *bun.QueryEvent) {}

// When the place where claims begin has held for its time, one looks whether something
// stands before it, which takes long. The others do not.
func TestOneClaimLooksWhileOthersGoOn(t *testing.T) {
	const strangers, known = 50_000, 1000
	looks := &lookers{held: make(chan struct{}), released: make(chan struct{})}
	store := bunjobs.New(open(t, dbtest.Postgres(t)).WithQueryHook(looks))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := store.Join(ctx, jobs.Node{ID: 1}, time.Hour, time.Time{}); err != nil {
		t.Fatal(err)
	}
	batch := make([]jobs.Insertion, strangers+known)
	for i := range batch {
		kind := "stranger"
		if i >= strangers {
			kind = "k"
		}
		batch[i] = jobs.Insertion{Info: &jobs.Info{ID: jobs.ID(i + 1), Kind: kind, Queue: "q", Args: []byte("{}"), MaxAttempts: 1}}
	}
	if taken, err := store.Insert(ctx, batch, time.Time{}); err != nil || len(taken) > 0 {
		t.Fatalf("Insert = %v, %v", taken, err)
	}
	claim := func() int {
		claimed, err := store.Claim(ctx, jobs.Claim{Node: 1, Queue: "q", Kinds: []string{"k"}, Limit: 1}, time.Time{})
		if err != nil {
			t.Error(err)
		}
		return len(claimed)
	}
	for !looks.behind.Load() && ctx.Err() == nil {
		claim()
	}
	looks.armed.Store(true)
	var looker sync.WaitGroup
	looker.Go(func() {
		for looks.armed.Load() && ctx.Err() == nil {
			claim()
			time.Sleep(10 * time.Millisecond) // the place holds for seconds
		}
	})
	select {
	case <-looks.held:
	case <-ctx.Done():
		t.Fatal("no claim looks again")
	}
	looks.others.Store(0)
	for range 3 {
		if n := claim(); n != 1 {
			t.Errorf("Claim returned %d jobs beside one that looks, want 1", n)
		}
	}
	if n := looks.others.Load(); n != 0 {
		t.Errorf("%d of 3 claims look beside one that does", n)
	}
	close(looks.released)
	looker.Wait()
}
