package jobstest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/jobs"
)

// limitEnv is what a case about limits works with.
type limitEnv struct {
	env
	jobs.LimitStore
}

type limitCase struct {
	name string
	run  func(e *limitEnv)
}

func limitKey(key string) func(*jobs.Insertion) {
	return func(j *jobs.Insertion) { j.LimitKey = key }
}

// limit puts the settings of queue "q".
func (e *limitEnv) limit(settings jobs.QueueSettings) {
	e.Helper()
	settings.Queue = "q"
	if err := e.PutQueue(e.ctx, settings); err != nil {
		e.Fatalf("PutQueue = %v", err)
	}
}

// fill stores n ready jobs.
func (e *limitEnv) fill(n int, changes ...func(*jobs.Insertion)) {
	e.Helper()
	all := make([]jobs.Insertion, n)
	for i := range all {
		all[i] = job(changes...)
	}
	e.insert(t0, all...)
}

// wantClaim claims up to limit jobs and wants so many of each tenant and limit key.
func (e *limitEnv) wantClaim(limit int, now time.Time, promise string, want map[jobs.LineKey]int) []jobs.Info {
	e.Helper()
	got := map[jobs.LineKey]int{}
	claimed := e.claim(1, limit, now)
	for _, info := range claimed {
		got[info.Line()]++
		e.wantStored(info, "Claim")
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		e.Errorf("Claim took %v, want %v: %s", got, want, promise)
	}
	return claimed
}

func (e *limitEnv) complete(all []jobs.Info) {
	e.Helper()
	for _, info := range all {
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed}, t0); err != nil {
			e.Fatalf("Settle = %v", err)
		}
	}
}

// line names the jobs of a tenant with a limit key.
func line(tenant, key string) jobs.LineKey { return jobs.LineKey{Tenant: tenant, Key: key} }

