package jobs_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

// Two claims of a full queue overlap, and the answer to the first may come last.
func TestJobsOfOverlappingClaimsStartInTheirOrder(t *testing.T) {
	inBubble(t, func(b *bench) {
		var mu sync.Mutex
		var claims int
		claimed, begun := map[jobs.ID]time.Time{}, map[jobs.ID]time.Time{}
		store := &hooked{MemStore: b.store, claims: func(all []jobs.Info) error {
			mu.Lock()
			for _, job := range all {
				claimed[job.ID] = time.Now()
			}
			claims++
			late := claims%2 == 1
			mu.Unlock()
			if late {
				time.Sleep(time.Second)
			}
			return nil
		}}
		handle(t, b.registry, func(_ context.Context, job *jobs.Job[add]) (int, error) {
			mu.Lock()
			begun[job.ID] = time.Now()
			n := len(begun)
			mu.Unlock()
			oneByOne(n)
			return 0, nil
		}, nil)
		var stored []jobs.ID
		for range 40 {
			stored = append(stored, b.enqueue(nil))
		}
		defer work(t, store, b.registry, &jobs.WorkerOptions{Queues: map[string]int{jobs.DefaultQueue: 4}, Poll: time.Minute})()
		for _, id := range stored {
			if _, err := jobs.Await[int](context.Background(), b.queue, id); err != nil {
				t.Fatal(err)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for i, id := range stored {
			for _, later := range stored[i+1:] { // claims of the same instant have no order
				if claimed[id].Before(claimed[later]) && begun[later].Before(begun[id]) {
					t.Errorf("%s was claimed before %s and began after it", id, later)
				}
			}
		}
	})
}

// oneByOne is what the nth job does: of four places one comes free after the other.
func oneByOne(n int) { time.Sleep(time.Duration(100+170*(n%4)) * time.Millisecond) }

// Claims of a queue with limits would wait for each other in the store.
func TestClaimsOverlapUnlessTheQueueHasLimits(t *testing.T) {
	for want, settings := range map[int32]jobs.QueueSettings{
		2: {Queue: jobs.DefaultQueue},
		1: {Queue: jobs.DefaultQueue, MaxRunning: 1000},
	} {
		if got := claimsAtOnce(t, settings); got != want {
			t.Errorf("%d claims were under way at once, want %d of a queue with %+v", got, want, settings)
		}
	}
}

// claimsAtOnce has a worker claim from a full queue.
func claimsAtOnce(t *testing.T, settings jobs.QueueSettings) (most int32) {
	t.Helper()
	inBubble(t, func(b *bench) {
		if err := jobs.NewQueues(b.store).Put(b.Context(), settings); err != nil {
			b.Fatal(err)
		}
		store := &slowToClaim{MemStore: b.store}
		var begun atomic.Int64
		handle(b.T, b.registry, func(context.Context, *jobs.Job[add]) (int, error) {
			oneByOne(int(begun.Add(1)))
			return 0, nil
		}, nil)
		for range 200 {
			b.enqueue(nil)
		}
		stop := work(b.T, store, b.registry, &jobs.WorkerOptions{Queues: map[string]int{jobs.DefaultQueue: 4}, Poll: time.Minute})
		time.Sleep(30 * time.Second)
		stop()
		most = store.most.Load()
	})
	return most
}

// slowToClaim takes a second for each claim and counts those that are under way.
type slowToClaim struct {
	*jobs.MemStore
	open, most atomic.Int32
}

func (s *slowToClaim) Claim(ctx context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	s.most.Store(max(s.most.Load(), s.open.Add(1)))
	defer s.open.Add(-1)
	time.Sleep(time.Second)
	return s.MemStore.Claim(ctx, c, now)
}
