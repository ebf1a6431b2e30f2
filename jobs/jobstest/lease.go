package jobstest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/levqor/sdk/jobs"
)

var beatCases = []testCase{
	{"a heartbeat renews the lease", func(e *env) {
		info := e.claimed()
		e.beat(t0.Add(lease-time.Second), leaseOf(info))
		e.wantRescued(t0.Add(lease), 0)
		e.wantState(info.ID, jobs.Running, "its node is alive")
		e.wantRescued(t0.Add(2*lease-time.Second), 1)
	}},
	{"a lease that has run out is renewed if nobody came", func(e *env) {
		info := e.claimed()
		e.beat(t0.Add(2*lease), leaseOf(info))
		e.wantRescued(t0.Add(2*lease), 0)
		e.wantState(info.ID, jobs.Running, "its node is back")
	}},
	{"a node that was rescued or never joined has lost its lease", func(e *env) {
		e.join(1, t0)
		e.wantRescued(t0.Add(lease), 0)
		for _, node := range []jobs.NodeID{1, 99} {
			_, err := e.Beat(e.ctx, node, lease, nil, t0)
			e.wantErr(err, jobs.ErrLeaseLost, "there is no such node")
		}
	}},
	{"it tells which jobs are lost", func(e *env) {
		e.join(1, t0)
		e.insert(t0, job(), job(), job())
		held := e.claim(1, 3, t0)
		if len(held) != 3 {
			e.Fatalf("Claim returned %d jobs, want 3", len(held))
		}
		if _, err := e.Cancel(e.ctx, "a", held[0].ID, t0); err != nil {
			e.Fatalf("Cancel = %v", err)
		}
		stale := leaseOf(held[1])
		stale.Epoch = 9
		lost := e.beat(t0, leaseOf(held[0]), stale, leaseOf(held[2]))
		slices.Sort(lost)
		want := []jobs.ID{held[0].ID, held[1].ID}
		slices.Sort(want)
		if !slices.Equal(lost, want) {
			e.Errorf("Beat = %v, want the cancelled job and the one with a stale epoch, %v", lost, want)
		}
	}},
	{"jobs whose claim got lost on the way become ready after a lease", func(e *env) {
		info := e.claimed()
		if lost := e.beat(t0.Add(lease)); len(lost) != 0 {
			e.Errorf("Beat = %v, want nothing lost", lost)
		}
		e.wantState(info.ID, jobs.Running, "the answer to the claim may still be on its way")
		e.beat(t0.Add(lease + time.Microsecond))
		got := e.wantState(info.ID, jobs.Ready, "the node does not know of it")
		if got.Attempt != 0 || len(got.Attempts) != 0 {
			e.Errorf("attempt %d with %d failures, want an attempt that does not count", got.Attempt, len(got.Attempts))
		}
	}},
	{"long jobs that the node holds stay with it", func(e *env) {
		info := e.claimed()
		for i := range 5 {
			e.beat(t0.Add(time.Duration(i)*lease), leaseOf(info))
		}
		e.wantState(info.ID, jobs.Running, "its node holds it")
	}},
}

// beat sends a heartbeat of node 1.
func (e *env) beat(now time.Time, held ...jobs.Lease) []jobs.ID {
	e.Helper()
	lost, err := e.Beat(e.ctx, 1, lease, held, now)
	if err != nil {
		e.Fatalf("Beat = %v", err)
	}
	return lost
}

var leaveCases = []testCase{
	{"jobs that it holds become ready and do not count the attempt", func(e *env) {
		info := e.claimed()
		if err := e.Leave(e.ctx, 1, t0); err != nil {
			e.Fatalf("Leave = %v", err)
		}
		got := e.wantState(info.ID, jobs.Ready, "its node has left")
		if got.Attempt != 0 || len(got.Attempts) != 0 {
			e.Errorf("attempt %d with %d failures, want an attempt that does not count", got.Attempt, len(got.Attempts))
		}
		e.wantErr(e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed}, t0), jobs.ErrLeaseLost, "the job was handed back")
	}},
	{"a node that has left gets no jobs", func(e *env) {
		e.join(1, t0)
		e.insert(t0, job())
		if err := e.Leave(e.ctx, 1, t0); err != nil {
			e.Fatalf("Leave = %v", err)
		}
		if got := e.claim(1, 1, t0); len(got) != 0 {
			e.Errorf("Claim gave %d jobs to a node that has left", len(got))
		}
	}},
	{"others keep theirs, and leaving twice is no error", func(e *env) {
		info := e.claimed()
		for range 2 {
			if err := e.Leave(e.ctx, 2, t0); err != nil {
				e.Fatalf("Leave = %v", err)
			}
		}
		e.wantState(info.ID, jobs.Running, "another node left")
	}},
}

