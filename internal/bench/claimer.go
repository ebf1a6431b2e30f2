package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// claimer is a node that claims and settles by itself, without a worker.
type claimer struct {
	*engine
	store *bunjobs.Store
	node  jobs.NodeID
}

func newClaimer(ctx context.Context, l *engine) (*claimer, error) {
	c := &claimer{engine: l, store: bunjobs.New(l.db), node: jobs.NodeID(rand.Int64())}
	return c, c.store.Join(ctx, jobs.Node{ID: c.node, Name: "bench"}, 24*time.Hour, time.Time{})
}

// claim takes up to n jobs and returns how long that took.
func (c *claimer) claim(ctx context.Context, n int) ([]jobs.Info, time.Duration, error) {
	begun := time.Now()
	claimed, err := c.store.Claim(ctx, jobs.Claim{Node: c.node, Queue: jobs.DefaultQueue, Kinds: []string{noop{}.Kind()}, Limit: n}, time.Time{})
	return claimed, time.Since(begun), err
}

func (c *claimer) complete(ctx context.Context, claimed []jobs.Info) error {
	outcomes := make([]jobs.Outcome, len(claimed))
	for i, job := range claimed {
		outcomes[i] = jobs.Outcome{Lease: jobs.Lease{ID: job.ID, Epoch: job.Epoch}, State: jobs.Completed, Result: []byte("{}")}
	}
	_, err := c.store.Settle(ctx, outcomes, time.Time{})
	return err
}

// trickle stores, claims and completes n jobs at a time, until told to stop, and returns
// how long the claims took.
func (c *claimer) trickle(ctx context.Context, n int, more func(done int) bool) ([]time.Duration, error) {
	var all []time.Duration
	for more(len(all)) {
		if _, err := c.insertMany(ctx, n, n, 1, nil); err != nil {
			return nil, err
		}
		claimed, took, err := c.claim(ctx, n)
		if err != nil {
			return nil, err
		}
		all = append(all, took)
		if err := c.complete(ctx, claimed); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// promoting promotes in the background as a worker does, while fn runs.
func (c *claimer) promoting(ctx context.Context, fn func() error) error {
	background, stop := context.WithCancel(ctx)
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() {
		for background.Err() == nil {
			const batch = 1000
			n, err := c.store.Promote(ctx, batch, time.Time{})
			if failed = err; err != nil {
				return
			}
			if n < batch {
				_ = pause(background, 100*time.Millisecond) // ends with the context
			}
		}
	})
	err := fn()
	stop()
	wg.Wait()
	if err == nil {
		err = failed
	}
	return err
}
