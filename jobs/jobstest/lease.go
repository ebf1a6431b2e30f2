package jobstest

import (
	"slices"
	"sync/atomic"
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
	{"jobs of other nodes are none of its business", func(e *env) {
		info := e.claimed()
		e.join(2, t0)
		if lost, err := e.Beat(e.ctx, 2, lease, nil, t0.Add(2*lease)); err != nil || len(lost) != 0 {
			e.Errorf("Beat = %v, %v; want nothing lost", lost, err)
		}
		e.wantState(info.ID, jobs.Running, "another node holds it")
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
		if len(got.Attempts) != 1 {
			e.Errorf("Attempts = %+v, want the lost attempt", got.Attempts)
		}
	}},
	{"of many callers at once one takes a job back", func(e *env) {
		const nodes, each = 4, 5
		for n := range nodes {
			e.join(jobs.NodeID(n+1), t0)
			all := make([]jobs.Insertion, each)
			for i := range all {
				all[i] = job()
			}
			e.insert(t0, all...)
			e.claim(jobs.NodeID(n+1), each, t0)
		}
		var total atomic.Int64
		atOnce(8, func(int) {
			n, err := e.Rescue(e.ctx, t0.Add(lease))
			if err != nil {
				e.Errorf("Rescue = %v", err)
			}
			total.Add(int64(n))
		})
		if total.Load() != nodes*each {
			e.Errorf("the callers took %d jobs back together, want each of the %d once", total.Load(), nodes*each)
		}
		page, err := e.List(e.ctx, jobs.ListQuery{Tenant: "a", States: []jobs.State{jobs.Ready}, Limit: 100})
		if err != nil || len(page) != nodes*each {
			e.Fatalf("List = %d ready jobs, %v; want %d", len(page), err, nodes*each)
		}
		for _, info := range page {
			if len(info.Attempts) != 1 || info.Attempt != 1 {
				e.Errorf("job %s lost %d attempts, want 1", info.ID, len(info.Attempts))
			}
		}
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