var rescueCases = []testCase{
	{"jobs of a node whose lease has run out become ready and count the attempt", func(e *env) {
		info := e.claimed()
		e.wantRescued(t0.Add(lease), 1)
		got := e.wantState(info.ID, jobs.Ready, "its node's lease has run out")
		if got.Attempt != 1 || len(got.Attempts) != 1 || got.Attempts[0].Number != 1 || got.Attempts[0].Error == "" {
			e.Fatalf("attempt %d with failures %+v, want the lost attempt", got.Attempt, got.Attempts)
		}
		e.wantTime(got.Attempts[0].FinishedAt, t0.Add(lease), "FinishedAt of the attempt")
		e.join(2, t0.Add(lease))
		if again := e.claim(2, 1, t0.Add(lease)); len(again) != 1 || again[0].Epoch != 2 || again[0].Attempt != 2 {
			e.Errorf("Claim = %+v, want the second attempt under epoch 2", again)
		}
	}},
	{"a job on its last attempt is discarded", func(e *env) {
		info := e.claimed(attempts(1))
		e.wantRescued(t0.Add(lease), 1)
		got := e.wantState(info.ID, jobs.Discarded, "it was its last attempt")
		e.wantTime(got.FinishedAt, t0.Add(lease), "FinishedAt")
	}},
	{"what the slow node says later is refused", func(e *env) {
		info := e.claimed()
		e.wantRescued(t0.Add(lease), 1)
		e.wantErr(e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed}, t0), jobs.ErrLeaseLost, "the job was taken back")
		e.join(2, t0.Add(lease))
		if got := e.claim(2, 1, t0.Add(lease)); len(got) != 1 {
			e.Fatalf("Claim returned %d jobs, want the one taken back", len(got))
		}
		e.wantErr(e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed}, t0), jobs.ErrLeaseLost, "another node has it")
		e.wantErr(e.SaveProgress(e.ctx, leaseOf(info), jobs.Progress{}), jobs.ErrLeaseLost, "another node has it")
	}},
	{"jobs of nodes that are alive stay with them", func(e *env) {
		info := e.claimed()
		e.wantRescued(t0.Add(lease-time.Microsecond), 0)
		e.wantState(info.ID, jobs.Running, "its node's lease has not run out")
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed}, t0); err != nil {
			e.Errorf("Settle = %v, want the outcome of a node that is alive recorded", err)
		}
	}},
	{"only the dead node's jobs are taken", func(e *env) {
		e.join(1, t0)
		e.join(2, t0.Add(time.Second))
		e.insert(t0, job(), job())
		first, second := e.claim(1, 1, t0), e.claim(2, 1, t0)
		if len(first) != 1 || len(second) != 1 {
			e.Fatalf("Claim returned %d and %d jobs, want 1 each", len(first), len(second))
		}
		e.wantRescued(t0.Add(lease), 1)
		e.wantState(first[0].ID, jobs.Ready, "its node is dead")
		e.wantState(second[0].ID, jobs.Running, "its node is alive")
	}},
}

func (e *env) wantRescued(now time.Time, want int) {
	e.Helper()
	n, err := e.Rescue(e.ctx, now)
	if err != nil || n != want {
		e.Errorf("Rescue = %d, %v; want %d", n, err, want)
	}
}

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
	}},
}

var errorCases = []testCase{
	{"a call whose context has ended says so and nothing more", func(e *env) {
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		e.wantOpaque("Insert", func() error { _, err := e.Insert(ctx, []jobs.Insertion{job()}, t0); return err })
		e.wantOpaque("Get", func() error { _, err := e.Get(ctx, "a", 1); return err })
		e.wantOpaque("List", func() error { _, err := e.List(ctx, jobs.ListQuery{Limit: 1}); return err })
		e.wantOpaque("Cancel", func() error { _, err := e.Cancel(ctx, "a", 1, t0); return err })
		e.wantOpaque("Retry", func() error { _, err := e.Retry(ctx, "a", 1, t0); return err })
		e.wantOpaque("Join", func() error { return e.Join(ctx, jobs.Node{ID: 1}, lease, t0) })
		e.wantOpaque("Beat", func() error { _, err := e.Beat(ctx, 1, lease, nil, t0); return err })
		e.wantOpaque("Leave", func() error { return e.Leave(ctx, 1, t0) })
		e.wantOpaque("Claim", func() error {
			_, err := e.Claim(ctx, jobs.Claim{Node: 1, Queue: "q", Kinds: []string{"k"}, Limit: 1}, t0)
			return err
		})
		e.wantOpaque("Settle", func() error {
			_, err := e.Settle(ctx, []jobs.Outcome{{Lease: jobs.Lease{ID: 1}, State: jobs.Completed}}, t0)
			return err
		})
		e.wantOpaque("SaveProgress", func() error { return e.SaveProgress(ctx, jobs.Lease{ID: 1}, jobs.Progress{}) })
		e.wantOpaque("Promote", func() error { _, err := e.Promote(ctx, 1, t0); return err })
		e.wantOpaque("Rescue", func() error { _, err := e.Rescue(ctx, t0); return err })
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

// wantOpaque wants a call whose context was cancelled to succeed all the same,
// as a store in memory may, or to give the context's error or a kind of this
// package, in words that say nothing else.
func (e *env) wantOpaque(op string, call func() error) {
	e.Helper()
	err := call()
	if err == nil {
		return
	}
	known := []error{context.Canceled, jobs.ErrNotFound, jobs.ErrConflict, jobs.ErrLeaseLost, jobs.ErrUnavailable}
	if !slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) && strings.HasSuffix(k.Error(), err.Error()) }) {
		e.Errorf("%s = %q, want the text of a kind alone: a driver's words must not reach callers", op, err)
	}
}
