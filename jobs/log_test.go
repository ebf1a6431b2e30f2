package jobs_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/levqor/sdk/jobs"
)

func TestAHandlerWritesALog(t *testing.T) {
	store, registry := jobs.NewMemStore(), jobs.NewRegistry(nil)
	handle(t, registry, func(ctx context.Context, job *jobs.Job[Greet]) (any, error) {
		return nil, errors.Join(job.Log(ctx, "hello\x00"), job.Log(ctx, strings.Repeat("ü", 4<<10)))
	}, nil)
	queue := jobs.New(store, registry, nil)
	info, err := queue.Enqueue(t.Context(), Greet{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer work(t, store, registry, nil)()
	if _, err := jobs.Await[any](t.Context(), queue, info.ID); err != nil {
		t.Fatal(err)
	}
	lines, err := queue.Log(t.Context(), info.ID, 0, 10)
	if err != nil || len(lines) != 2 || lines[0].Text != "hello\uFFFD" || len(lines[1].Text) != 4<<10 {
		t.Errorf("Log = %d lines, %v; want 2 that can be stored", len(lines), err)
	}
	if _, err := queue.Log(t.Context(), info.ID, 0, 0); !errors.Is(err, jobs.ErrInvalid) {
		t.Errorf("Log with the limit 0 = %v, want ErrInvalid", err)
	}
	if _, err := queue.ForTenant("other").Log(t.Context(), info.ID, 0, 1); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("Log of another tenant = %v, want ErrNotFound", err)
	}
	type plain struct{ jobs.QueueStore }
	if _, err := queue.With(plain{store}).Log(t.Context(), info.ID, 0, 1); !errors.Is(err, jobs.ErrUnavailable) {
		t.Errorf("Log on a store without logs = %v, want ErrUnavailable", err)
	}
}
