package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

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

func TestFailuresAreRetriedWithBackoffUntilTheLastAttempt(t *testing.T) {
	inBubble(t, func(b *bench) {
		var starts []time.Time
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) {
			starts = append(starts, time.Now())
			return 0, errors.New("boom")
		}, &jobs.KindOptions{MaxAttempts: 3, Backoff: func(n int) time.Duration { return time.Duration(n) * time.Minute }})
		defer work(t, b.store, b.registry, nil)()
		id := b.enqueue(nil)
		_, err := jobs.Await[int](context.Background(), b.queue, id)
		if !errors.Is(err, jobs.ErrDiscarded) || !strings.Contains(err.Error(), "boom") {
			t.Errorf("Await = %v, want ErrDiscarded with the last error", err)
		}
		info := b.get(id)
		if info.State != jobs.Discarded || info.Attempt != 3 || len(info.Attempts) != 3 {
			t.Fatalf("the job is %+v, want three failures", info)
		}
		for i, want := range []time.Duration{time.Minute, 2 * time.Minute} {
			if got := starts[i+1].Sub(starts[i]); got < want || got > want+time.Second {
				t.Errorf("attempt %d came %v after the one before, want %v", i+2, got, want)
			}
		}
	})
}

func TestVerdictsOfHandlers(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want jobs.State
		wait time.Duration
	}{
		{"a permanent error discards", jobs.Permanent(errors.New("boom")), jobs.Discarded, 0},
		{"an invalid value discards", fmt.Errorf("x: %w", jobs.ErrInvalid), jobs.Discarded, 0},
		{"something missing discards", jobs.ErrNotFound, jobs.Discarded, 0},
		{"a conflict is tried again", jobs.ErrConflict, jobs.Retryable, time.Second},
		{"an outage is tried again", jobs.ErrUnavailable, jobs.Retryable, time.Second},
		{"a wait that was asked for is kept", jobs.RetryAfter(errors.New("boom"), time.Hour), jobs.Retryable, time.Hour},
		{"a shorter wait than the backoff is not", jobs.RetryAfter(errors.New("boom"), time.Millisecond), jobs.Retryable, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { return 0, tt.err },
					&jobs.KindOptions{Backoff: func(int) time.Duration { return time.Second }})
				defer work(t, b.store, b.registry, nil)()
				id := b.enqueue(nil)
				time.Sleep(500 * time.Millisecond)
				info := b.get(id)
				if info.State != tt.want {
					t.Fatalf("the job is %s, want %s", info.State, tt.want)
				}
				if tt.want == jobs.Retryable {
					if got := info.RunAt.Sub(info.Attempts[0].FinishedAt); got != tt.wait {
						t.Errorf("it waits %v, want %v", got, tt.wait)
					}
				}
			})
		})
	}
	if jobs.Permanent(nil) != nil || jobs.RetryAfter(nil, time.Second) != nil {
		t.Error("no error became one")
	}
}

func TestPanicsAreFailures(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("secret detail") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { end(); return 0, nil }, &jobs.KindOptions{MaxAttempts: 1})
				defer work(t, b.store, b.registry, nil)()
				_, err := jobs.Await[int](context.Background(), b.queue, b.enqueue(nil))
				if !errors.Is(err, jobs.ErrDiscarded) || strings.Contains(err.Error(), "secret") {
					t.Errorf("Await = %v, want a failure that does not repeat the panic", err)
				}
			})
		})
	}
}

func TestATimeoutEndsTheAttempt(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(ctx context.Context, _ *jobs.Job[add]) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}, &jobs.KindOptions{MaxAttempts: 1, Timeout: time.Minute})
		defer work(t, b.store, b.registry, nil)()
		id := b.enqueue(nil)
		_, err := jobs.Await[int](context.Background(), b.queue, id)
		if !errors.Is(err, jobs.ErrDiscarded) || !strings.Contains(err.Error(), "timeout") {
			t.Errorf("Await = %v, want the timeout as the reason", err)
		}
		if took := b.get(id).FinishedAt.Sub(b.get(id).StartedAt); took < time.Minute || took > time.Minute+time.Second {
			t.Errorf("the attempt took %v, want a minute", took)
		}
	})
}

