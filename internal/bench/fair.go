package main

import (
	"context"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// fair is how long single jobs of one tenant wait to start while another has a million,
// at 100 places for jobs that take 10 ms.
func fair(db database, p plan) measure {
	const took = 10 * time.Millisecond
	lasts := time.Duration(p.million()/100) * took // the flood, if no place is ever free
	return measure{name: db.name() + ".fair", repeat: 1, ours: on(db, func(ctx context.Context, l *engine) (figures, error) {
		flood := &jobs.EnqueueOptions{Tenant: "flood"}
		_, err := l.insertMany(ctx, p.million(), 1000, 1, func(int) *jobs.EnqueueOptions { return flood })
		if err != nil {
			return nil, err
		}
		if err := db.rest(ctx); err != nil {
			return nil, err
		}
		var waits waits
		l.work = func(args noop) {
			if args.T != 0 {
				waits.since(args.T)
			}
			time.Sleep(took)
		}
		quiet := l.queue.ForTenant("quiet")
		err = l.during(ctx, bunjobs.New(l.db), func(ctx context.Context) error {
			return offer(ctx, 20, min(p.latency, lasts*3/4), func(i int) error {
				_, err := quiet.Enqueue(ctx, noop{N: i, T: time.Now().UnixNano()}, nil)
				return err
			})
		})
		return quantiles("", waits.all, 0.5, 0.99, 1), err
	})}
}
