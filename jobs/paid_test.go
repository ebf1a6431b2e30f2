package jobs_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

func TestAPaidJobIsSettledBeforeItsPlaceIsGivenAway(t *testing.T) {
	for _, paid := range []bool{true, false} {
		inBubble(t, func(b *bench) {
			var calls [][]jobs.Outcome
			store := &hooked{MemStore: b.store, settle: func(all []jobs.Outcome) error {
				calls = append(calls, slices.Clone(all))
				time.Sleep(time.Second) // the place must wait for this
				return nil
			}}
			var begun []time.Time
			handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) {
				begun = append(begun, time.Now())
				return 0, nil
			}, &jobs.KindOptions{Paid: paid})
			ids := []jobs.ID{b.enqueue(nil), b.enqueue(nil), b.enqueue(nil)}
			stop := work(t, store, b.registry, &jobs.WorkerOptions{Queues: map[string]int{jobs.DefaultQueue: 1}})
			for _, id := range ids {
				if _, err := jobs.Await[int](context.Background(), b.queue, id); err != nil {
					t.Fatal(err)
				}
			}
			stop()
			if waited := begun[2].Sub(begun[0]); paid != (waited >= 2*time.Second) {
				t.Errorf("paid %v: the third job began %v after the first; each settlement takes a second", paid, waited)
			}
			for _, all := range calls {
				for _, out := range all {
					if out.Durable != paid || paid && len(all) != 1 {
						t.Errorf("paid %v: %d outcomes settled together, durable %v", paid, len(all), out.Durable)
					}
				}
			}
		})
	}
}

func TestAPaidJobThatIsHandedBackWaitsForOthers(t *testing.T) {
	inBubble(t, func(b *bench) {
		begun := make(chan struct{})
		handle(t, b.registry, func(ctx context.Context, _ *jobs.Job[add]) (int, error) {
			close(begun)
			<-ctx.Done()
			return 0, ctx.Err()
		}, &jobs.KindOptions{Paid: true})
		id := b.enqueue(nil)
		stop := work(t, b.store, b.registry, nil)
		<-begun
		stop()
		if info := b.get(id); info.State != jobs.Ready || info.Attempt != 0 {
			t.Errorf("the job is %s at attempt %d, want ready and the attempt not counted", info.State, info.Attempt)
		}
	})
}