func TestAHandlerThatIgnoresItsContextIsGivenUp(t *testing.T) {
	inBubble(t, func(b *bench) {
		release := make(chan struct{})
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { <-release; return 0, nil },
			&jobs.KindOptions{MaxAttempts: 1, Timeout: time.Second})
		stop := work(t, b.store, b.registry, &jobs.WorkerOptions{Queues: map[string]int{"default": 1}})
		id := b.enqueue(nil)
		if _, err := jobs.Await[int](context.Background(), b.queue, id); !errors.Is(err, jobs.ErrDiscarded) {
			t.Errorf("Await = %v, want ErrDiscarded", err)
		}
		if took := b.get(id).FinishedAt.Sub(b.get(id).StartedAt); took < 6*time.Second || took > 7*time.Second {
			t.Errorf("it was given up after %v, want timeout and grace", took)
		}
		close(release) // what it returns now is dropped
		stop()
		if got := b.get(id).State; got != jobs.Discarded {
			t.Errorf("the job is %s after the late return", got)
		}
	})
}

func TestCancelStopsARunningHandler(t *testing.T) {
	inBubble(t, func(b *bench) {
		stopped := make(chan error, 1)
		handle(t, b.registry, func(ctx context.Context, _ *jobs.Job[add]) (int, error) {
			<-ctx.Done()
			stopped <- context.Cause(ctx)
			return 7, nil
		}, nil)
		defer work(t, b.store, b.registry, nil)()
		id := b.enqueue(nil)
		time.Sleep(time.Second)
		if _, err := b.queue.Cancel(context.Background(), id); err != nil {
			t.Fatalf("Cancel = %v", err)
		}
		begun := time.Now()
		if cause := <-stopped; !errors.Is(cause, jobs.ErrLeaseLost) {
			t.Errorf("the context ended with %v, want ErrLeaseLost", cause)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the handler was stopped after %v, want a heartbeat at most", took)
		}
		if _, err := jobs.Await[int](context.Background(), b.queue, id); !errors.Is(err, jobs.ErrCancelled) {
			t.Errorf("Await = %v, want ErrCancelled", err)
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

// flaky is a store that can be away.
type flaky struct {
	*jobs.MemStore
	away atomic.Bool
}

func (f *flaky) err() error {
	if f.away.Load() {
		return jobs.ErrUnavailable
	}
	return nil
}

func (f *flaky) Join(ctx context.Context, n jobs.Node, lease time.Duration, now time.Time) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.MemStore.Join(ctx, n, lease, now)
}

func (f *flaky) Beat(ctx context.Context, n jobs.NodeID, lease time.Duration, held []jobs.Lease, now time.Time) ([]jobs.ID, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.MemStore.Beat(ctx, n, lease, held, now)
}

func (f *flaky) Claim(ctx context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.MemStore.Claim(ctx, c, now)
}

func (f *flaky) Settle(ctx context.Context, all []jobs.Outcome, now time.Time) ([]error, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.MemStore.Settle(ctx, all, now)
}

func (f *flaky) Rescue(ctx context.Context, now time.Time) (int, error) {
	if err := f.err(); err != nil {
		return 0, err
	}
	return f.MemStore.Rescue(ctx, now)
}

func TestAnotherWorkerTakesOverAndTheFirstIsRefused(t *testing.T) {
	inBubble(t, func(b *bench) {
		var runs atomic.Int32
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (string, error) {
			n := runs.Add(1)
			if n == 1 {
				time.Sleep(2 * time.Minute) // hangs past its lease
			}
			return fmt.Sprint("attempt ", n), nil
		}, nil)
		slow := &flaky{MemStore: b.store}
		stopSlow := work(t, slow, b.registry, nil)
		id := b.enqueue(nil)
		time.Sleep(time.Second)
		slow.away.Store(true) // the first worker is cut off from the database
		defer work(t, b.store, b.registry, nil)()
		got, err := jobs.Await[string](context.Background(), b.queue, id)
		if err != nil || got != "attempt 2" {
			t.Errorf("Await = %q, %v; want the second attempt", got, err)
		}
		if took := time.Since(b.get(id).CreatedAt); took > 15*time.Second {
			t.Errorf("the job was taken over after %v, want a lease and a heartbeat", took)
		}
		slow.away.Store(false)
		time.Sleep(5 * time.Minute)
		stopSlow()
		if info := b.get(id); string(info.Result) != `"attempt 2"` || info.Attempt != 2 {
			t.Errorf("the job is %+v, want the first attempt's late result refused", info)
		}
	})
}

func TestAnOutageLosesNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		var runs atomic.Int32
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) {
			runs.Add(1)
			time.Sleep(time.Second)
			return 1, nil
		}, nil)
		store := &flaky{MemStore: b.store}
		store.away.Store(true)
		stop := work(t, store, b.registry, nil)
		id := b.enqueue(nil)
		time.Sleep(time.Minute)
		store.away.Store(false)
		time.Sleep(1500 * time.Millisecond)
		store.away.Store(true) // goes away while the job runs or is recorded
		time.Sleep(time.Minute)
		store.away.Store(false)
		if _, err := jobs.Await[int](context.Background(), b.queue, id); err != nil {
			t.Errorf("Await = %v", err)
		}
		stop()
		if runs.Load() != 1 {
			t.Errorf("the job ran %d times, want once: its node came back and nobody had taken it", runs.Load())
		}
	})
}

