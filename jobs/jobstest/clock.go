package jobstest

import (
	"time"

	"github.com/levqor/sdk/jobs"
)

// clockCases use the store's own clock.
var clockCases = []testCase{
	{"the zero time means the store's clock", func(e *env) {
		var now time.Time
		before := time.Now().Add(-time.Minute) //nolint:forbidigo // compared with the store's clock
		e.join(1, now)
		in := e.insert(now, job(), job(delay(time.Hour)))
		got := e.claim(1, 10, now)
		if len(got) != 1 || got[0].ID != in[0].ID {
			e.Fatalf("Claim = %+v, want the job that is ready", got)
		}
		if d := got[0].StartedAt.Sub(before); d < 0 || d > 2*time.Minute {
			e.Errorf("StartedAt is %v, want about the present", got[0].StartedAt)
		}
		if d := in[1].RunAt.Sub(in[1].CreatedAt); d != time.Hour {
			e.Errorf("a delay of an hour came out as %v", d)
		}
		e.wantPromoted(10, now, 0)
		e.wantRescued(now, 0)
		e.beat(now, leaseOf(got[0]))
		if err := e.settle(jobs.Outcome{Lease: leaseOf(got[0]), State: jobs.Retryable, Error: "boom", Delay: time.Hour}, now); err != nil {
			e.Fatalf("Settle = %v", err)
		}
		e.wantPromoted(10, now, 0)
		if _, err := e.Retry(e.ctx, "a", got[0].ID, now); err != nil {
			e.Fatalf("Retry = %v", err)
		}
		again := e.claim(1, 10, now)
		if len(again) != 1 {
			e.Fatalf("Claim returned %d jobs, want the one retried", len(again))
		}
		if err := e.settle(jobs.Outcome{Lease: leaseOf(again[0]), State: jobs.Completed}, now); err != nil {
			e.Fatalf("Settle = %v", err)
		}
		if done := e.get(got[0].ID); done.FinishedAt.Before(before) {
			e.Errorf("FinishedAt is %v, want about the present", done.FinishedAt)
		}
	}},
	{"a lease of zero has run out at once", func(e *env) {
		if err := e.Join(e.ctx, jobs.Node{ID: 1}, 0, time.Time{}); err != nil {
			e.Fatalf("Join = %v", err)
		}
		e.insert(time.Time{}, job())
		if got := e.claim(1, 1, time.Time{}); len(got) != 0 {
			e.Errorf("Claim gave %d jobs to a node whose lease has run out", len(got))
		}
		e.wantRescued(time.Time{}, 0)
		_, err := e.Beat(e.ctx, 1, lease, nil, time.Time{})
		e.wantErr(err, jobs.ErrLeaseLost, "the node was rescued")
	}},
}
