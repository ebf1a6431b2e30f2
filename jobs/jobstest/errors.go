package jobstest

import (
	"context"
	"errors"
	"time"

	"github.com/levqor/sdk/jobs"
)

var errorCases = []testCase{
	{"a call whose context was cancelled says so, nothing more, and changes nothing", func(e *env) {
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		e.callsEnded(ctx)
	}},
	{"a call whose deadline has passed says so, nothing more, and changes nothing", func(e *env) {
		ctx, cancel := context.WithDeadline(e.ctx, time.Unix(1, 0))
		defer cancel()
		e.callsEnded(ctx)
	}},
	{"a node that joins twice prints nothing of the store", func(e *env) {
		e.join(1, t0)
		err := e.Join(e.ctx, jobs.Node{ID: 1}, lease, t0)
		e.wantErr(err, jobs.ErrConflict, "the node is there")
		if err != nil && err.Error() != jobs.ErrConflict.Error() {
			e.Errorf("Join = %q, want the text of the kind alone", err)
		}
	}},
}

// callsEnded makes every call with a context that has ended.
func (e *env) callsEnded(ctx context.Context) {
	e.Helper()
	running, fresh := e.claimed(), job()
	waiting, due := e.insert(t0, job())[0], e.insert(t0, job(delay(time.Second)))[0]
	later := t0.Add(2 * lease)
	calls := map[string]func() error{
		"Insert": func() error { _, err := e.Insert(ctx, []jobs.Insertion{fresh}, t0); return err },
		"Get":    func() error { _, err := e.Get(ctx, "a", waiting.ID); return err },
		"List":   func() error { _, err := e.List(ctx, jobs.ListQuery{Tenant: "a", Limit: 1}); return err },
		"Cancel": func() error { _, err := e.Cancel(ctx, "a", waiting.ID, t0); return err },
		"Retry":  func() error { _, err := e.Retry(ctx, "a", due.ID, t0); return err },
		"Join":   func() error { return e.Join(ctx, jobs.Node{ID: 2}, lease, t0) },
		"Beat":   func() error { _, err := e.Beat(ctx, 1, lease, nil, later); return err },
		"Leave":  func() error { return e.Leave(ctx, 1, t0) },
		"Claim": func() error {
			_, err := e.Claim(ctx, jobs.Claim{Node: 1, Queue: "q", Kinds: []string{"k"}, Limit: 1}, t0)
			return err
		},
		"Settle": func() error {
			_, err := e.Settle(ctx, []jobs.Outcome{{Lease: leaseOf(running), State: jobs.Completed}}, t0)
			return err
		},
		"SaveProgress": func() error { return e.SaveProgress(ctx, leaseOf(running), jobs.Progress{Fraction: 1}) },
		"Promote":      func() error { _, err := e.Promote(ctx, 10, later); return err },
		"Rescue":       func() error { _, err := e.Rescue(ctx, later); return err },
	}
	for op, call := range calls {
		if err := call(); !errors.Is(err, ctx.Err()) || err.Error() != ctx.Err().Error() {
			e.Errorf("%s = %v, want %q: it must be told and a driver's words must not", op, err, ctx.Err())
		}
	}
	e.wantList(jobs.ListQuery{}, due.ID, waiting.ID, running.ID)
	e.wantState(waiting.ID, jobs.Ready, "nothing was to change")
	e.wantState(due.ID, jobs.Scheduled, "nothing was to change")
	if got := e.wantState(running.ID, jobs.Running, "nothing was to change"); got.Progress != (jobs.Progress{}) {
		e.Errorf("Progress is %+v, want none", got.Progress)
	}
}
