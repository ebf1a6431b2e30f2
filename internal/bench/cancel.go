package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/jobs"
)

// bulkCancel is how long claims take while a million jobs of another tenant in the same
// queue are cancelled, and before.
func bulkCancel(db database, p plan) measure {
	return measure{name: db.name() + ".cancel", repeat: 1, ours: on(db, func(ctx context.Context, l *engine) (figures, error) {
		flood := &jobs.EnqueueOptions{Tenant: "flood"}
		_, err := l.insertMany(ctx, p.million(), 1000, 1, func(int) *jobs.EnqueueOptions { return flood })
		if err != nil {
			return nil, err
		}
		if err := db.rest(ctx); err != nil {
			return nil, err
		}
		c, err := newClaimer(ctx, l)
		if err != nil {
			return nil, err
		}
		before, err := c.trickle(ctx, 1, func(done int) bool { return done < p.claims })
		if err != nil {
			return nil, err
		}
		all := quantiles(".claim.before", before, 0.5, 0.99)
		during, rate, err := c.whileCancelling(ctx, "flood")
		if err != nil {
			return nil, err
		}
		return append(append(all, quantiles(".claim", during, 0.5, 0.99)...), rate), nil
	})}
}

// whileCancelling cancels all of a tenant's jobs and returns how long claims took
// meanwhile, and the rate of the cancellation.
func (c *claimer) whileCancelling(ctx context.Context, tenant string) ([]time.Duration, figure, error) {
	var over atomic.Bool
	var rate figure
	ended := make(chan error, 1)
	go func() {
		defer over.Store(true)
		begun := time.Now()
		result, err := c.queue.ForTenant(tenant).ChangeMany(ctx, jobs.BulkChange{Operation: jobs.BulkCancel})
		rate = figure{".rate", float64(result.Changed) / time.Since(begun).Seconds(), "jobs/s"}
		if err == nil && result.Changed == 0 {
			err = fmt.Errorf("no job of tenant %s was cancelled", tenant)
		}
		ended <- err
	}()
	took, err := c.trickle(ctx, 1, func(int) bool { return !over.Load() })
	if failed := <-ended; err == nil {
		err = failed
	}
	return took, rate, err
}
