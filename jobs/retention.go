package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Forever as a time of a [Retention] keeps jobs until somebody deletes the database.
const Forever time.Duration = -1

// Retention says how long jobs that are over stay, counted from when they finished.
// What is forgotten is gone with its log, and no longer counts for [Unique]. The zero
// value of each field means its default.
type Retention struct {
	// Completed is for jobs that are Completed or Cancelled: at least an hour, or
	// [Forever]. Default: 7 days.
	Completed time.Duration
	// Discarded is for dead letters, which somebody may still want to retry: at
	// least as long as Completed, or [Forever]. Default: 30 days, or Completed if
	// that is longer.
	Discarded time.Duration
}

const (
	day              = 24 * time.Hour
	defaultCompleted = 7 * day
	defaultDiscarded = 30 * day
	minRetention     = time.Hour
)

// withDefaults returns the retention with what is not given filled in.
func (r Retention) withDefaults() Retention {
	if r.Completed == 0 {
		r.Completed = defaultCompleted
	}
	if r.Discarded == 0 {
		r.Discarded = max(r.Completed, defaultDiscarded)
		if r.Completed == Forever {
			r.Discarded = Forever
		}
	}
	return r
}

func (r Retention) validate() error {
	var errs []error
	for _, f := range []struct {
		field string
		value time.Duration
	}{{"/retention/completed", r.Completed}, {"/retention/discarded", r.Discarded}} {
		if f.value < minRetention && f.value != Forever {
			errs = append(errs, invalid(f.field, "too_small", "must be at least an hour, or forever"))
		}
	}
	if r.Discarded != Forever && (r.Completed == Forever || r.Discarded < r.Completed) {
		errs = append(errs, invalid("/retention/discarded", "too_small", "must be at least as long as that of completed jobs"))
	}
	return errors.Join(errs...)
}

// Cutoffs returns the instants before which jobs must have finished to be forgotten at
// now: those that are Completed or Cancelled, and those that are Discarded. The zero
// time means that none is.
func (r Retention) Cutoffs(now time.Time) (completed, discarded time.Time) {
	if r.Completed != Forever {
		completed = now.Add(-r.Completed)
	}
	if r.Discarded != Forever {
		discarded = now.Add(-r.Discarded)
	}
	return completed, discarded
}

// Over reports whether a job is to be forgotten at now.
func (r Retention) Over(job Info, now time.Time) bool {
	cutoff, discarded := r.Cutoffs(now)
	if job.State == Discarded {
		cutoff = discarded
	}
	return job.State.Final() && job.FinishedAt.Before(cutoff)
}

// HistoryStore forgets jobs that are over. What holds for every method of a [Store]
// holds here too.
type HistoryStore interface {
	// Forget is a step of keeping the history as small as keep says, for all tenants:
	// it deletes jobs with their logs, or prepares for those to come. A step deletes
	// no more than limit jobs one by one and holds up no other call for long,
	// whatever there is to forget. It reports whether nothing is left to do for now;
	// what another process is at, or what something is in the way of, is left. Any
	// number of processes may call it at once.
	//
	// No job goes before its time, and none that is not over. Each goes within a day
	// after its time if Forget is called each hour and again until nothing is left.
	Forget(ctx context.Context, keep Retention, limit int, now time.Time) (done bool, err error)

	// ForgetTenant deletes up to limit of a tenant's jobs that are over, whenever that was,
	// with their logs, and reports whether none is left. What is deleted is counted no
	// more where the store is a [CountStore].
	ForgetTenant(ctx context.Context, tenant string, limit int) (done bool, err error)
}

// Forget deletes all of the tenant's jobs that are over, with their logs, long before
// [Retention] would, in batches that commit each for itself. It is for tenants that are
// gone: nobody can look at those jobs or retry them afterwards, and they count no more for
// [Unique]. It does nothing if the store is no [HistoryStore].
func (q *Queue) Forget(ctx context.Context) error {
	history, ok := q.store.(HistoryStore)
	if !ok {
		return nil
	}
	for done := false; !done; {
		begun := time.Now() //nolint:forbidigo // how long a call takes is no matter of the store's clock
		var err error
		if done, err = history.ForgetTenant(ctx, q.tenant, maxBulk); err != nil {
			return fmt.Errorf("jobs: forget: %w", err)
		}
		if !done {
			sleep(ctx, min(2*time.Since(begun), bulkPause)) //nolint:forbidigo // see above; the next call finds a context that has ended
		}
	}
	return nil
}

// How a worker forgets: it waits when nothing is left to do, leaves the store to others
// between two steps, and makes steps smaller that take too long, since jobs may be large.
const (
	forgetInterval       = time.Minute
	forgetPause          = 20 * time.Millisecond
	forgetTime           = 10 * time.Millisecond
	maxForget, minForget = 1000, 10
)

// forget keeps the history small until ctx ends.
func (r *run) forget(ctx context.Context) {
	history, ok := r.store.(HistoryStore)
	if !ok {
		return
	}
	for limit := maxForget; ; {
		begun := time.Now() //nolint:forbidigo // how long a call takes is no matter of the store's clock
		call, cancel := context.WithTimeout(ctx, storeTimeout)
		done, err := history.Forget(call, r.opts.Retention, limit, r.now())
		cancel()
		r.report(ctx, "forget", err)
		took := time.Since(begun) //nolint:forbidigo // see above
		if took > forgetTime {
			limit = max(minForget, limit/2)
		} else if took < forgetTime/2 {
			limit = min(maxForget, 2*limit)
		}
		wait := forgetPause
		if done || err != nil {
			wait = forgetInterval
		}
		if !sleep(ctx, jitter(wait)) {
			return
		}
	}
}
