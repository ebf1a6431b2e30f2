package bunjobs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// What a transaction that is rolled back has ended does not count.
func TestCountsShareTheFateOfATransaction(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		db := open(t, fresh(t))
		store := bunjobs.New(db)
		if _, err := store.Insert(t.Context(), []jobs.Insertion{insertion(1)}, time.Time{}); err != nil {
			t.Fatal(err)
		}
		boom := errors.New("boom")
		for i, want := range []error{boom, nil} {
			err := db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
				_, err := bunjobs.New(tx).Cancel(ctx, "a", insertion(1).ID, time.Time{})
				return errors.Join(err, want)
			})
			if !errors.Is(err, want) {
				t.Fatalf("RunInTx = %v, want %v", err, want)
			}
			counts, err := store.Counts(t.Context(), "a", time.Time{})
			if err != nil || counts.Queues["q"][jobs.Cancelled] != i {
				t.Errorf("Counts = %v, %v; want %d cancelled", counts, err, i)
			}
		}
	})
}

// The history that an earlier version left counts, and goes on from there.
func TestTheHistoryOfTheFirstSchemaCounts(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		db := dbtest.Open(t, fresh(t))
		if err := steps(t, 1).Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		fillHistory(t, db, 2, jobs.Completed, noon)
		fillHistory(t, db, 1, jobs.Discarded, noon.Add(time.Hour))
		if err := bunjobs.Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		for _, count := range []func() (jobs.Counts, error){
			func() (jobs.Counts, error) { return bunjobs.New(db).Counts(t.Context(), "a", time.Time{}) },
			func() (jobs.Counts, error) { return bunjobs.New(db).CountsOfAll(t.Context(), time.Time{}) },
		} {
			if got, err := count(); err != nil || fmt.Sprint(got.Queues) != "map[q:map[completed:2 discarded:1]]" {
				t.Errorf("the counts are %v, %v", got.Queues, err)
			}
		}
	})
}

// A backlog that takes many statements to count is counted whole, across the lines where
// one statement ends and the next begins.
func TestAPartOfABacklogAtATimeIsCountedOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		store := bunjobs.New(open(t, fresh(t)))
		want := map[string]*jobs.Counts{"a": {}, "b": {}, "c": {}}
		all := make([]jobs.Insertion, 12_000)
		for i := range all {
			all[i] = insertion(i)
			all[i].Tenant = []string{"a", "a", "a", "b", "c"}[i%5]
			all[i].Queue = []string{"q", "q2"}[i/7%2]
			if i%3 == 0 {
				all[i].LimitKey = fmt.Sprint("key ", i%11)
			}
			state := jobs.Ready
			if i%4 == 0 {
				all[i].Delay, state = time.Duration(1+i%5)*time.Hour, jobs.Scheduled
			}
			want[all[i].Tenant].Add(all[i].Queue, state, 1)
		}
		if taken, err := store.Insert(t.Context(), all, time.Time{}); err != nil || len(taken) > 0 {
			t.Fatal(taken, err)
		}
		if err := store.Join(t.Context(), jobs.Node{ID: 1}, time.Hour, time.Time{}); err != nil {
			t.Fatal(err)
		}
		claimed, err := store.Claim(t.Context(), jobs.Claim{Node: 1, Queue: "q", Kinds: []string{"k"}, Limit: 2500}, time.Time{})
		if err != nil || len(claimed) != 2500 {
			t.Fatalf("Claim = %d jobs, %v", len(claimed), err)
		}
		for _, info := range claimed {
			want[info.Tenant].Add("q", jobs.Ready, -1)
			want[info.Tenant].Add("q", jobs.Running, 1)
		}
		if _, err := store.Recount(t.Context(), time.Time{}); err != nil {
			t.Fatal(err)
		}
		for tenant, counts := range want {
			if got, err := store.Counts(t.Context(), tenant, time.Time{}); err != nil || fmt.Sprint(got.Queues) != fmt.Sprint(counts.Queues) {
				t.Errorf("Counts of %s = %v, %v; want %v", tenant, got.Queues, err, counts.Queues)
			}
		}
	})
}

// Dead letters are found by an index of their own, also by List and for a retry of many.
func TestDeadLettersAreFoundByAnIndex(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		db := open(t, fresh(t))
		explain, index := "EXPLAIN QUERY PLAN ", "levqor_jobs_done_discarded"
		if strings.Contains(t.Name(), "PostgreSQL") {
			explain = "EXPLAIN "
			err := db.NewRaw("SELECT relname FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid WHERE inhparent = ?::regclass", index).Scan(t.Context(), &index)
			if err != nil {
				t.Fatal(err)
			}
		}
		fillHistory(t, db, 2000, jobs.Completed, noon)
		fillHistory(t, db, 500, jobs.Discarded, noon.Add(time.Hour))
		if _, err := db.ExecContext(t.Context(), "ANALYZE levqor_jobs_done"); err != nil {
			t.Fatal(err)
		}
		seen := &watcher{}
		store := bunjobs.New(db.WithQueryHook(seen))
		dead := []jobs.State{jobs.Discarded}
		_, err := store.ListDead(t.Context(), "a", 10)
		_, listErr := store.List(t.Context(), jobs.ListQuery{Tenant: "a", States: dead, Limit: 10})
		_, bulkErr := store.ChangeBatch(t.Context(), "a", jobs.BulkChange{Operation: jobs.BulkRetry, Filter: jobs.Filter{States: dead}, Limit: 10}, time.Time{})
		if err := errors.Join(err, listErr, bulkErr); err != nil {
			t.Fatal(err)
		}
		looks := 0
		for _, query := range seen.queries {
			if !strings.Contains(query, "levqor_jobs_done") || strings.HasPrefix(query, "DELETE") {
				continue
			}
			looks++
			if plan := planOf(t, db, explain+query); !strings.Contains(plan, index) {
				t.Errorf("the plan of\n%s\nis\n%s", query, plan)
			}
		}
		if looks != 3 {
			t.Errorf("%d queries looked into the history, want 3", looks)
		}
	})
}

// watcher keeps the texts of queries.
type watcher struct{ queries []string }

func (w *watcher) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

func (w *watcher) AfterQuery(_ context.Context, event *bun.QueryEvent) {
	w.queries = append(w.queries, event.Query)
}

func planOf(t *testing.T, db *bun.DB, query string) string {
	t.Helper()
	rows, err := db.DB.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var plan strings.Builder
	for rows.Next() {
		line := make([]any, len(columns))
		for i := range line {
			line[i] = new(any)
		}
		if err := rows.Scan(line...); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&plan, *line[len(line)-1].(*any))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
