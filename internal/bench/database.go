package main

import (
	"context"

	"github.com/levqor/sdk/jobs"
)

// database is PostgreSQL or SQLite, for what is measured on both.
type database interface {
	// name is what the names of measures begin with.
	name() string
	// empty returns our queue on empty tables, and what to do when it is not needed
	// any more.
	empty(ctx context.Context) (l *engine, done func(), err error)
	// rest lets a database that was filled come to rest.
	rest(ctx context.Context) error
	// speed does work and returns how fast it went and what it took.
	speed(ctx context.Context, work work) (figures, error)
	// hold opens a transaction in the last database that empty returned, which sees it
	// as it is and stays open until it is released.
	hold(ctx context.Context) (release func(), err error)
}

// work returns how many jobs it was about.
type work = func(ctx context.Context) (int, error)

// on is a sample of our queue on empty tables.
func on(db database, fn func(ctx context.Context, l *engine) (figures, error)) sample {
	return func(ctx context.Context) (figures, error) {
		l, done, err := db.empty(ctx)
		if err != nil {
			return nil, err
		}
		defer done()
		return fn(ctx, l)
	}
}

// insertMany is a sample of insertions into empty tables, size a call.
func insertMany(db database, n, size, callers int) sample {
	return on(db, func(ctx context.Context, l *engine) (figures, error) {
		return db.speed(ctx, func(ctx context.Context) (int, error) { return l.insertMany(ctx, n, size, callers, nil) })
	})
}

// insert is a sample of insertions one by one into empty tables.
func insert(db database, n, callers int) sample {
	return on(db, func(ctx context.Context, l *engine) (figures, error) {
		return db.speed(ctx, func(ctx context.Context) (int, error) { return l.insert(ctx, n, callers) })
	})
}

// burning is how n jobs come to wait and are then worked off.
type burning struct {
	n      int
	size   int                                        // of the calls that store them
	worker *jobs.WorkerOptions                        // may be nil
	with   func(i int) *jobs.EnqueueOptions           // may be nil
	queue  func(ctx context.Context, l *engine) error // sets the queue up; may be nil
}

// burnDown is a sample of jobs worked off.
func burnDown(db database, b burning) sample {
	return on(db, func(ctx context.Context, l *engine) (figures, error) {
		if b.queue != nil {
			if err := b.queue(ctx, l); err != nil {
				return nil, err
			}
		}
		if _, err := l.insertMany(ctx, b.n, b.size, 1, b.with); err != nil {
			return nil, err
		}
		if err := db.rest(ctx); err != nil {
			return nil, err
		}
		all, err := db.speed(ctx, func(ctx context.Context) (int, error) { return l.burnDown(ctx, b.n, b.worker) })
		if err != nil {
			return nil, err
		}
		return all, l.completed(ctx, b.n)
	})
}

// tuned are the options for many short jobs.
func tuned() *jobs.WorkerOptions {
	return &jobs.WorkerOptions{Queues: map[string]int{jobs.DefaultQueue: 1000}}
}
