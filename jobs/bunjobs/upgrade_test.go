package bunjobs_test

import (
	"io/fs"
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
		if err := steps(t, 1).Migrate(t.Context(), db); err != nil {
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

// History of the version before retention is read, and goes when its time is over.
func TestHistoryOfTheVersionBeforeIsForgottenToo(t *testing.T) {
	db := dbtest.Open(t, dbtest.Postgres(t))
	if err := steps(t, 6).Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	fillHistory(t, db, 60_000, jobs.Completed, noon) // too much to be read under a lock
	fillHistory(t, db, 10, jobs.Discarded, noon.Add(-day))
	if err := bunjobs.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	store := bunjobs.New(db)
	if _, err := store.Get(t.Context(), "a", idAt(noon)); err != nil {
		t.Errorf("Get = %v", err)
	}
	forget(t, store, keep, noon.Add(day))
	wantPartitions(t, db, "20310507 20310508 20310509 20310510 before default")
	forget(t, store, keep, noon.Add(8*day))
	wantPartitions(t, db, "20310507 20310508 20310509 20310510 20310514 20310515 20310516 20310517 default rest_20310507")
	if n := count(t, db, "TRUE"); n != 10 {
		t.Errorf("%d jobs are left, want the dead letters", n)
	}
}

// steps are the first n steps of the schema.
func steps(t *testing.T, n int) bundb.Migrations {
	t.Helper()
	first := fstest.MapFS{}
	for _, dir := range []string{"postgres", "sqlite"} {
		names, err := fs.Glob(bunjobs.Migrations(), dir+"/*.tx.up.sql")
		if err != nil || len(names) < n {
			t.Fatal(names, err)
		}
		for _, name := range names[:n] {
			text, err := fs.ReadFile(bunjobs.Migrations(), name)
			if err != nil {
				t.Fatal(err)
			}
			first[name] = &fstest.MapFile{Data: text}
		}
	}
	return bundb.Migrations{Room: "jobs", Files: first}
}
