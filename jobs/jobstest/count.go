package jobstest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

// CountStore is a store that counts jobs.
type CountStore interface {
	jobs.Store
	jobs.CountStore
}

// TestCountStore runs every case about [jobs.CountStore], as TestStore does for
// [jobs.Store].
func TestCountStore(t *testing.T, open func(*testing.T) CountStore) {
	for _, c := range countCases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
			defer cancel()
			store := open(t)
			c.run(&countEnv{env: env{T: t, Store: store, ctx: ctx}, CountStore: store})
		})
	}
}

// countEnv is what a case about counts works with.
type countEnv struct {
	env
	jobs.CountStore
}

type countCase struct {
	name string
	run  func(e *countEnv)
}

// recount calls Recount as a worker does until the jobs are counted at an instant or
// later, and returns when that was.
func (e *countEnv) recount(now time.Time) time.Time {
	e.Helper()
	for begun := now; e.ctx.Err() == nil; {
		wait, err := e.Recount(e.ctx, now)
		if err != nil {
			e.Fatalf("Recount = %v", err)
		}
		if wait < 0 || wait > time.Minute {
			e.Fatalf("Recount wants to be called after %v, want a minute at most", wait)
		}
		counts, err := e.CountsOfAll(e.ctx, now)
		if err != nil {
			e.Fatalf("CountsOfAll = %v", err)
		}
		if !counts.CountedAt.Before(begun) {
			return now
		}
		now = now.Add(max(wait, time.Millisecond))
	}
	e.Fatal("Recount never counts")
	return now
}

// listed counts the jobs of tenants one by one.
func (e *countEnv) listed(tenants ...string) map[string]jobs.StateCounts {
	e.Helper()
	var counts jobs.Counts
	for _, tenant := range tenants {
		query := jobs.ListQuery{Tenant: tenant, Limit: 100}
		for {
			page, err := e.List(e.ctx, query)
			if err != nil {
				e.Fatalf("List = %v", err)
			}
			for _, info := range page {
				counts.Add(info.Queue, info.State, 1)
				query.Before = info.ID
			}
			if len(page) < query.Limit {
				break
			}
		}
	}
	return counts.Queues
}

// wantListed wants the counts to be what List shows.
func (e *countEnv) wantListed(now time.Time, promise string, tenants ...string) {
	e.Helper()
	for _, tenant := range tenants {
		got, err := e.Counts(e.ctx, tenant, now)
		if want := e.listed(tenant); err != nil || fmt.Sprint(got.Queues) != fmt.Sprint(want) {
			e.Errorf("Counts of %q = %v, %v; want %v as listed: %s", tenant, got.Queues, err, want, promise)
		}
	}
	got, err := e.CountsOfAll(e.ctx, now)
	if want := e.listed(tenants...); err != nil || fmt.Sprint(got.Queues) != fmt.Sprint(want) {
		e.Errorf("CountsOfAll = %v, %v; want %v as listed: %s", got.Queues, err, want, promise)
	}
}

// wantOver wants how many jobs of tenant "a" in queue "q" are over, without a recount.
func (e *countEnv) wantOver(state jobs.State, want int, promise string) {
	e.Helper()
	got, err := e.Counts(e.ctx, "a", t0)
	if err != nil || got.Queues["q"][state] != want {
		e.Errorf("Counts = %v, %v; want %d %s: %s", got.Queues, err, want, state, promise)
	}
	all, err := e.CountsOfAll(e.ctx, t0)
	if err != nil || all.Queues["q"][state] != want {
		e.Errorf("CountsOfAll = %v, %v; want %d %s: %s", all.Queues, err, want, state, promise)
	}
}

// forgetter returns what forgets completed jobs after a day and dead letters after three,
// or skips the case if the store forgets nothing.
func forgetter(e *countEnv) func(now time.Time) {
	history, ok := e.Store.(jobs.HistoryStore)
	if !ok {
		e.Skip("the store keeps all of its history")
	}
	return func(now time.Time) {
		e.Helper()
		for range 100 {
			done, err := history.Forget(e.ctx, jobs.Retention{Completed: 24 * time.Hour, Discarded: 72 * time.Hour}, 10, now)
			if err != nil {
				e.Fatalf("Forget = %v", err)
			}
			if done {
				return
			}
		}
		e.Fatal("Forget never ends")
	}
}

