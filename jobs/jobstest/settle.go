package jobstest

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/jobs"
)

var settleCases = []testCase{
	{"a completed job keeps its result", func(e *env) {
		info := e.claimed()
		out := jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed, Result: []byte(`{"ok":"it's ?"}`)}
		if err := e.settle(out, t0.Add(time.Second)); err != nil {
			e.Fatalf("Settle = %v", err)
		}
		got := e.wantState(info.ID, jobs.Completed, "the outcome was recorded")
		if string(got.Result) != string(out.Result) || got.Attempt != 1 || got.Epoch != 1 || len(got.Attempts) != 0 {
			e.Errorf("Get = %+v, want the result, one attempt and no failures", got)
		}
		e.wantTime(got.FinishedAt, t0.Add(time.Second), "FinishedAt")
		e.wantTime(got.StartedAt, t0, "StartedAt")
		e.wantTime(got.CreatedAt, t0, "CreatedAt")
	}},
	{"a completed job may have no result", func(e *env) {
		if got := e.over(jobs.Completed); got.Result != nil {
			e.Errorf("Result is %q, want nil", got.Result)
		}
	}},
	{"a failed job waits and remembers why", func(e *env) {
		info := e.claimed()
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Retryable, Error: "it's ? \"bad\"", Delay: time.Minute}, t0.Add(time.Second)); err != nil {
			e.Fatalf("Settle = %v", err)
		}
		got := e.wantState(info.ID, jobs.Retryable, "the outcome was recorded")
		e.wantTime(got.RunAt, t0.Add(time.Second+time.Minute), "RunAt")
		if len(got.Attempts) != 1 {
			e.Fatalf("Attempts has %d elements, want 1", len(got.Attempts))
		}
		a := got.Attempts[0]
		if a.Number != 1 || a.Error != "it's ? \"bad\"" {
			e.Errorf("the attempt is %+v", a)
		}
		e.wantTime(a.StartedAt, t0, "StartedAt of the attempt")
		e.wantTime(a.FinishedAt, t0.Add(time.Second), "FinishedAt of the attempt")
	}},
	{"attempts add up until the job is discarded", func(e *env) {
		info := e.claimed(attempts(2))
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Retryable, Error: "one"}, t0); err != nil {
			e.Fatalf("Settle = %v", err)
		}
		e.wantPromoted(1, t0, 1)
		second := e.claim(1, 1, t0)
		if len(second) != 1 {
			e.Fatalf("Claim returned %d jobs, want the second attempt", len(second))
		}
		if err := e.settle(jobs.Outcome{Lease: leaseOf(second[0]), State: jobs.Discarded, Error: "two"}, t0); err != nil {
			e.Fatalf("Settle = %v", err)
		}
		got := e.wantState(info.ID, jobs.Discarded, "the outcome was recorded")
		if len(got.Attempts) != 2 || got.Attempts[1].Number != 2 || got.Attempts[1].Error != "two" {
			e.Errorf("Attempts = %+v, want both failures in order", got.Attempts)
		}
		e.wantTime(got.FinishedAt, t0, "FinishedAt")
	}},
	{"a job handed back is ready and its attempt does not count", func(e *env) {
		info := e.claimed()
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Ready}, t0); err != nil {
			e.Fatalf("Settle = %v", err)
		}
		got := e.wantState(info.ID, jobs.Ready, "it was handed back")
		if got.Attempt != 0 || got.Epoch != 1 || len(got.Attempts) != 0 {
			e.Errorf("attempt %d, epoch %d, %d failures; want 0, 1, 0", got.Attempt, got.Epoch, len(got.Attempts))
		}
		if again := e.claim(1, 1, t0); len(again) != 1 || again[0].Epoch != 2 {
			e.Errorf("Claim = %+v, want the job under epoch 2", again)
		}
	}},
	{"an outcome under an older epoch is refused", func(e *env) {
		old := e.claimed()
		if err := e.settle(jobs.Outcome{Lease: leaseOf(old), State: jobs.Ready}, t0); err != nil {
			e.Fatalf("Settle = %v", err)
		}
		now := e.claim(1, 1, t0)
		if len(now) != 1 {
			e.Fatalf("Claim returned %d jobs, want 1", len(now))
		}
		for _, state := range []jobs.State{jobs.Completed, jobs.Retryable, jobs.Discarded, jobs.Ready} {
			e.wantErr(e.settle(jobs.Outcome{Lease: leaseOf(old), State: state, Error: errorFor(state)}, t0), jobs.ErrLeaseLost, "a newer attempt holds the job")
			e.wantState(old.ID, jobs.Running, "a refused outcome changes nothing")
		}
		if err := e.settle(jobs.Outcome{Lease: leaseOf(now[0]), State: jobs.Completed}, t0); err != nil {
			e.Errorf("Settle = %v, want the current attempt's outcome recorded", err)
		}
	}},
	{"an outcome is recorded once", func(e *env) {
		info := e.claimed()
		out := jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed, Result: []byte(`1`)}
		if err := e.settle(out, t0); err != nil {
			e.Fatalf("Settle = %v", err)
		}
		out.Result = []byte(`2`)
		e.wantErr(e.settle(out, t0), jobs.ErrLeaseLost, "the job is over")
		if got := e.get(info.ID); string(got.Result) != "1" {
			e.Errorf("Result is %s, want that of the first outcome", got.Result)
		}
	}},
	{"each outcome of a batch is judged alone", func(e *env) {
		e.join(1, t0)
		e.insert(t0, job(), job(), job(), job())
		held := e.claim(1, 4, t0)
		if len(held) != 4 {
			e.Fatalf("Claim returned %d jobs, want 4", len(held))
		}
		stale := leaseOf(held[1])
		stale.Epoch = 7
		results, err := e.Settle(e.ctx, []jobs.Outcome{
			{Lease: leaseOf(held[0]), State: jobs.Completed},
			{Lease: stale, State: jobs.Completed},
			{Lease: jobs.Lease{ID: 5, Epoch: 1}, State: jobs.Completed},
			{Lease: leaseOf(held[2]), State: jobs.Discarded, Error: "boom"},
			{Lease: leaseOf(held[0]), State: jobs.Completed},
			{Lease: leaseOf(held[3]), State: jobs.Retryable, Error: "boom"},
		}, t0)
		if err != nil || len(results) != 6 {
			e.Fatalf("Settle = %d results, %v; want 6", len(results), err)
		}
		for i, lost := range []bool{false, true, true, false, true, false} {
			if got := errors.Is(results[i], jobs.ErrLeaseLost); got != lost || !lost && results[i] != nil {
				e.Errorf("result %d is %v, want lease lost: %v", i, results[i], lost)
			}
		}
		e.wantState(held[0].ID, jobs.Completed, "its outcome is good")
		e.wantState(held[1].ID, jobs.Running, "its outcome is stale")
		e.wantState(held[2].ID, jobs.Discarded, "its outcome is good")
		e.wantState(held[3].ID, jobs.Retryable, "its outcome is good")
	}},
	{"of two outcomes at once one is recorded", func(e *env) {
		info := e.claimed()
		var recorded atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				results, err := e.Settle(e.ctx, []jobs.Outcome{{Lease: leaseOf(info), State: jobs.Completed}}, t0)
				if err == nil && results[0] == nil {
					recorded.Add(1)
				}
			})
			wg.Go(func() {
				if _, err := e.Cancel(e.ctx, "a", info.ID, t0); err == nil {
					return // may follow another Cancel
				}
			})
		}
		wg.Wait()
		got := e.get(info.ID)
		if want := int32(0); got.State == jobs.Cancelled && recorded.Load() != want {
			e.Errorf("%d outcomes were recorded of a cancelled job", recorded.Load())
		}
		if got.State == jobs.Completed && recorded.Load() != 1 {
			e.Errorf("%d outcomes were recorded, want 1", recorded.Load())
		}
		e.wantList(jobs.ListQuery{}, info.ID)
	}},
}

