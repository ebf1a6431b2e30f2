package jobs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

func TestID(t *testing.T) {
	for _, id := range []jobs.ID{0, 1, 61, 62, 1<<63 - 1} {
		got, err := jobs.ParseID(id.String())
		if err != nil || got != id {
			t.Errorf("ParseID(%q) = %d, %v; want %d", id.String(), got, err, id)
		}
	}
	if got, want := jobs.ID(62).String(), "job_00000000010"; got != want {
		t.Errorf("String = %q, want %q", got, want)
	}
	for _, s := range []string{"", "job_", "job_nope", "job_0000000001", "job_000000000010", "key_00000000010", "job_0000000001-", "job_zzzzzzzzzzz"} {
		if _, err := jobs.ParseID(s); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("ParseID(%q) = %v, want ErrNotFound", s, err)
		}
	}
}

func TestIDsOfAQueueGrow(t *testing.T) {
	q := jobs.New(jobs.NewMemStore(), registry(t), nil)
	var last jobs.ID
	for range 1000 {
		info, err := q.Enqueue(t.Context(), add{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if info.ID <= last {
			t.Fatalf("ID %d follows %d", info.ID, last)
		}
		last = info.ID
	}
}

// Clocks that are off by decades make IDs all the same, and two queues that
// begin in the same millisecond rarely meet.
func TestIDsUnderAWrongClock(t *testing.T) {
	for _, year := range []int{1, 1970, 2024, 2094, 2095, 9999} {
		now := func() time.Time { return time.Date(year, 12, 31, 0, 0, 0, 0, time.UTC) }
		store := jobs.NewMemStore()
		var last jobs.ID
		for range 2 {
			q := jobs.New(store, registry(t), &jobs.Options{Now: now})
			last = 0
			for range 100 {
				info, err := q.Enqueue(t.Context(), add{}, nil)
				if err != nil {
					t.Fatalf("Enqueue in the year %d = %v", year, err)
				}
				if info.ID <= last {
					t.Fatalf("ID %d follows %d in the year %d", info.ID, last, year)
				}
				last = info.ID
			}
		}
	}
}

func TestIDsGrowWhenTheClockStepsBack(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	q := jobs.New(jobs.NewMemStore(), registry(t), &jobs.Options{Now: func() time.Time { return now }})
	var last jobs.ID
	for range 10 {
		info, err := q.Enqueue(t.Context(), add{}, nil)
		if err != nil || info.ID <= last {
			t.Fatalf("Enqueue = %d, %v; want more than %d", info.ID, err, last)
		}
		last, now = info.ID, now.Add(-time.Hour)
	}
}

// crowded is a store in which every ID is taken for a while.
type crowded struct {
	*jobs.MemStore
	refusals int
}

func (c *crowded) Insert(ctx context.Context, batch []jobs.Insertion, now time.Time) ([]int, error) {
	if c.refusals > 0 {
		c.refusals--
		return []int{len(batch) - 1}, nil
	}
	return c.MemStore.Insert(ctx, batch, now)
}

func TestAnIDThatIsTakenIsReplaced(t *testing.T) {
	store := &crowded{MemStore: jobs.NewMemStore(), refusals: 2}
	q := jobs.New(store, registry(t), nil)
	infos, err := q.EnqueueMany(t.Context(), []jobs.Entry{{Args: add{A: 1}}, {Args: add{A: 2}}})
	if err != nil || len(infos) != 2 || infos[0].ID == infos[1].ID || string(infos[1].Args) != `{"a":2,"b":0}` {
		t.Errorf("EnqueueMany = %+v, %v", infos, err)
	}
	store.refusals = 3
	if _, err := q.Enqueue(t.Context(), add{}, nil); !errors.Is(err, jobs.ErrConflict) {
		t.Errorf("Enqueue = %v, want ErrConflict from a store that takes no ID", err)
	}
}

func TestState(t *testing.T) {
	for _, s := range jobs.States() {
		got, err := jobs.ParseState(s.String())
		if err != nil || got != s {
			t.Errorf("ParseState(%q) = %v, %v", s.String(), got, err)
		}
	}
	if _, err := jobs.ParseState("nope"); !errors.Is(err, jobs.ErrInvalid) {
		t.Errorf("ParseState = %v, want ErrInvalid", err)
	}
	for s, want := range map[jobs.State]string{jobs.Scheduled: "scheduled", jobs.Discarded: "discarded", 0: "State(0)", 99: "State(99)"} {
		if s.String() != want {
			t.Errorf("String = %q, want %q", s.String(), want)
		}
	}
	for s, want := range map[jobs.State]bool{jobs.Ready: false, jobs.Retryable: false, jobs.Completed: true, jobs.Cancelled: true, jobs.Discarded: true} {
		if s.Final() != want {
			t.Errorf("%s.Final() = %v", s, s.Final())
		}
	}
}

func TestBackoff(t *testing.T) {
	for attempt, limit := range map[int]int{1: 1, 2: 2, 3: 4, 12: 2048, 13: 3600, 1000: 3600} {
		for range 50 {
			d := jobs.Backoff(attempt).Seconds()
			if d < float64(limit)/2 || d > float64(limit) {
				t.Errorf("Backoff(%d) = %v s, want %d s or at least half of it", attempt, d, limit)
			}
		}
	}
}
