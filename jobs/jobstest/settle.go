package jobstest

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/jobs"
)

var settleCases = []testCase{
	{"a completed job keeps its result", func(e *env) {
		info := e.claimed()
		out := jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed, Result: []byte(`{"ok": "it's \u0000 ? ünï" }`)}
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
	{"a durable outcome is stored beside others and fenced like them", func(e *env) {
		first := e.claimed()
		e.insert(t0, job())
		second := e.claim(1, 1, t0)[0]
		late := leaseOf(second)
		late.Epoch--
		results, err := e.Settle(e.ctx, []jobs.Outcome{
			{Lease: leaseOf(first), State: jobs.Completed, Durable: true},
			{Lease: leaseOf(second), State: jobs.Completed},
			{Lease: late, State: jobs.Completed, Durable: true},
		}, t0)
		if err != nil || results[0] != nil || results[1] != nil || !errors.Is(results[2], jobs.ErrLeaseLost) {
			e.Fatalf("Settle = %v, %v; want the last refused", results, err)
		}
		e.wantState(first.ID, jobs.Completed, "it was settled")
		e.wantState(second.ID, jobs.Completed, "it was settled")
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
	{"a snoozed job waits and its attempt does not count", func(e *env) {
		info := e.claimed(attempts(1))
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Scheduled, Delay: time.Hour}, t0); err != nil {
			e.Fatalf("Settle = %v, want the outcome recorded", err)
		}
		got := e.wantState(info.ID, jobs.Scheduled, "it was snoozed")
		if got.Attempt != 0 || got.Epoch != 1 || len(got.Attempts) != 0 {
			e.Errorf("the job is %+v; want no attempt and epoch 1", got)
		}
		e.wantTime(got.RunAt, t0.Add(time.Hour), "RunAt")
		e.beat(t0.Add(time.Hour))
		if n, err := e.Promote(e.ctx, 10, t0.Add(time.Hour)); err != nil || n != 1 {
			e.Errorf("Promote = %d, %v; want the job", n, err)
		}
		if again := e.claim(1, 1, t0.Add(time.Hour)); len(again) != 1 || again[0].Epoch != 2 || again[0].Attempt != 1 {
			e.Errorf("Claim = %+v, want the job in its first attempt and under epoch 2", again)
		}
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
	{"a thousand outcomes are recorded together", func(e *env) {
		e.join(1, t0)
		all := make([]jobs.Insertion, 1000)
		for i := range all {
			all[i] = job()
		}
		e.insert(t0, all...)
		outcomes := make([]jobs.Outcome, 0, len(all))
		for _, info := range e.claim(1, len(all), t0) {
			out := jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed, Result: []byte(`"done"`)}
			if len(outcomes)%2 == 1 {
				out = jobs.Outcome{Lease: leaseOf(info), State: jobs.Retryable, Error: "boom", Delay: time.Hour}
			}
			outcomes = append(outcomes, out)
		}
		results, err := e.Settle(e.ctx, outcomes, t0)
		if err != nil || len(results) != len(all) || slices.ContainsFunc(results, func(err error) bool { return err != nil }) {
			e.Errorf("Settle = %d results, %v; want %d without an error", len(results), err, len(all))
		}
		e.wantState(outcomes[998].Lease.ID, jobs.Completed, "its outcome was recorded")
		e.wantState(outcomes[999].Lease.ID, jobs.Retryable, "its outcome was recorded")
	}},
	{"of an outcome that comes many times at once one is recorded", func(e *env) {
		info := e.claimed()
		if recorded := e.race(info, 8, 0); recorded != 1 {
			e.Errorf("%d callers were told that their outcome was recorded, want 1", recorded)
		}
		e.wantState(info.ID, jobs.Completed, "an outcome was recorded")
	}},
	{"a job is completed or cancelled, never both", func(e *env) {
		info := e.claimed()
		recorded := e.race(info, 8, 4)
		if got := e.get(info.ID).State; got != jobs.Cancelled && got != jobs.Completed || (got == jobs.Completed) != (recorded == 1) {
			e.Errorf("the job is %s and %d outcomes of completion were recorded", got, recorded)
		}
		e.wantList(jobs.ListQuery{}, info.ID)
	}},
}

// race completes a job and cancels it, both several times and at once, and
// returns how many completions were recorded.
func (e *env) race(info jobs.Info, completions, cancellations int) (recorded int32) {
	var n atomic.Int32
	atOnce(completions+cancellations, func(i int) {
		if i >= completions {
			if _, err := e.Cancel(e.ctx, "a", info.ID, t0); err != nil && !errors.Is(err, jobs.ErrConflict) {
				e.Errorf("Cancel = %v, want nil or ErrConflict", err)
			}
			return
		}
		results, err := e.Settle(e.ctx, []jobs.Outcome{{Lease: leaseOf(info), State: jobs.Completed}}, t0)
		switch {
		case err != nil || len(results) != 1:
			e.Errorf("Settle = %d results, %v", len(results), err)
		case results[0] == nil:
			n.Add(1)
		case !errors.Is(results[0], jobs.ErrLeaseLost):
			e.Errorf("the result is %v, want ErrLeaseLost", results[0])
		}
	})
	return n.Load()
}

func errorFor(s jobs.State) string {
	if s == jobs.Retryable || s == jobs.Discarded {
		return "boom"
	}
	return ""
}
