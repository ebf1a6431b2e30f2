package jobs

import (
	"context"
	"fmt"
	"time"
)

// Counts are how many jobs there are, by queue and state. They take the same time
// however many jobs they are about.
type Counts struct {
	// Queues holds the queues that have jobs, by their names.
	Queues map[string]StateCounts
	// CountedAt is when the jobs that are not over were counted: a worker does it
	// every second or, where that would cost more than a fiftieth of its time, less
	// often. Zero if none has done it yet. Those that are over are always exact, so a
	// job that ended since then counts in both ways.
	CountedAt time.Time
}

// StateCounts are how many jobs are in each state; states without jobs are left out.
type StateCounts map[State]int

// CountStore counts jobs. What holds for every method of a [Store] holds here too.
type CountStore interface {
	// Counts returns how many jobs a tenant has in each queue and state, and leaves out
	// queues and states without any. Those in a final state are exact. Others are as
	// Recount found them last, or as they are now in a store that need not be told.
	Counts(ctx context.Context, tenant string, now time.Time) (Counts, error)

	// CountsOfAll returns the sums of Counts over all tenants.
	CountsOfAll(ctx context.Context, now time.Time) (Counts, error)

	// Recount counts the jobs that are not over, if that is due and nobody else is at
	// it; CountedAt becomes the instant of the call. A job that changes meanwhile may
	// count as it was, as it becomes, as both or not at all. Recount returns how long to wait before it is
	// called again, a minute at most. It counts so often that it takes no more than some
	// two percent of the time of one process. It never keeps other calls waiting for more
	// than some milliseconds.
	Recount(ctx context.Context, now time.Time) (wait time.Duration, err error)
}

// Counts returns how many of the tenant's jobs each queue has in each state. It returns
// ErrUnavailable also if the store does not count.
func (q *Queue) Counts(ctx context.Context) (Counts, error) {
	store, err := countStore(q.store)
	var counts Counts
	if err == nil {
		counts, err = store.Counts(ctx, q.tenant, q.now())
	}
	if err != nil {
		return Counts{}, fmt.Errorf("jobs: counts: %w", err)
	}
	return counts, nil
}

// Counts returns how many jobs of all tenants each queue has in each state. It returns
// ErrUnavailable also if the store does not count.
func (q *Queues) Counts(ctx context.Context) (Counts, error) {
	store, err := countStore(q.store)
	var counts Counts
	if err == nil {
		counts, err = store.CountsOfAll(ctx, time.Time{})
	}
	if err != nil {
		return Counts{}, fmt.Errorf("jobs: counts of all tenants: %w", err)
	}
	return counts, nil
}

func countStore(store any) (CountStore, error) {
	counts, ok := store.(CountStore)
	if !ok {
		return nil, fmt.Errorf("the store does not count: %w", ErrUnavailable)
	}
	return counts, nil
}

// Add counts n more jobs, for stores.
func (c *Counts) Add(queue string, state State, n int) {
	if c.Queues == nil {
		c.Queues = map[string]StateCounts{}
	}
	if c.Queues[queue] == nil {
		c.Queues[queue] = StateCounts{}
	}
	c.Queues[queue][state] += n
}

// recountTimeout bounds a call of Recount, which goes through all jobs that are not
// over and takes its time.
const recountTimeout = 15 * time.Minute

// recount has jobs counted until ctx ends.
func (r *run) recount(ctx context.Context) {
	store, ok := r.store.(CountStore)
	if !ok {
		return
	}
	for failures := 0; ; {
		call, cancel := context.WithTimeout(ctx, recountTimeout)
		wait, err := store.Recount(call, r.now())
		cancel()
		r.report(ctx, "recount", err)
		if failures++; err == nil {
			failures = 0
		}
		if !sleep(ctx, jitter(max(wait, r.pause(failures)))) {
			return
		}
	}
}
