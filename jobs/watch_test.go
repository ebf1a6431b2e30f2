package jobs_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/jobs"
)

// looks is a store that counts how often it is looked at, and can be away.
type looks struct {
	*jobs.MemStore
	away atomic.Bool
	n    atomic.Int64
}

func (l *looks) Get(ctx context.Context, tenant string, id jobs.ID) (jobs.Info, error) {
	if l.n.Add(1); l.away.Load() {
		return jobs.Info{}, jobs.ErrUnavailable
	}
	return l.MemStore.Get(ctx, tenant, id)
}

func (l *looks) List(ctx context.Context, query jobs.ListQuery) ([]jobs.Info, error) {
	if l.n.Add(1); l.away.Load() {
		return nil, jobs.ErrUnavailable
	}
	return l.MemStore.List(ctx, query)
}

// elsewhere returns a registry like that of another process, which hears nothing of
// the bench's.
func (b *bench) elsewhere() *jobs.Queue {
	return jobs.New(b.store, jobs.NewRegistry(nil), nil)
}

// seen collects what a watcher of a job yields until it ends.
func seen(ctx context.Context, q *jobs.Queue, id jobs.ID) (states []string, err error) {
	for job, err := range q.Watch(ctx, id) {
		if err != nil {
			return states, err
		}
		state := fmt.Sprint(job.State, " ", job.Attempt)
		if job.Progress.Note != "" {
			state += " " + job.Progress.Note
		}
		states = append(states, state)
	}
	return states, nil
}

// slowly is a handler that fails first and then reports each second.
func slowly(ctx context.Context, job *jobs.Job[add]) (int, error) {
	time.Sleep(5 * time.Second)
	if job.Attempt == 1 {
		return 0, errors.New("boom")
	}
	for _, note := range []string{"a", "b"} {
		if err := job.Report(ctx, jobs.Progress{Note: note}); err != nil {
			return 0, err
		}
		if err := job.Log(ctx, "log "+note); err != nil {
			return 0, err
		}
		time.Sleep(5 * time.Second)
	}
	return 7, job.Log(ctx, "last words")
}

var afterASecond = &jobs.KindOptions{Backoff: func(int) time.Duration { return 10 * time.Second }}

const slowStates = "[ready 0 running 1 retryable 1 running 2 running 2 a running 2 b completed 2 b]"

func TestWatchYieldsEachChangeOfAJob(t *testing.T) {
	for name, elsewhere := range map[string]bool{"of this process": false, "of another process": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				handle(t, b.registry, slowly, afterASecond)
				queue := b.queue
				if elsewhere {
					queue = b.elsewhere()
				}
				id := b.enqueue(nil)
				go func() {
					time.Sleep(3 * time.Second)
					stop := work(t, b.store, b.registry, nil)
					time.Sleep(time.Minute)
					stop()
				}()
				got, err := seen(b.Context(), queue, id)
				// A look may fall between the job's time and the claim.
				if states := strings.ReplaceAll(fmt.Sprint(got), "ready 1 ", ""); err != nil || states != slowStates {
					t.Errorf("Watch gave %v, %v; want %s", got, err, slowStates)
				}
				time.Sleep(2 * time.Minute)
			})
		})
	}
}

func TestWhatThisProcessDoesIsSeenAtOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { time.Sleep(time.Minute); return 7, nil }, nil)
		defer work(t, b.store, b.registry, nil)()
		id := b.enqueue(nil)
		if _, err := jobs.Await[int](b.Context(), b.queue, id); err != nil {
			t.Fatal(err)
		}
		if late := time.Since(b.get(id).FinishedAt); late > time.Millisecond {
			t.Errorf("Await returned %v after the end", late)
		}
		id = b.enqueue(nil)
		if _, err := seen(b.Context(), b.queue, id); err != nil {
			t.Fatal(err)
		}
		if late := time.Since(b.get(id).FinishedAt); late > 20*time.Millisecond {
			t.Errorf("Watch ended %v after the end", late)
		}
		elsewhere := b.elsewhere()
		id = b.enqueue(nil)
		if _, err := seen(b.Context(), elsewhere, id); err != nil {
			t.Fatal(err)
		}
		if late := time.Since(b.get(id).FinishedAt); late > 2600*time.Millisecond {
			t.Errorf("Watch of another process ended %v after the end", late)
		}
	})
}

