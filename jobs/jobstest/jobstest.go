// Package jobstest checks that a store of jobs keeps every promise of
// [jobs.Store]. Call it from the test of the store:
//
//	func TestStore(t *testing.T) {
//		jobstest.TestStore(t, func(t *testing.T) jobs.Store { return mystore.New(t.TempDir()) })
//	}
//
// A store whose transactions run side by side implements [Transactor] in the
// test as well, and more cases run.
//
// It needs nothing but the standard library, and a broken store makes it fail,
// not hang.
//
// # Programs
//
// The tests of a program that has jobs use [Run] to run one handler, [WantEnqueued] to
// see what was enqueued, and [Work] to run a worker, in a bubble of testing/synctest on a
// [jobs.MemStore] without waiting for retries and schedules:
//
//	got, err := jobstest.Run[Size](t, registry, Resize{Image: "a.png"})
package jobstest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

// Transactor is a store under test whose transactions run side by side, as those
// of a database server do.
type Transactor interface {
	jobs.Store
	// InTx runs fn with a store bound to a transaction, which is committed if fn
	// returns nil. Meanwhile calls of the store itself must be possible.
	InTx(ctx context.Context, fn func(tx jobs.Store) error) error
}

// TestStore runs every case, each as a subtest on a store of its own. Each call
// of open must return an empty store that lives until its test ends.
func TestStore(t *testing.T, open func(*testing.T) jobs.Store) {
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"Insert", insertCases},
		{"Metadata", metadataCases},
		{"Unique", uniqueCases},
		{"Get", getCases},
		{"List", listCases},
		{"Cancel", cancelCases},
		{"Retry", retryCases},
		{"ChangeBatch", bulkCases},
		{"Claim", claimCases},
		{"Settle", settleCases},
		{"SaveProgress", progressCases},
		{"Promote", promoteCases},
		{"Beat", beatCases},
		{"Leave", leaveCases},
		{"Rescue", rescueCases},
		{"Clock", clockCases},
		{"Errors", errorCases},
		{"Transactor", transactorCases},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
					defer cancel()
					c.run(&env{T: t, Store: open(t), ctx: ctx})
				})
			}
		})
	}
}

// ScheduleStore is a store that keeps schedules too.
type ScheduleStore interface {
	jobs.Store
	jobs.ScheduleStore
}

// TestScheduleStore runs every case about [jobs.ScheduleStore], as TestStore does for
// [jobs.Store].
func TestScheduleStore(t *testing.T, open func(*testing.T) ScheduleStore) {
	for _, c := range scheduleCases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
			defer cancel()
			store := open(t)
			c.run(&scheduleEnv{env: env{T: t, Store: store, ctx: ctx}, ScheduleStore: store})
		})
	}
}

// LimitStore is a store that keeps the settings of queues and claims by them.
type LimitStore interface {
	jobs.Store
	jobs.LimitStore
}

// TestLimitStore runs every case about [jobs.LimitStore], as TestStore does for
// [jobs.Store].
func TestLimitStore(t *testing.T, open func(*testing.T) LimitStore) {
	for _, c := range limitCases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
			defer cancel()
			store := open(t)
			c.run(&limitEnv{env: env{T: t, Store: store, ctx: ctx}, LimitStore: store})
		})
	}
}

// HealthStore is a store that tells how it is doing.
type HealthStore interface {
	ScheduleStore
	jobs.HealthStore
}

// TestHealthStore runs every case about [jobs.HealthStore], as TestStore does for
// [jobs.Store].
func TestHealthStore(t *testing.T, open func(*testing.T) HealthStore) {
	for _, c := range healthCases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
			defer cancel()
			store := open(t)
			e := &healthEnv{HealthStore: store}
			e.scheduleEnv = scheduleEnv{env: env{T: t, Store: store, ctx: ctx}, ScheduleStore: store}
			c.run(e)
		})
	}
}

// LogStore is a store that keeps the logs of jobs.
type LogStore interface {
	jobs.Store
	jobs.LogStore
}

