package jobs

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// Watch yields a job of the queue's tenant as it is, and then as it is after each change
// of its state, attempt or progress, until it is over. Changes that follow each other
// closely may be yielded as one. What this process does through the same registry is
// seen at once. For what others do it looks at the store: 250 ms after the last change,
// then less and less often, down to every 2 s. It never looks more than 50 times a
// second.
//
// It waits while the store is away. It ends after the first error: that of ctx, or
// ErrNotFound.
func (q *Queue) Watch(ctx context.Context, id ID) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		err := q.watch(ctx, id, watchPace, func(_ context.Context, job Info, changed bool) (glance, error) {
			if !changed {
				return same, nil
			}
			return afterYield(yield(job, nil) && !job.State.Final()), nil
		})
		if err != nil {
			yield(Info{}, fmt.Errorf("jobs: watch %s: %w", id, err))
		}
	}
}

// watch looks at a job at a pace, until fn has seen enough. It tells fn whether the job
// has changed since the last look.
func (q *Queue) watch(ctx context.Context, id ID, p pace, fn func(ctx context.Context, job Info, changed bool) (glance, error)) error {
	woken, stop := watch(&q.registry.events, &q.registry.events.jobs, id)
	defer stop()
	var last mark
	return p.repeat(ctx, woken, func() (glance, error) {
		call, cancel := context.WithTimeout(ctx, storeTimeout)
		job, err := q.store.Get(call, q.tenant, id)
		cancel()
		if err != nil {
			return same, err
		}
		job.Args = redact(job.Args)
		before := last
		last = markOf(&job)
		return fn(ctx, job, last != before)
	})
}

// mark is what a watcher remembers of a job to know whether it has changed.
type mark struct {
	state                  State
	attempt, maxAttempts   int
	epoch                  int64
	progress               Progress
	queue                  string
	priority               int
	runAt, startedAt, over int64
}

func markOf(j *Info) mark {
	return mark{
		state: j.State, attempt: j.Attempt, maxAttempts: j.MaxAttempts, epoch: j.Epoch, progress: j.Progress,
		queue: j.Queue, priority: j.Priority,
		runAt: j.RunAt.UnixMicro(), startedAt: j.StartedAt.UnixMicro(), over: j.FinishedAt.UnixMicro(),
	}
}

// glance is what a look at the store has shown.
type glance int

const (
	same glance = iota
	changed
	enough // no further look is wanted
)

// afterYield returns what follows from a change that was yielded.
func afterYield(more bool) glance {
	if more {
		return changed
	}
	return enough
}

// pace says how often to look at a store for what other processes do.
type pace struct {
	first   time.Duration // the wait after a change
	longest time.Duration // the wait is doubled up to this while nothing changes
	least   time.Duration // the wait whatever this process does meanwhile
}

var (
	awaitPace = pace{first: 5 * time.Millisecond, longest: 500 * time.Millisecond, least: time.Millisecond}
	watchPace = pace{first: 250 * time.Millisecond, longest: 2 * time.Second, least: 20 * time.Millisecond}
	listPace  = pace{first: 250 * time.Millisecond, longest: 2 * time.Second, least: 100 * time.Millisecond}
)

// repeat looks again and again until it has seen enough, ctx ends, or a look fails for
// another reason than that the store is away. Woken brings the next look forward: it
// may come before a transaction commits, so the looks after it follow soon.
func (p pace) repeat(ctx context.Context, woken <-chan struct{}, look func() (glance, error)) error {
	for wait := p.first; ; wait = min(2*wait, p.longest) {
		seen, err := look()
		switch {
		case seen == enough:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && !outage(err):
			return err
		case seen == changed:
			wait = p.first
		}
		if !sleep(ctx, p.least) {
			return context.Cause(ctx)
		}
		if rest(ctx, jitter(wait)-p.least, woken) {
			wait = p.first / 2
		}
	}
}
