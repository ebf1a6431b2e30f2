package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

// told returns the events that wait, as one line of their types and what they say.
func told(s *jobs.Subscription) string {
	var all []string
	for {
		select {
		case e := <-s.Events():
			text := e.Type.String()
			if e.Job.ID != 0 {
				text += fmt.Sprintf(" %s %d", e.Job.State, e.Job.Attempt)
			}
			if e.Count != 0 {
				text += fmt.Sprintf(" %d", e.Count)
			}
			all = append(all, text)
		default:
			return strings.Join(all, ", ")
		}
	}
}

func TestEventsTellTheLifeOfAJob(t *testing.T) {
	boom := errors.New("boom")
	second := &jobs.KindOptions{MaxAttempts: 2, Backoff: func(int) time.Duration { return time.Second }}
	tests := []struct {
		name   string
		handle func(ctx context.Context, b *bench, job *jobs.Job[add]) error
		want   string
	}{
		{"that completes", func(ctx context.Context, _ *bench, job *jobs.Job[add]) error {
			return job.Report(ctx, jobs.Progress{Fraction: 0.5})
		}, "job.enqueued ready 0, job.started running 1, job.progressed running 1, job.completed completed 1"},
		{
			"that fails until the end", func(context.Context, *bench, *jobs.Job[add]) error { return boom },
			"job.enqueued ready 0, job.started running 1, job.retrying retryable 1, job.started running 2, job.discarded discarded 2",
		},
		{"that snoozes once", func(_ context.Context, _ *bench, job *jobs.Job[add]) error {
			if job.Epoch == 1 {
				return jobs.Snooze(time.Second)
			}
			return nil
		}, "job.enqueued ready 0, job.started running 1, job.snoozed scheduled 0, job.started running 1, job.completed completed 1"},
		{"that completes in a transaction", func(ctx context.Context, b *bench, job *jobs.Job[add]) error {
			return b.store.Atomically(func(tx *jobs.MemStore) error { return job.Complete(ctx, tx, 1) })
		}, "job.enqueued ready 0, job.started running 1, job.completed completed 1"},
		{"whose transaction is not committed", func(ctx context.Context, b *bench, job *jobs.Job[add]) error {
			_ = b.store.Atomically(func(tx *jobs.MemStore) error { return errors.Join(job.Complete(ctx, tx, 1), boom) })
			return jobs.Permanent(boom)
		}, "job.enqueued ready 0, job.started running 1, job.discarded discarded 1"},
		{"that is cancelled while it runs", func(ctx context.Context, b *bench, job *jobs.Job[add]) error {
			_, err := b.queue.Cancel(ctx, job.ID)
			return err // refused by the store, so it is told of nowhere
		}, "job.enqueued ready 0, job.started running 1, job.cancelled cancelled 1"},
	}
	for _, tt := range tests {
		t.Run("of a job "+tt.name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				handle(t, b.registry, func(ctx context.Context, job *jobs.Job[add]) (int, error) { return 0, tt.handle(ctx, b, job) }, second)
				all := b.registry.Subscribe(nil)
				defer all.Stop()
				b.enqueue(nil) // before there is a worker, which could start the job before its caller has told of it
				defer work(t, b.store, b.registry, nil)()
				time.Sleep(10 * time.Second)
				if got := told(all); got != tt.want {
					t.Errorf("the events are\n%s, want\n%s", got, tt.want)
				}
			})
		})
	}
}