// TestLogStore runs every case about [jobs.LogStore], as TestStore does for
// [jobs.Store].
func TestLogStore(t *testing.T, open func(*testing.T) LogStore) {
	for _, c := range logCases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
			defer cancel()
			store := open(t)
			c.run(&logEnv{env: env{T: t, Store: store, ctx: ctx}, LogStore: store})
		})
	}
}

// HistoryStore is a store that forgets jobs that are over.
type HistoryStore interface {
	jobs.Store
	jobs.HistoryStore
}

// TestHistoryStore runs every case about [jobs.HistoryStore], as TestStore does for
// [jobs.Store]. Logs are looked at if the store keeps them.
func TestHistoryStore(t *testing.T, open func(*testing.T) HistoryStore) {
	for _, c := range historyCases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
			defer cancel()
			store := open(t)
			c.run(&historyEnv{env: env{T: t, Store: store, ctx: ctx}, HistoryStore: store})
		})
	}
}

// caseTimeout ends a case whose store never answers.
const caseTimeout = 60 * time.Second

type testCase struct {
	name string
	run  func(e *env)
}

// t0 is when the cases play, in the precision of the databases.
var t0 = time.Date(2031, 5, 6, 7, 8, 9, 123456000, time.UTC)

// lease is how long nodes of the cases live without a heartbeat.
const lease = 10 * time.Second

// firstID is an ID made at t0: see [jobs.ID.Time].
var firstID = jobs.ID((t0.UnixMilli() - jobs.ID(0).Time().UnixMilli()) << 22)

// lastID makes IDs that no two jobs of a test binary share.
var lastID atomic.Int64

// env is what a case works with.
type env struct {
	*testing.T
	jobs.Store
	ctx context.Context //nolint:containedctx // lives as long as one case
}

// job returns a job of tenant "a" that may run at once.
func job(changes ...func(*jobs.Insertion)) jobs.Insertion {
	in := jobs.Insertion{Info: &jobs.Info{
		ID: firstID + jobs.ID(lastID.Add(1)), Tenant: "a", Kind: "k", Queue: "q", Priority: 5,
		Args: []byte(`{"n":1}`), MaxAttempts: 3, Timeout: time.Minute,
	}}
	for _, change := range changes {
		change(&in)
	}
	return in
}

// twin returns a copy that shares nothing that stores set.
func twin(in jobs.Insertion) jobs.Insertion {
	info := *in.Info
	in.Info = &info
	return in
}

func tenant(name string) func(*jobs.Insertion) { return func(j *jobs.Insertion) { j.Tenant = name } }
func kind(name string) func(*jobs.Insertion)   { return func(j *jobs.Insertion) { j.Kind = name } }
func queue(name string) func(*jobs.Insertion)  { return func(j *jobs.Insertion) { j.Queue = name } }
func priority(n int) func(*jobs.Insertion)     { return func(j *jobs.Insertion) { j.Priority = n } }
func attempts(n int) func(*jobs.Insertion)     { return func(j *jobs.Insertion) { j.MaxAttempts = n } }
func runAt(at time.Time) func(*jobs.Insertion) { return func(j *jobs.Insertion) { j.RunAt = at } }
func delay(d time.Duration) func(*jobs.Insertion) {
	return func(j *jobs.Insertion) { j.Delay = d }
}

// insert stores jobs at an instant.
func (e *env) insert(now time.Time, all ...jobs.Insertion) []jobs.Insertion {
	e.Helper()
	taken, err := e.Insert(e.ctx, all, now)
	if err != nil || len(taken) > 0 {
		e.Fatalf("Insert = %v, %v; want every job stored", taken, err)
	}
	return all
}

// get returns a job of tenant "a".
func (e *env) get(id jobs.ID) jobs.Info {
	e.Helper()
	info, err := e.Get(e.ctx, "a", id)
	if err != nil {
		e.Fatalf("Get = %v, want the job", err)
	}
	return info
}

