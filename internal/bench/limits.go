package main

import (
	"context"
	"fmt"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// limits are burn-downs with limits that never hold anything back, each with the same
// jobs and no limits as its rival.
func limits(db database, p plan) []measure {
	const most = 1_000_000
	bound := jobs.QueueSettings{MaxRunning: most, MaxPerTenant: most, Rate: jobs.Rate{Count: most, Per: time.Second}}
	keyed := bound
	keyed.MaxPerKey = most
	rated := keyed
	rated.RatePerKey = bound.Rate
	burn := func(with func(i int) *jobs.EnqueueOptions, settings jobs.QueueSettings) sample {
		return burnDown(db, burning{n: p.jobs, size: 1000, worker: tuned(), with: with, queue: func(ctx context.Context, l *engine) error {
			settings.Queue = jobs.DefaultQueue
			return jobs.NewQueues(bunjobs.New(l.db)).Put(ctx, settings)
		}})
	}
	return []measure{
		{
			name: db.name() + ".burndown.limits", ours: burn(tenants, bound),
			rivals: map[string]sample{"none": burn(tenants, jobs.QueueSettings{})},
		},
		{
			name: db.name() + ".burndown.keys", ours: burn(keys, keyed),
			rivals: map[string]sample{"none": burn(keys, jobs.QueueSettings{})},
		},
		{
			name: db.name() + ".burndown.rates", ours: burn(keys, rated),
			rivals: map[string]sample{"none": burn(keys, jobs.QueueSettings{})},
		},
	}
}

// tenants spreads jobs over ten tenants.
func tenants(i int) *jobs.EnqueueOptions {
	return &jobs.EnqueueOptions{Tenant: fmt.Sprintf("tenant-%d", i%10)}
}

// keys spreads jobs over ten tenants with ten limit keys each.
func keys(i int) *jobs.EnqueueOptions {
	return &jobs.EnqueueOptions{Tenant: fmt.Sprintf("tenant-%d", i%10), LimitKey: fmt.Sprintf("key-%d", i/10%10)}
}