var countCases = []countCase{
	{"an empty store has no queues", func(e *countEnv) {
		now := e.recount(t0)
		got, err := e.Counts(e.ctx, "a", now)
		if err != nil || len(got.Queues) > 0 {
			e.Errorf("Counts = %v, %v", got, err)
		}
		all, err := e.CountsOfAll(e.ctx, now)
		if err != nil || len(all.Queues) > 0 {
			e.Errorf("CountsOfAll = %v, %v", all, err)
		}
		e.wantTime(all.CountedAt, now, "CountedAt")
	}},
	{"jobs count by tenant, queue and state", func(e *countEnv) {
		e.everyState()
		e.insert(t0, job(tenant("b")), job(tenant("b"), queue("other")), job(tenant("b"), delay(time.Hour)), job(tenant(""), queue("it's")))
		now := e.recount(t0)
		e.wantListed(now, "every state", "a", "b", "", "nobody")
	}},
	{"what is over counts at once", func(e *countEnv) {
		now := e.recount(t0)
		e.everyState()
		for _, state := range []jobs.State{jobs.Completed, jobs.Discarded, jobs.Cancelled} {
			e.wantOver(state, 1, "nobody has counted since")
		}
		e.recount(now.Add(time.Second))
		for _, state := range []jobs.State{jobs.Completed, jobs.Discarded, jobs.Cancelled} {
			e.wantOver(state, 1, "a recount changes nothing about it")
		}
	}},
	{"an outcome counts whether it names its job's tenant and queue or not", func(e *countEnv) {
		e.join(1, t0)
		e.insert(t0, job(), job(), job())
		var outcomes []jobs.Outcome
		for i, info := range e.claim(1, 3, t0) {
			out := jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed}
			if i > 0 {
				out.Tenant, out.Queue = info.Tenant, info.Queue
			}
			outcomes = append(outcomes, out)
		}
		if results, err := e.Settle(e.ctx, outcomes, t0); err != nil || errors.Join(results...) != nil {
			e.Fatalf("Settle = %v, %v", results, err)
		}
		e.wantOver(jobs.Completed, 3, "all were settled")
	}},
	{"a lease that is lost counts nothing", func(e *countEnv) {
		info := e.claimed()
		out := jobs.Outcome{Lease: leaseOf(info), Tenant: info.Tenant, Queue: info.Queue, State: jobs.Completed}
		late := out
		late.Lease.Epoch--
		for range 2 {
			if _, err := e.Settle(e.ctx, []jobs.Outcome{late, out, out}, t0); err != nil {
				e.Fatalf("Settle = %v", err)
			}
		}
		e.wantOver(jobs.Completed, 1, "the others were refused")
	}},
	{"a retry takes back what it makes ready", func(e *countEnv) {
		cancelled := e.insert(t0, job())[0]
		if _, err := e.Cancel(e.ctx, "a", cancelled.ID, t0); err != nil {
			e.Fatal(err)
		}
		e.wantOver(jobs.Cancelled, 1, "it was cancelled")
		if _, err := e.Retry(e.ctx, "a", cancelled.ID, t0.Add(30*time.Hour)); err != nil {
			e.Fatal(err)
		}
		e.wantOver(jobs.Cancelled, 0, "it is ready again, on another day")
		e.recount(t0.Add(31 * time.Hour))
		e.wantOver(jobs.Cancelled, 0, "it is ready again")
		e.wantBulk(e.bulk(jobs.BulkChange{Operation: jobs.BulkCancel}, t0), 1, "it is the only one")
		e.wantOver(jobs.Cancelled, 1, "it was cancelled among many")
		e.wantBulk(e.bulk(jobs.BulkChange{Operation: jobs.BulkRetry}, t0), 1, "it is the only one")
		e.wantOver(jobs.Cancelled, 0, "it was retried among many")
	}},
	{"the jobs of a node that died count once", func(e *countEnv) {
		e.join(1, t0)
		e.insert(t0, job(attempts(1)), job(attempts(2)))
		e.claim(1, 2, t0)
		for range 2 {
			if _, err := e.Rescue(e.ctx, t0.Add(2*lease)); err != nil {
				e.Fatal(err)
			}
		}
		e.wantOver(jobs.Discarded, 1, "the other has an attempt left")
		e.wantListed(e.recount(t0.Add(2*lease)), "after a rescue", "a")
	}},
	{"what is forgotten no longer counts", func(e *countEnv) {
		forget := forgetter(e)
		for _, ahead := range []bool{false, true} { // with and without a place made ready for the day
			day := t0
			if ahead {
				day = t0.Add(100 * 24 * time.Hour)
				forget(day)
			}
			for _, state := range []jobs.State{jobs.Completed, jobs.Discarded, jobs.Completed} {
				e.insert(day, job())
				e.join(1, day)
				info := e.claim(1, 1, day)[0]
				if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: state}, day); err != nil {
					e.Fatal(err)
				}
				if err := e.Leave(e.ctx, 1, day); err != nil {
					e.Fatal(err)
				}
			}
			now := e.recount(day)
			e.wantListed(now, "all are there", "a")
			forget(day.Add(50 * time.Hour))
			e.wantListed(now, "the dead letter stays", "a")
			e.wantOver(jobs.Completed, 0, "their time is over")
			e.wantOver(jobs.Discarded, 1, "its time is not over")
			forget(day.Add(100 * time.Hour))
			e.wantOver(jobs.Discarded, 0, "its time is over")
			e.wantListed(e.recount(day.Add(100*time.Hour)), "nothing is there", "a")
		}
	}},
	{"recounts at once count each job once", func(e *countEnv) {
		e.everyState()
		now := t0
		for range 5 {
			now = now.Add(time.Minute)
			atOnce(8, func(int) {
				if _, err := e.Recount(e.ctx, now); err != nil {
					e.Errorf("Recount = %v", err)
				}
			})
		}
		e.wantListed(e.recount(now.Add(time.Minute)), "eight counted at once", "a")
	}},
	{"counts are what is listed after anything", func(e *countEnv) {
		play := newPlay(e)
		for i := range 400 {
			play.step(i)
			if i%100 == 99 {
				play.now = e.recount(play.now.Add(time.Second))
				e.wantListed(play.now, fmt.Sprintf("after %d operations", i+1), play.tenants...)
			}
		}
	}},
	{"a context that has ended counts nothing", func(e *countEnv) {
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		_, one := e.Counts(ctx, "a", t0)
		_, all := e.CountsOfAll(ctx, t0)
		_, again := e.Recount(ctx, t0)
		for i, err := range []error{one, all, again} {
			if !errors.Is(err, context.Canceled) || err.Error() != context.Canceled.Error() {
				e.Errorf("call %d = %v, want the context's error alone", i, err)
			}
		}
	}},
}
