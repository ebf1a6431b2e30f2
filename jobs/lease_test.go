package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

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

func TestAnAnswerToJoinThatGetsLostDoesNoHarm(t *testing.T) {
	inBubble(t, func(b *bench) {
		lost := false
		store := &hooked{MemStore: b.store, joined: func() error {
			if lost {
				return nil
			}
			lost = true
			return jobs.ErrUnavailable
		}}
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { return 0, nil }, nil)
		defer work(t, store, b.registry, nil)()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := jobs.Await[int](ctx, b.queue, b.enqueue(nil)); err != nil || !lost {
			t.Errorf("Await = %v", err)
		}
	})
}

func TestJobsWhoseClaimGotLostAreHandedBack(t *testing.T) {
	inBubble(t, func(b *bench) {
		lost := 0
		store := &hooked{MemStore: b.store, claims: func(all []jobs.Info) error {
			if len(all) == 0 || lost == 2 {
				return nil
			}
			lost++
			return jobs.ErrUnavailable
		}}
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { return 0, nil }, nil)
		id := b.enqueue(nil)
		stop := work(t, store, b.registry, nil)
		time.Sleep(time.Second)
		if got := b.get(id).State; got != jobs.Running {
			t.Fatalf("the job is %s, want running: the store gave it away", got)
		}
		stop() // at once, when the worker leaves
		if got := b.get(id); got.State != jobs.Ready || got.Attempt != 0 {
			t.Errorf("the job is %s at attempt %d, want ready and none", got.State, got.Attempt)
		}
		defer work(t, store, b.registry, nil)() // after a lease, while the worker lives
		if _, err := jobs.Await[int](context.Background(), b.queue, id); err != nil {
			t.Errorf("Await = %v", err)
		}
		if got := b.get(id); got.Attempt != 1 || got.Epoch != 3 || time.Since(got.CreatedAt) > 15*time.Second {
			t.Errorf("attempt %d under epoch %d after %v, want 1, 3 and about a lease", got.Attempt, got.Epoch, time.Since(got.CreatedAt))
		}
	})
}

func TestWorkersThatComeBackTogetherLeaveEachOthersJobs(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { time.Sleep(2 * time.Minute); return 0, nil }, nil)
		first, second := &flaky{MemStore: b.store}, &flaky{MemStore: b.store}
		defer work(t, first, b.registry, nil)()
		id := b.enqueue(nil)
		time.Sleep(time.Second)
		defer work(t, second, b.registry, nil)()
		time.Sleep(time.Second)
		first.away.Store(true)
		second.away.Store(true)
		time.Sleep(time.Minute) // every lease has run out
		second.away.Store(false)
		time.Sleep(3 * time.Second)
		first.away.Store(false)
		if _, err := jobs.Await[int](context.Background(), b.queue, id); err != nil {
			t.Errorf("Await = %v", err)
		}
		if got := b.get(id); got.Attempt != 1 {
			t.Errorf("the job needed %d attempts, want 1: its worker was only late", got.Attempt)
		}
	})
}

func TestAWorkerThatLostItsLeaseJoinsAgain(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { return 0, nil }, nil)
		store := &flaky{MemStore: b.store}
		defer work(t, store, b.registry, nil)()
		time.Sleep(time.Second)
		store.away.Store(true)
		if n, err := b.store.Rescue(context.Background(), time.Now().Add(time.Hour)); err != nil || n != 0 {
			t.Fatalf("Rescue = %d, %v", n, err)
		}
		store.away.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := jobs.Await[int](ctx, b.queue, b.enqueue(nil)); err != nil {
			t.Errorf("Await = %v, want the worker to go on as a new node", err)
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

// An outage is told about, but not ten times a second.
func TestAStoreThatIsAwayIsAskedLessOften(t *testing.T) {
	inBubble(t, func(b *bench) {
		store := &flaky{MemStore: b.store}
		asked := &counting{flaky: store}
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { return 7, nil }, nil)
		defer work(t, asked, b.registry, nil)()
		time.Sleep(time.Second)
		store.away.Store(true)
		asked.claims.Store(0)
		time.Sleep(time.Minute)
		if n := asked.claims.Load(); n < 20 || n > 60 {
			t.Errorf("%d claims in a minute without a store, want about one each 2 s", n)
		}
		store.away.Store(false)
		id := b.enqueue(nil)
		begun := time.Now()
		if _, err := jobs.Await[int](context.Background(), b.queue, id); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("the worker came back after %v", took)
		}
	})
}

// counting counts claims.
type counting struct {
	*flaky
	claims atomic.Int64
}

func (c *counting) Claim(ctx context.Context, claim jobs.Claim, now time.Time) ([]jobs.Info, error) {
	c.claims.Add(1)
	return c.flaky.Claim(ctx, claim, now)
}
