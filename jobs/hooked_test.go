package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

// hooked is a store whose answers a test can replace. A hook that returns nil
// lets the call through.
type hooked struct {
	*jobs.MemStore
	beat   func(ctx context.Context, held []jobs.Lease) error
	settle func(all []jobs.Outcome) error
	leave  func() error
}

func (h *hooked) Beat(ctx context.Context, n jobs.NodeID, lease time.Duration, held []jobs.Lease, now time.Time) ([]jobs.ID, error) {
	if h.beat != nil {
		if err := h.beat(ctx, held); err != nil {
			return nil, err
		}
	}
	return h.MemStore.Beat(ctx, n, lease, held, now)
}

func (h *hooked) Settle(ctx context.Context, all []jobs.Outcome, now time.Time) ([]error, error) {
	if h.settle != nil {
		if err := h.settle(all); err != nil {
			return nil, err
		}
	}
	return h.MemStore.Settle(ctx, all, now)
}

func (h *hooked) Leave(ctx context.Context, n jobs.NodeID, now time.Time) error {
	if h.leave != nil {
		if err := h.leave(); err != nil {
			return err
		}
	}
	return h.MemStore.Leave(ctx, n, now)
}

// atOnce makes retries come at once.
var atOnce = &jobs.KindOptions{Backoff: func(int) time.Duration { return 0 }}

func TestALateHeartbeatDoesNotStopTheNextAttempt(t *testing.T) {
	inBubble(t, func(b *bench) {
		seen, second := make(chan struct{}), make(chan struct{})
		store := &hooked{MemStore: b.store, beat: func(_ context.Context, held []jobs.Lease) error {
			if len(held) == 1 && held[0].Epoch == 1 {
				close(seen) // the first attempt may fail now
				<-second    // and the second begins before the store answers
			}
			return nil
		}}
		handle(t, b.registry, func(ctx context.Context, job *jobs.Job[add]) (int, error) {
			if job.Attempt == 1 {
				<-seen
				return 0, errors.New("boom")
			}
			close(second)
			select {
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			case <-time.After(5 * time.Second):
				return 7, nil
			}
		}, atOnce)
		defer work(t, store, b.registry, nil)()
		id := b.enqueue(nil)
		if got, err := jobs.Await[int](context.Background(), b.queue, id); err != nil || got != 7 {
			t.Errorf("Await = %d, %v; want the second attempt's result", got, err)
		}
		if info := b.get(id); info.Attempt != 2 {
			t.Errorf("the job is %+v, want two attempts", info)
		}
	})
}

func TestAHeartbeatThatHangsIsGivenUpWithinTheLease(t *testing.T) {
	inBubble(t, func(b *bench) {
		var beats atomic.Int32
		store := &hooked{MemStore: b.store, beat: func(ctx context.Context, _ []jobs.Lease) error {
			if beats.Add(1) == 3 {
				<-ctx.Done() // the connection was cut without a word
				return ctx.Err()
			}
			return nil
		}}
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { time.Sleep(time.Minute); return 0, nil }, nil)
		stop := work(t, store, b.registry, nil)
		id := b.enqueue(nil)
		time.Sleep(time.Second)
		defer work(t, b.store, b.registry, nil)() // would take the job over
		if _, err := jobs.Await[int](context.Background(), b.queue, id); err != nil {
			t.Errorf("Await = %v", err)
		}
		stop()
		if info := b.get(id); info.Attempt != 1 || beats.Load() < 10 {
			t.Errorf("attempt %d after %d heartbeats, want the first and the lease kept", info.Attempt, beats.Load())
		}
	})
}

