package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/jobs"
)

func TestManyJobsAreChangedInBatchesThatCanBeResumed(t *testing.T) {
	store := jobs.NewMemStore()
	queue := jobs.New(store, jobs.NewRegistry(nil), nil)
	entries := make([]jobs.Entry, 1200)
	for i := range entries {
		entries[i].Args = Greet{}
	}
	if _, err := queue.EnqueueMany(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	cancel := jobs.BulkChange{Operation: jobs.BulkCancel, Limit: 700}
	first, err := queue.ChangeMany(t.Context(), cancel)
	if err != nil || first.Changed != 700 || first.Done {
		t.Fatalf("ChangeMany = %+v, %v", first, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	cancel.After, cancel.Limit = first.Last, 0
	if got, err := queue.ChangeMany(ctx, cancel); !errors.Is(err, context.Canceled) || got.Changed != 0 || got.Last != first.Last {
		t.Errorf("ChangeMany = %+v, %v; want the place to go on at", got, err)
	}
	if got, err := queue.ChangeMany(t.Context(), cancel); err != nil || got.Changed != 500 || !got.Done {
		t.Errorf("ChangeMany = %+v, %v; want the rest", got, err)
	}
}

// slowStore takes 100 µs for a call of ChangeBatch and 20 µs for each job that it looks
// at.
type slowStore struct {
	*jobs.MemStore
	serial bool
	calls  []slowCall
}

type slowCall struct {
	limit      int
	begun, end time.Time
}

func (s *slowStore) Serial() bool { return s.serial }

func (s *slowStore) ChangeBatch(ctx context.Context, tenant string, change jobs.BulkChange, now time.Time) (jobs.BulkResult, error) {
	begun := time.Now()
	time.Sleep(100*time.Microsecond + time.Duration(change.Limit)*20*time.Microsecond)
	s.calls = append(s.calls, slowCall{change.Limit, begun, time.Now()})
	return s.MemStore.ChangeBatch(ctx, tenant, change, now)
}

// A store whose calls wait for each other is held for about half a millisecond at a time;
// each store is left to others for longer between two calls.
func TestABulkChangeLeavesTheStoreToOthers(t *testing.T) {
	for serial, want := range map[bool][]int{true: {100, 50, 25, 20, 20, 20, 2}, false: {100, 100, 37}} {
		synctest.Test(t, func(t *testing.T) {
			store := &slowStore{MemStore: jobs.NewMemStore(), serial: serial}
			queue := jobs.New(store, jobs.NewRegistry(nil), nil)
			if _, err := queue.EnqueueMany(t.Context(), slices.Repeat([]jobs.Entry{{Args: Greet{}}}, 600)); err != nil {
				t.Fatal(err)
			}
			got, err := queue.ChangeMany(t.Context(), jobs.BulkChange{Operation: jobs.BulkCancel, Limit: 237})
			if err != nil || got.Changed != 237 || got.Done {
				t.Fatalf("ChangeMany = %+v, %v", got, err)
			}
			var limits []int
			for i, call := range store.calls {
				limits = append(limits, call.limit)
				if i == 0 {
					continue
				}
				last := store.calls[i-1]
				if idle, took := call.begun.Sub(last.end), last.end.Sub(last.begun); idle < min(2*took, 20*time.Millisecond) {
					t.Errorf("serial %v: call %d begins %v after one that took %v", serial, i, idle, took)
				}
			}
			if !slices.Equal(limits, want) {
				t.Errorf("serial %v: calls looked at %v jobs, want %v", serial, limits, want)
			}
		})
	}
}

func ExampleQueue_ChangeMany() {
	ctx := context.Background()
	queue := jobs.New(jobs.NewMemStore(), jobs.NewRegistry(nil), nil)
	for _, name := range []string{"Ada", "Bea"} {
		if _, err := queue.Enqueue(ctx, Greet{Name: name}, nil); err != nil {
			fmt.Println(err)
		}
	}
	result, err := queue.ChangeMany(ctx, jobs.BulkChange{Operation: jobs.BulkCancel, Filter: jobs.Filter{Kind: "greet"}})
	fmt.Println(result.Changed, result.Done, err)
	// Output: 2 true <nil>
}

// contended is a store in which others take what a bulk change is about to change.
type contended struct {
	*jobs.MemStore
	conflicts int
}

func (s *contended) ChangeBatch(ctx context.Context, tenant string, change jobs.BulkChange, now time.Time) (jobs.BulkResult, error) {
	if s.conflicts--; s.conflicts >= 0 {
		return jobs.BulkResult{}, jobs.ErrConflict
	}
	return s.MemStore.ChangeBatch(ctx, tenant, change, now)
}

func TestABulkChangeLooksAgainAfterAConflict(t *testing.T) {
	store := &contended{MemStore: jobs.NewMemStore()}
	queue := jobs.New(store, jobs.NewRegistry(nil), nil)
	for conflicts, want := range map[int]error{3: nil, 4: jobs.ErrConflict} {
		if _, err := queue.Enqueue(t.Context(), Greet{}, nil); err != nil {
			t.Fatal(err)
		}
		store.conflicts = conflicts
		result, err := queue.ChangeMany(t.Context(), jobs.BulkChange{Operation: jobs.BulkCancel})
		if !errors.Is(err, want) || (result.Changed == 0) != (want != nil) {
			t.Errorf("ChangeMany after %d conflicts = %+v, %v; want %v", conflicts, result, err, want)
		}
	}
}

func TestABulkChangeNamesWhatIsWrongInItsFilter(t *testing.T) {
	q := jobs.New(jobs.NewMemStore(), registry(t), nil)
	change := jobs.BulkChange{Operation: jobs.BulkCancel, Filter: jobs.Filter{Kind: "a\x00", Queue: "ä"}}
	_, err := q.ChangeMany(t.Context(), change)
	if got, want := fields(err), "/filter/kind invalid_character, /filter/queue invalid_character"; got != want {
		t.Errorf("ChangeMany names %q, want %q", got, want)
	}
}
