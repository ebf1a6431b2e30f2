package bunjobs_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

// atOnce runs n callers and waits for them.
func atOnce(n int, fn func(caller int)) {
	var callers sync.WaitGroup
	for i := range n {
		callers.Go(func() { fn(i) })
	}
	callers.Wait()
}

// Sixty-four callers enqueue a job with one key while it is run, fails, is retried and is
// cancelled. No two that are not over ever have the key, and somebody always gets in.
func TestAUniqueJobIsThereOnceInAStorm(t *testing.T) {
	const callers, rounds = 64, 12
	onRigs(t, func(r *rig) {
		var running, together, stored, duplicates atomic.Int32
		r.handle(func(_ context.Context, job *jobs.Job[note]) (string, error) {
			if running.Add(1) > 1 {
				together.Add(1)
			}
			defer running.Add(-1)
			if job.Attempt == 1 && rand.N(2) == 0 {
				return "", errors.New("boom")
			}
			return "ok", nil
		}, &jobs.KindOptions{MaxAttempts: 2, Backoff: func(int) time.Duration { return time.Millisecond }})
		stop := r.work(r.store, &jobs.WorkerOptions{Poll: 5 * time.Millisecond})
		watch, end := context.WithCancel(t.Context())
		watched := make(chan struct{})
		go func() { defer close(watched); r.watchOne(watch) }()
		atOnce(callers, func(caller int) {
			for range rounds {
				info, err := r.queue.Enqueue(r.Context(), note{"x"}, &jobs.EnqueueOptions{Unique: &jobs.Unique{}})
				if err != nil {
					r.Errorf("Enqueue = %v", err)
					return
				}
				if info.Duplicate {
					duplicates.Add(1)
				} else {
					stored.Add(1)
				}
				switch caller % 4 {
				case 0:
					_, err = r.queue.Cancel(r.Context(), info.ID)
				case 1:
					_, err = r.queue.Retry(r.Context(), info.ID)
				}
				if err != nil && !errors.Is(err, jobs.ErrConflict) {
					r.Errorf("Cancel or Retry = %v", err)
				}
			}
		})
		r.await("the last one ends", 10*time.Second, func() bool {
			return r.count(jobs.Ready, jobs.Running, jobs.Retryable, jobs.Scheduled) == 0
		})
		end()
		<-watched
		stop()
		if n := r.count(jobs.Completed, jobs.Cancelled, jobs.Discarded); n != int(stored.Load()) || n == 0 {
			r.Errorf("%d jobs ended, %d were stored", n, stored.Load())
		}
		r.Logf("%d were stored, %d were there already, %d ran beside a cancelled one", stored.Load(), duplicates.Load(), together.Load())
	})
}

// watchOne looks again and again for two jobs that are not over.
func (r *rig) watchOne(ctx context.Context) {
	for ctx.Err() == nil {
		var alive int
		if err := r.db.NewRaw("SELECT count(*) FROM levqor_jobs_live").Scan(ctx, &alive); err == nil && alive > 1 {
			r.Errorf("%d jobs that are not over have one key", alive)
			return
		}
	}
}

// Jobs are cancelled while workers claim, run and complete them. Each ends once, as what
// its caller was told, and none stays behind.
func TestACancelledJobIsNeverCompletedToo(t *testing.T) {
	const n = 400
	onRigs(t, func(r *rig) {
		var undone sync.Map // jobs whose handler's context ended
		r.handle(func(ctx context.Context, job *jobs.Job[note]) (string, error) {
			select {
			case <-time.After(rand.N(20 * time.Millisecond)):
				return "ok", nil
			case <-ctx.Done():
				undone.Store(job.ID, true)
				return "", ctx.Err()
			}
		}, nil)
		ids := r.enqueue(n, nil)
		opts := &jobs.WorkerOptions{Queues: map[string]int{"default": 20}, Poll: 5 * time.Millisecond, Lease: time.Second, Heartbeat: 20 * time.Millisecond}
		defer r.work(r.store, opts)()
		defer r.work(r.store, opts)()
		var cancelled, conflicts sync.Map
		atOnce(8, func(caller int) {
			for i := caller / 2; i < n; i += 4 { // two callers for each job
				info, err := r.queue.Cancel(r.Context(), ids[i])
				switch {
				case err == nil && info.State == jobs.Cancelled:
					cancelled.Store(ids[i], true)
				case errors.Is(err, jobs.ErrConflict):
					conflicts.Store(ids[i], true)
				default:
					r.Errorf("Cancel = %s, %v", info.State, err)
				}
			}
		})
		r.await("all jobs end", 10*time.Second, func() bool { return r.count(jobs.Cancelled, jobs.Completed) == n })
		ended := map[jobs.State]int{}
		for _, id := range ids {
			state := r.get(id).State
			ended[state]++
			_, was := cancelled.Load(id)
			_, conflict := conflicts.Load(id)
			if was == conflict || was != (state == jobs.Cancelled) {
				r.Errorf("a job is %s; cancelled %t, refused %t", state, was, conflict)
			}
		}
		r.Logf("%d cancelled, %d completed", ended[jobs.Cancelled], ended[jobs.Completed])
	})
}

// Of many who cancel or retry one job at once, each gets it as it is afterwards.
func TestCallersAtOnceSeeTheJobAsItIs(t *testing.T) {
	onRigs(t, func(r *rig) {
		for range 20 {
			id := r.enqueue(1, nil)[0]
			for _, op := range []struct {
				call func(context.Context, jobs.ID) (jobs.Info, error)
				want jobs.State
			}{{r.queue.Cancel, jobs.Cancelled}, {r.queue.Retry, jobs.Ready}} {
				atOnce(4, func(int) {
					if got, err := op.call(r.Context(), id); err != nil || got.State != op.want || (got.FinishedAt.IsZero() == op.want.Final()) {
						r.Errorf("the job is %s, ended %v, %v; want it %s", got.State, got.FinishedAt, err, op.want)
					}
				})
			}
		}
	})
}