func TestCompleteInTheHandlersOwnTransaction(t *testing.T) {
	inBubble(t, func(b *bench) {
		boom := errors.New("boom")
		handle(t, b.registry, func(ctx context.Context, job *jobs.Job[add]) (string, error) {
			err := b.store.Atomically(func(tx *jobs.MemStore) error {
				if err := job.Complete(ctx, tx, "own"); err != nil {
					return err
				}
				if job.Attempt == 1 {
					return boom // rolls the completion back
				}
				return nil
			})
			return "returned", err
		}, &jobs.KindOptions{Backoff: func(int) time.Duration { return time.Second }})
		defer work(t, b.store, b.registry, nil)()
		id := b.enqueue(nil)
		got, err := jobs.Await[string](context.Background(), b.queue, id)
		if err != nil || got != "own" {
			t.Errorf("Await = %q, %v; want the result of the transaction", got, err)
		}
		time.Sleep(time.Minute)
		if info := b.get(id); info.Attempt != 2 || string(info.Result) != `"own"` {
			t.Errorf("the job is %+v, want the second attempt's own result", info)
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

func TestAResultThatIsNoJSONDiscards(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (func(), error) { return func() {}, nil }, nil)
		defer work(t, b.store, b.registry, nil)()
		id := b.enqueue(nil)
		if _, err := jobs.Await[int](context.Background(), b.queue, id); !errors.Is(err, jobs.ErrDiscarded) {
			t.Errorf("Await = %v, want ErrDiscarded", err)
		}
		if got := b.get(id).Attempt; got != 1 {
			t.Errorf("it was tried %d times, want once", got)
		}
	})
}

func TestTextsAreMadeStorable(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"what is no character is replaced", "\x00a\xff", "\uFFFDa\uFFFD"},
		{"a long text ends at a character", strings.Repeat("x", 4095) + "ä", strings.Repeat("x", 4095)},
		{"a long text of nothing but NULs stays within the bound", strings.Repeat("\x00", 5000), strings.Repeat("\uFFFD", 4096/3)},
		{"a long text without a character is cut all the same", strings.Repeat("\x80", 5000), "\uFFFD"},
		{"an empty text gets one", "", "error without text"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				handle(t, b.registry, func(ctx context.Context, job *jobs.Job[add]) (int, error) {
					if err := job.Report(ctx, jobs.Progress{Note: tt.text[:min(len(tt.text), 256)]}); err != nil {
						t.Errorf("Report = %v", err)
					}
					return 0, errors.New(tt.text)
				}, &jobs.KindOptions{MaxAttempts: 1})
				defer work(t, b.store, b.registry, nil)()
				id := b.enqueue(nil)
				_, _ = jobs.Await[int](context.Background(), b.queue, id)
				info := b.get(id)
				if got := info.Attempts[0].Error; got != tt.want {
					t.Errorf("the text is %d bytes, %.20q; want %d, %.20q", len(got), got, len(tt.want), tt.want)
				}
				if note := info.Progress.Note; len(note) > 256 || !utf8.ValidString(note) || strings.Contains(note, "\x00") {
					t.Errorf("the note is %q", note)
				}
			})
		})
	}
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