func TestAWatcherLooksSeldomAndNeverTooOften(t *testing.T) {
	inBubble(t, func(b *bench) {
		store := &looks{MemStore: b.store}
		queue := jobs.New(store, b.registry, nil)
		handle(t, b.registry, func(ctx context.Context, job *jobs.Job[add]) (int, error) {
			for i := range 10_000 { // reports a thousand times a second
				if err := job.Report(ctx, jobs.Progress{Note: fmt.Sprint(i)}); err != nil {
					return 0, err
				}
				time.Sleep(time.Millisecond)
			}
			return 0, nil
		}, nil)
		id := b.enqueue(nil)
		ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
		defer cancel()
		if _, err := seen(ctx, queue, id); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Watch = %v, want the context's error", err)
		}
		if n := store.n.Load(); n < 1500 || n > 2000 {
			t.Errorf("%d looks in an hour without a change, want one each 2 s", n)
		}
		store.n.Store(0)
		defer work(t, b.store, b.registry, nil)()
		if _, err := seen(b.Context(), queue, id); err != nil {
			t.Fatal(err)
		}
		if n := store.n.Load(); n < 400 || n > 510 {
			t.Errorf("%d looks in the 10 s of a flood, want 50 a second", n)
		}
	})
}

func TestWatchersWaitForAStoreThatIsAway(t *testing.T) {
	inBubble(t, func(b *bench) {
		store := &looks{MemStore: b.store}
		store.away.Store(true)
		queue := jobs.New(store, b.registry, nil)
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { return 7, nil }, nil)
		id := b.enqueue(nil)
		go func() {
			time.Sleep(time.Minute)
			store.away.Store(false)
		}()
		if got, err := seen(b.Context(), queue, 42); !errors.Is(err, jobs.ErrNotFound) || len(got) != 0 {
			t.Errorf("Watch of nothing = %v, %v; want ErrNotFound once the store is back", got, err)
		}
		if got, err := seen(b.Context(), queue.ForTenant("other"), id); !errors.Is(err, jobs.ErrNotFound) || len(got) != 0 {
			t.Errorf("Watch of another tenant's = %v, %v; want ErrNotFound", got, err)
		}
		store.away.Store(true)
		go func() {
			time.Sleep(time.Minute)
			store.away.Store(false)
		}()
		defer work(t, b.store, b.registry, nil)()
		if got, err := jobs.Await[int](b.Context(), queue, id); err != nil || got != 7 {
			t.Errorf("Await = %d, %v", got, err)
		}
	})
}

func TestAWatcherThatIsLeftIsForgotten(t *testing.T) {
	inBubble(t, func(b *bench) {
		store := &looks{MemStore: b.store}
		queue := jobs.New(store, b.registry, nil)
		id := b.enqueue(nil)
		for range queue.Watch(b.Context(), id) {
			break
		}
		for range queue.Follow(b.Context(), id, 0) {
			break
		}
		for range queue.WatchList(b.Context(), jobs.ListQuery{Limit: 10}) {
			break
		}
		before := store.n.Load()
		time.Sleep(time.Hour)
		if _, err := b.queue.Cancel(b.Context(), id); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := store.n.Load(); n != before {
			t.Errorf("%d looks for nobody", n-before)
		}
	})
}

