package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/jobs"
)

func TestMetadataTravelFromTheCallerToTheHandler(t *testing.T) {
	registry := jobs.NewRegistry(nil)
	handle(t, registry, func(_ context.Context, job *jobs.Job[Greet]) (string, error) {
		return job.Metadata["request"], nil
	}, nil)
	store := jobs.NewMemStore()
	queue := jobs.New(store, registry, nil)
	labels := map[string]string{"request": "r-1"}
	info, err := queue.Enqueue(t.Context(), Greet{}, &jobs.EnqueueOptions{Metadata: labels})
	if err != nil || !maps.Equal(info.Metadata, labels) {
		t.Fatalf("Enqueue = %+v, %v", info, err)
	}
	info.Metadata["request"] = "overwritten"
	if labels["request"] != "r-1" {
		t.Error("what Enqueue returned shares memory with what it was given")
	}
	defer work(t, store, registry, nil)()
	if got, err := jobs.Await[string](t.Context(), queue, info.ID); err != nil || got != "r-1" {
		t.Errorf("the handler saw %q, %v", got, err)
	}
}

func TestNoMetadataAreNil(t *testing.T) {
	queue := jobs.New(jobs.NewMemStore(), jobs.NewRegistry(nil), nil)
	info, err := queue.Enqueue(t.Context(), Greet{}, &jobs.EnqueueOptions{Metadata: map[string]string{}})
	if err != nil || info.Metadata != nil {
		t.Errorf("Enqueue = %v, %v; want no metadata", info.Metadata, err)
	}
}

func TestWrongMetadataAreRefusedWithTheFieldNamed(t *testing.T) {
	many := map[string]string{}
	for i := range jobs.MaxMetadata + 1 {
		many[fmt.Sprint("n", i)] = ""
	}
	full := maps.Clone(many)
	delete(full, "n0")
	for _, c := range []struct {
		name string
		all  map[string]string
		want string // what the error says; empty for none
	}{
		{"as many as may be", full, ""},
		{"one too many", many, "/metadata: must have at most 32 entries"},
		{"a long name", map[string]string{strings.Repeat("n", 64): ""}, ""},
		{"a name too long", map[string]string{strings.Repeat("n", 65): ""}, "must be at most 64 characters"},
		{"no name", map[string]string{"": "x"}, "/metadata/: must not be empty"},
		{"a name with a space", map[string]string{"a b": "x"}, "/metadata/a b: may hold only"},
		{"a name that a pointer escapes", map[string]string{"a~/b": "x"}, "/metadata/a~0~1b: may hold only"},
		{"a long value", map[string]string{"n": strings.Repeat("v", 512)}, ""},
		{"a value too long", map[string]string{"n": strings.Repeat("v", 513)}, "/metadata/n: must be at most 512 bytes of text"},
		{"a value that is no text", map[string]string{"n": "\xff"}, "/metadata/n: must be at most 512 bytes of text"},
		{"a value with NUL", map[string]string{"n": "a\x00"}, "/metadata/n: must be at most 512 bytes of text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			queue := jobs.New(jobs.NewMemStore(), jobs.NewRegistry(nil), nil)
			_, err := queue.Enqueue(t.Context(), Greet{}, &jobs.EnqueueOptions{Metadata: c.all})
			if c.want == "" {
				if err != nil {
					t.Errorf("Enqueue = %v", err)
				}
				return
			}
			if !errors.Is(err, jobs.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Enqueue = %v, want %q", err, c.want)
			}
			if all, err := queue.List(t.Context(), jobs.ListQuery{Limit: 10}); err != nil || len(all) > 0 {
				t.Errorf("%d jobs were stored, %v", len(all), err)
			}
		})
	}
}

func TestTheJobsOfAScheduleHaveItsMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := jobs.NewRegistry(nil)
		handle(t, registry, greet, nil)
		store := jobs.NewMemStore()
		queue := jobs.New(store, registry, nil)
		schedules := jobs.NewSchedules(store, queue, nil)
		labels := map[string]string{"source": "nightly"}
		put, err := schedules.Put(t.Context(), "s", jobs.Plan{Spec: "every 1m", Options: &jobs.EnqueueOptions{Metadata: labels}}, Greet{})
		if err != nil || !maps.Equal(put.Metadata, labels) {
			t.Fatalf("Put = %+v, %v", put, err)
		}
		time.Sleep(time.Minute)
		if err := schedules.FireDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := queue.List(t.Context(), jobs.ListQuery{Limit: 10})
		if err != nil || len(all) != 1 || !maps.Equal(all[0].Metadata, labels) {
			t.Errorf("List = %+v, %v; want one job with the metadata", all, err)
		}
	})
}

func TestASnoozeIsToldFromAFailure(t *testing.T) {
	if wait, ok := jobs.Snoozed(fmt.Errorf("too early: %w", jobs.Snooze(time.Minute))); !ok || wait != time.Minute {
		t.Errorf("Snoozed = %v, %v; want a minute", wait, ok)
	}
	for _, err := range []error{nil, errors.New("boom"), jobs.RetryAfter(errors.New("boom"), time.Minute)} {
		if wait, ok := jobs.Snoozed(err); ok || wait != 0 {
			t.Errorf("Snoozed of %v = %v, %v", err, wait, ok)
		}
	}
}
