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
		var claims atomic.Int32
		store := &hooked{MemStore: b.store, claims: func([]jobs.Info) error {
			if claims.Add(1)%2 == 1 {
				time.Sleep(time.Second)
			}
			return nil
		}}
		begun := map[jobs.ID]time.Time{}
		var mu sync.Mutex
		handle(t, b.registry, func(_ context.Context, job *jobs.Job[add]) (int, error) {
			mu.Lock()
			begun[job.ID] = time.Now()
			places := len(begun) % 4
			mu.Unlock()
			time.Sleep(time.Duration(100+170*places) * time.Millisecond) // places come free one by one
			return 0, nil
		}, nil)
		var stored []jobs.ID
		for range 40 {
			stored = append(stored, b.enqueue(nil))
		}
		defer work(t, store, b.registry, &jobs.WorkerOptions{Queues: map[string]int{jobs.DefaultQueue: 4}, Poll: time.Minute})()
		if _, err := jobs.Await[int](context.Background(), b.queue, stored[39]); err != nil {
			t.Fatal(err)
		}
		for i := range stored[1:] {
			if begun[stored[i+1]].Before(begun[stored[i]]) {
				t.Errorf("job %d began before the one that was claimed before it", i+1)
			}
		}
	})
}