func errorFor(s jobs.State) string {
	if s == jobs.Retryable || s == jobs.Discarded {
		return "boom"
	}
	return ""
}

var progressCases = []testCase{
	{"progress is kept while the job runs and after", func(e *env) {
		info := e.claimed()
		want := jobs.Progress{Fraction: 0.25, Note: "it's ?"}
		if err := e.SaveProgress(e.ctx, leaseOf(info), want); err != nil {
			e.Fatalf("SaveProgress = %v", err)
		}
		if got := e.get(info.ID).Progress; got != want {
			e.Errorf("Progress is %+v, want %+v", got, want)
		}
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed}, t0); err != nil {
			e.Fatalf("Settle = %v", err)
		}
		if got := e.get(info.ID).Progress; got != want {
			e.Errorf("Progress is %+v after completion, want %+v", got, want)
		}
	}},
	{"a new attempt begins without progress", func(e *env) {
		info := e.claimed()
		if err := e.SaveProgress(e.ctx, leaseOf(info), jobs.Progress{Fraction: 1}); err != nil {
			e.Fatalf("SaveProgress = %v", err)
		}
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Ready}, t0); err != nil {
			e.Fatalf("Settle = %v", err)
		}
		if got := e.claim(1, 1, t0); len(got) != 1 || got[0].Progress != (jobs.Progress{}) {
			e.Errorf("Claim = %+v, want no progress", got)
		}
	}},
	{"progress under another epoch or of an ended job is refused", func(e *env) {
		info := e.claimed()
		stale := leaseOf(info)
		stale.Epoch++
		e.wantErr(e.SaveProgress(e.ctx, stale, jobs.Progress{Fraction: 1}), jobs.ErrLeaseLost, "the epoch is not current")
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed}, t0); err != nil {
			e.Fatalf("Settle = %v", err)
		}
		e.wantErr(e.SaveProgress(e.ctx, leaseOf(info), jobs.Progress{Fraction: 1}), jobs.ErrLeaseLost, "the job is over")
		if got := e.get(info.ID).Progress; got != (jobs.Progress{}) {
			e.Errorf("Progress is %+v, want none", got)
		}
	}},
}
