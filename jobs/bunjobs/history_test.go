package bunjobs_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

const day = 24 * time.Hour

// When the tests play, and how long jobs stay.
var (
	noon = time.Date(2031, 5, 6, 12, 0, 0, 0, time.UTC)
	keep = jobs.Retention{Completed: 7 * day, Discarded: 30 * day}
)

// idAt returns the first ID that a job made at an instant can have.
func idAt(at time.Time) jobs.ID {
	return jobs.ID((at.UnixMilli() - jobs.ID(0).Time().UnixMilli()) << 22)
}

// fillHistory stores n jobs of tenant "a" that were over at an instant.
func fillHistory(tb testing.TB, db *bun.DB, n int, state jobs.State, at time.Time) {
	tb.Helper()
	_, err := db.NewRaw(`
		WITH RECURSIVE g (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM g WHERE i + 1 < ?)
		INSERT INTO levqor_jobs_done (id, tenant, kind, queue, state, priority, args, result, fraction, note, attempt, max_attempts, timeout, created_at, run_at, finished_at, epoch)
		SELECT ? + i, 'a', 'k', 'q', ?, 5, '{"document":"reports/2031/05/quarterly-figures.pdf","language":"en","pages":12}', '{"ok":true}', 0, '', 1, 3, 1000, ?, ?, ?, 1 FROM g`,
		n, int64(idAt(at)), int(state), bundb.Time{Time: at}, bundb.Time{Time: at}, bundb.Time{Time: at}).Exec(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
}

// forget takes steps until nothing is left to do, and returns how many.
func forget(tb testing.TB, store *bunjobs.Store, keep jobs.Retention, now time.Time) int {
	tb.Helper()
	for steps := 1; ; steps++ {
		finished, err := store.Forget(tb.Context(), keep, 1000, now)
		if err != nil {
			tb.Fatalf("Forget = %v", err)
		}
		if finished {
			return steps
		}
	}
}

// partitions returns those of the history, without what their names have in common.
func partitions(tb testing.TB, db *bun.DB) []string {
	tb.Helper()
	var names []string
	err := db.NewRaw("SELECT replace(inhrelid::regclass::text, 'levqor_jobs_done_', '') FROM pg_inherits WHERE inhparent = 'levqor_jobs_done'::regclass").Scan(tb.Context(), &names)
	if err != nil {
		tb.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func wantPartitions(tb testing.TB, db *bun.DB, want string) {
	tb.Helper()
	if got := strings.Join(partitions(tb, db), " "); got != want {
		tb.Errorf("the partitions are\n%s\nwant\n%s", got, want)
	}
}

// count returns how many jobs are over.
func count(tb testing.TB, db *bun.DB, where string) (n int) {
	tb.Helper()
	if err := db.NewRaw("SELECT count(*) FROM levqor_jobs_done WHERE ?", bun.Safe(where)).Scan(tb.Context(), &n); err != nil {
		tb.Fatal(err)
	}
	return n
}

func TestPartitionsAreMadeAheadAndDropped(t *testing.T) {
	db := open(t, dbtest.Postgres(t))
	store := bunjobs.New(db)
	fillHistory(t, db, 10, jobs.Completed, noon)
	forget(t, store, keep, noon)
	wantPartitions(t, db, "20310506 20310507 20310508 20310509 default")
	if n := count(t, db, "tableoid = 'levqor_jobs_done_20310506'::regclass"); n != 10 {
		t.Errorf("%d of the 10 jobs of the present day have moved to its partition", n)
	}
	fillHistory(t, db, 10, jobs.Discarded, noon.Add(day))
	fillHistory(t, db, 10, jobs.Completed, noon.Add(day+time.Second))
	fillHistory(t, db, 10, jobs.Discarded, noon.Add(2*day))
	forget(t, store, keep, noon.Add(8*day))
	wantPartitions(t, db, "20310507 20310508 20310509 20310514 20310515 20310516 20310517 default")
	forget(t, store, keep, noon.Add(10*day))
	wantPartitions(t, db, "20310509 20310514 20310515 20310516 20310517 20310518 20310519 default rest_20310509")
	if n := count(t, db, "tableoid = 'levqor_jobs_done_rest_20310509'::regclass AND state = 7"); n != 20 || count(t, db, "TRUE") != n {
		t.Errorf("%d of the 20 dead letters are kept together", n)
	}
	forget(t, store, keep, noon.Add(33*day))
	wantPartitions(t, db, "20310608 20310609 20310610 20310611 default")
}

// What settles jobs must not wait behind a change of partitions that waits itself.
func TestWhoeverReadsHistoryForLongPutsRetentionOffAndNothingElse(t *testing.T) {
	db := open(t, dbtest.Postgres(t))
	store := bunjobs.New(db)
	forget(t, store, keep, noon)
	fillHistory(t, db, 10, jobs.Discarded, noon)
	before := strings.Join(partitions(t, db), " ")
	if err := store.Join(t.Context(), jobs.Node{ID: 1}, time.Hour, noon); err != nil {
		t.Fatal(err)
	}
	reader, err := db.BeginTx(t.Context(), &sql.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Rollback() }()
	if _, err := reader.ExecContext(t.Context(), "SELECT count(*) FROM levqor_jobs_done"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		var all error
		for range 5 { // each waits for its lock
			finished, err := store.Forget(ctx, keep, 1000, noon.Add(9*day))
			if !finished && err == nil {
				err = errors.New("Forget changed something")
			}
			all = errors.Join(all, err)
		}
		ended <- all
	}()
	settlements, slowest := 0, time.Duration(0)
	for running := true; running; settlements++ {
		select {
		case err := <-ended:
			if running = false; err != nil {
				t.Errorf("Forget while the lock is held = %v, want that nothing is left to do", err)
			}
		default:
		}
		begun := time.Now()
		runOne(ctx, t, store, jobs.ID(settlements+1))
		slowest = max(slowest, time.Since(begun))
	}
	t.Logf("%d jobs were stored, claimed and settled meanwhile, the slowest in %v", settlements, slowest)
	wantPartitions(t, db, before)
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	forget(t, store, keep, noon.Add(9*day))
	wantPartitions(t, db, "20310508 20310509 20310515 20310516 20310517 20310518 default rest_20310507")
}

// runOne stores, claims and completes a job at noon.
func runOne(ctx context.Context, t *testing.T, store *bunjobs.Store, id jobs.ID) {
	t.Helper()
	job := insertion(int(id))
	if taken, err := store.Insert(ctx, []jobs.Insertion{job}, noon); err != nil || len(taken) > 0 {
		t.Fatalf("Insert = %v, %v", taken, err)
	}
	claimed, err := store.Claim(ctx, jobs.Claim{Node: 1, Queue: "q", Kinds: []string{"k"}, Limit: 1}, noon)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("Claim = %d jobs, %v", len(claimed), err)
	}
	lease := jobs.Lease{ID: claimed[0].ID, Epoch: claimed[0].Epoch}
	results, err := store.Settle(ctx, []jobs.Outcome{{Lease: lease, State: jobs.Completed}}, noon)
	if err := errors.Join(append(results, err)...); err != nil {
		t.Fatalf("Settle = %v", err)
	}
}

func TestADayWithManyDeadLettersIsThinnedOut(t *testing.T) {
	db := open(t, dbtest.Postgres(t))
	store := bunjobs.New(db)
	forget(t, store, keep, noon)
	fillHistory(t, db, 10_001, jobs.Discarded, noon)
	fillHistory(t, db, 2500, jobs.Completed, noon.Add(time.Second))
	forget(t, store, keep, noon.Add(8*day))
	if n := count(t, db, "state = 7"); n != 10_001 || count(t, db, "TRUE") != n {
		t.Errorf("%d of the dead letters and %d jobs in all are left, want the dead letters", n, count(t, db, "TRUE"))
	}
	if got := partitions(t, db); !slices.Contains(got, "rest_20310507") || slices.Contains(got, "20310506") {
		t.Errorf("the partitions are %v; want the day to be known as thinned out", got)
	}
}

// What somebody holds is left, and does not keep what comes after it.
func TestAHeldRowOfADayWithManyDeadLettersIsLeft(t *testing.T) {
	db := open(t, dbtest.Postgres(t))
	store := bunjobs.New(db)
	forget(t, store, keep, noon)
	fillHistory(t, db, 10_001, jobs.Discarded, noon)
	fillHistory(t, db, 10, jobs.Completed, noon.Add(time.Second))
	fillHistory(t, db, 10, jobs.Completed, noon.Add(day))
	held, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Rollback()
	if _, err := held.ExecContext(t.Context(), "SELECT 1 FROM levqor_jobs_done_20310506 WHERE state = 5 LIMIT 1 FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	forget(t, store, keep, noon.Add(9*day))
	if n := count(t, db, "state = 5"); n != 1 {
		t.Errorf("%d jobs are left beside the dead letters, want the one that is held", n)
	}
	if err := held.Rollback(); err != nil {
		t.Fatal(err)
	}
	forget(t, store, keep, noon.Add(9*day))
	if n := count(t, db, "state = 5"); n != 0 {
		t.Errorf("%d jobs are left beside the dead letters, want none", n)
	}
}

func TestALargeDefaultPartitionIsNotLocked(t *testing.T) {
	db := open(t, dbtest.Postgres(t))
	store := bunjobs.New(db)
	fillHistory(t, db, 60_000, jobs.Completed, noon)
	forget(t, store, keep, noon)
	wantPartitions(t, db, "default")
	if steps := forget(t, store, keep, noon.Add(8*day)); steps < 60 || count(t, db, "TRUE") > 0 {
		t.Errorf("%d jobs are left after %d steps of 1000", count(t, db, "TRUE"), steps)
	}
}

func TestADayThatStandsInTheDefaultPartitionStaysThere(t *testing.T) {
	db := open(t, dbtest.Postgres(t))
	store := bunjobs.New(db)
	fillHistory(t, db, 1001, jobs.Completed, noon)
	forget(t, store, keep, noon)
	wantPartitions(t, db, "20310507 20310508 20310509 default")
}

// A role that does not own the tables deletes rows, where they are.
func TestARoleThatMayNotCreateTablesForgetsAllTheSame(t *testing.T) {
	url := dbtest.Postgres(t)
	db := open(t, url)
	forget(t, bunjobs.New(db), keep, noon)
	for _, at := range []time.Time{noon, noon.Add(-day)} { // in a partition, and in the default one
		fillHistory(t, db, 1500, jobs.Completed, at)
		fillHistory(t, db, 10, jobs.Discarded, at.Add(time.Second))
	}
	before := strings.Join(partitions(t, db), " ")
	store := bunjobs.New(dbtest.Open(t, url+"&options="+"-c%20role%3D"+role(t, db)))
	forget(t, store, keep, noon.Add(8*day))
	if n := count(t, db, "state = 7"); n != 20 || count(t, db, "TRUE") != n {
		t.Errorf("%d jobs are left, %d of them dead letters, want the 20 dead letters", count(t, db, "TRUE"), n)
	}
	forget(t, store, keep, noon.Add(31*day))
	if n := count(t, db, "TRUE"); n != 0 {
		t.Errorf("%d jobs are left, want none", n)
	}
	wantPartitions(t, db, before)
}

// The default partition, where such a role's jobs stand, has no end that could have passed.
func TestARoleThatMayNotCreateTablesKeepsForeverWhatIsToStay(t *testing.T) {
	url := dbtest.Postgres(t)
	db := open(t, url)
	fillHistory(t, db, 10, jobs.Completed, noon)
	fillHistory(t, db, 10, jobs.Discarded, noon.Add(time.Second))
	store := bunjobs.New(dbtest.Open(t, url+"&options="+"-c%20role%3D"+role(t, db)))
	forget(t, store, jobs.Retention{Completed: jobs.Forever, Discarded: jobs.Forever}, noon.Add(1000*day))
	if n := count(t, db, "TRUE"); n != 20 {
		t.Errorf("%d jobs are left, want all 20", n)
	}
}

// role makes a role that may use the tables and own none.
func role(t *testing.T, db *bun.DB) string {
	t.Helper()
	var schema string
	if err := db.NewRaw("SELECT current_schema()").Scan(t.Context(), &schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.ExecContext(context.Background(), "DROP OWNED BY ?0; DROP ROLE ?0", bun.Ident(schema)); err != nil {
			t.Error(err)
		}
	})
	_, err := db.ExecContext(t.Context(), `CREATE ROLE ?0; GRANT USAGE ON SCHEMA ?0 TO ?0;
		GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ?0 TO ?0`, bun.Ident(schema))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestAStoreBoundToATransactionLeavesPartitionsAlone(t *testing.T) {
	db := open(t, dbtest.Postgres(t))
	fillHistory(t, db, 10, jobs.Completed, noon)
	err := db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		finished, err := bunjobs.New(tx).Forget(ctx, keep, 100, noon.Add(8*day))
		if !finished {
			t.Error("Forget has something left to do")
		}
		return err
	})
	if err != nil || count(t, db, "TRUE") != 0 {
		t.Errorf("RunInTx = %v, and %d jobs are left", err, count(t, db, "TRUE"))
	}
	wantPartitions(t, db, "default")
}

func TestALongLogGoesInSteps(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		db := open(t, fresh(t))
		fillHistory(t, db, 30, jobs.Completed, noon)
		_, err := db.NewRaw(`
			WITH RECURSIVE g (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 1000)
			INSERT INTO levqor_jobs_log (job, line, attempt, at, text) SELECT id, i, 1, ?, 'x' FROM g CROSS JOIN levqor_jobs_done`,
			bundb.Time{Time: noon}).Exec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		forget(t, bunjobs.New(db), keep, noon)
		if steps := forget(t, bunjobs.New(db), keep, noon.Add(8*day)); steps < 4 {
			t.Errorf("30,000 lines went in %d steps", steps)
		}
		var lines int
		if err := db.NewRaw("SELECT count(*) FROM levqor_jobs_log").Scan(t.Context(), &lines); err != nil || lines > 0 || count(t, db, "1 = 1") > 0 {
			t.Errorf("%d jobs and %d lines are left, %v", count(t, db, "1 = 1"), lines, err)
		}
	})
}

// On SQLite what stays is walked past once an hour, and what cannot be over not at all.
func TestHistoryIsWalkedFromTheLowestID(t *testing.T) {
	db := open(t, dbtest.SQLite(t))
	store := bunjobs.New(db)
	fillHistory(t, db, 1500, jobs.Discarded, noon)
	fillHistory(t, db, 1500, jobs.Completed, noon.Add(10*day))
	at := noon.Add(9 * day)
	if steps := forget(t, store, keep, at); steps != 2 {
		t.Errorf("%d steps were taken, want 2 past the dead letters and the first job that is younger", steps)
	}
	fillHistory(t, db, 1, jobs.Completed, noon.Add(-day))
	if steps := forget(t, store, keep, at.Add(59*time.Minute)); steps != 1 || count(t, db, "state = 5") != 1501 {
		t.Errorf("%d steps were taken within the hour", steps)
	}
	forget(t, store, keep, at.Add(time.Hour))
	if n := count(t, db, "1 = 1"); n != 3000 {
		t.Errorf("%d jobs are left, want 3000", n)
	}
}
