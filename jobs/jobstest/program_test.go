package jobstest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/jobstest"
)

type welcome struct {
	Name string `json:"name"`
}

func (welcome) Kind() string { return "welcome" }

func program(tb testing.TB) *jobs.Registry {
	tb.Helper()
	registry := jobs.NewRegistry(nil)
	err := jobs.Handle(registry, func(_ context.Context, job *jobs.Job[welcome]) (string, error) {
		switch job.Args.Name {
		case "":
			return "", errors.New("nobody to welcome")
		case "late":
			if job.Attempt == 1 {
				return "", errors.New("not yet")
			}
		}
		return "Welcome, " + job.Args.Name, nil
	}, &jobs.KindOptions{Queue: "mail"})
	if err != nil {
		tb.Fatal(err)
	}
	return registry
}

func TestRunGivesWhatTheHandlerGave(t *testing.T) {
	if got, err := jobstest.Run[string](t, program(t), welcome{"Ada"}); err != nil || got != "Welcome, Ada" {
		t.Errorf("Run = %q, %v", got, err)
	}
	if got, err := jobstest.Run[string](t, program(t), welcome{}); !errors.Is(err, jobs.ErrDiscarded) || !strings.Contains(err.Error(), "nobody to welcome") {
		t.Errorf("Run = %q, %v; want the handler's error", got, err)
	}
}

func TestEnqueuedTellsWhatWaits(t *testing.T) {
	queue := jobs.New(jobs.NewMemStore(), program(t), nil)
	for _, name := range []string{"Ada", "Bea"} {
		if _, err := queue.Enqueue(t.Context(), welcome{name}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := jobstest.Enqueued[welcome](t, queue); fmt.Sprint(got) != "[{Ada} {Bea}]" {
		t.Errorf("Enqueued = %v", got)
	}
	if got := jobstest.WantEnqueued(t, queue, func(w welcome) bool { return w.Name == "Bea" }); got.Name != "Bea" {
		t.Errorf("WantEnqueued = %v", got)
	}
}

func TestTimePassesInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, registry := jobs.NewMemStore(), program(t)
		queue := jobs.New(store, registry, nil)
		stop := jobstest.Work(t, store, registry, "mail")
		defer stop()
		info, err := queue.Enqueue(t.Context(), welcome{"late"}, &jobs.EnqueueOptions{Delay: 24 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		jobstest.Settle(t, queue)
		if got := jobstest.Enqueued[welcome](t, queue); len(got) != 1 {
			t.Errorf("Enqueued = %v, want the job that waits", got)
		}
		if got, err := jobs.Await[string](t.Context(), queue, info.ID); err != nil || got != "Welcome, late" {
			t.Errorf("Await = %q, %v", got, err)
		}
		jobstest.Settle(t, queue)
	})
}
