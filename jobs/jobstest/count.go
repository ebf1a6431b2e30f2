package jobstest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/levqor/sdk/jobs"
)

// countEnv is what a case about counts works with.
type countEnv struct {
	env
	jobs.CountStore
}

type countCase struct {
	name string
	run  func(e *countEnv)
}

// recount calls Recount as a worker does until the jobs are counted at an instant or
// later, and returns when that was.
func (e *countEnv) recount(now time.Time) time.Time {
	e.Helper()
	for begun := now; e.ctx.Err() == nil; {
		wait, err := e.Recount(e.ctx, now)
		if err != nil {
			e.Fatalf("Recount = %v", err)
		}
		if wait < 0 || wait > time.Minute {
			e.Fatalf("Recount wants to be called after %v, want a minute at most", wait)
		}
		counts, err := e.CountsOfAll(e.ctx, now)
		if err != nil {
			e.Fatalf("CountsOfAll = %v", err)
		}
		if !counts.CountedAt.Before(begun) {
			return now
		}
		now = now.Add(max(wait, time.Millisecond))
	}
	e.Fatal("Recount never counts")
	return now
}

// listed counts the jobs of tenants one by one.
func (e *countEnv) listed(tenants ...string) map[string]jobs.StateCounts {
	e.Helper()
	var counts jobs.Counts
	for _, tenant := range tenants {
		query := jobs.ListQuery{Tenant: tenant, Limit: 100}
		for {
			page, err := e.List(e.ctx, query)
			if err != nil {
				e.Fatalf("List = %v", err)
			}
			for _, info := range page {
				counts.Add(info.Queue, info.State, 1)
				query.Before = info.ID
			}
			if len(page) < query.Limit {
				break
			}
		}
	}
	return counts.Queues
}

// wantListed wants the counts to be what List shows.
func (e *countEnv) wantListed(now time.Time, promise string, tenants ...string) {
	e.Helper()
	for _, tenant := range tenants {
		got, err := e.Counts(e.ctx, tenant, now)
		if want := e.listed(tenant); err != nil || fmt.Sprint(got.Queues) != fmt.Sprint(want) {
			e.Errorf("Counts of %q = %v, %v; want %v as listed: %s", tenant, got.Queues, err, want, promise)
		}
	}
	got, err := e.CountsOfAll(e.ctx, now)
	if want := e.listed(tenants...); err != nil || fmt.Sprint(got.Queues) != fmt.Sprint(want) {
		e.Errorf("CountsOfAll = %v, %v; want %v as listed: %s", got.Queues, err, want, promise)
	}
}

// wantOver wants how many jobs of tenant "a" in queue "q" are over, without a recount.
func (e *countEnv) wantOver(state jobs.State, want int, promise string) {
	e.Helper()
	got, err := e.Counts(e.ctx, "a", t0)
	if err != nil || got.Queues["q"][state] != want {
		e.Errorf("Counts = %v, %v; want %d %s: %s", got.Queues, err, want, state, promise)
	}
	all, err := e.CountsOfAll(e.ctx, t0)
	if err != nil || all.Queues["q"][state] != want {
		e.Errorf("CountsOfAll = %v, %v; want %d %s: %s", all.Queues, err, want, state, promise)
	}
}

