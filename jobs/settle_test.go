package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/levqor/sdk/jobs"
)

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

func TestACompletionThatWasNotCommittedIsAFailure(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(ctx context.Context, job *jobs.Job[add]) (int, error) {
			_ = b.store.Atomically(func(tx *jobs.MemStore) error {
				if err := job.Complete(ctx, tx, 7); err != nil {
					t.Errorf("Complete = %v", err)
				}
				return errors.New("rolled back")
			})
			return 8, nil // wrongly
		}, &jobs.KindOptions{MaxAttempts: 1})
		defer work(t, b.store, b.registry, nil)()
		_, err := jobs.Await[int](context.Background(), b.queue, b.enqueue(nil))
		if !errors.Is(err, jobs.ErrDiscarded) || !strings.Contains(err.Error(), "not committed") {
			t.Errorf("Await = %v, want the missing commit as the reason", err)
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

// What comes while the store is busy waits for it, so that it comes in one batch; what
// waits behind a full batch does not.
func TestOnlyAFloodIsSettledByTwo(t *testing.T) {
	for _, tt := range []struct {
		jobs        int
		calls, most int // of the store, and at the same time
	}{{jobs: 500, calls: 2, most: 1}, {jobs: 3500, calls: 5, most: 2}} {
		inBubble(t, func(b *bench) {
			var mu sync.Mutex
			var open, most, calls int
			store := &hooked{MemStore: b.store, settle: func([]jobs.Outcome) error {
				mu.Lock()
				open++
				calls++
				most = max(most, open)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				defer mu.Unlock()
				open--
				return nil
			}}
			handle(t, b.registry, func(_ context.Context, job *jobs.Job[add]) (int, error) {
				if job.Args.A > 0 {
					time.Sleep(time.Millisecond) // so that the first outcome is alone
				}
				return 0, nil
			}, nil)
			entries := make([]jobs.Entry, tt.jobs)
			for i := range entries {
				entries[i].Args = add{A: min(i, 1)}
			}
			if _, err := b.queue.EnqueueMany(t.Context(), entries); err != nil {
				t.Fatal(err)
			}
			defer work(t, store, b.registry, &jobs.WorkerOptions{Queues: map[string]int{"default": tt.jobs}})()
			time.Sleep(time.Minute)
			counts, err := b.queue.Counts(t.Context())
			if err != nil || counts.Queues["default"][jobs.Completed] != tt.jobs {
				t.Errorf("the counts are %+v, %v; want %d completed", counts, err, tt.jobs)
			}
			if calls != tt.calls || most != tt.most {
				t.Errorf("%d jobs took %d calls, %d at the same time; want %d, %d", tt.jobs, calls, most, tt.calls, tt.most)
			}
		})
	}
}
