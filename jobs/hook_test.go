package jobs_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/levqor/sdk/jobs"
)

type traced struct{}

func TestHooksWrapIntakeAndExecution(t *testing.T) {
	var order []string
	boom := errors.New("boom")
	intake := func(name string) jobs.IntakeHook {
		return func(ctx context.Context, entries []jobs.Entry, next func(context.Context, []jobs.Entry) ([]jobs.Info, error)) ([]jobs.Info, error) {
			order = append(order, name+" in")
			if args, ok := entries[0].Args.(secretArgs); ok && args.Plain == "refuse" {
				return nil, boom
			}
			infos, err := next(ctx, entries)
			order = append(order, name+" out")
			return infos, err
		}
	}
	execution := func(name string) jobs.ExecutionHook {
		return func(ctx context.Context, job jobs.Info, next func(context.Context) error) error {
			order = append(order, name+" in")
			if strings.Contains(string(job.Args), "hunter2") || !strings.Contains(string(job.Args), "[secret]") {
				t.Errorf("the hook sees %s", job.Args)
			}
			err := next(context.WithValue(ctx, traced{}, name))
			order = append(order, name+" out")
			return err
		}
	}
	registry := jobs.NewRegistry(&jobs.RegistryOptions{
		Sealer: reverser{}, Intake: []jobs.IntakeHook{intake("a"), intake("b")}, Execution: []jobs.ExecutionHook{execution("c"), execution("d")},
	})
	handle(t, registry, func(ctx context.Context, job *jobs.Job[secretArgs]) (any, error) {
		order = append(order, "handler")
		return []any{ctx.Value(traced{}), job.Args.Tokens[0]}, nil
	}, nil)
	store := jobs.NewMemStore()
	queue := jobs.New(store, registry, nil)
	if _, err := queue.Enqueue(t.Context(), secretArgs{Plain: "refuse"}, nil); !errors.Is(err, boom) {
		t.Errorf("Enqueue = %v, want the hook's error", err)
	}
	if all, err := queue.List(t.Context(), jobs.ListQuery{Limit: 10}); err != nil || len(all) > 0 {
		t.Errorf("%d jobs were stored, %v", len(all), err)
	}
	order = nil
	info, err := queue.Enqueue(t.Context(), secretArgs{Tokens: []string{"hunter2"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := work(t, store, registry, nil)
	got, err := jobs.Await[[]string](t.Context(), queue, info.ID)
	stop()
	if err != nil || !slices.Equal(got, []string{"d", "hunter2"}) {
		t.Errorf("Await = %v, %v", got, err)
	}
	if want := "a in,b in,b out,a out,c in,d in,handler,d out,c out"; strings.Join(order, ",") != want {
		t.Errorf("the order is %s, want %s", strings.Join(order, ","), want)
	}
}

func TestAnExecutionHookDecidesWhatAnAttemptCameTo(t *testing.T) {
	inBubble(t, func(b *bench) {
		ran := 0
		registry := jobs.NewRegistry(&jobs.RegistryOptions{Execution: []jobs.ExecutionHook{
			func(ctx context.Context, job jobs.Info, next func(context.Context) error) error {
				if job.Attempt == 1 {
					return errors.New("not today")
				}
				if err := next(ctx); err != nil {
					return jobs.Permanent(err)
				}
				return nil
			},
		}})
		handle(t, registry, func(context.Context, *jobs.Job[add]) (int, error) {
			ran++
			return 0, errors.New("boom")
		}, nil)
		queue := jobs.New(b.store, registry, nil)
		info, err := queue.Enqueue(context.Background(), add{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer work(t, b.store, registry, nil)()
		if _, err := jobs.Await[int](context.Background(), queue, info.ID); !errors.Is(err, jobs.ErrDiscarded) || ran != 1 {
			t.Errorf("Await = %v after %d runs of the handler; want it discarded after 1", err, ran)
		}
	})
}
