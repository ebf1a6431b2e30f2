package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
)

func TestTheEndOfAJobLetsTheNextStartAtOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		var running, most atomic.Int32
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(10 * time.Millisecond)
			running.Add(-1)
			return 0, nil
		}, nil)
		if err := jobs.NewQueues(b.store).Put(context.Background(), jobs.QueueSettings{Queue: "default", MaxRunning: 2}); err != nil {
			t.Fatal(err)
		}
		var last jobs.ID
		for range 100 {
			last = b.enqueue(nil)
		}
		defer work(t, b.store, b.registry, nil)()
		begun := time.Now()
		if _, err := jobs.Await[int](context.Background(), b.queue, last); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("100 jobs of 10 ms, two at once, took %v", took)
		}
		if most.Load() != 2 {
			t.Errorf("%d jobs ran at once, want 2", most.Load())
		}
	})
}

func TestAPausedQueueGoesOnWhenItIsResumed(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { return 7, nil }, nil)
		queues := jobs.NewQueues(b.store)
		ctx := context.Background()
		for range 2 { // the second changes nothing
			if err := queues.Pause(ctx, "default"); err != nil {
				t.Fatal(err)
			}
		}
		id := b.enqueue(nil)
		defer work(t, b.store, b.registry, nil)()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := b.get(id); got.State != jobs.Ready {
			t.Errorf("the job is %s", got.State)
		}
		if err := queues.Resume(ctx, "default"); err != nil {
			t.Fatal(err)
		}
		if got, err := jobs.Await[int](ctx, b.queue, id); err != nil || got != 7 {
			t.Errorf("Await = %d, %v", got, err)
		}
		if all, err := queues.List(ctx); err != nil || len(all) != 1 || all[0].Paused {
			t.Errorf("List = %+v, %v", all, err)
		}
	})
}

// Workers that look once an hour learn at once that a queue goes on, or that the place of
// a job that was cancelled is free.
func TestWhatMayStartNowStartsAtOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(ctx context.Context, _ *jobs.Job[add]) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}, nil)
		queues := jobs.NewQueues(b.store).ForRegistry(b.registry)
		ctx := context.Background()
		if err := queues.Put(ctx, jobs.QueueSettings{Queue: "default", MaxRunning: 1, Paused: true}); err != nil {
			t.Fatal(err)
		}
		first, second, third := b.enqueue(nil), b.enqueue(nil), b.enqueue(nil)
		defer work(t, b.store, b.registry, &jobs.WorkerOptions{Poll: time.Hour})()
		time.Sleep(time.Minute)
		for _, step := range []struct {
			what string
			do   func() error
			runs jobs.ID
		}{
			{"is resumed", func() error { return queues.Resume(ctx, "default") }, first},
			{"has a job less", func() error { _, err := b.queue.Cancel(ctx, first); return err }, second},
			{"may run more", func() error { return queues.Put(ctx, jobs.QueueSettings{Queue: "default", MaxRunning: 2}) }, third},
		} {
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second) // what one process has set holds for others within a second
			if got := b.get(step.runs); got.State != jobs.Running {
				t.Errorf("the queue %s, and the job is %s", step.what, got.State)
			}
		}
	})
}

func TestBadLimitsAreRefusedAndNotStored(t *testing.T) {
	queues := jobs.NewQueues(jobs.NewMemStore())
	for want, settings := range map[string]jobs.QueueSettings{
		"/queue required":                {},
		"/max_running too_small":         {Queue: "q", MaxRunning: -1},
		"/max_per_tenant too_small":      {Queue: "q", MaxPerTenant: -1},
		"/max_per_key too_large":         {Queue: "q", MaxPerKey: 1_000_001},
		"/rate/per_seconds out_of_range": {Queue: "q", Rate: jobs.Rate{Count: 1}},
		"/rate/count too_small":          {Queue: "q", Rate: jobs.Rate{Per: time.Second}},
		"/rate_per_key/count too_small":  {Queue: "q", RatePerKey: jobs.Rate{Count: -1, Per: time.Second}},
		"/weights/a too_large":           {Queue: "q", Weights: map[string]int{"a": 101}},
		"/weights/b too_small":           {Queue: "q", Weights: map[string]int{"b": 0}},
		"/weights/a b invalid_character": {Queue: "q", Weights: map[string]int{"a b": 1}},
		"/rate_per_key/count too_large":  {Queue: "q", RatePerKey: jobs.Rate{Count: 1_000_001, Per: time.Hour}},
	} {
		err := queues.Put(t.Context(), settings)
		all := fault.All(err)
		if len(all) != 1 || !errors.Is(err, jobs.ErrInvalid) || all[0].Field+" "+all[0].Code != want {
			t.Errorf("Put(%+v) = %v, want %s", settings, err, want)
		}
	}
	if all, err := queues.List(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("List = %v, %v; want nothing stored", all, err)
	}
	queue := jobs.New(jobs.NewMemStore(), jobs.NewRegistry(nil), nil)
	for _, key := range []string{string(make([]byte, 257)), "a\x00", "\xff"} {
		if _, err := queue.Enqueue(t.Context(), Greet{}, &jobs.EnqueueOptions{LimitKey: key}); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("Enqueue with the limit key %q = %v, want ErrInvalid", key, err)
		}
	}
}

func ExampleNewQueues() {
	ctx := context.Background()
	queues := jobs.NewQueues(jobs.NewMemStore())
	err := queues.Put(ctx, jobs.QueueSettings{Queue: "mail", MaxPerTenant: 5, Rate: jobs.Rate{Count: 100, Per: time.Second}})
	fmt.Println(err, queues.Pause(ctx, "mail"))
	settings, err := queues.Get(ctx, "mail")
	fmt.Println(settings.Paused, settings.MaxPerTenant, err)
	// Output:
	// <nil> <nil>
	// true 5 <nil>
}
