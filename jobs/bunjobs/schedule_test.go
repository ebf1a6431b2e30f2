package bunjobs_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// Five nodes fire one schedule while its 10,000 times pass. Their calls are cut off
// at random points, as those of a process that is killed.
func TestNoTimeIsMissedOrFiresTwice(t *testing.T) {
	const ticks, nodes = 10_000, 5
	begin := time.Date(2031, 5, 6, 7, 0, 0, 0, time.UTC)
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		registry := jobs.NewRegistry(nil)
		err := jobs.Handle(registry, func(context.Context, *jobs.Job[note]) (any, error) { return nil, nil }, nil)
		if err != nil {
			t.Fatal(err)
		}
		var seconds atomic.Int64
		store := bunjobs.New(open(t, fresh(t)))
		queue := jobs.New(store, registry, &jobs.Options{Now: func() time.Time {
			return begin.Add(time.Duration(seconds.Load()) * time.Second)
		}})
		schedules := jobs.NewSchedules(store, queue, nil)
		if _, err := schedules.Put(t.Context(), "s", jobs.Plan{Spec: "every 1s", CatchUp: jobs.CatchUpAll, MaxCatchUp: 1000}, note{}); err != nil {
			t.Fatal(err)
		}
		var running sync.WaitGroup
		var cut atomic.Int64
		for range nodes {
			running.Go(func() {
				for seconds.Load() < ticks {
					ctx, kill := context.WithTimeout(t.Context(), []time.Duration{rand.N(5 * time.Millisecond), time.Minute}[rand.N(2)])
					if schedules.FireDue(ctx) != nil {
						cut.Add(1)
					} else {
						seconds.Add(rand.Int64N(20))
					}
					kill()
				}
			})
		}
		running.Wait()
		last := seconds.Load()
		if err := schedules.FireDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		count := map[time.Time]int{}
		for query := (jobs.ListQuery{Limit: 1000}); ; {
			page, err := queue.List(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			for _, info := range page {
				count[info.RunAt]++
				query.Before = info.ID
			}
			if len(page) < query.Limit {
				break
			}
		}
		for i := int64(1); i <= last; i++ {
			if n := count[begin.Add(time.Duration(i)*time.Second)]; n != 1 {
				t.Errorf("second %d fired %d times", i, n)
			}
		}
		if len(count) != int(last) {
			t.Errorf("fired for %d times, want %d", len(count), last)
		}
		t.Logf("%d times, %d calls cut off", last, cut.Load())
	})
}
