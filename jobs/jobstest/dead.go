package jobstest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

// DeadLetterStore is a store that finds Discarded jobs.
type DeadLetterStore interface {
	jobs.Store
	jobs.DeadLetterStore
}

// TestDeadLetterStore runs every case about [jobs.DeadLetterStore], as TestStore does for
// [jobs.Store].
func TestDeadLetterStore(t *testing.T, open func(*testing.T) DeadLetterStore) {
	for _, c := range deadCases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
			defer cancel()
			store := open(t)
			c.run(&deadEnv{env: env{T: t, Store: store, ctx: ctx}, DeadLetterStore: store})
		})
	}
}

// deadEnv is what a case about dead letters works with.
type deadEnv struct {
	env
	jobs.DeadLetterStore
}

type deadCase struct {
	name string
	run  func(e *deadEnv)
}

// discard stores a job and ends it with an error.
func (e *deadEnv) discard(in jobs.Insertion, text string, now time.Time) jobs.ID {
	e.Helper()
	in = e.insert(now, in)[0]
	claimed, err := e.Claim(e.ctx, jobs.Claim{Node: 1, Queue: in.Queue, Kinds: []string{in.Kind}, Limit: 1}, now)
	if err != nil || len(claimed) != 1 {
		e.Fatalf("Claim = %d jobs, %v", len(claimed), err)
	}
	if err := e.settle(jobs.Outcome{Lease: leaseOf(claimed[0]), State: jobs.Discarded, Error: text}, now); err != nil {
		e.Fatal(err)
	}
	return in.ID
}

func (e *deadEnv) dead(tenant string, limit int) []jobs.DeadLetter {
	e.Helper()
	dead, err := e.ListDead(e.ctx, tenant, limit)
	if err != nil {
		e.Fatalf("ListDead = %v", err)
	}
	return dead
}

var deadCases = []deadCase{
	{"discarded jobs come back with their last error, the highest ID first", func(e *deadEnv) {
		e.join(1, t0)
		first := e.discard(job(kind("k2"), queue("q2")), "it's \"broken\" ü", t0)
		second := e.discard(job(), "", t0.Add(time.Second))
		want := []jobs.DeadLetter{
			{ID: second, Kind: "k", Queue: "q", FinishedAt: t0.Add(time.Second)},
			{ID: first, Kind: "k2", Queue: "q2", Error: "it's \"broken\" ü", FinishedAt: t0},
		}
		if got := e.dead("a", 10); fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("ListDead = %v, want %v", got, want)
		}
		if got := e.dead("a", 1); len(got) != 1 || got[0].ID != second {
			e.Errorf("ListDead of 1 = %v, want the highest ID", got)
		}
	}},
	{"the error is that of the last attempt, and no more than its beginning", func(e *deadEnv) {
		info := e.claimed(attempts(2))
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Retryable, Error: "the first"}, t0); err != nil {
			e.Fatal(err)
		}
		if _, err := e.Promote(e.ctx, 1, t0); err != nil {
			e.Fatal(err)
		}
		info = e.claim(1, 1, t0)[0]
		long := strings.Repeat("ü", jobs.DeadLetterText+1)
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Discarded, Error: long}, t0); err != nil {
			e.Fatal(err)
		}
		if got := e.dead("a", 10); len(got) != 1 || got[0].Error != strings.Repeat("ü", jobs.DeadLetterText) {
			e.Errorf("ListDead = %v, want %d characters of the last error", got, jobs.DeadLetterText)
		}
	}},
	{"no other state and no other tenant's jobs are among them", func(e *deadEnv) {
		all := (&e.env).everyState()
		e.discard(job(tenant("b"), kind("kb")), "theirs", t0)
		if got := e.dead("a", 10); len(got) != 1 || got[0].ID != all[jobs.Discarded].ID {
			e.Errorf("ListDead = %v, want job %d alone", got, all[jobs.Discarded].ID)
		}
		if got := e.dead("nobody", 10); len(got) > 0 {
			e.Errorf("ListDead of nobody = %v", got)
		}
		if _, err := e.Retry(e.ctx, "a", all[jobs.Discarded].ID, t0); err != nil {
			e.Fatal(err)
		}
		if got := e.dead("a", 10); len(got) > 0 {
			e.Errorf("ListDead = %v, want none: it was retried", got)
		}
	}},
	{"a context that has ended finds nothing", func(e *deadEnv) {
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		if _, err := e.ListDead(ctx, "a", 1); !errors.Is(err, context.Canceled) || err.Error() != context.Canceled.Error() {
			e.Errorf("ListDead = %v, want the context's error alone", err)
		}
	}},
}
