package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/jobs"
)

// work runs a worker until the returned function is called.
func work(tb testing.TB, store jobs.WorkerStore, r *jobs.Registry, opts *jobs.WorkerOptions) (stop func()) {
	tb.Helper()
	w, err := jobs.NewWorker(store, r, opts)
	if err != nil {
		tb.Fatalf("NewWorker = %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Run = %v", err)
		}
	})
}

// bench is a store, a queue and a registry in a bubble of fake time.
type bench struct {
	*testing.T
	store    *jobs.MemStore
	registry *jobs.Registry
	queue    *jobs.Queue
}

func inBubble(t *testing.T, fn func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, store: jobs.NewMemStore(), registry: jobs.NewRegistry(nil)}
		b.queue = jobs.New(b.store, b.registry, nil)
		fn(b)
	})
}

func (b *bench) enqueue(opts *jobs.EnqueueOptions) jobs.ID {
	b.Helper()
	info, err := b.queue.Enqueue(b.Context(), add{A: 1, B: 2}, opts)
	if err != nil {
		b.Fatalf("Enqueue = %v", err)
	}
	return info.ID
}

func (b *bench) get(id jobs.ID) jobs.Info {
	b.Helper()
	info, err := b.queue.Get(b.Context(), id)
	if err != nil {
		b.Fatalf("Get = %v", err)
	}
	return info
}

func TestAJobRunsAndItsResultIsAwaited(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.registry = registry(t)
		b.queue = jobs.New(b.store, b.registry, nil)
		defer work(t, b.store, b.registry, nil)()
		sum, err := jobs.Await[int](context.Background(), b.queue, b.enqueue(nil))
		if err != nil || sum != 3 {
			t.Errorf("Await = %d, %v; want 3", sum, err)
		}
		if _, err := jobs.Await[string](context.Background(), b.queue, b.enqueue(nil)); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("Await of another type = %v, want ErrInvalid", err)
		}
		if _, err := jobs.Await[int](context.Background(), b.queue, 42); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("Await of nothing = %v, want ErrNotFound", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := jobs.Await[int](ctx, b.queue, b.enqueue(&jobs.EnqueueOptions{Delay: time.Hour})); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Await = %v, want the context's error", err)
		}
	})
}

func TestProgressIsSeen(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(ctx context.Context, job *jobs.Job[add]) (int, error) {
			if err := job.Report(ctx, jobs.Progress{Fraction: 2}); !errors.Is(err, jobs.ErrInvalid) {
				t.Errorf("Report = %v, want ErrInvalid", err)
			}
			if err := job.Report(ctx, jobs.Progress{Note: strings.Repeat("x", 257)}); !errors.Is(err, jobs.ErrInvalid) {
				t.Errorf("Report = %v, want ErrInvalid", err)
			}
			if err := job.Report(ctx, jobs.Progress{Fraction: 0.5, Note: "half"}); err != nil {
				t.Errorf("Report = %v", err)
			}
			time.Sleep(5 * time.Second)
			return 0, nil
		}, nil)
		defer work(t, b.store, b.registry, nil)()
		id := b.enqueue(nil)
		time.Sleep(time.Second)
		if got := b.get(id).Progress; got.Fraction != 0.5 || got.Note != "half" {
			t.Errorf("Progress = %+v", got)
		}
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	inBubble(t, func(b *bench) {
		var running, most atomic.Int32
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) {
			n := running.Add(1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			time.Sleep(time.Second)
			running.Add(-1)
			return 0, nil
		}, nil)
		defer work(t, b.store, b.registry, &jobs.WorkerOptions{Queues: map[string]int{"default": 4}})()
		begun := time.Now()
		var ids []jobs.ID
		for range 20 {
			ids = append(ids, b.enqueue(nil))
		}
		for _, id := range ids {
			if _, err := jobs.Await[int](context.Background(), b.queue, id); err != nil {
				t.Fatal(err)
			}
		}
		if most.Load() != 4 {
			t.Errorf("%d jobs ran at once, want 4", most.Load())
		}
		if took := time.Since(begun); took > 8*time.Second {
			t.Errorf("20 jobs of a second took %v with 4 places", took)
		}
	})
}

func TestJobsOfUnknownKindsAreLeftAlone(t *testing.T) {
	inBubble(t, func(b *bench) {
		defer work(t, b.store, jobs.NewRegistry(nil), nil)()
		id := b.enqueue(nil)
		time.Sleep(time.Minute)
		if got := b.get(id); got.State != jobs.Ready || got.Attempt != 0 {
			t.Errorf("the job is %s at attempt %d, want ready and none", got.State, got.Attempt)
		}
	})
}

func TestScheduledJobsRunAtTheirTime(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { return 0, nil }, nil)
		defer work(t, b.store, b.registry, nil)()
		at := time.Now().Add(time.Hour)
		ids := []jobs.ID{b.enqueue(&jobs.EnqueueOptions{Delay: time.Hour}), b.enqueue(&jobs.EnqueueOptions{RunAt: at})}
		for _, id := range ids {
			if _, err := jobs.Await[int](context.Background(), b.queue, id); err != nil {
				t.Fatal(err)
			}
			if late := b.get(id).StartedAt.Sub(at); late < 0 || late > time.Second {
				t.Errorf("the job began %v after its time", late)
			}
		}
	})
}

func TestNewWorkerNamesWhatIsWrong(t *testing.T) {
	_, err := jobs.NewWorker(jobs.NewMemStore(), registry(t), &jobs.WorkerOptions{
		Queues: map[string]int{"a b": 1}, Lease: time.Second, Heartbeat: time.Second,
	})
	if got, want := fields(err), "/queues invalid_character, /lease too_small"; got != want {
		t.Errorf("fields %q, want %q", got, want)
	}
}

func TestAJobOfThisProcessStartsAtOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		started := make(chan time.Time, 1)
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { started <- time.Now(); return 0, nil }, nil)
		defer work(t, b.store, b.registry, &jobs.WorkerOptions{Poll: time.Minute})()
		other := work(t, b.store, b.registry, &jobs.WorkerOptions{Poll: time.Minute, Queues: map[string]int{"other": 1}})
		time.Sleep(time.Second) // the worker has looked and found nothing
		for range 3 {
			begun := time.Now()
			b.enqueue(nil)
			if waited := (<-started).Sub(begun); waited != 0 {
				t.Errorf("the job waited %v, want no time at all", waited)
			}
			time.Sleep(time.Second)
		}
		other() // a worker that has ended is not told
		b.enqueue(&jobs.EnqueueOptions{Queue: "other"})
	})
}

func TestPriorityIsTheOrderOfAQueue(t *testing.T) {
	inBubble(t, func(b *bench) {
		var order []int
		handle(t, b.registry, func(_ context.Context, job *jobs.Job[add]) (int, error) {
			order = append(order, job.Priority)
			return 0, nil
		}, nil)
		var ids []jobs.ID
		for _, p := range []int{9, 1, 5, 1} {
			ids = append(ids, b.enqueue(&jobs.EnqueueOptions{Priority: p}))
		}
		defer work(t, b.store, b.registry, &jobs.WorkerOptions{Queues: map[string]int{"default": 1}})()
		for _, id := range ids {
			if _, err := jobs.Await[int](context.Background(), b.queue, id); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := fmt.Sprint(order), "[1 1 5 9]"; got != want {
			t.Errorf("the jobs ran in the order %s, want %s", got, want)
		}
	})
}
