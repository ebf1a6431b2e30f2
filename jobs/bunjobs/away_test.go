package bunjobs_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// A queue is paused and resumed by another process. Nobody is told; a process looks for
// itself, so that no message can get lost.
func TestAPauseByAnotherProcessIsSeen(t *testing.T) {
	onRigs(t, func(r *rig) {
		r.join(1)
		other := jobs.NewQueues(bunjobs.New(r.db))
		if err := other.Pause(r.Context(), "unheard"); err != nil { // this store has never asked for it
			r.Fatal(err)
		}
		for range 3 {
			r.enqueue(1, nil)
			r.await("a job starts", time.Second, func() bool { return len(r.claim(1, 10)) == 1 })
			if err := other.Pause(r.Context(), jobs.DefaultQueue); err != nil {
				r.Fatal(err)
			}
			r.await("the pause holds", time.Second, func() bool {
				r.enqueue(1, nil)
				return len(r.claim(1, 10)) == 0
			})
			if got := r.claim(1, 10); len(got) > 0 {
				r.Errorf("%d jobs of a paused queue were claimed", len(got))
			}
			if err := other.Resume(r.Context(), jobs.DefaultQueue); err != nil {
				r.Fatal(err)
			}
			r.await("what has waited starts", time.Second, func() bool { return len(r.claim(1, 10)) > 0 })
		}
	})
}

// Waits below zero and beyond all measure neither fail nor overflow: the one is none, the
// other ends in centuries.
func TestWaitsWithoutMeasureAreWaits(t *testing.T) {
	const ever = time.Duration(math.MaxInt64)
	onRigs(t, func(r *rig) {
		for name, tt := range map[string]struct {
			err  error
			back time.Duration
			want jobs.State
		}{
			"a snooze below zero":       {jobs.Snooze(-time.Hour), 0, jobs.Completed},
			"a snooze for ever":         {jobs.Snooze(ever), 0, jobs.Scheduled},
			"a backoff below zero":      {errors.New("boom"), -time.Hour, jobs.Completed},
			"a backoff for ever":        {errors.New("boom"), ever, jobs.Retryable},
			"asked to come back never":  {jobs.RetryAfter(errors.New("boom"), ever), 0, jobs.Retryable},
			"asked to have come before": {jobs.RetryAfter(errors.New("boom"), -ever), 0, jobs.Completed},
		} {
			registry := jobs.NewRegistry(nil)
			first := true
			err := jobs.Handle(registry, func(context.Context, *jobs.Job[note]) (string, error) {
				if first {
					first = false
					return "", tt.err
				}
				return "ok", nil
			}, &jobs.KindOptions{Backoff: func(int) time.Duration { return tt.back }})
			if err != nil {
				r.Fatal(err)
			}
			side := *r
			side.registry = registry
			id := r.enqueue(1, nil)[0]
			stop := side.work(r.store, &jobs.WorkerOptions{Poll: 5 * time.Millisecond})
			r.await(name, 5*time.Second, func() bool { return r.get(id).State == tt.want })
			stop()
			if job := r.get(id); !tt.want.Final() && job.RunAt.Year() < 2200 {
				r.Errorf("%s: the job is due at %v", name, job.RunAt)
			}
		}
	})
}
