package jobs_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

func TestAStoreThatStaysAwayDoesNotHoldTheDrain(t *testing.T) {
	inBubble(t, func(b *bench) {
		var away atomic.Bool
		gone := func() error {
			if away.Load() {
				return jobs.ErrUnavailable
			}
			return nil
		}
		store := &hooked{
			MemStore: b.store, leave: gone,
			beat:   func(context.Context, []jobs.Lease) error { return gone() },
			settle: func([]jobs.Outcome) error { return gone() },
		}
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { time.Sleep(2 * time.Second); return 0, nil }, nil)
		w, err := jobs.NewWorker(store, b.registry, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		id := b.enqueue(nil)
		time.Sleep(time.Second)
		away.Store(true)
		cancel()
		begun := time.Now()
		if err := <-done; !errors.Is(err, jobs.ErrUnavailable) {
			t.Errorf("Run = %v, want that the store could not be told", err)
		}
		if took := time.Since(begun); took > 30*time.Second {
			t.Errorf("Run returned after %v, want the job's second and a lease", took)
		}
		defer work(t, b.store, b.registry, nil)()
		if _, err := jobs.Await[int](context.Background(), b.queue, id); err != nil {
			t.Errorf("Await = %v, want another worker to take the job over", err)
		}
	})
}

func TestDrainGivesUpAHandlerThatIgnoresItsContext(t *testing.T) {
	inBubble(t, func(b *bench) {
		release := make(chan struct{})
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { <-release; return 7, nil }, nil)
		stop := work(t, b.store, b.registry, &jobs.WorkerOptions{Drain: time.Second, Grace: 2 * time.Second})
		id := b.enqueue(nil)
		time.Sleep(time.Second)
		begun := time.Now()
		stop()
		if took := time.Since(begun); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("the drain took %v, want drain and grace", took)
		}
		if got := b.get(id); got.State != jobs.Ready || got.Attempt != 0 {
			t.Errorf("the job is %s at attempt %d, want handed back", got.State, got.Attempt)
		}
		close(release) // what it returns now goes nowhere
		time.Sleep(time.Second)
		if got := b.get(id); got.State != jobs.Ready {
			t.Errorf("the job is %s after the late return", got.State)
		}
	})
}

func TestManyOutcomesAndAStoreThatStaysAwayDoNotHoldTheDrain(t *testing.T) {
	inBubble(t, func(b *bench) {
		const many = 2500 // more than wait to be recorded
		var started atomic.Int32
		end := make(chan struct{})
		store := &hooked{MemStore: b.store, settle: func([]jobs.Outcome) error { return jobs.ErrUnavailable }}
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { started.Add(1); <-end; return 0, nil }, nil)
		entries := make([]jobs.Entry, many)
		for i := range entries {
			entries[i].Args = add{}
		}
		if _, err := b.queue.EnqueueMany(context.Background(), entries); err != nil {
			t.Fatal(err)
		}
		w, err := jobs.NewWorker(store, b.registry, &jobs.WorkerOptions{Queues: map[string]int{"default": many}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		time.Sleep(time.Second)
		if started.Load() != many {
			t.Fatalf("%d jobs began, want %d", started.Load(), many)
		}
		close(end)
		cancel()
		begun := time.Now()
		if err := <-done; err == nil {
			t.Error("Run = nil, want that the store could not be told")
		}
		if took := time.Since(begun); took > 41*time.Second {
			t.Errorf("Run returned after %v, want drain, grace and a lease", took)
		}
		ready, err := b.queue.List(context.Background(), jobs.ListQuery{States: []jobs.State{jobs.Running}, Limit: 1})
		if err != nil || len(ready) > 0 {
			t.Errorf("%d jobs run on, %v; want all handed back", len(ready), err)
		}
	})
}

func TestDrainWaitsThenHandsBack(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(ctx context.Context, job *jobs.Job[add]) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(time.Duration(job.Args.A) * time.Second):
				return 0, nil
			}
		}, nil)
		stop := work(t, b.store, b.registry, &jobs.WorkerOptions{Drain: 10 * time.Second})
		short, err := b.queue.Enqueue(context.Background(), add{A: 5}, nil)
		if err != nil {
			t.Fatal(err)
		}
		long, err := b.queue.Enqueue(context.Background(), add{A: 3600}, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		begun := time.Now()
		stop()
		if took := time.Since(begun); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("the drain took %v, want ten seconds", took)
		}
		if got := b.get(short.ID); got.State != jobs.Completed {
			t.Errorf("the short job is %s, want completed", got.State)
		}
		if got := b.get(long.ID); got.State != jobs.Ready || got.Attempt != 0 || len(got.Attempts) != 0 {
			t.Errorf("the long job is %s at attempt %d, want ready and none", got.State, got.Attempt)
		}
		late := b.enqueue(nil)
		time.Sleep(time.Minute)
		if got := b.get(late); got.State != jobs.Ready {
			t.Errorf("a job that came after the drain is %s", got.State)
		}
	})
}