// join adds a node with a lease that runs out at now plus lease.
func (e *env) join(id jobs.NodeID, now time.Time) {
	e.Helper()
	if err := e.Join(e.ctx, jobs.Node{ID: id, Name: fmt.Sprint("node ", id)}, lease, now); err != nil {
		e.Fatalf("Join = %v", err)
	}
}

// claim takes up to limit jobs of kind "k" in queue "q".
func (e *env) claim(node jobs.NodeID, limit int, now time.Time) []jobs.Info {
	e.Helper()
	got, err := e.Claim(e.ctx, jobs.Claim{Node: node, Queue: "q", Kinds: []string{"k"}, Limit: limit}, now)
	if err != nil {
		e.Fatalf("Claim = %v", err)
	}
	return got
}

// claimed stores one job and claims it for node 1 at t0.
func (e *env) claimed(changes ...func(*jobs.Insertion)) jobs.Info {
	e.Helper()
	e.join(1, t0)
	e.insert(t0, job(changes...))
	got := e.claim(1, 1, t0)
	if len(got) != 1 {
		e.Fatalf("Claim returned %d jobs, want the one that is ready", len(got))
	}
	return got[0]
}

// settle records one outcome and returns what the store says about it.
func (e *env) settle(out jobs.Outcome, now time.Time) error {
	e.Helper()
	outcomes := []jobs.Outcome{out}
	results, err := e.Settle(e.ctx, outcomes, now)
	clear(outcomes) // as a worker may
	if err != nil {
		e.Fatalf("Settle = %v", err)
	}
	if len(results) != 1 {
		e.Fatalf("Settle returned %d results for one outcome", len(results))
	}
	return results[0]
}

// failed stores a job whose first attempt failed and which waits for a minute.
func (e *env) failed() jobs.Info {
	e.Helper()
	info := e.claimed()
	if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Retryable, Error: "boom", Delay: time.Minute}, t0); err != nil {
		e.Fatalf("Settle = %v, want the outcome recorded", err)
	}
	return e.get(info.ID)
}

// over stores a job and brings it to a final state.
func (e *env) over(state jobs.State) jobs.Info {
	e.Helper()
	info := e.claimed()
	if state == jobs.Cancelled {
		if _, err := e.Cancel(e.ctx, "a", info.ID, t0); err != nil {
			e.Fatalf("Cancel = %v", err)
		}
	} else if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: state}, t0); err != nil {
		e.Fatalf("Settle = %v, want the outcome recorded", err)
	}
	return e.get(info.ID)
}

func leaseOf(info jobs.Info) jobs.Lease { return jobs.Lease{ID: info.ID, Epoch: info.Epoch} }

func (e *env) wantState(id jobs.ID, want jobs.State, promise string) jobs.Info {
	e.Helper()
	info := e.get(id)
	if info.State != want {
		e.Errorf("the job is %s, want %s: %s", info.State, want, promise)
	}
	return info
}

// wantStored wants a job that the store returned to be the one that it stores.
func (e *env) wantStored(got jobs.Info, what string) {
	e.Helper()
	stored, err := e.Get(e.ctx, got.Tenant, got.ID)
	if err != nil {
		e.Fatalf("Get = %v, want the job", err)
	}
	if text(got) != text(stored) {
		e.Errorf("%s returned\n%s\nand Get\n%s", what, text(got), text(stored))
	}
}

// text shows all of a job.
func text(j jobs.Info) string {
	args, result := j.Args, j.Result
	j.Args, j.Result = nil, nil
	return fmt.Sprintf("%+v args %s result %s", j, args, result)
}

// atOnce calls fn in several goroutines, with the number of each, and waits.
func atOnce(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

func (e *env) wantErr(err, want error, promise string) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Errorf("the error is %v, want %v: %s", err, want, promise)
	}
}

func (e *env) wantTime(got, want time.Time, what string) {
	e.Helper()
	if !got.Equal(want) {
		e.Errorf("%s is %v, want %v", what, got, want)
	}
	if !got.IsZero() && got.Location() != time.UTC {
		e.Errorf("%s is not in UTC", what)
	}
}
