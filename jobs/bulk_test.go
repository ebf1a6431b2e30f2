package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

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
