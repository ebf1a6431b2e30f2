package jobstest

import (
	"cmp"
	"errors"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/jobs"
)

// unique makes a job unique by a key, also among jobs in some final states.
func unique(key string, over ...jobs.State) func(*jobs.Insertion) {
	return func(j *jobs.Insertion) { j.Unique.Key, j.Unique.Over = key, over }
}

func period(d time.Duration) func(*jobs.Insertion) {
	return func(j *jobs.Insertion) { j.Unique.Period = d }
}

// offer inserts one job and returns which one it would have repeated, or 0.
func (e *env) offer(now time.Time, in jobs.Insertion) jobs.ID {
	e.Helper()
	got := e.insert(now, in)[0]
	if got.DuplicateOf == 0 {
		e.wantStored(*got.Info, "Insert")
		return 0
	}
	_, err := e.Get(e.ctx, in.Tenant, in.ID)
	e.wantErr(err, jobs.ErrNotFound, "a duplicate is not stored")
	return got.DuplicateOf
}

func (e *env) wantOffer(got, want jobs.ID, promise string) {
	e.Helper()
	if got != want {
		e.Errorf("the job repeats %d, want %d: %s", got, want, promise)
	}
}

var uniqueCases = []testCase{
	{"a job is unique while it is not over, by tenant and key", func(e *env) {
		e.join(1, t0)
		first := job(unique("x"))
		e.wantOffer(e.offer(t0, first), 0, "it is the first")
		e.wantOffer(e.offer(t0, job(unique("x"))), first.ID, "the first is ready")
		e.wantOffer(e.offer(t0, job(unique("x"), tenant("b"))), 0, "another tenant's")
		e.wantOffer(e.offer(t0, job(unique("y"))), 0, "another key")
		e.wantOffer(e.offer(t0, job()), 0, "not unique")
		var info jobs.Info
		for _, claimed := range e.claim(1, 10, t0) {
			if claimed.ID == first.ID {
				info = claimed
			}
		}
		if info.UniqueKey != "x" {
			e.Errorf("Claim gave the key %q", info.UniqueKey)
		}
		e.wantOffer(e.offer(t0, job(unique("x"))), first.ID, "the first runs")
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Retryable, Error: "boom", Delay: time.Hour}, t0); err != nil {
			e.Fatal(err)
		}
		e.wantOffer(e.offer(t0, job(unique("x"))), first.ID, "the first waits for its next attempt")
		if _, err := e.Cancel(e.ctx, "a", first.ID, t0); err != nil {
			e.Fatal(err)
		}
		e.wantOffer(e.offer(t0, job(unique("x"))), 0, "the first is over")
	}},
	{"a completed job counts if completed jobs count", func(e *env) {
		info := e.claimed(unique("x"))
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed}, t0); err != nil {
			e.Fatal(err)
		}
		if got := e.get(info.ID); got.UniqueKey != "x" {
			e.Errorf("the completed job has the key %q", got.UniqueKey)
		}
		e.wantOffer(e.offer(t0, job(unique("x", jobs.Completed))), info.ID, "completed jobs count")
		e.wantOffer(e.offer(t0, job(unique("x", jobs.Discarded, jobs.Cancelled))), 0, "other states count")
	}},
	{"a cancelled job counts if cancelled jobs count", func(e *env) {
		info := e.claimed(unique("x"))
		if _, err := e.Cancel(e.ctx, "a", info.ID, t0); err != nil {
			e.Fatal(err)
		}
		e.wantOffer(e.offer(t0, job(unique("x", jobs.Discarded, jobs.Cancelled))), info.ID, "cancelled jobs count")
		e.wantOffer(e.offer(t0, job(unique("x", jobs.Completed))), 0, "completed jobs count, cancelled ones do not")
	}},
	{"a period bounds how long a job is unique", func(e *env) {
		day := t0.Truncate(24 * time.Hour)
		first := job(unique("x", jobs.Completed), period(24*time.Hour))
		e.wantOffer(e.offer(day, first), 0, "it is the first")
		e.wantOffer(e.offer(day.Add(24*time.Hour-time.Microsecond), job(unique("x"), period(24*time.Hour))), first.ID, "the same day")
		e.wantOffer(e.offer(day.Add(24*time.Hour), job(unique("x"), period(24*time.Hour))), 0, "the next day")
	}},
	{"duplicates within a call are found, the rest is stored", func(e *env) {
		e.wantOffer(e.offer(t0, job(unique("old"))), 0, "it is the first")
		batch := []jobs.Insertion{job(unique("new")), job(), job(unique("new")), job(unique("old")), job(unique("new"), tenant("b"))}
		got := e.insert(t0, batch...)
		for i, want := range []bool{false, false, true, true, false} {
			if repeats := got[i].DuplicateOf != 0; repeats != want {
				e.Errorf("job %d repeats another: %t, want %t", i, repeats, want)
			} else if !repeats {
				e.wantStored(*got[i].Info, "Insert")
			}
		}
		if got[2].DuplicateOf != got[0].ID {
			e.Errorf("the third repeats %d, want the first, %d", got[2].DuplicateOf, got[0].ID)
		}
	}},
	{"what is over does not return beside the one that took its place", func(e *env) {
		info := e.claimed(unique("x"))
		if _, err := e.Cancel(e.ctx, "a", info.ID, t0); err != nil {
			e.Fatal(err)
		}
		second := job(unique("x"))
		e.wantOffer(e.offer(t0, second), 0, "the first is over")
		_, err := e.Retry(e.ctx, "a", info.ID, t0)
		e.wantErr(err, jobs.ErrConflict, "another job has its key")
		e.wantState(info.ID, jobs.Cancelled, "it was not retried")
		if _, err := e.Cancel(e.ctx, "a", second.ID, t0); err != nil {
			e.Fatal(err)
		}
		if _, err := e.Retry(e.ctx, "a", info.ID, t0); err != nil {
			e.Errorf("Retry = %v, want the job: its place is free", err)
		}
		e.wantOffer(e.offer(t0, job(unique("x"))), info.ID, "it is ready again")
	}},
	{"of many at once one is stored, whatever happens to it", uniqueStorm},
}

