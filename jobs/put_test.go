package jobs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

var errNo = errors.New("no")

// meddled is a store in which somebody changes settings once, after they were read.
type meddled struct {
	*jobs.MemStore
	once func()
}

func (s *meddled) meddle() {
	if once := s.once; once != nil {
		s.once = nil
		once()
	}
}

func (s *meddled) GetQueue(ctx context.Context, queue string) (jobs.QueueSettings, error) {
	defer s.meddle()
	return s.MemStore.GetQueue(ctx, queue)
}

func (s *meddled) GetSchedule(ctx context.Context, tenant, name string) (jobs.Schedule, error) {
	defer s.meddle()
	return s.MemStore.GetSchedule(ctx, tenant, name)
}

func TestSettingsOfAQueueAreReplacedOnlyIfTheCheckAgrees(t *testing.T) {
	store := &meddled{MemStore: jobs.NewMemStore()}
	store.once = func() {
		if _, err := store.PauseQueue(t.Context(), "q", true); err != nil {
			t.Error(err)
		}
	}
	var seen []bool
	queues := jobs.NewQueues(store).OnlyIf(func(before jobs.QueueSettings) error {
		seen = append(seen, before.Paused)
		if before.MaxRunning > 0 {
			return errNo
		}
		return nil
	})
	if err := queues.Put(t.Context(), jobs.QueueSettings{Queue: "q", MaxRunning: 1}); err != nil {
		t.Fatalf("Put = %v", err)
	}
	if len(seen) != 2 || seen[0] || !seen[1] {
		t.Errorf("the check saw the queue paused: %v; want it asked again of what somebody changed meanwhile", seen)
	}
	if err := queues.Put(t.Context(), jobs.QueueSettings{Queue: "q", MaxRunning: 2}); !errors.Is(err, errNo) {
		t.Errorf("Put = %v, want what the check says", err)
	}
	if got, err := queues.Get(t.Context(), "q"); err != nil || got.MaxRunning != 1 || got.Paused {
		t.Errorf("Get = %+v, %v; want what was put first", got, err)
	}
}

func TestAScheduleIsReplacedOnlyIfTheCheckAgrees(t *testing.T) {
	s := newScheduling(t, nil)
	store := &meddled{MemStore: s.store}
	every := func(spec string) jobs.Plan { return jobs.Plan{Spec: spec} }
	store.once = func() {
		if _, err := s.Put(t.Context(), "s", every("every 2h"), Greet{}); err != nil {
			t.Error(err)
		}
	}
	var seen []string
	checked := jobs.NewSchedules(store, s.queue, nil).OnlyIf(func(before jobs.Schedule) error {
		seen = append(seen, before.Spec)
		if before.Spec == "every 1h" {
			return errNo
		}
		return nil
	})
	if _, err := checked.Put(t.Context(), "s", every("every 1h"), Greet{}); err != nil {
		t.Fatalf("Put = %v", err)
	}
	if len(seen) != 2 || seen[0] != "" || seen[1] != "every 2h" {
		t.Errorf("the check saw %q, want it asked again of what somebody put meanwhile", seen)
	}
	if _, err := checked.Put(t.Context(), "s", every("every 3h"), Greet{}); !errors.Is(err, errNo) {
		t.Errorf("Put = %v, want what the check says", err)
	}
	if got, err := s.Get(t.Context(), "s"); err != nil || got.Spec != "every 1h" || !got.NextAt.Equal(s.clock.Add(time.Hour)) {
		t.Errorf("Get = %+v, %v; want what was put first", got, err)
	}
}