func TestFollowYieldsTheLogAndTheFinalStateLast(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(ctx context.Context, job *jobs.Job[add]) (int, error) {
			for i := range job.Args.A {
				if err := job.Log(ctx, fmt.Sprint("line ", i+1)); err != nil {
					return 0, err
				}
			}
			time.Sleep(time.Minute)
			return 7, job.Log(ctx, "last words")
		}, nil)
		defer work(t, b.store, b.registry, nil)()
		info, err := b.queue.Enqueue(b.Context(), add{A: 250}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for f, err := range b.queue.Follow(b.Context(), info.ID, 240) {
			if err != nil {
				t.Fatal(err)
			}
			if len(f.Lines) == 0 {
				got = append(got, f.Job.State.String())
			}
			for _, line := range f.Lines {
				got = append(got, line.Text)
			}
		}
		all := strings.Join(got, ", ")
		if !strings.HasPrefix(all, "ready, running, line 241, ") || !strings.HasSuffix(all, "line 250, last words, completed") || len(got) != 14 {
			t.Errorf("Follow gave %s", all)
		}
		lines := 0
		for f, err := range b.queue.Follow(b.Context(), info.ID, 0) {
			if err != nil || len(f.Lines) > 100 {
				t.Fatalf("Follow gave %d lines, %v", len(f.Lines), err)
			}
			lines += len(f.Lines)
		}
		if lines != 251 {
			t.Errorf("Follow of a job that is over gave %d lines, want all 251", lines)
		}
	})
}

func TestWatchListYieldsWhatComesChangesAndGoes(t *testing.T) {
	inBubble(t, func(b *bench) {
		handle(t, b.registry, func(context.Context, *jobs.Job[add]) (int, error) { time.Sleep(10 * time.Second); return 7, nil }, nil)
		first, second := b.enqueue(nil), b.enqueue(&jobs.EnqueueOptions{Queue: "idle"})
		if _, err := b.queue.ForTenant("other").Enqueue(b.Context(), add{}, nil); err != nil {
			t.Fatal(err)
		}
		names := map[jobs.ID]string{first: "first", second: "second"}
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		defer cancel()
		go func() {
			time.Sleep(5 * time.Second)
			stop := work(t, b.store, b.registry, nil)
			time.Sleep(5 * time.Second)
			b.enqueue(&jobs.EnqueueOptions{Queue: "idle"})
			time.Sleep(30 * time.Second)
			stop()
		}()
		query := jobs.ListQuery{Limit: 2, States: []jobs.State{jobs.Ready, jobs.Running}}
		var got []string
		var failed error
		for l, err := range b.queue.WatchList(ctx, query) {
			if failed = err; err != nil {
				break
			}
			what := l.Job.State.String()
			if l.Gone {
				what = "gone"
			}
			got = append(got, cmp.Or(names[l.Job.ID], "third")+" "+what)
		}
		want := []string{"first ready", "second ready", "first running", "first gone", "third ready"}
		if !slices.Equal(got, want) || !errors.Is(failed, context.DeadlineExceeded) {
			t.Errorf("WatchList gave %q, %v; want %q", got, failed, want)
		}
	})
}

func TestWatchListIsBounded(t *testing.T) {
	inBubble(t, func(b *bench) {
		for _, limit := range []int{0, 101} {
			for _, err := range b.queue.WatchList(b.Context(), jobs.ListQuery{Limit: limit}) {
				if !errors.Is(err, jobs.ErrInvalid) {
					t.Errorf("WatchList of %d = %v, want ErrInvalid", limit, err)
				}
			}
		}
		store := &looks{MemStore: b.store}
		queue := jobs.New(store, b.registry, nil)
		ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
		defer cancel()
		go func() {
			for ctx.Err() == nil { // a hundred jobs a second
				b.enqueue(nil)
				time.Sleep(10 * time.Millisecond)
			}
		}()
		for range queue.WatchList(ctx, jobs.ListQuery{Limit: 10}) {
		}
		if n := store.n.Load(); n < 50 || n > 101 {
			t.Errorf("%d looks in the 10 s of a flood, want 10 a second", n)
		}
		time.Sleep(time.Second)
	})
}

func ExampleQueue_Watch() {
	ctx := context.Background()
	queue := jobs.New(jobs.NewMemStore(), jobs.NewRegistry(nil), nil)
	info, err := queue.Enqueue(ctx, Greet{Name: "Ada"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for job, err := range queue.Watch(ctx, info.ID) {
		fmt.Println(job.State, err)
		if _, err := queue.Cancel(ctx, job.ID); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// ready <nil>
	// cancelled <nil>
}
