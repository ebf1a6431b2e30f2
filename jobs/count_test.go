package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

// plain is a store without any further ability.
type plain struct{ jobs.Store }

func TestAStoreThatDoesNotCountIsUnavailable(t *testing.T) {
	queue := jobs.New(plain{jobs.NewMemStore()}, jobs.NewRegistry(nil), nil)
	_, counts := queue.Counts(t.Context())
	_, letters := queue.DeadLetters(t.Context())
	_, all := jobs.NewQueues(struct{ jobs.LimitStore }{jobs.NewMemStore()}).Counts(t.Context())
	for i, err := range []error{counts, letters, all} {
		if !errors.Is(err, jobs.ErrUnavailable) {
			t.Errorf("call %d = %v, want ErrUnavailable", i, err)
		}
	}
}

func TestCountsOfATenantAndOfAll(t *testing.T) {
	store := jobs.NewMemStore()
	registry := jobs.NewRegistry(nil)
	for _, tenant := range []string{"a", "a", "b"} {
		if _, err := jobs.New(store, registry, nil).ForTenant(tenant).Enqueue(t.Context(), add{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	one, err := jobs.New(store, registry, nil).ForTenant("a").Counts(t.Context())
	if err != nil || fmt.Sprint(one.Queues) != "map[default:map[ready:2]]" {
		t.Errorf("the counts of a tenant are %v, %v", one.Queues, err)
	}
	all, err := jobs.NewQueues(store).Counts(t.Context())
	if err != nil || fmt.Sprint(all.Queues) != "map[default:map[ready:3]]" || all.CountedAt.IsZero() {
		t.Errorf("the counts of all are %v, %v", all, err)
	}
}

func TestDeadLettersAreGroupedByWhatWentWrong(t *testing.T) {
	store := deadStore{jobs.NewMemStore(), make([]jobs.DeadLetter, 1001)}
	at := func(i int) time.Time { return time.Unix(int64(i), 0).UTC() }
	for i := range store.dead { // every third is another error, the very last another queue
		store.dead[i] = jobs.DeadLetter{ID: jobs.ID(2000 - i), Kind: "k", Queue: "q", Error: "boom", FinishedAt: at(i)}
		if i%3 == 1 {
			store.dead[i].Error = "bang"
		}
	}
	store.dead[999].Queue, store.dead[1000].Kind = "q2", "not looked at"
	got, err := jobs.New(store, jobs.NewRegistry(nil), nil).DeadLetters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []jobs.DeadLetterGroup{
		{Kind: "k", Queue: "q", Error: "boom", Jobs: 666, FirstAt: at(0), LastAt: at(998), Newest: 2000},
		{Kind: "k", Queue: "q", Error: "bang", Jobs: 333, FirstAt: at(1), LastAt: at(997), Newest: 1999},
		{Kind: "k", Queue: "q2", Error: "boom", Jobs: 1, FirstAt: at(999), LastAt: at(999), Newest: 1001},
	}
	if fmt.Sprint(got.Groups) != fmt.Sprint(want) || got.Jobs != 1000 || !got.More {
		t.Errorf("DeadLetters = %+v, want %+v of 1000 jobs and more", got, want)
	}
}

// deadStore has dead letters of its own.
type deadStore struct {
	*jobs.MemStore
	dead []jobs.DeadLetter
}

func (s deadStore) ListDead(_ context.Context, _ string, limit int) ([]jobs.DeadLetter, error) {
	return s.dead[:min(len(s.dead), limit)], nil
}

// countedStore tells what a worker does with it.
type countedStore struct {
	*jobs.MemStore
	mu       sync.Mutex
	recounts []time.Time
	outcomes []jobs.Outcome
}

func (s *countedStore) Recount(context.Context, time.Time) (time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recounts = append(s.recounts, time.Now())
	if len(s.recounts)%2 == 0 {
		return 0, jobs.ErrUnavailable
	}
	return 10 * time.Second, nil
}

func (s *countedStore) Settle(ctx context.Context, outcomes []jobs.Outcome, now time.Time) ([]error, error) {
	s.mu.Lock()
	s.outcomes = append(s.outcomes, outcomes...)
	s.mu.Unlock()
	return s.MemStore.Settle(ctx, outcomes, now)
}

func TestAWorkerHasJobsCountedAndNamesWhatItSettles(t *testing.T) {
	inBubble(t, func(b *bench) {
		store := &countedStore{MemStore: b.store}
		handle(t, b.registry, func(_ context.Context, job *jobs.Job[add]) (int, error) {
			if job.Attempt == 1 {
				return 0, errors.New("boom")
			}
			return 0, nil
		}, nil)
		stop := work(t, store, b.registry, nil)
		if _, err := b.queue.ForTenant("a").Enqueue(t.Context(), add{}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // of the bubble's clock
		stop()
		if n := len(store.recounts); n < 6 || n > 16 {
			t.Errorf("a minute has seen %d recounts, want about every other one 10 s later", n)
		}
		if len(store.outcomes) != 2 {
			t.Fatalf("%d outcomes were settled, want a failure and a success", len(store.outcomes))
		}
		for _, out := range store.outcomes {
			if out.Tenant != "a" || out.Queue != jobs.DefaultQueue {
				t.Errorf("the outcome %s names tenant %q and queue %q", out.State, out.Tenant, out.Queue)
			}
		}
	})
}
