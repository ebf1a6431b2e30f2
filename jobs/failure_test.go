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
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
)

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
		{"a key that is not known discards", fault.ErrUnauthenticated, jobs.Discarded, 0},
		{"something forbidden discards", fmt.Errorf("x: %w", fault.ErrForbidden), jobs.Discarded, 0},
		{"a limit is waited for", fault.ErrLimit, jobs.Retryable, time.Second},
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

func TestASnoozedJobWaitsWithoutAnAttempt(t *testing.T) {
	inBubble(t, func(b *bench) {
		var starts []time.Time
		handle(t, b.registry, func(_ context.Context, job *jobs.Job[add]) (int, error) {
			if starts = append(starts, time.Now()); len(starts) < 4 {
				return 0, fmt.Errorf("not yet: %w", jobs.Snooze(time.Hour))
			}
			return job.Attempt, nil
		}, &jobs.KindOptions{MaxAttempts: 1})
		defer work(t, b.store, b.registry, nil)()
		id := b.enqueue(nil)
		if got, err := jobs.Await[int](context.Background(), b.queue, id); err != nil || got != 1 {
			t.Errorf("Await = %d, %v; want the result of attempt 1", got, err)
		}
		if info := b.get(id); len(info.Attempts) != 0 {
			t.Errorf("the failures are %+v", info.Attempts)
		}
		for i := 1; i < len(starts); i++ {
			if pause := starts[i].Sub(starts[i-1]); pause < time.Hour || pause > time.Hour+time.Second {
				t.Errorf("start %d came after %v", i, pause)
			}
		}
	})
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

// The place of such a handler goes to another once, so there are no more than before.
func TestAHandlerThatIsGivenUpAndEndsItsGoroutineLosesOnePlace(t *testing.T) {
	inBubble(t, func(b *bench) {
		var running, most atomic.Int64
		var stuck sync.WaitGroup
		release := make(chan struct{})
		stuck.Add(1)
		handle(t, b.registry, func(_ context.Context, job *jobs.Job[add]) (int, error) {
			if job.Args.A == 1 {
				defer stuck.Done()
				<-release
				runtime.Goexit()
			}
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Millisecond)
			running.Add(-1)
			return 0, nil
		}, &jobs.KindOptions{MaxAttempts: 1, Timeout: time.Second})
		defer work(t, b.store, b.registry, &jobs.WorkerOptions{Queues: map[string]int{"default": 1}})()
		enqueue := func(a int) jobs.ID {
			info, err := b.queue.Enqueue(context.Background(), add{A: a}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return info.ID
		}
		if _, err := jobs.Await[int](context.Background(), b.queue, enqueue(1)); !errors.Is(err, jobs.ErrDiscarded) {
			t.Errorf("Await = %v, want ErrDiscarded", err)
		}
		close(release)
		stuck.Wait()
		var last jobs.ID
		for range 2000 { // so many that jobs are claimed ahead
			last = enqueue(2)
		}
		if _, err := jobs.Await[int](context.Background(), b.queue, last); err != nil {
			t.Errorf("Await = %v", err)
		}
		if n := most.Load(); n != 1 {
			t.Errorf("%d jobs ran at once in one place", n)
		}
	})
}
