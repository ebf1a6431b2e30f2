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
	T int64 `json:"t"`
}

// Kind implements [jobs.Args].
func (noop) Kind() string { return "noop" }

// levqor is our queue on a database.
type levqor struct {
	db       *bun.DB
	queue    *jobs.Queue
	registry *jobs.Registry
	work     func(noop)
}

func newLevqor(ctx context.Context, db *bun.DB) (*levqor, error) {
	l := &levqor{db: db, registry: jobs.NewRegistry(nil), work: func(noop) {}}
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

// insertMany stores n jobs in calls of the given size, and returns jobs/s.
func (l *levqor) insertMany(ctx context.Context, n, size int) (float64, error) {
	begun := time.Now()
	for i := 0; i < n; i += size {
		entries := make([]jobs.Entry, min(size, n-i))
		for k := range entries {
			entries[k].Args = noop{N: i + k}
		}
		if _, err := l.queue.EnqueueMany(ctx, entries); err != nil {
			return 0, err
		}
	}
	return rate(n, begun), nil
}

// insert stores n jobs one by one from some callers, and returns jobs/s.
func (l *levqor) insert(ctx context.Context, n, callers int) (float64, error) {
	return side(n, callers, func(i int) error {
		_, err := l.queue.Enqueue(ctx, noop{N: i}, nil)
		return err
	})
}

// burnDown works off the n jobs that wait, and returns jobs/s.
func (l *levqor) burnDown(ctx context.Context, n int, opts *jobs.WorkerOptions) (float64, error) {
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
	begun := time.Now()
	if err := worker.Run(ctx); err != nil {
		return 0, err
	}
	speed := rate(n, begun)
	return speed, counted(l.db.QueryRowContext(context.WithoutCancel(ctx), "SELECT count(*) FROM levqor_jobs_done WHERE state = 5"), n)
}

// latencies enqueues 50 jobs a second and returns how long each waited to start.
func (l *levqor) latencies(ctx context.Context, d time.Duration) ([]time.Duration, error) {
	worker, err := jobs.NewWorker(bunjobs.New(l.db), l.registry, nil)
	if err != nil {
		return nil, err
	}
	var waits waits
	l.work = func(args noop) { waits.add(args.T) }
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	err = paced(d, func(i int) error {
		_, err := l.queue.Enqueue(ctx, noop{N: i, T: time.Now().UnixNano()}, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	stop()
	return waits.all, <-ended
}

// counted checks that the database knows of n jobs.
func counted(row interface{ Scan(...any) error }, n int) error {
	var found int
	if err := row.Scan(&found); err != nil {
		return err
	}
	if found < n {
		return fmt.Errorf("%d jobs were completed, want %d", found, n)
	}
	return nil
}