var limitCases = []limitCase{
	{"settings come back as they were put", func(e *limitEnv) {
		got, err := e.GetQueue(e.ctx, "q")
		if err != nil || !reflect.DeepEqual(got, jobs.QueueSettings{Queue: "q"}) {
			e.Errorf("GetQueue of no settings = %+v, %v", got, err)
		}
		want := jobs.QueueSettings{
			Queue: "q", Paused: true, MaxRunning: 1, MaxPerTenant: 2, MaxPerKey: 3,
			Rate: jobs.Rate{Count: 4, Per: time.Second}, RatePerKey: jobs.Rate{Count: 5, Per: time.Millisecond},
			Weights: map[string]int{"a": 2, "": 3},
		}
		for range 2 {
			if err := e.PutQueue(e.ctx, want); err != nil {
				e.Fatal(err)
			}
			if got, err = e.GetQueue(e.ctx, "q"); err != nil || !reflect.DeepEqual(got, want) {
				e.Errorf("GetQueue = %+v, %v; want %+v", got, err, want)
			}
			want = jobs.QueueSettings{Queue: "q", MaxRunning: 7}
		}
		for _, name := range []string{"b", "B", "a-b", "ab"} {
			if err := e.PutQueue(e.ctx, jobs.QueueSettings{Queue: name}); err != nil {
				e.Fatal(err)
			}
		}
		all, err := e.ListQueues(e.ctx)
		var names []string
		for _, s := range all {
			names = append(names, s.Queue)
		}
		if err != nil || !slices.Equal(names, []string{"B", "a-b", "ab", "b", "q"}) {
			e.Errorf("ListQueues = %v, %v; want them in the order of their bytes", names, err)
		}
	}},
	{"a pause changes nothing else and tells whether it is new", func(e *limitEnv) {
		want := jobs.QueueSettings{Queue: "q", MaxRunning: 7, Weights: map[string]int{"a": 2}}
		e.limit(want)
		for _, queue := range []string{"q", "of no settings"} {
			for i, paused := range []bool{false, true, true, false, false} {
				changed, err := e.PauseQueue(e.ctx, queue, paused)
				if isNew := i == 1 || i == 3; err != nil || changed != isNew {
					e.Errorf("call %d of PauseQueue(%s, %t) = %t, %v; want %t", i, queue, paused, changed, err, isNew)
				}
				if got, err := e.GetQueue(e.ctx, queue); err != nil || got.Paused != paused {
					e.Errorf("GetQueue after call %d = %+v, %v", i, got, err)
				}
			}
		}
		if got, err := e.GetQueue(e.ctx, "q"); err != nil || !reflect.DeepEqual(got, want) {
			e.Errorf("GetQueue = %+v, %v; want %+v", got, err, want)
		}
	}},
	{"a pause and other settings that change at the same time keep each other", func(e *limitEnv) {
		const most = 50
		atOnce(4, func(worker int) {
			for i := range most {
				var err error
				if worker == 0 {
					err = e.PutQueue(e.ctx, jobs.QueueSettings{Queue: "q", MaxRunning: i + 1})
				} else {
					_, err = e.PauseQueue(e.ctx, "q", i%2 == 0)
				}
				if err != nil {
					e.Errorf("call %d = %v", i, err)
				}
			}
		})
		if got, err := e.GetQueue(e.ctx, "q"); err != nil || got.MaxRunning != most {
			e.Errorf("GetQueue = %+v, %v; want the last MaxRunning, %d", got, err, most)
		}
	}},
	{"settings are replaced only by whoever knows them", func(e *limitEnv) {
		none := jobs.QueueSettings{Queue: "q"}
		first := jobs.QueueSettings{Queue: "q", MaxRunning: 7, Rate: jobs.Rate{Count: 4, Per: time.Second}, Weights: map[string]int{"a": 2}}
		if err := e.ReplaceQueue(e.ctx, first, none); !errors.Is(err, jobs.ErrConflict) {
			e.Errorf("ReplaceQueue of settings that are not there = %v, want ErrConflict", err)
		}
		if all, err := e.ListQueues(e.ctx); err != nil || len(all) > 0 {
			e.Errorf("ListQueues after a refusal = %v, %v; want none", all, err)
		}
		for _, known := range []jobs.QueueSettings{none, first} {
			if err := e.ReplaceQueue(e.ctx, known, first); err != nil {
				e.Errorf("ReplaceQueue of %+v = %v", known, err)
			}
		}
		other := first
		other.Weights = map[string]int{"a": 3}
		for _, known := range []jobs.QueueSettings{none, other} {
			if err := e.ReplaceQueue(e.ctx, known, none); !errors.Is(err, jobs.ErrConflict) {
				e.Errorf("ReplaceQueue of %+v = %v, want ErrConflict", known, err)
			}
		}
		if got, err := e.GetQueue(e.ctx, "q"); err != nil || !reflect.DeepEqual(got, first) {
			e.Errorf("GetQueue = %+v, %v; want %+v", got, err, first)
		}
	}},
	{"of callers who know the same settings one replaces them", func(e *limitEnv) {
		for _, known := range []jobs.QueueSettings{{Queue: "q"}, {Queue: "other", Paused: true}} {
			if known.Paused {
				if _, err := e.PauseQueue(e.ctx, known.Queue, true); err != nil {
					e.Fatal(err)
				}
			}
			var won atomic.Int32
			atOnce(4, func(worker int) {
				err := e.ReplaceQueue(e.ctx, known, jobs.QueueSettings{Queue: known.Queue, MaxRunning: worker + 1})
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, jobs.ErrConflict) {
					e.Errorf("ReplaceQueue = %v", err)
				}
			})
			if n := won.Load(); n != 1 {
				e.Errorf("%d callers replaced %+v, want 1", n, known)
			}
		}
	}},
	{"a paused queue rests and others do not", func(e *limitEnv) {
		e.join(1, t0)
		e.limit(jobs.QueueSettings{Paused: true})
		e.fill(2)
		e.wantClaim(10, t0, "it is paused", map[jobs.LineKey]int{})
		e.insert(t0, job(queue("other")))
		got, err := e.Claim(e.ctx, jobs.Claim{Node: 1, Queue: "other", Kinds: []string{"k"}, Limit: 10}, t0)
		if err != nil || len(got) != 1 {
			e.Errorf("Claim of another queue = %d jobs, %v; want 1", len(got), err)
		}
		e.limit(jobs.QueueSettings{})
		e.wantClaim(10, t0, "it was resumed", map[jobs.LineKey]int{line("a", ""): 2})
	}},
	{"no more jobs of a queue run than its limit", func(e *limitEnv) {
		e.join(1, t0)
		e.limit(jobs.QueueSettings{MaxRunning: 3})
		e.fill(10)
		first := e.wantClaim(2, t0, "below the limit", map[jobs.LineKey]int{line("a", ""): 2})
		e.wantClaim(10, t0, "one is left", map[jobs.LineKey]int{line("a", ""): 1})
		e.wantClaim(10, t0, "none is left", map[jobs.LineKey]int{})
		e.complete(first)
		e.wantClaim(10, t0, "two have ended", map[jobs.LineKey]int{line("a", ""): 2})
	}},
	{"no more jobs of a tenant run than its limit", func(e *limitEnv) {
		e.join(1, t0)
		e.limit(jobs.QueueSettings{MaxPerTenant: 2})
		e.fill(5)
		e.fill(1, tenant("b"))
		e.fill(3, limitKey("x"))
		e.wantClaim(10, t0, "two of one and what the other has", map[jobs.LineKey]int{line("a", ""): 1, line("a", "x"): 1, line("b", ""): 1})
		e.fill(3, tenant("b"))
		e.wantClaim(10, t0, "one tenant has one left", map[jobs.LineKey]int{line("b", ""): 1})
	}},
	{"no more jobs with a key run than its limit", func(e *limitEnv) {
		e.join(1, t0)
		e.limit(jobs.QueueSettings{MaxPerKey: 2})
		e.fill(20, limitKey("x"))
		e.fill(4, limitKey("y"))
		e.fill(3, limitKey("x"), tenant("b"))
		e.fill(5)
		first := e.wantClaim(50, t0, "each key of each tenant, and all without one", map[jobs.LineKey]int{
			line("a", "x"): 2, line("a", "y"): 2, line("b", "x"): 2, line("a", ""): 5,
		})
		e.wantClaim(50, t0, "all keys are full", map[jobs.LineKey]int{})
		e.complete(slices.DeleteFunc(first, func(j jobs.Info) bool { return j.Line() != line("a", "x") }))
		e.wantClaim(50, t0, "one key has room", map[jobs.LineKey]int{line("a", "x"): 2})
	}},
	{"several limits hold together", func(e *limitEnv) {
		e.join(1, t0)
		e.limit(jobs.QueueSettings{MaxRunning: 5, MaxPerTenant: 3, MaxPerKey: 1})
		e.fill(5, limitKey("x"))
		e.fill(5, limitKey("y"))
		e.fill(5)
		e.fill(5, tenant("b"))
		e.wantClaim(50, t0, "5 of all, 3 of a tenant, 1 of a key", map[jobs.LineKey]int{
			line("a", ""): 1, line("a", "x"): 1, line("a", "y"): 1, line("b", ""): 2,
		})
	}},
	{"jobs of a queue start at its rate", func(e *limitEnv) {
		e.join(1, t0)
		e.limit(jobs.QueueSettings{Rate: jobs.Rate{Count: 4, Per: 4 * time.Second}})
		e.fill(20)
		now := t0
		for i, want := range []int{4, 0, 1, 1, 4, 0} {
			if got := len(e.claim(1, 10, now)); got != want {
				e.Errorf("claim %d took %d jobs, want %d", i, got, want)
			}
			now = now.Add([]time.Duration{999 * time.Millisecond, time.Millisecond, time.Second, 5 * time.Second, 0, 0}[i])
		}
	}},
	{"jobs with a key start at its rate", func(e *limitEnv) {
		e.join(1, t0)
		e.limit(jobs.QueueSettings{RatePerKey: jobs.Rate{Count: 2, Per: 2 * time.Second}})
		e.fill(5, limitKey("x"))
		e.fill(5, limitKey("x"), tenant("b"))
		e.fill(3)
		e.wantClaim(50, t0, "two of each key", map[jobs.LineKey]int{line("a", "x"): 2, line("b", "x"): 2, line("a", ""): 3})
		e.wantClaim(50, t0.Add(time.Second), "one of each a second later", map[jobs.LineKey]int{line("a", "x"): 1, line("b", "x"): 1})
	}},
	{"weights say who gets how much", func(e *limitEnv) {
		e.join(1, t0)
		e.limit(jobs.QueueSettings{Weights: map[string]int{"a": 3}})
		e.fill(100)
		e.fill(100, tenant("b"))
		e.wantClaim(40, t0, "3 to 1", map[jobs.LineKey]int{line("a", ""): 30, line("b", ""): 10})
		for range 20 { // place by place
			e.claim(1, 1, t0)
		}
		total := map[string]int{}
		all, err := e.List(e.ctx, jobs.ListQuery{Tenant: "a", States: []jobs.State{jobs.Running}, Limit: 1000})
		total["a"] = len(all)
		if err != nil || total["a"] != 45 {
			e.Errorf("%d of 60 running jobs are those of the heavier tenant, %v; want 45", total["a"], err)
		}
	}},
	{"keys of a tenant share its places", func(e *limitEnv) {
		e.join(1, t0)
		e.fill(30, limitKey("x"))
		e.fill(2, limitKey("y"))
		e.fill(30)
		e.fill(30, tenant("b"))
		e.wantClaim(20, t0, "half for each tenant, and of that as much for each key", map[jobs.LineKey]int{
			line("a", ""): 4, line("a", "x"): 4, line("a", "y"): 2, line("b", ""): 10,
		})
	}},
	{"lines that are full do not hide one that is not", func(e *limitEnv) {
		e.join(1, t0)
		e.limit(jobs.QueueSettings{MaxPerTenant: 1})
		for i := range 150 {
			e.fill(2, tenant(fmt.Sprintf("t%03d", i)))
		}
		for range 8 {
			e.claim(1, 1000, t0)
		}
		e.insert(t0, job(tenant("late")))
		for range 4 {
			if got := e.claim(1, 10, t0); len(got) == 1 && got[0].Tenant == "late" {
				return
			}
		}
		e.Error("4 claims did not find the one tenant that may start a job")
	}},
	{"limits hold for claims at once", func(e *limitEnv) {
		const nodes = 6
		e.limit(jobs.QueueSettings{MaxRunning: 7, MaxPerTenant: 5, MaxPerKey: 3, Rate: jobs.Rate{Count: 100, Per: time.Hour}})
		for _, name := range []string{"a", "b"} {
			e.fill(40, tenant(name), limitKey("x"))
			e.fill(40, tenant(name))
		}
		for n := range nodes {
			e.join(jobs.NodeID(n+1), t0)
		}
		var started, running atomic.Int32
		atOnce(nodes, func(n int) {
			for range 8 {
				got, err := e.Claim(e.ctx, jobs.Claim{Node: jobs.NodeID(n + 1), Queue: "q", Kinds: []string{"k"}, Limit: 4}, t0)
				if err != nil {
					e.Errorf("Claim = %v", err)
				}
				started.Add(int32(len(got)))
				if n := running.Add(int32(len(got))); n > 7 {
					e.Errorf("%d jobs of the queue run, want at most 7", n)
				}
				e.wantWithin(5, 3)
				for _, info := range got {
					running.Add(-1) // before it counts no more
					if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed}, t0); err != nil {
						e.Errorf("Settle = %v", err)
					}
				}
			}
		})
		if n := started.Load(); n > 100 || n == 0 {
			e.Errorf("%d jobs were started, want at most the rate's 100", n)
		}
	}},
	{"a context that has ended changes nothing", func(e *limitEnv) {
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		put := e.PutQueue(ctx, jobs.QueueSettings{Queue: "q", Paused: true})
		_, pause := e.PauseQueue(ctx, "q", true)
		replace := e.ReplaceQueue(ctx, jobs.QueueSettings{Queue: "q"}, jobs.QueueSettings{Queue: "q", Paused: true})
		_, get := e.GetQueue(ctx, "q")
		_, list := e.ListQueues(ctx)
		for i, err := range []error{put, pause, replace, get, list} {
			if !errors.Is(err, context.Canceled) || err.Error() != context.Canceled.Error() {
				e.Errorf("call %d = %v, want the context's error alone", i, err)
			}
		}
		if got, err := e.GetQueue(e.ctx, "q"); err != nil || got.Paused {
			e.Errorf("GetQueue = %+v, %v; want no settings", got, err)
		}
	}},
}

// wantWithin looks at what runs of each tenant alone: two looks are no instant.
func (e *limitEnv) wantWithin(perTenant, perKey int) {
	e.Helper()
	for _, name := range []string{"a", "b"} {
		running, err := e.List(e.ctx, jobs.ListQuery{Tenant: name, States: []jobs.State{jobs.Running}, Limit: 100})
		keyed := slices.DeleteFunc(slices.Clone(running), func(j jobs.Info) bool { return j.LimitKey == "" })
		if err != nil || len(running) > perTenant || len(keyed) > perKey {
			e.Errorf("%d jobs of a tenant run and %d with one key, %v; want at most %d and %d", len(running), len(keyed), err, perTenant, perKey)
		}
	}
}
