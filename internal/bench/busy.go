package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	driver "modernc.org/sqlite"

	"github.com/levqor/sdk/internal/bunopen"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// busy is how often the file is told to be busy where 64 goroutines use it, spread over
// as many programs, each with a worker.
func busy(s *sqlite, programs int) measure {
	return measure{name: fmt.Sprintf("sqlite.busy.%d", programs), repeat: 1, ours: func(ctx context.Context) (figures, error) {
		path := s.next()
		var all []*engine
		for range programs {
			db, err := bunopen.Open("sqlite://" + path)
			if err != nil {
				return nil, err
			}
			l, done, err := open(ctx, db)
			if err != nil {
				return nil, err
			}
			defer done()
			all = append(all, l)
		}
		var count busyCount
		used, err := count.crowd(ctx, s, all)
		return append(used, figure{"", float64(count.busy.Load()), "errors"}), err
	}}
}

// busyCount counts calls that found the file busy.
type busyCount struct{ busy atomic.Int64 }

// pass counts an error that says so, and returns any other.
func (c *busyCount) pass(err error) error {
	var failed *driver.Error
	const busy, locked = 5, 6
	if errors.As(err, &failed) && (failed.Code()&0xff == busy || failed.Code()&0xff == locked) {
		c.busy.Add(1)
		return nil
	}
	return err
}

// crowd enqueues, reads, cancels and works off from 64 goroutines.
func (c *busyCount) crowd(ctx context.Context, s *sqlite, all []*engine) (figures, error) {
	const goroutines = 64
	used, err := s.speed(ctx, func(ctx context.Context) (int, error) {
		return 4 * s.singles, c.working(ctx, all, func(ctx context.Context) error {
			_, err := side(4*s.singles, goroutines, func(i int) error { return c.pass(use(ctx, all[i%len(all)].queue, i)) })
			return err
		})
	})
	for i := range used {
		used[i].suffix = ".rate" + used[i].suffix
	}
	return used, err
}

// use is what a request may do.
func use(ctx context.Context, queue *jobs.Queue, i int) error {
	info, err := queue.Enqueue(ctx, noop{N: i}, &jobs.EnqueueOptions{Delay: time.Duration(i%2) * time.Hour})
	if err == nil {
		_, err = queue.List(ctx, jobs.ListQuery{Limit: 10})
	}
	if err == nil && i%2 == 1 {
		_, err = queue.Cancel(ctx, info.ID)
	}
	return err
}

// working runs a worker of each program while fn runs.
func (c *busyCount) working(ctx context.Context, all []*engine, fn func(context.Context) error) error {
	if len(all) == 0 {
		return fn(ctx)
	}
	return all[0].during(ctx, &watched{bunjobs.New(all[0].db), c}, func(ctx context.Context) error {
		return c.working(ctx, all[1:], fn)
	})
}

// watched is a store that counts what a worker would try again.
type watched struct {
	*bunjobs.Store
	count *busyCount
}

// Claim implements [jobs.WorkerStore].
func (w *watched) Claim(ctx context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	claimed, err := w.Store.Claim(ctx, c, now)
	_ = w.count.pass(err)
	return claimed, err
}

// Settle implements [jobs.WorkerStore].
func (w *watched) Settle(ctx context.Context, outcomes []jobs.Outcome, now time.Time) ([]error, error) {
	results, err := w.Store.Settle(ctx, outcomes, now)
	_ = w.count.pass(err)
	return results, err
}
