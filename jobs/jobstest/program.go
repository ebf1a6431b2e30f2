package jobstest

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

// Run runs one attempt of the handler that is registered for args, with all that
// surrounds it in a worker: validation, sealing, hooks, the timeout, panics. It returns
// what the handler returned, through JSON as [jobs.Await] does; an error has the text of
// the handler's and is jobs.ErrDiscarded.
func Run[R any, A jobs.Args](tb testing.TB, registry *jobs.Registry, args A) (R, error) {
	tb.Helper()
	var none R
	store := jobs.NewMemStore()
	queue := jobs.New(store, registry, nil)
	info, err := queue.Enqueue(tb.Context(), args, &jobs.EnqueueOptions{MaxAttempts: 1})
	if err != nil {
		return none, err
	}
	stop := Work(tb, store, registry, info.Queue)
	defer stop()
	return jobs.Await[R](tb.Context(), queue, info.ID)
}

// Work runs a worker for some queues, or the default one, until stop is called or the
// test ends. It looks for due jobs each second, so in a bubble of testing/synctest an
// hour of retries, schedules and delays takes some milliseconds.
func Work(tb testing.TB, store jobs.WorkerStore, registry *jobs.Registry, queues ...string) (stop func()) {
	tb.Helper()
	opts := &jobs.WorkerOptions{Poll: time.Second, Queues: map[string]int{}}
	for _, queue := range queues {
		opts.Queues[queue] = 10
	}
	worker, err := jobs.NewWorker(store, registry, opts)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	stopped := false
	stop = func() {
		tb.Helper()
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("the worker ended with %v", err)
		}
	}
	tb.Cleanup(stop)
	return stop
}

// Enqueued returns the arguments of the jobs of a kind that the queue's tenant has and
// that are not over, the oldest first. Secrets read "[secret]".
func Enqueued[A jobs.Args](tb testing.TB, queue *jobs.Queue) []A {
	tb.Helper()
	var zero A
	query := jobs.ListQuery{
		Kind: zero.Kind(), Limit: 1000, States: []jobs.State{jobs.Scheduled, jobs.Ready, jobs.Running, jobs.Retryable},
	}
	var all []A
	for {
		page, err := queue.List(tb.Context(), query)
		if err != nil {
			tb.Fatal(err)
		}
		for _, info := range page {
			var args A
			if err := json.Unmarshal(info.Args, &args); err != nil {
				tb.Fatalf("the arguments of %s: %v", info.ID, err)
			}
			all = append([]A{args}, all...)
			query.Before = info.ID
		}
		if len(page) < query.Limit {
			return all
		}
	}
}

// WantEnqueued fails the test unless exactly one job of the kind that is not over has
// arguments that match, and returns them.
func WantEnqueued[A jobs.Args](tb testing.TB, queue *jobs.Queue, match func(A) bool) A {
	tb.Helper()
	all := Enqueued[A](tb, queue)
	var found []A
	for _, args := range all {
		if match(args) {
			found = append(found, args)
		}
	}
	if len(found) != 1 {
		var zero A
		tb.Fatalf("%d of %d jobs of kind %s match, want 1: %+v", len(found), len(all), zero.Kind(), all)
	}
	return found[0]
}

// Settle waits until no job of the queue's tenant is Ready or Running, or fails the test
// after a minute.
func Settle(tb testing.TB, queue *jobs.Queue) {
	tb.Helper()
	ctx, cancel := context.WithTimeoutCause(tb.Context(), time.Minute, errors.New("jobs are still ready or running"))
	defer cancel()
	for {
		busy, err := queue.List(ctx, jobs.ListQuery{Limit: 1, States: []jobs.State{jobs.Ready, jobs.Running}})
		if err != nil {
			tb.Fatalf("%v: %v", context.Cause(ctx), err)
		}
		if len(busy) == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