// uniqueStorm offers one key from many sides while the job that has it is claimed,
// completed, cancelled and retried. At no time may two that are not over have it.
func uniqueStorm(e *env) {
	e.join(1, t0)
	var stored atomic.Int32
	var first atomic.Int64
	atOnce(8, func(worker int) {
		for range 15 {
			in := []jobs.Insertion{job(unique("x"))}
			if _, err := e.Insert(e.ctx, in, t0); err != nil {
				e.Errorf("Insert = %v", err)
			}
			if in[0].DuplicateOf == 0 {
				stored.Add(1)
			}
			first.CompareAndSwap(0, int64(cmp.Or(in[0].DuplicateOf, in[0].ID)))
			var err error
			switch worker % 4 {
			case 0:
				_, err = e.Cancel(e.ctx, "a", jobs.ID(first.Load()), t0)
			case 1:
				_, err = e.Retry(e.ctx, "a", jobs.ID(first.Load()), t0)
			case 2:
				var got []jobs.Info
				got, err = e.Claim(e.ctx, jobs.Claim{Node: 1, Queue: "q", Kinds: []string{"k"}, Limit: 5}, t0)
				for _, info := range got {
					_, err = e.Settle(e.ctx, []jobs.Outcome{{Lease: leaseOf(info), State: jobs.Completed}}, t0)
				}
			}
			if err != nil && !errors.Is(err, jobs.ErrConflict) {
				e.Errorf("a call beside = %v", err)
			}
			alive, err := e.List(e.ctx, jobs.ListQuery{Tenant: "a", Limit: 100, States: []jobs.State{jobs.Scheduled, jobs.Ready, jobs.Running, jobs.Retryable}})
			if err != nil || len(alive) > 1 {
				e.Errorf("%d jobs have the key and are not over, %v", len(alive), err)
			}
		}
	})
	if stored.Load() == 0 {
		e.Error("none was stored")
	}
}
