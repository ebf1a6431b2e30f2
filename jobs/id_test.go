package jobs_test

import (
	"errors"
	"testing"

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
