package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
)

type riverWorker struct {
	river.WorkerDefaults[noop]
	work func(noop)
}

// Work implements [river.Worker].
func (w *riverWorker) Work(_ context.Context, job *river.Job[noop]) error {
	w.work(job.Args)
	return nil
}

// riverQueue is River on one of its drivers.
type riverQueue[TTx any] struct{ driver riverdriver.Driver[TTx] }

func newRiver[TTx any](ctx context.Context, driver riverdriver.Driver[TTx]) (riverQueue[TTx], error) {
	q := riverQueue[TTx]{driver}
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return q, err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return q, err
}

// client returns a client that works with so many workers, or not at all with 0.
func (q riverQueue[TTx]) client(workers int, tuned bool, work func(noop)) (*river.Client[TTx], error) {
	config := &river.Config{Logger: slog.New(slog.DiscardHandler)}
	if workers > 0 {
		config.Workers = river.NewWorkers()
		river.AddWorker(config.Workers, &riverWorker{work: work})
		config.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}}
	}
	if tuned {
		config.FetchCooldown, config.FetchPollInterval = time.Millisecond, 20*time.Millisecond
	}
	return river.NewClient(q.driver, config)
}

func (q riverQueue[TTx]) insertMany(ctx context.Context, n, size, callers int) (int, error) {
	client, err := q.client(0, false, nil)
	if err != nil {
		return 0, err
	}
	calls := (n + size - 1) / size
	_, err = side(calls, callers, func(call int) error {
		params := make([]river.InsertManyParams, min(size, n-call*size))
		for k := range params {
			params[k].Args = noop{N: call*size + k}
		}
		_, err := client.InsertManyFast(ctx, params)
		return err
	})
	return n, err
}

func (q riverQueue[TTx]) insert(ctx context.Context, n, callers int) (int, error) {
	client, err := q.client(0, false, nil)
	if err != nil {
		return 0, err
	}
	return side(n, callers, func(i int) error {
		_, err := client.Insert(ctx, noop{N: i}, nil)
		return err
	})
}

// burnDown works off up to n jobs within a time, and returns how many.
func (q riverQueue[TTx]) burnDown(ctx context.Context, n, workers int, tuned bool, window time.Duration) (int, error) {
	var count atomic.Int64
	done := make(chan struct{})
	client, err := q.client(workers, tuned, func(noop) {
		if count.Add(1) == int64(n) {
			close(done)
		}
	})
	if err != nil {
		return 0, err
	}
	if err := client.Start(ctx); err != nil {
		return 0, err
	}
	select {
	case <-done:
	case <-time.After(window):
	case <-ctx.Done():
	}
	err = client.Stop(context.WithoutCancel(ctx))
	return int(count.Load()), errors.Join(err, ctx.Err())
}

func (q riverQueue[TTx]) latencies(ctx context.Context, tuned bool, d time.Duration) ([]time.Duration, error) {
	var waits waits
	client, err := q.client(100, tuned, func(args noop) { waits.since(args.T) })
	if err != nil {
		return nil, err
	}
	if err := client.Start(ctx); err != nil {
		return nil, err
	}
	err = paced(ctx, d, func(i int) error {
		_, err := client.Insert(ctx, noop{N: i, T: time.Now().UnixNano()}, nil)
		return err
	})
	return waits.all, errors.Join(err, client.Stop(context.WithoutCancel(ctx)))
}
