package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// deep are the times of claims on tables of different depth. The first is the one to
// compare the others with.
func deep(db database, p plan) []measure {
	var all []measure
	for _, depth := range []struct {
		name string
		fill func(ctx context.Context, l *engine) error
	}{
		{"empty", func(context.Context, *engine) error { return nil }},
		{"ready", func(ctx context.Context, l *engine) error { return fillLive(ctx, l, p.rows, nil) }},
		{"scheduled", func(ctx context.Context, l *engine) error { return fillLive(ctx, l, p.rows, overADay(p.rows)) }},
		{"done", func(ctx context.Context, l *engine) error { return fillDone(ctx, l, p.rows) }},
	} {
		all = append(all, measure{name: db.name() + ".claim." + depth.name, repeat: 1, ours: on(db, func(ctx context.Context, l *engine) (figures, error) {
			if err := depth.fill(ctx, l); err != nil {
				return nil, err
			}
			if err := db.rest(ctx); err != nil {
				return nil, err
			}
			runtime.GC() // what filling left behind
			return looks(ctx, l, p)
		})})
	}
	return all
}

// filling is how many jobs of a deep table one call stores.
const filling = 10_000

func fillLive(ctx context.Context, l *engine, n int, with func(i int) *jobs.EnqueueOptions) error {
	_, err := l.insertMany(ctx, n, filling, 1, with)
	return err
}

// overADay makes n jobs due one after the other within a day, so that some always are.
func overADay(n int) func(i int) *jobs.EnqueueOptions {
	return func(i int) *jobs.EnqueueOptions {
		return &jobs.EnqueueOptions{Delay: time.Second + time.Duration(float64(24*time.Hour)*float64(i)/float64(n))}
	}
}

// fillDone completes n jobs, part by part.
func fillDone(ctx context.Context, l *engine, n int) error {
	c, err := newClaimer(ctx, l)
	if err != nil {
		return err
	}
	for done := 0; done < n; {
		if _, err := l.insertMany(ctx, min(10*filling, n-done), filling, 1, nil); err != nil {
			return err
		}
		for {
			claimed, _, err := c.claim(ctx, 1000)
			if err != nil {
				return err
			}
			if len(claimed) == 0 {
				break
			}
			if err := c.complete(ctx, claimed); err != nil {
				return err
			}
			done += len(claimed)
		}
	}
	return nil
}

// looks times what has to stay fast however deep the tables are: claims of 1 and of 100
// jobs while jobs trickle in and workers promote, and questions.
func looks(ctx context.Context, l *engine, p plan) (figures, error) {
	c, err := newClaimer(ctx, l)
	if err != nil {
		return nil, err
	}
	var all figures
	err = c.promoting(ctx, func() error {
		for _, n := range []int{1, 100} {
			took, err := c.trickle(ctx, n, func(done int) bool { return done < p.claims })
			if err != nil {
				return err
			}
			all = append(all, quantiles(fmt.Sprintf(".%d", n), took, 0.5, 0.99)...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := recount(ctx, c.store); err != nil {
		return nil, err
	}
	for _, q := range questions {
		took, err := q.ask(ctx, c.store)
		if err != nil {
			return nil, err
		}
		all = append(all, quantiles("."+q.name, took, 0.5, 0.99)...)
	}
	return all, nil
}

// recount counts the jobs that are not over, as workers do.
func recount(ctx context.Context, store *bunjobs.Store) error {
	for {
		wait, err := store.Recount(ctx, time.Time{})
		if err != nil {
			return err
		}
		counts, err := store.CountsOfAll(ctx, time.Time{})
		if err != nil || !counts.CountedAt.IsZero() {
			return err
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// question is something else that a store can tell, whatever the depth.
type question struct {
	name string
	fn   func(ctx context.Context, store *bunjobs.Store) error
}

var questions = []question{
	{"health", func(ctx context.Context, store *bunjobs.Store) error {
		_, _, err := store.Health(ctx, time.Time{})
		return err
	}},
	{"counts", func(ctx context.Context, store *bunjobs.Store) error {
		_, err := store.Counts(ctx, "", time.Time{})
		return err
	}},
	{"counts.all", func(ctx context.Context, store *bunjobs.Store) error {
		_, err := store.CountsOfAll(ctx, time.Time{})
		return err
	}},
}

// ask returns how long the answers took.
func (q question) ask(ctx context.Context, store *bunjobs.Store) ([]time.Duration, error) {
	var took []time.Duration
	for range 100 {
		begun := time.Now()
		if err := q.fn(ctx, store); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begun))
	}
	return took, nil
}