func TestEventsTellWhatCallersDo(t *testing.T) {
	store, registry := jobs.NewMemStore(), registry(t)
	queue := jobs.New(store, registry, nil).ForTenant("acme")
	all := registry.Subscribe(nil)
	defer all.Stop()
	one, err := queue.Enqueue(t.Context(), add{}, &jobs.EnqueueOptions{Delay: time.Hour, Unique: &jobs.Unique{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := queue.Enqueue(t.Context(), add{}, &jobs.EnqueueOptions{Unique: &jobs.Unique{}}); err != nil {
		t.Fatal(err) // a duplicate, which is not stored
	}
	if _, err := queue.Retry(t.Context(), one.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := queue.ChangeMany(t.Context(), jobs.BulkChange{Operation: jobs.BulkMove, Queue: "other"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := queue.ChangeMany(t.Context(), jobs.BulkChange{Operation: jobs.BulkCancel}); err != nil {
			t.Fatal(err)
		}
	}
	queues := jobs.NewQueues(store).ForRegistry(registry)
	for range 2 { // the second changes nothing
		if err := queues.Pause(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
	}
	if err := queues.Resume(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	if err := queues.Put(t.Context(), jobs.QueueSettings{Queue: "other", MaxRunning: 3}); err != nil {
		t.Fatal(err)
	}
	if err := jobs.NewQueues(store).Pause(t.Context(), "other"); err != nil {
		t.Fatal(err) // of no registry, so nobody is told
	}
	want := "job.enqueued scheduled 0, job.retried ready 0, jobs.changed 1, jobs.changed 1, queue.paused, queue.resumed, queue.changed"
	if got := told(all); got != want {
		t.Errorf("the events are\n%s, want\n%s", got, want)
	}
}

func TestEventsTellOfRescuedAndReturnedJobs(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(ctx context.Context, job *jobs.Job[add]) (int, error) {
			if job.Epoch > 1 {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			time.Sleep(5 * time.Minute)
			return 0, nil
		}, nil)
		dead := &flaky{MemStore: b.store}
		stopDead := work(t, dead, b.registry, nil)
		b.enqueue(nil)
		time.Sleep(time.Second)
		dead.away.Store(true)
		all := b.registry.Subscribe(nil)
		defer all.Stop()
		stop := work(t, b.store, b.registry, &jobs.WorkerOptions{Drain: time.Second})
		time.Sleep(time.Minute)
		stop()
		if got, want := told(all), "jobs.rescued 1, job.started running 2, job.returned ready 1"; got != want {
			t.Errorf("the events are\n%s, want\n%s", got, want)
		}
		dead.away.Store(false)
		time.Sleep(6 * time.Minute)
		stopDead()
	})
}

func TestASubscriberGetsTheTypesAndKindsItWants(t *testing.T) {
	r := registry(t)
	queue := jobs.New(jobs.NewMemStore(), r, nil)
	cancelled := r.Subscribe(&jobs.SubscribeOptions{Types: []jobs.EventType{jobs.EventCancelled}})
	greets := r.Subscribe(&jobs.SubscribeOptions{Kinds: []string{"greet"}})
	for _, args := range []jobs.Args{add{}, Greet{}} {
		info, err := queue.Enqueue(t.Context(), args, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := queue.Cancel(t.Context(), info.ID); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := told(cancelled), "job.cancelled cancelled 0, job.cancelled cancelled 0"; got != want {
		t.Errorf("the events are %s, want %s", got, want)
	}
	if got, want := told(greets), "job.enqueued ready 0, job.cancelled cancelled 0"; got != want {
		t.Errorf("the events are %s, want %s", got, want)
	}
	cancelled.Stop()
	cancelled.Stop()
	if _, open := <-cancelled.Events(); open {
		t.Error("the channel is open after Stop")
	}
	if _, err := queue.Enqueue(t.Context(), add{}, nil); err != nil {
		t.Fatal(err)
	}
	greets.Stop()
}

func TestASlowSubscriberLosesEventsAndHoldsUpNobody(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { return 0, nil }, nil)
		slow := b.registry.Subscribe(&jobs.SubscribeOptions{Buffer: 2, Types: []jobs.EventType{jobs.EventCompleted}})
		quick := b.registry.Subscribe(&jobs.SubscribeOptions{Types: []jobs.EventType{jobs.EventCompleted}})
		defer slow.Stop()
		defer quick.Stop()
		defer work(t, b.store, b.registry, nil)()
		for range 10 {
			b.enqueue(nil)
		}
		time.Sleep(time.Second)
		if got := strings.Count(told(slow), "completed completed"); got != 2 || slow.Dropped() != 8 {
			t.Errorf("the slow subscriber got %d and lost %d, want 2 and 8", got, slow.Dropped())
		}
		if got := strings.Count(told(quick), "completed completed"); got != 10 || quick.Dropped() != 0 {
			t.Errorf("the quick subscriber got %d and lost %d, want 10 and none", got, quick.Dropped())
		}
	})
}

func TestEventsHoldNoSecretsAndNothingOfTheCallers(t *testing.T) {
	r := jobs.NewRegistry(&jobs.RegistryOptions{Sealer: reverser{}})
	queue := jobs.New(jobs.NewMemStore(), r, nil)
	all := r.Subscribe(nil)
	defer all.Stop()
	info, err := queue.Enqueue(t.Context(), secretArgs{Plain: "ada", Tokens: []string{"hunter2"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	clear(info.Args)
	e := <-all.Events()
	if text := string(e.Job.Args); !strings.Contains(text, `"[secret]"`) || !strings.Contains(text, "ada") {
		t.Errorf("the arguments are %s", text)
	}
	if e.Tenant != "" || e.Queue != "default" || e.At.IsZero() {
		t.Errorf("the event is %+v", e)
	}
}

// What a transaction does is told at once, also if it is rolled back: so says Subscribe.
func TestEventsDoNotWaitForTransactions(t *testing.T) {
	store, r := jobs.NewMemStore(), registry(t)
	queue := jobs.New(store, r, nil)
	all := r.Subscribe(nil)
	defer all.Stop()
	boom := errors.New("boom")
	err := store.Atomically(func(tx *jobs.MemStore) error {
		_, err := queue.With(tx).Enqueue(t.Context(), add{}, nil)
		return errors.Join(err, boom)
	})
	if got := told(all); !errors.Is(err, boom) || got != "job.enqueued ready 0" {
		t.Errorf("the events are %s after %v", got, err)
	}
}

func TestTypesOfEventsHaveNames(t *testing.T) {
	var names []string
	for _, typ := range jobs.EventTypes() {
		names = append(names, typ.String())
		if got, err := jobs.ParseEventType(typ.String()); err != nil || got != typ {
			t.Errorf("ParseEventType(%q) = %v, %v", typ, got, err)
		}
	}
	want := strings.Fields(`job.enqueued job.started job.progressed job.completed job.retrying job.snoozed job.returned job.discarded
		job.cancelled job.retried jobs.changed jobs.rescued queue.paused queue.resumed queue.changed`)
	if !slices.Equal(names, want) {
		t.Errorf("the types are %v", names)
	}
	if jobs.EventQueueChanged.String() != "queue.changed" || jobs.EventJobsRescued.String() != "jobs.rescued" || jobs.EventType(99).String() != "EventType(99)" {
		t.Error("a type has the name of another")
	}
	if _, err := jobs.ParseEventType(""); !errors.Is(err, jobs.ErrInvalid) {
		t.Errorf("ParseEventType = %v, want ErrInvalid", err)
	}
}

func ExampleRegistry_Subscribe() {
	registry := jobs.NewRegistry(nil)
	queue := jobs.New(jobs.NewMemStore(), registry, nil)
	events := registry.Subscribe(&jobs.SubscribeOptions{Types: []jobs.EventType{jobs.EventEnqueued, jobs.EventCancelled}})
	info, err := queue.Enqueue(context.Background(), Greet{Name: "Ada"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := queue.Cancel(context.Background(), info.ID); err != nil {
		fmt.Println(err)
		return
	}
	events.Stop()
	for e := range events.Events() {
		fmt.Println(e.Type, e.Job.Kind, e.Job.State)
	}
	// Output:
	// job.enqueued greet ready
	// job.cancelled greet cancelled
}
