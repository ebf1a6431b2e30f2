package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// noop are the arguments of the job that does nothing.
type noop struct {
	N int   `json:"n"`
	T int64 `json:"t"` // when it was enqueued, if that counts
}

// Kind implements [jobs.Args].
func (noop) Kind() string { return "noop" }

// engine is our queue on a database.
type engine struct {
	db       *bun.DB
	queue    *jobs.Queue
	registry *jobs.Registry
	work     func(noop)
}

func newEngine(ctx context.Context, db *bun.DB) (*engine, error) {
	l := &engine{db: db, registry: jobs.NewRegistry(nil), work: func(noop) {}}
	handler := func(_ context.Context, job *jobs.Job[noop]) (struct{}, error) {
		l.work(job.Args)
		return struct{}{}, nil
	}
	if err := jobs.Handle(l.registry, handler, nil); err != nil {
		return nil, err
	}
	l.queue = jobs.New(bunjobs.New(db), l.registry, nil)
	return l, bunjobs.Migrate(ctx, db)
}

// insertMany stores n jobs in calls of the given size from some callers. With gives the
// options of each job; it may be nil.
func (l *engine) insertMany(ctx context.Context, n, size, callers int, with func(i int) *jobs.EnqueueOptions) (int, error) {
	calls := (n + size - 1) / size
	_, err := side(calls, callers, func(call int) error {
		entries := make([]jobs.Entry, min(size, n-call*size))
		for k := range entries {
			i := call*size + k
			entries[k].Args = noop{N: i}
			if with != nil {
				entries[k].Options = with(i)
			}
		}
		_, err := l.queue.EnqueueMany(ctx, entries)
		return err
	})
	return n, err
}

// insert stores n jobs one by one from some callers.
func (l *engine) insert(ctx context.Context, n, callers int) (int, error) {
	return side(n, callers, func(i int) error {
		_, err := l.queue.Enqueue(ctx, noop{N: i}, nil)
		return err
	})
}

// burnDown works off the n jobs that wait.
func (l *engine) burnDown(ctx context.Context, n int, opts *jobs.WorkerOptions) (int, error) {
	worker, err := jobs.NewWorker(bunjobs.New(l.db), l.registry, opts)
	if err != nil {
		return 0, err
	}
	var count atomic.Int64
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l.work = func(noop) {
		if count.Add(1) == int64(n) {
			stop()
		}
	}
	return n, worker.Run(ctx)
}

// completed checks that the database knows of n completed jobs.
func (l *engine) completed(ctx context.Context, n int) error {
	var found int
	err := l.db.QueryRowContext(ctx, "SELECT count(*) FROM levqor_jobs_done WHERE state = 5").Scan(&found)
	if err == nil && found < n {
		err = fmt.Errorf("%d jobs were completed, want %d", found, n)
	}
	return err
}

// during runs a worker with default options on a store while fn runs.
func (l *engine) during(ctx context.Context, store jobs.WorkerStore, fn func(ctx context.Context) error) error {
	worker, err := jobs.NewWorker(store, l.registry, nil)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(running) }()
	err = fn(ctx)
	stop()
	if failed := <-ended; err == nil {
		err = failed
	}
	return err
}

// latencies enqueues 50 jobs a second and returns how long each waited to start.
func (l *engine) latencies(ctx context.Context, d time.Duration) ([]time.Duration, error) {
	var waits waits
	l.work = func(args noop) { waits.since(args.T) }
	err := l.during(ctx, bunjobs.New(l.db), func(ctx context.Context) error {
		return paced(ctx, d, func(i int) error {
			_, err := l.queue.Enqueue(ctx, noop{N: i, T: time.Now().UnixNano()}, nil)
			return err
		})
	})
	return waits.all, err
}

// started is a sample of how long jobs wait to start.
func started(db database, d time.Duration) sample {
	return on(db, func(ctx context.Context, l *engine) (figures, error) {
		all, err := l.latencies(ctx, d)
		return quantiles("", all, 0.99, 0.5), err
	})
}
