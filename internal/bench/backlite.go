package main

import (
	"context"
	"database/sql"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mikestefanello/backlite"
)

type task struct{ N, T int }

// Config implements [backlite.Task].
func (task) Config() backlite.QueueConfig {
	return backlite.QueueConfig{Name: "noop", MaxAttempts: 3, Timeout: 5 * time.Second, Backoff: time.Second}
}

// backliteOn is a sample of backlite on a new file with n jobs, which call ran.
func (s *sqlite) backliteOn(n int, ran func(), work func(context.Context, *backlite.Client) (int, error)) sample {
	return s.opened(func(ctx context.Context, db *sql.DB) (figures, error) {
		client, err := backlite.NewClient(backlite.ClientConfig{DB: db, Logger: slog.New(slog.DiscardHandler), NumWorkers: 1000, ReleaseAfter: time.Minute})
		if err != nil {
			return nil, err
		}
		client.Register(backlite.NewQueue(func(context.Context, task) error { ran(); return nil }))
		if err := client.Install(); err != nil {
			return nil, err
		}
		if _, err := fillBacklite(client, n); err != nil {
			return nil, err
		}
		return s.speed(ctx, func(ctx context.Context) (int, error) { return work(ctx, client) })
	})
}

func fillBacklite(client *backlite.Client, n int) (int, error) {
	for i := 0; i < n; i += 1000 {
		tasks := make([]backlite.Task, min(1000, n-i))
		for k := range tasks {
			tasks[k] = task{N: i + k}
		}
		if _, err := client.Add(tasks...).Save(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (s *sqlite) backliteInsertMany() sample {
	return s.backliteOn(0, func() {}, func(_ context.Context, client *backlite.Client) (int, error) {
		return fillBacklite(client, s.jobs)
	})
}

func (s *sqlite) backliteInsert(n, callers int) sample {
	return s.backliteOn(0, func() {}, func(_ context.Context, client *backlite.Client) (int, error) {
		return side(n, callers, func(i int) error {
			_, err := client.Add(task{N: i}).Save()
			return err
		})
	})
}

func (s *sqlite) backliteBurnDown() sample {
	return func(ctx context.Context) (figures, error) {
		var count atomic.Int64
		done := make(chan struct{})
		ran := func() {
			if count.Add(1) == int64(s.sqliteJobs) {
				close(done)
			}
		}
		return s.backliteOn(s.sqliteJobs, ran, func(ctx context.Context, client *backlite.Client) (int, error) {
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			client.Start(ctx)
			select {
			case <-done:
			case <-time.After(s.window):
			}
			// It waits for ever if there is more to fetch.
			ending, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			client.Stop(ending)
			return int(count.Load()), nil
		})(ctx)
	}
}
