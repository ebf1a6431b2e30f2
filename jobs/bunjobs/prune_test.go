package bunjobs_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// fillDays returns a database with history of so many days before noon, a partition
// for each.
func fillDays(tb testing.TB, days int) *bun.DB {
	tb.Helper()
	db := open(tb, dbtest.Postgres(tb))
	forever := jobs.Retention{Completed: jobs.Forever, Discarded: jobs.Forever}
	for d := days - 1; d >= 0; d-- {
		at := noon.Add(-time.Duration(d) * day)
		forget(tb, bunjobs.New(db), forever, at)
		fillHistory(tb, db, 500, jobs.Completed, at)
		fillHistory(tb, db, 1, jobs.Discarded, at.Add(time.Second))
	}
	if n := len(partitions(tb, db)); n != days+4 {
		tb.Fatalf("there are %d partitions", n)
	}
	return db
}

// A single insertion is prepared, and its one plan must not look for the ID in every
// day of the history.
func TestASingleInsertionLeavesOldPartitionsOut(t *testing.T) {
	db := fillDays(t, 40)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	first := int(idAt(noon)) + 1_000_000
	for i := range 10 {
		if taken, err := bunjobs.New(conn).Insert(t.Context(), []jobs.Insertion{insertion(first + i)}, noon); err != nil || len(taken) > 0 {
			t.Fatal(taken, err)
		}
	}
	var prepared struct {
		Name    string `bun:"name"`
		Generic int    `bun:"generic_plans"`
	}
	err = conn.NewRaw("SELECT name, generic_plans FROM pg_prepared_statements WHERE statement LIKE '%INSERT INTO levqor_jobs_live%'").Scan(t.Context(), &prepared)
	if err != nil {
		t.Fatal(err)
	}
	if prepared.Generic == 0 {
		t.Error("the server plans each insertion anew")
	}
	var plan []string
	err = conn.NewRaw("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE ? (?, 'a', 'k', 'q', 5, '{}', 3, 1000, NULL, NULL, ?, NULL, 0, 0)", bun.Ident(prepared.Name),
		first+100, noon.UnixMicro()).Scan(t.Context(), &plan)
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(plan, "\n"); strings.Count(text, "Scan using levqor_jobs_done_") != 3 || strings.Contains(text, "Subplans Removed") {
		t.Errorf("the plan is\n%s\nwant that it knows of three days", text)
	}
}

// BenchmarkHistory looks at single jobs in a history of 40 days.
func BenchmarkHistory(b *testing.B) {
	db := fillDays(b, 40)
	store := bunjobs.New(db)
	at := func(i int) time.Time { return noon.Add(-time.Duration(i%40) * day) }
	for _, op := range []struct {
		name string
		call func(i int) error
	}{
		{"Get", func(i int) error { _, err := store.Get(b.Context(), "a", idAt(at(i))); return err }},
		{"List", func(int) error {
			_, err := store.List(b.Context(), jobs.ListQuery{Tenant: "a", Limit: 100})
			return err
		}},
		{"Retry", func(i int) error {
			id := idAt(at(i).Add(time.Second))
			if _, err := store.Retry(b.Context(), "a", id, noon); err != nil {
				return err
			}
			_, err := store.Cancel(b.Context(), "a", id, at(i).Add(time.Second))
			return err
		}},
		{"Insert", func(i int) error {
			_, err := store.Insert(b.Context(), []jobs.Insertion{insertion(int(idAt(noon)) + 1_000_000 + i)}, noon)
			return err
		}},
		{"InsertMany", func(i int) error {
			all := make([]jobs.Insertion, batch)
			for k := range all {
				all[k] = insertion(int(idAt(noon.Add(time.Minute))) + i*batch + k)
			}
			_, err := store.Insert(b.Context(), all, noon)
			return err
		}},
	} {
		b.Run(op.name, func(b *testing.B) {
			for i := range b.N {
				if err := op.call(i); err != nil {
					b.Fatal(fmt.Errorf("call %d: %w", i, err))
				}
			}
		})
	}
}