var countCases = []countCase{
	{"an empty store has no queues", func(e *countEnv) {
		now := e.recount(t0)
		got, err := e.Counts(e.ctx, "a", now)
		if err != nil || len(got.Queues) > 0 {
			e.Errorf("Counts = %v, %v", got, err)
		}
		all, err := e.CountsOfAll(e.ctx, now)
		if err != nil || len(all.Queues) > 0 {
			e.Errorf("CountsOfAll = %v, %v", all, err)
		}
		e.wantTime(all.CountedAt, now, "CountedAt")
	}},
	{"jobs count by tenant, queue and state", func(e *countEnv) {
		e.everyState()
		e.insert(t0, job(tenant("b")), job(tenant("b"), queue("other")), job(tenant("b"), delay(time.Hour)), job(tenant(""), queue("it's")))
		now := e.recount(t0)
		e.wantListed(now, "every state", "a", "b", "", "nobody")
	}},
	{"what is over counts at once", func(e *countEnv) {
		now := e.recount(t0)
		e.everyState()
		for _, state := range []jobs.State{jobs.Completed, jobs.Discarded, jobs.Cancelled} {
			e.wantOver(state, 1, "nobody has counted since")
		}
		e.recount(now.Add(time.Second))
		for _, state := range []jobs.State{jobs.Completed, jobs.Discarded, jobs.Cancelled} {
			e.wantOver(state, 1, "a recount changes nothing about it")
		}
	}},
	{"an outcome counts whether it names its job's tenant and queue or not", func(e *countEnv) {
		e.join(1, t0)
		e.insert(t0, job(), job(), job())
		var outcomes []jobs.Outcome
		for i, info := range e.claim(1, 3, t0) {
			out := jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed}
			if i > 0 {
				out.Tenant, out.Queue = info.Tenant, info.Queue
			}
			outcomes = append(outcomes, out)
		}
		if results, err := e.Settle(e.ctx, outcomes, t0); err != nil || errors.Join(results...) != nil {
			e.Fatalf("Settle = %v, %v", results, err)
		}
		e.wantOver(jobs.Completed, 3, "all were settled")
	}},
	{"a lease that is lost counts nothing", func(e *countEnv) {
		info := e.claimed()
		out := jobs.Outcome{Lease: leaseOf(info), Tenant: info.Tenant, Queue: info.Queue, State: jobs.Completed}
		late := out
		late.Lease.Epoch--
		for range 2 {
			if _, err := e.Settle(e.ctx, []jobs.Outcome{late, out, out}, t0); err != nil {
				e.Fatalf("Settle = %v", err)
			}
		}
		e.wantOver(jobs.Completed, 1, "the others were refused")
	}},
	{"a retry takes back what it makes ready", func(e *countEnv) {
		cancelled := e.insert(t0, job())[0]
		if _, err := e.Cancel(e.ctx, "a", cancelled.ID, t0); err != nil {
			e.Fatal(err)
		}
		e.wantOver(jobs.Cancelled, 1, "it was cancelled")
		if _, err := e.Retry(e.ctx, "a", cancelled.ID, t0.Add(30*time.Hour)); err != nil {
			e.Fatal(err)
		}
		e.wantOver(jobs.Cancelled, 0, "it is ready again, on another day")
		e.recount(t0.Add(31 * time.Hour))
		e.wantOver(jobs.Cancelled, 0, "it is ready again")
		e.wantBulk(e.bulk(jobs.BulkChange{Operation: jobs.BulkCancel}, t0), 1, "it is the only one")
		e.wantOver(jobs.Cancelled, 1, "it was cancelled among many")
		e.wantBulk(e.bulk(jobs.BulkChange{Operation: jobs.BulkRetry}, t0), 1, "it is the only one")
		e.wantOver(jobs.Cancelled, 0, "it was retried among many")
	}},
	{"the jobs of a node that died count once", func(e *countEnv) {
		e.join(1, t0)
		e.insert(t0, job(attempts(1)), job(attempts(2)))
		e.claim(1, 2, t0)
		for range 2 {
			if _, err := e.Rescue(e.ctx, t0.Add(2*lease)); err != nil {
				e.Fatal(err)
			}
		}
		e.wantOver(jobs.Discarded, 1, "the other has an attempt left")
		e.wantListed(e.recount(t0.Add(2*lease)), "after a rescue", "a")
	}},
	{"recounts at once count each job once", func(e *countEnv) {
		e.everyState()
		now := t0
		for range 5 {
			now = now.Add(time.Minute)
			atOnce(8, func(int) {
				if _, err := e.Recount(e.ctx, now); err != nil {
					e.Errorf("Recount = %v", err)
				}
			})
		}
		e.wantListed(e.recount(now.Add(time.Minute)), "eight counted at once", "a")
	}},
	{"counts are what is listed after anything", func(e *countEnv) {
		play := newPlay(e)
		for i := range 400 {
			play.step(i)
			if i%100 == 99 {
				play.now = e.recount(play.now.Add(time.Second))
				e.wantListed(play.now, fmt.Sprintf("after %d operations", i+1), play.tenants...)
			}
		}
	}},
	{"a context that has ended counts nothing", func(e *countEnv) {
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		_, one := e.Counts(ctx, "a", t0)
		_, all := e.CountsOfAll(ctx, t0)
		_, again := e.Recount(ctx, t0)
		for i, err := range []error{one, all, again} {
			if !errors.Is(err, context.Canceled) || err.Error() != context.Canceled.Error() {
				e.Errorf("call %d = %v, want the context's error alone", i, err)
			}
		}
	}},
}