func TestOutcomesThatTheStoreRefuses(t *testing.T) {
	tests := []struct {
		name     string
		err      error
		times    int // how often the bad outcome and what replaces it are refused
		state    jobs.State
		attempt  int
		failures string
	}{
		{"an invalid one ends the job", jobs.ErrInvalid, 2, jobs.Discarded, 1, "the outcome could not be stored"},
		{"an error of no kind fails the attempt", errors.New("bug"), 2, jobs.Completed, 2, "the outcome could not be stored"},
		{"a job with nothing recorded is handed back", errors.New("bug"), 3, jobs.Completed, 1, ""},
		{"an outage is waited for", jobs.ErrUnavailable, 20, jobs.Completed, 1, ""},
		{"so is a connection that is slow to come up", fmt.Errorf("dial: %w", context.DeadlineExceeded), 20, jobs.Completed, 1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				var first, bad jobs.ID
				var refused int
				begin := make(chan struct{})
				store := &hooked{MemStore: b.store, settle: func(all []jobs.Outcome) error {
					if all[0].Lease.ID == first {
						close(begin)            // the others end while the store is busy
						time.Sleep(time.Second) // and so come in one batch
					}
					for _, out := range all {
						if out.Lease.ID == bad && refused < tt.times {
							refused++
							return tt.err
						}
					}
					return nil
				}}
				handle(t, b.registry, func(_ context.Context, job *jobs.Job[add]) (int, error) {
					if job.ID != first {
						<-begin
					}
					return 0, nil
				}, atOnce)
				bad = b.enqueue(nil)
				good := []jobs.ID{b.enqueue(nil), b.enqueue(nil)}
				first = b.enqueue(nil)
				defer work(t, store, b.registry, nil)()
				for _, id := range good {
					if _, err := jobs.Await[int](context.Background(), b.queue, id); err != nil {
						t.Errorf("Await = %v, want the outcomes beside the bad one recorded", err)
					}
				}
				_, _ = jobs.Await[int](context.Background(), b.queue, bad)
				info := b.get(bad)
				var failures []string
				for _, a := range info.Attempts {
					failures = append(failures, a.Error)
				}
				if info.State != tt.state || info.Attempt != tt.attempt || strings.Join(failures, ", ") != tt.failures {
					t.Errorf("the job is %s at attempt %d with failures %q; want %s, %d, %q",
						info.State, info.Attempt, failures, tt.state, tt.attempt, tt.failures)
				}
			})
		})
	}
}

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

func TestAWorkerWaitsForTheStoreToBegin(t *testing.T) {
	inBubble(t, func(b *bench) {
		store := &flaky{MemStore: b.store}
		store.away.Store(true)
		work(t, store, b.registry, nil)() // Run ends with its context and without an error
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { return 0, nil }, nil)
		defer work(t, store, b.registry, nil)()
		time.Sleep(time.Hour)
		store.away.Store(false)
		if _, err := jobs.Await[int](context.Background(), b.queue, b.enqueue(nil)); err != nil {
			t.Errorf("Await = %v", err)
		}
	})
}

func TestAHandlerThatCompletedItsJobEndsInPeace(t *testing.T) {
	inBubble(t, func(b *bench) {
		var log bytes.Buffer
		handle(t, b.registry, func(ctx context.Context, job *jobs.Job[add]) (int, error) {
			if err := job.Complete(ctx, b.store, 7); err != nil {
				return 0, err
			}
			select {
			case <-ctx.Done():
				t.Errorf("the context ended with %v", context.Cause(ctx))
			case <-time.After(5 * time.Second): // several heartbeats
			}
			if err := job.Complete(ctx, b.store, 8); !errors.Is(err, jobs.ErrLeaseLost) {
				t.Errorf("a second Complete = %v, want ErrLeaseLost", err)
			}
			return 0, nil
		}, nil)
		stop := work(t, b.store, b.registry, &jobs.WorkerOptions{
			Queues: map[string]int{"default": 1}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		id, next := b.enqueue(nil), b.enqueue(nil)
		for _, id := range []jobs.ID{id, next} { // the second needs the place of the first
			if got, err := jobs.Await[int](context.Background(), b.queue, id); err != nil || got != 7 {
				t.Errorf("Await = %d, %v", got, err)
			}
		}
		stop()
		if log.Len() > 0 {
			t.Errorf("the log says:\n%s", log.String())
		}
	})
}

// panicky is an error, and a result, whose methods panic.
type panicky struct{}

func (panicky) Error() string                { panic("Error") }
func (panicky) MarshalJSON() ([]byte, error) { panic("MarshalJSON") }

func TestPanicsOfTheProgramsOtherCodeAreFailures(t *testing.T) {
	boom := errors.New("boom")
	for name, tt := range map[string]struct {
		err     error
		result  any
		backoff func(int) time.Duration
	}{
		"an error's text":  {err: panicky{}},
		"a result's JSON":  {result: panicky{}},
		"a kind's backoff": {err: boom, backoff: func(int) time.Duration { panic("Backoff") }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				handle(t, b.registry, func(_ context.Context, job *jobs.Job[add]) (any, error) {
					if job.Attempt == 1 {
						return tt.result, tt.err
					}
					return 7, nil
				}, &jobs.KindOptions{Backoff: tt.backoff})
				defer work(t, b.store, b.registry, nil)()
				id := b.enqueue(nil)
				if got, err := jobs.Await[int](context.Background(), b.queue, id); err != nil || got != 7 {
					t.Errorf("Await = %d, %v; want the second attempt", got, err)
				}
				if failures := b.get(id).Attempts; len(failures) != 1 || failures[0].Error != "the handler panicked" {
					t.Errorf("the failures are %+v", failures)
				}
			})
		})
	}
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
