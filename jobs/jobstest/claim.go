package jobstest

import (
	"slices"
	"sync"
	"time"

	"github.com/levqor/sdk/jobs"
)

var claimCases = []testCase{
	{"a job becomes running with its attempt, epoch and start", func(e *env) {
		e.join(1, t0)
		in := e.insert(t0, job())[0]
		claimed := e.claim(1, 1, t0.Add(time.Second))
		if len(claimed) != 1 {
			e.Fatalf("Claim returned %d jobs, want 1", len(claimed))
		}
		for _, got := range []jobs.Info{claimed[0], e.get(in.ID)} {
			if got.State != jobs.Running || got.Attempt != 1 || got.Epoch != 1 {
				e.Errorf("the job is %s, attempt %d, epoch %d; want running, 1, 1", got.State, got.Attempt, got.Epoch)
			}
			e.wantTime(got.StartedAt, t0.Add(time.Second), "StartedAt")
		}
		e.wantStored(claimed[0], "Claim")
	}},
	{"the order is priority, RunAt, ID, and priority is worth so many minutes", func(e *env) {
		e.join(1, t0)
		fourth := job(runAt(t0.Add(-time.Minute)))
		second := job(priority(1), runAt(t0.Add(-time.Second)))
		fifth, sixth := job(), job()
		third := job(runAt(t0.Add(-jobs.PriorityStep)))
		last := job(priority(9), runAt(t0.Add(-3*jobs.PriorityStep)))
		first := job(priority(9), runAt(t0.Add(-9*jobs.PriorityStep)))
		e.insert(t0, fourth, second, fifth, sixth, third, last, first)
		want := []jobs.ID{first.ID, second.ID, third.ID, fourth.ID, fifth.ID, sixth.ID, last.ID}
		var got []jobs.ID
		for range 4 { // two at a time, so the order holds within a claim and across claims
			for _, info := range e.claim(1, 2, t0) {
				got = append(got, info.ID)
			}
		}
		if !slices.Equal(got, want) {
			e.Errorf("Claim gave %v, want %v", got, want)
		}
	}},
	{"tenants share the places of a claim", func(e *env) {
		e.join(1, t0)
		for range 20 {
			e.insert(t0.Add(-time.Hour), job(tenant("flood"), priority(1)))
		}
		e.insert(t0, job(tenant("a")), job(tenant("b")), job(tenant("b")))
		count := map[string]int{}
		for _, got := range e.claim(1, 10, t0) {
			count[got.Tenant]++
		}
		if count["a"] != 1 || count["b"] != 2 || count["flood"] != 7 {
			e.Errorf("the shares are %v, want all of the two that have few", count)
		}
	}},
	{"tenants take turns where there are more than places", func(e *env) {
		e.join(1, t0)
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			e.insert(t0, job(tenant(name)), job(tenant(name)), job(tenant(name)))
		}
		seen := map[string]int{}
		for range 5 {
			for _, got := range e.claim(1, 2, t0) {
				seen[got.Tenant]++
			}
		}
		for name, n := range seen {
			if n != 2 {
				e.Errorf("tenant %s was served %d times in 5 claims of 2, want 2", name, n)
			}
		}
	}},
	{"jobs that wait for their time are left alone", func(e *env) {
		e.join(1, t0)
		e.insert(t0, job(delay(time.Hour)))
		if got := e.claim(1, 10, t0); len(got) != 0 {
			e.Errorf("Claim returned %d scheduled jobs", len(got))
		}
	}},
	{"other queues and unknown kinds are left alone", func(e *env) {
		e.join(1, t0)
		e.insert(t0, job(queue("other")), job(kind("other")))
		if got := e.claim(1, 10, t0); len(got) != 0 {
			e.Errorf("Claim returned %d jobs of another queue or kind", len(got))
		}
		got, err := e.Claim(e.ctx, jobs.Claim{Node: 1, Queue: "q", Kinds: []string{"k", "other"}, Limit: 10}, t0)
		if err != nil || len(got) != 1 {
			e.Errorf("Claim = %d jobs, %v; want the one whose kind was named", len(got), err)
		}
	}},
	{"no kinds means no jobs", func(e *env) {
		e.join(1, t0)
		e.insert(t0, job())
		got, err := e.Claim(e.ctx, jobs.Claim{Node: 1, Queue: "q", Limit: 10}, t0)
		if err != nil || len(got) != 0 {
			e.Errorf("Claim = %d jobs, %v; want none", len(got), err)
		}
	}},
	{"all tenants are served", func(e *env) {
		e.join(1, t0)
		e.insert(t0, job(), job(tenant("b")), job(tenant("")))
		if got := e.claim(1, 10, t0); len(got) != 3 {
			e.Errorf("Claim returned %d jobs, want those of 3 tenants", len(got))
		}
	}},
	{"a running job is not claimed again", func(e *env) {
		e.claimed()
		if got := e.claim(1, 10, t0); len(got) != 0 {
			e.Errorf("Claim returned %d running jobs", len(got))
		}
	}},
	{"a node that never joined gets none", func(e *env) {
		e.insert(t0, job())
		if got := e.claim(99, 10, t0); len(got) != 0 {
			e.Errorf("Claim gave %d jobs to a node without a lease", len(got))
		}
	}},
	{"a node whose lease has run out gets none", func(e *env) {
		e.join(1, t0)
		e.insert(t0, job())
		if got := e.claim(1, 10, t0.Add(lease)); len(got) != 0 {
			e.Errorf("Claim gave %d jobs to a node whose lease has run out", len(got))
		}
	}},
	{"a node gets jobs again after a heartbeat", func(e *env) {
		e.join(1, t0)
		e.insert(t0, job())
		e.beat(t0.Add(lease))
		if got := e.claim(1, 1, t0.Add(lease)); len(got) != 1 {
			e.Errorf("Claim returned %d jobs, want 1: the heartbeat renewed the lease", len(got))
		}
	}},
	{"no job goes to two callers, and none is left behind", claimsAtOnce},
}

// claimsAtOnce lets many nodes claim at the same time. Each claim asks for less
// than there is, so one that comes back short while jobs are ready has waited
// for another's rows instead of passing over them.
func claimsAtOnce(e *env) {
	const nodes, batch, rounds = 8, 5, 10
	all := make([]jobs.Insertion, nodes*batch*rounds)
	for i := range all {
		all[i] = job()
	}
	e.insert(t0, all...)
	for n := range nodes {
		e.join(jobs.NodeID(n+1), t0)
	}
	var mu sync.Mutex
	holders, short := map[jobs.ID]int{}, 0
	atOnce(nodes, func(n int) {
		for range rounds {
			got, err := e.Claim(e.ctx, jobs.Claim{Node: jobs.NodeID(n + 1), Queue: "q", Kinds: []string{"k"}, Limit: batch}, t0)
			if err != nil || len(got) > batch {
				e.Errorf("Claim = %d jobs, %v; want %d", len(got), err, batch)
			}
			mu.Lock()
			if len(got) < batch {
				short++
			}
			for _, info := range got {
				holders[info.ID]++
			}
			mu.Unlock()
		}
	})
	for id, n := range holders {
		if n > 1 {
			e.Errorf("job %s went to %d callers", id, n)
		}
	}
	if short > 0 {
		e.Errorf("%d of %d claims came back short though enough jobs were ready: they must pass over what others hold", short, nodes*rounds)
	}
	if len(holders) != len(all) {
		e.Errorf("%d of %d jobs were claimed", len(holders), len(all))
	}
}
