package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// offered is how many jobs a second are offered while a transaction is held open.
const offered = 800

// held is what a worker does with 800 jobs/s while a transaction is held open, which
// keeps dead rows from being cleared away, with the same without as its rival: for two
// minutes at most, since there nothing changes.
func held(db database, p plan) measure {
	load := func(d time.Duration, hold func(context.Context) (func(), error)) sample {
		return on(db, func(ctx context.Context, l *engine) (figures, error) {
			release, err := hold(ctx)
			if err != nil {
				return nil, err
			}
			defer release()
			return l.offered(ctx, d)
		})
	}
	without := func(context.Context) (func(), error) { return func() {}, nil }
	return measure{
		name: db.name() + ".held", repeat: 1, ours: load(p.hold, db.hold),
		rivals: map[string]sample{"none": load(min(p.hold, 2*time.Minute), without)},
	}
}

// offered enqueues 800 jobs a second one by one from four callers. It returns how many a
// second were completed and how long claims took: all of them, and those of the last
// tenth of the time, when most is left behind.
func (l *engine) offered(ctx context.Context, d time.Duration) (figures, error) {
	var count atomic.Int64
	l.work = func(noop) { count.Add(1) }
	store := &timed{Store: bunjobs.New(l.db)}
	var rate float64
	var late atomic.Int64 // the first of those at the end
	err := l.during(ctx, store, func(ctx context.Context) error {
		end := time.AfterFunc(d*9/10, func() { late.Store(store.waits.count()) })
		defer end.Stop()
		const callers = 4
		begun := time.Now()
		_, err := side(callers, callers, func(int) error {
			return offer(ctx, offered/callers, d, func(i int) error {
				_, err := l.queue.Enqueue(ctx, noop{N: i}, nil)
				return err
			})
		})
		rate = float64(count.Load()) / time.Since(begun).Seconds()
		return err
	})
	if err != nil {
		return nil, err
	}
	all := figures{{"", rate, "jobs/s"}}
	all = append(all, quantiles(".claim", store.waits.all, 0.5, 0.99)...)
	return append(all, quantiles(".claim.late", store.waits.all[late.Load():], 0.5, 0.99)...), nil
}

// timed is a store that takes note of how long claims take.
type timed struct {
	*bunjobs.Store
	waits waits
}

// Claim implements [jobs.WorkerStore].
func (t *timed) Claim(ctx context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	begun := time.Now()
	claimed, err := t.Store.Claim(ctx, c, now)
	t.waits.add(time.Since(begun))
	return claimed, err
}
