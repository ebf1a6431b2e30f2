package jobs_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/jobs"
)

// faucet is a store that never runs dry and counts what becomes of its jobs.
type faucet struct {
	*jobs.MemStore
	mu      sync.Mutex
	claimed int
	ended   map[jobs.State]int
}

func (f *faucet) Claim(_ context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]jobs.Info, c.Limit)
	for i := range all {
		f.claimed++
		all[i] = jobs.Info{ID: jobs.ID(f.claimed), Kind: c.Kinds[0], Queue: c.Queue, Args: []byte(`{}`), Attempt: 1, MaxAttempts: 3, Epoch: 1}
	}
	return all, nil
}

func (f *faucet) Settle(_ context.Context, outcomes []jobs.Outcome, _ time.Time) ([]error, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, out := range outcomes {
		f.ended[out.State]++
	}
	return make([]error, len(outcomes)), nil
}

func (*faucet) Beat(context.Context, jobs.NodeID, time.Duration, []jobs.Lease, time.Time) ([]jobs.ID, error) {
	return nil, nil
}

// held returns how many jobs the worker has, and how many it has handed back.
func (f *faucet) held() (held, back int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	held = f.claimed
	for _, n := range f.ended {
		held -= n
	}
	return held, f.ended[jobs.Ready]
}

// A worker that has claimed 10,000 jobs ahead is stopped, and what runs does not end. The
// 10,000 are ready at once and without an attempt; what runs is handed back when its five
// seconds are over.
func TestJobsClaimedAheadAreReadyAtOnceWhenTheWorkerStops(t *testing.T) {
	const lanes, places, ahead, drain = 8, 250, 10_000, 5 * time.Second
	synctest.Test(t, func(t *testing.T) {
		store, registry := &faucet{MemStore: jobs.NewMemStore(), ended: map[jobs.State]int{}}, jobs.NewRegistry(nil)
		var hold atomic.Bool
		handle(t, registry, func(ctx context.Context, _ *jobs.Job[add]) (int, error) {
			if hold.Load() {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			time.Sleep(time.Millisecond) // short jobs are claimed ahead
			return 0, nil
		}, nil)
		queues := map[string]int{}
		for i := range lanes {
			queues[fmt.Sprint("q", i)] = places
		}
		stop := work(t, store, registry, &jobs.WorkerOptions{Queues: queues, Drain: drain})
		time.Sleep(20 * time.Millisecond)
		hold.Store(true)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		before, _ := store.held()
		if before < lanes*places+ahead {
			t.Errorf("%d jobs were claimed, want %d that run and %d ahead", before, lanes*places, ahead)
		}
		stopped := make(chan struct{})
		go func() { defer close(stopped); stop() }()
		synctest.Wait() // no time passes
		if held, back := store.held(); held != lanes*places || back != before-held {
			t.Errorf("%d of %d jobs are held and %d were handed back, want %d held", held, before, back, lanes*places)
		}
		begun := time.Now()
		<-stopped
		if held, back := store.held(); held != 0 || back != before || time.Since(begun) != drain {
			t.Errorf("%d jobs are held after %v, and %d were handed back", held, time.Since(begun), back)
		}
	})
}

// Jobs that were short and have become long are not kept by the worker that claimed them
// ahead: another one has them within two seconds.
func TestJobsClaimedAheadAreHandedBackWhenHandlersBecomeSlow(t *testing.T) {
	const places, short, long = 10, 1000, 400
	synctest.Test(t, func(t *testing.T) {
		store, registry := jobs.NewMemStore(), jobs.NewRegistry(nil)
		var started atomic.Int64
		handle(t, registry, func(ctx context.Context, _ *jobs.Job[add]) (int, error) {
			if started.Add(1) <= short {
				time.Sleep(time.Millisecond)
				return 0, nil
			}
			<-ctx.Done()
			return 0, ctx.Err()
		}, nil)
		queue := jobs.New(store, registry, nil)
		entries := make([]jobs.Entry, short+long)
		for i := range entries {
			entries[i].Args = add{}
		}
		if _, err := queue.EnqueueMany(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
		stop := work(t, store, registry, &jobs.WorkerOptions{Queues: map[string]int{jobs.DefaultQueue: places}})
		defer stop()
		for started.Load() < short+places {
			time.Sleep(time.Millisecond)
		}
		running := func() []jobs.Info {
			page, err := queue.List(t.Context(), jobs.ListQuery{States: []jobs.State{jobs.Running}, Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			return page
		}
		if n := len(running()); n < long/2 {
			t.Fatalf("%d jobs were claimed, want most of them ahead", n)
		}
		stopOther := work(t, store, registry, &jobs.WorkerOptions{Queues: map[string]int{jobs.DefaultQueue: long}})
		defer stopOther()
		time.Sleep(2500 * time.Millisecond)
		if n := started.Load(); n != short+long {
			t.Errorf("%d of %d jobs have started, want all", n, short+long)
		}
		for _, info := range running() {
			if info.Attempt != 1 {
				t.Errorf("job %v runs its attempt %d, want the first: it had not begun before", info.ID, info.Attempt)
			}
		}
	})
}

// What is claimed ahead and handed back has used up a rate, so no more is than the rate
// allows meanwhile.
func TestNoMoreIsClaimedAheadThanARateAllows(t *testing.T) {
	const places = 10
	for _, test := range []struct {
		rate        jobs.Rate
		least, most int
	}{
		{jobs.Rate{Count: 100_000, Per: time.Hour}, places, 3 * places}, // and what is being settled
		{jobs.Rate{Count: 100_000, Per: time.Second}, 100, 2100},
	} {
		synctest.Test(t, func(t *testing.T) {
			store, registry := &faucet{MemStore: jobs.NewMemStore(), ended: map[jobs.State]int{}}, jobs.NewRegistry(nil)
			if err := jobs.NewQueues(store).Put(t.Context(), jobs.QueueSettings{Queue: jobs.DefaultQueue, Rate: test.rate}); err != nil {
				t.Fatal(err)
			}
			handle(t, registry, func(context.Context, *jobs.Job[add]) (int, error) {
				time.Sleep(time.Millisecond)
				return 0, nil
			}, nil)
			defer work(t, store, registry, &jobs.WorkerOptions{Queues: map[string]int{jobs.DefaultQueue: places}})()
			time.Sleep(time.Second)
			synctest.Wait()
			if held, _ := store.held(); held < test.least || held > test.most {
				t.Errorf("%d jobs are held under %+v, want %d to %d", held, test.rate, test.least, test.most)
			}
		})
	}
}