// play does anything at all with the jobs of a few tenants, the same each time.
type play struct {
	*countEnv
	rng     *rand.Rand
	now     time.Time
	tenants []string
	queues  []string
	known   []jobs.Insertion
	node    jobs.NodeID
	held    []jobs.Info
}

func newPlay(e *countEnv) *play {
	return &play{countEnv: e, rng: rand.New(rand.NewPCG(1, 2)), now: t0, tenants: []string{"a", "b", ""}, queues: []string{"q", "q2"}}
}

// step does one operation, ten minutes after the one before.
func (p *play) step(i int) {
	p.Helper()
	p.now = p.now.Add(10 * time.Minute)
	tenantOf := p.tenants[p.rng.IntN(len(p.tenants))]
	var err error
	switch i % 8 {
	case 0, 1:
		p.add(1 + p.rng.IntN(5))
	case 2:
		err = p.take()
	case 3:
		err = p.settleSome()
	case 4:
		_, err = p.Promote(p.ctx, 3, p.now)
	case 5:
		err = p.one()
	case 6:
		_, err = p.ChangeBatch(p.ctx, tenantOf, p.change(), p.now)
	case 7:
		if p.rng.IntN(4) == 0 {
			_, err = p.Rescue(p.ctx, p.now.Add(time.Duration(p.rng.IntN(20))*time.Minute))
		} else {
			_, err = p.Recount(p.ctx, p.now)
		}
	}
	if err != nil {
		p.Fatalf("operation %d: %v", i, err)
	}
}

func (p *play) add(n int) {
	p.Helper()
	var all []jobs.Insertion
	for range n {
		all = append(all, job(tenant(p.tenants[p.rng.IntN(3)]), queue(p.queues[p.rng.IntN(2)]), attempts(1+p.rng.IntN(3)), delay(time.Duration(p.rng.IntN(2))*time.Hour)))
	}
	p.known = append(p.known, p.insert(p.now, all...)...)
}

// take claims for a node that lives until the next Rescue.
func (p *play) take() error {
	p.node++
	if err := p.Join(p.ctx, jobs.Node{ID: p.node}, time.Hour, p.now); err != nil {
		return err
	}
	got, err := p.Claim(p.ctx, jobs.Claim{Node: p.node, Queue: p.queues[p.rng.IntN(2)], Kinds: []string{"k"}, Limit: 6}, p.now)
	p.held = append(p.held, got...)
	return err
}

// settleSome ends attempts in all ways, some of them under leases that are long lost.
func (p *play) settleSome() error {
	var outcomes []jobs.Outcome
	for range min(len(p.held), 5) {
		info := p.held[p.rng.IntN(len(p.held))]
		out := jobs.Outcome{Lease: leaseOf(info), Delay: time.Hour}
		out.State = []jobs.State{jobs.Completed, jobs.Completed, jobs.Discarded, jobs.Retryable, jobs.Scheduled, jobs.Ready}[p.rng.IntN(6)]
		if out.State == jobs.Discarded || out.State == jobs.Retryable {
			out.Error = "boom"
		}
		if p.rng.IntN(2) == 0 {
			out.Tenant, out.Queue = info.Tenant, info.Queue
		}
		outcomes = append(outcomes, out)
	}
	_, err := p.Settle(p.ctx, outcomes, p.now)
	return err
}

// one cancels or retries a job, whatever its state.
func (p *play) one() error {
	target := p.known[p.rng.IntN(len(p.known))]
	do := p.Cancel
	if p.rng.IntN(2) == 0 {
		do = p.Retry
	}
	if _, err := do(p.ctx, target.Tenant, target.ID, p.now); err != nil && !errors.Is(err, jobs.ErrConflict) {
		return err
	}
	return nil
}

func (p *play) change() jobs.BulkChange {
	return []jobs.BulkChange{
		{Operation: jobs.BulkCancel, Limit: 2},
		{Operation: jobs.BulkRetry, Limit: 4},
		{Operation: jobs.BulkMove, Queue: p.queues[p.rng.IntN(2)], Limit: 3},
	}[p.rng.IntN(3)]
}
