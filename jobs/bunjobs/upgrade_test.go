package bunjobs_test

import (
	"io/fs"
	"path"
	"testing"
	"testing/fstest"
	"time"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// Jobs that the first version stored are claimed, completed and listed by this one.
func TestJobsOfTheFirstSchemaGoOn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		db := dbtest.Open(t, fresh(t))
		if err := firstSchema(t).Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		for id, state := range []int{0, 2, 2, 1, 4} { // no job 0; two ready, one scheduled, one retryable
			if id == 0 {
				continue
			}
			_, err := db.NewRaw(`INSERT INTO levqor_jobs_live
				(id, tenant, kind, queue, state, priority, args, fraction, note, attempt, max_attempts, timeout, created_at, run_at, epoch)
				VALUES (?, 'a', 'k', 'q', ?, 5, '{}', 0, '', 0, 3, 1000, ?, ?, 0)`,
				id, state, bundb.Now(db, time.Unix(1, 0)), bundb.Now(db, time.Unix(2, 0))).Exec(t.Context())
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := bunjobs.Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		store := bunjobs.New(db)
		if err := store.Join(t.Context(), jobs.Node{ID: 1}, time.Hour, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if n, err := store.Promote(t.Context(), 10, time.Time{}); n != 2 || err != nil {
			t.Errorf("Promote = %d, %v; want the 2 that wait", n, err)
		}
		claimed, err := store.Claim(t.Context(), jobs.Claim{Node: 1, Queue: "q", Kinds: []string{"k"}, Limit: 10}, time.Time{})
		if err != nil || len(claimed) != 4 {
			t.Fatalf("Claim = %d jobs, %v; want 4", len(claimed), err)
		}
		lease := jobs.Lease{ID: claimed[0].ID, Epoch: claimed[0].Epoch}
		results, err := store.Settle(t.Context(), []jobs.Outcome{{Lease: lease, State: jobs.Completed}}, time.Time{})
		if err != nil || results[0] != nil {
			t.Errorf("Settle = %v, %v", results, err)
		}
		all, err := store.List(t.Context(), jobs.ListQuery{Tenant: "a", Limit: 10})
		if err != nil || len(all) != 4 {
			t.Errorf("List = %d jobs, %v; want 4", len(all), err)
		}
	})
}

// firstSchema is the first step of the schema.
func firstSchema(t *testing.T) bundb.Migrations {
	t.Helper()
	first := fstest.MapFS{}
	for _, dir := range []string{"postgres", "sqlite"} {
		name := path.Join(dir, "0001_jobs.tx.up.sql")
		text, err := fs.ReadFile(bunjobs.Migrations(), name)
		if err != nil {
			t.Fatal(err)
		}
		first[name] = &fstest.MapFile{Data: text}
	}
	return bundb.Migrations{Room: "jobs", Files: first}
}
