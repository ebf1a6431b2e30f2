package jobs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

func TestAWorkerForgetsJobsWhoseTimeIsOver(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(_ context.Context, job *jobs.Job[add]) (int, error) {
			if job.Args.A == 0 {
				return 0, jobs.Permanent(errors.New("boom"))
			}
			return 0, nil
		}, nil)
		defer work(t, b.store, b.registry, &jobs.WorkerOptions{
			Poll: time.Minute, Retention: jobs.Retention{Completed: time.Hour, Discarded: 2 * time.Hour},
		})()
		completed := b.enqueue(nil)
		dead, err := b.queue.Enqueue(b.Context(), add{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []struct {
			after           time.Duration
			completed, dead error
		}{
			{58 * time.Minute, nil, nil},
			{4 * time.Minute, jobs.ErrNotFound, nil}, // the worker looks each minute or so
			{56 * time.Minute, jobs.ErrNotFound, nil},
			{4 * time.Minute, jobs.ErrNotFound, jobs.ErrNotFound},
		} {
			time.Sleep(want.after)
			if _, err := b.queue.Get(b.Context(), completed); !errors.Is(err, want.completed) {
				t.Errorf("Get of the completed job = %v, want %v", err, want.completed)
			}
			if _, err := b.queue.Get(b.Context(), dead.ID); !errors.Is(err, want.dead) {
				t.Errorf("Get of the dead letter = %v, want %v", err, want.dead)
			}
		}
	})
}

func TestTheJobsOfATenantThatIsGoneAreForgottenLongBeforeTheirTime(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { return 0, nil }, nil)
		stop := work(t, b.store, b.registry, nil)
		var over []jobs.ID
		for range 2*100 + 1 { // more than two batches
			over = append(over, b.enqueue(nil))
		}
		time.Sleep(time.Minute)
		stop()
		waits, err := b.queue.Enqueue(b.Context(), add{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.queue.Forget(b.Context()); err != nil {
			t.Fatal(err)
		}
		for _, id := range over {
			if _, err := b.queue.Get(b.Context(), id); !errors.Is(err, jobs.ErrNotFound) {
				t.Fatalf("Get of a job that is over = %v, want ErrNotFound", err)
			}
		}
		if info, err := b.queue.Get(b.Context(), waits.ID); err != nil || info.State.Final() {
			t.Errorf("Get of the job that waits = %v, %v", info, err)
		}
		if counts, err := b.queue.Counts(b.Context()); err != nil || counts.Queues[waits.Queue][jobs.Completed] != 0 {
			t.Errorf("Counts = %v, %v; want none that is over", counts, err)
		}
		ended, cancel := context.WithCancel(b.Context())
		cancel()
		if err := b.queue.Forget(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("Forget with a context that has ended = %v", err)
		}
	})
}

// steps is a store whose history takes some steps to forget.
type steps struct {
	*jobs.MemStore
	left   int
	limits []int
	keep   jobs.Retention
	took   time.Duration
}

func (s *steps) Forget(_ context.Context, keep jobs.Retention, limit int, _ time.Time) (bool, error) {
	s.limits, s.keep = append(s.limits, limit), keep
	time.Sleep(s.took)
	s.left--
	return s.left <= 0, nil
}

func TestAWorkerGoesOnForgettingWhileSomethingIsLeft(t *testing.T) {
	inBubble(t, func(b *bench) {
		store := &steps{MemStore: b.store, left: 12, took: 20 * time.Millisecond}
		stop := work(t, store, b.registry, nil)
		time.Sleep(2 * time.Second)
		stop()
		if len(store.limits) != 12 {
			t.Errorf("%d steps were taken in 2 seconds, want all 12", len(store.limits))
		}
		if first, last := store.limits[0], store.limits[len(store.limits)-1]; first != 1000 || last != 10 {
			t.Errorf("the first step was for %d jobs and the last for %d, want steps that take long to become small", first, last)
		}
		if want := (jobs.Retention{Completed: 168 * time.Hour, Discarded: 720 * time.Hour}); store.keep != want {
			t.Errorf("jobs stay for %+v by default, want %+v", store.keep, want)
		}
	})
}

func TestRetentionOutOfRangeIsRefusedWithTheFieldNamed(t *testing.T) {
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		keep jobs.Retention
		want string
	}{
		"defaults":                      {jobs.Retention{}, ""},
		"an hour":                       {jobs.Retention{Completed: time.Hour}, ""},
		"longer than dead letters":      {jobs.Retention{Completed: 60 * day}, ""},
		"forever":                       {jobs.Retention{Completed: jobs.Forever}, ""},
		"dead letters forever":          {jobs.Retention{Discarded: jobs.Forever}, ""},
		"too short":                     {jobs.Retention{Completed: time.Minute}, "/retention/completed too_small"},
		"negative":                      {jobs.Retention{Completed: -2, Discarded: -2}, "/retention/completed too_small, /retention/discarded too_small"},
		"dead letters shorter":          {jobs.Retention{Discarded: 6 * day}, "/retention/discarded too_small"},
		"dead letters no longer at all": {jobs.Retention{Completed: jobs.Forever, Discarded: day}, "/retention/discarded too_small"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jobs.NewWorker(jobs.NewMemStore(), registry(t), &jobs.WorkerOptions{Retention: tt.keep})
			if got := fields(err); got != tt.want {
				t.Errorf("fields %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTheTimeOfAnIDIsItsMillisecond(t *testing.T) {
	at := time.Date(2031, 5, 6, 7, 8, 9, 123456789, time.UTC)
	queue := jobs.New(jobs.NewMemStore(), registry(t), &jobs.Options{Now: func() time.Time { return at }})
	info, err := queue.Enqueue(t.Context(), add{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.ID.Time(); !got.Equal(at.Truncate(time.Millisecond)) || got.Location() != time.UTC {
		t.Errorf("Time = %v, want %v", got, at)
	}
}
