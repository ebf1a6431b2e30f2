package jobstest

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/levqor/sdk/jobs"
)

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
