package levqor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
)

var secret = bytes.Repeat([]byte("s"), 32)

func newApp(tb testing.TB, stores levqor.Stores, opts levqor.Options) *levqor.App {
	tb.Helper()
	if opts.Secret == nil {
		opts.Secret = secret
	}
	app, err := levqor.New(stores, &opts)
	if err != nil {
		tb.Fatalf("New = %v", err)
	}
	return app
}

// Shout is a kind of job.
type Shout struct {
	Text string `json:"text"`
}

// Kind implements [jobs.Args].
func (Shout) Kind() string { return "shout" }

func shout(_ context.Context, job *jobs.Job[Shout]) (string, error) { return job.Args.Text + "!", nil }

func TestNewNeedsASecret(t *testing.T) {
	for _, opts := range []*levqor.Options{nil, {}, {Secret: secret[1:]}} {
		if _, err := levqor.New(levqor.MemStores(), opts); !errors.Is(err, levqor.ErrInvalid) {
			t.Errorf("New = %v, want ErrInvalid", err)
		}
	}
}

func TestRunWorksOffJobsUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApp(t, levqor.MemStores(), levqor.Options{})
		if err := jobs.Handle(app.Registry, shout, nil); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		info, err := app.Jobs.ForTenant("a").Enqueue(ctx, Shout{Text: "hey"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := jobs.Await[string](ctx, app.Jobs.ForTenant("a"), info.ID); err != nil || got != "hey!" {
			t.Errorf("Await = %q, %v", got, err)
		}
		if err := app.Ready(ctx); err != nil {
			t.Errorf("Ready = %v", err)
		}
		if err := app.Run(ctx); !errors.Is(err, levqor.ErrConflict) {
			t.Errorf("a second Run = %v, want ErrConflict", err)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if err := app.Ready(t.Context()); !errors.Is(err, levqor.ErrUnavailable) {
			t.Errorf("Ready after the end = %v, want ErrUnavailable", err)
		}
	})
}

func TestHooksOfAnAppWrapItsJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		app := newApp(t, levqor.MemStores(), levqor.Options{
			Intake: []jobs.IntakeHook{func(ctx context.Context, entries []jobs.Entry, next func(context.Context, []jobs.Entry) ([]jobs.Info, error)) ([]jobs.Info, error) {
				order = append(order, "intake")
				return next(ctx, entries)
			}},
			Execution: []jobs.ExecutionHook{func(ctx context.Context, _ jobs.Info, next func(context.Context) error) error {
				order = append(order, "execution")
				return next(ctx)
			}},
		})
		if err := jobs.Handle(app.Registry, shout, nil); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		info, err := app.Jobs.Enqueue(ctx, Shout{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jobs.Await[string](ctx, app.Jobs, info.ID); err != nil || !slices.Equal(order, []string{"intake", "execution"}) {
			t.Errorf("Await = %v after the hooks %v", err, order)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestANodeWithoutAWorkerLeavesJobsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApp(t, levqor.MemStores(), levqor.Options{NoWorker: true})
		if err := jobs.Handle(app.Registry, shout, nil); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		info, err := app.Jobs.Enqueue(ctx, Shout{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if info, err = app.Jobs.Get(ctx, info.ID); err != nil || info.State != jobs.Ready {
			t.Errorf("the job is %s, %v; want ready", info.State, err)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestRunDeletesExpiredIdempotencyRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores := levqor.MemStores()
		app := newApp(t, stores, levqor.Options{NoWorker: true})
		if _, _, err := app.Idempotency.Do(t.Context(), scopeOf("k"), []byte("f"), answer("x")); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		time.Sleep(levqor.IdempotencyTTL + time.Hour)
		stop()
		<-done
		if n, err := stores.Idempotency.DeleteExpired(t.Context(), 10, time.Time{}); err != nil || n != 0 {
			t.Errorf("%d records were left, %v", n, err)
		}
	})
}

func scopeOf(key string) levqor.IdempotencyScope {
	return levqor.IdempotencyScope{Tenant: "a", Caller: "key_1", Operation: "POST /x", Key: key}
}

func answer(body string) func(context.Context, levqor.Stores) (levqor.Answer, error) {
	return func(context.Context, levqor.Stores) (levqor.Answer, error) {
		return levqor.Answer{Status: 201, Header: map[string]string{"Location": "/x"}, Body: []byte(body)}, nil
	}
}

func TestDoRepeatsTheAnswer(t *testing.T) {
	app := newApp(t, levqor.MemStores(), levqor.Options{})
	for i, want := range []bool{false, true} {
		got, replayed, err := app.Idempotency.Do(t.Context(), scopeOf("k"), []byte("f"), answer(fmt.Sprint("body ", i)))
		if err != nil || replayed != want || got.Status != 201 || got.Header["Location"] != "/x" || string(got.Body) != "body 0" {
			t.Errorf("Do = %+v, %v, %v", got, replayed, err)
		}
	}
	if _, _, err := app.Idempotency.Do(t.Context(), scopeOf("k"), []byte("other"), answer("")); !errors.Is(err, levqor.ErrKeyReused) {
		t.Errorf("Do of another request = %v, want ErrKeyReused", err)
	}
}

func TestDoRunsTheEffectOnceForManyAtOnce(t *testing.T) {
	app := newApp(t, levqor.MemStores(), levqor.Options{})
	var effects, replays atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, replayed, err := app.Idempotency.Do(t.Context(), scopeOf("k"), []byte("f"), func(context.Context, levqor.Stores) (levqor.Answer, error) {
				effects.Add(1)
				return levqor.Answer{Status: 201}, nil
			})
			if err != nil {
				t.Errorf("Do = %v", err)
			}
			if replayed {
				replays.Add(1)
			}
		})
	}
	wg.Wait()
	if effects.Load() != 1 || replays.Load() != 19 {
		t.Errorf("%d effects and %d replays, want 1 and 19", effects.Load(), replays.Load())
	}
}

func TestAFailedEffectFreesTheKey(t *testing.T) {
	app := newApp(t, levqor.MemStores(), levqor.Options{})
	boom := errors.New("boom")
	_, _, err := app.Idempotency.Do(t.Context(), scopeOf("k"), []byte("f"), func(ctx context.Context, tx levqor.Stores) (levqor.Answer, error) {
		if _, err := app.Jobs.With(tx.Jobs).Enqueue(ctx, Shout{}, nil); err != nil {
			t.Error(err)
		}
		return levqor.Answer{}, boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("Do = %v, want what the effect returned", err)
	}
	if all, err := app.Jobs.List(t.Context(), jobs.ListQuery{Limit: 1}); err != nil || len(all) != 0 {
		t.Errorf("%d jobs are left of it, %v", len(all), err)
	}
	if _, replayed, err := app.Idempotency.Do(t.Context(), scopeOf("k"), []byte("other"), answer("")); err != nil || replayed {
		t.Errorf("Do = %v, %v; want the key free", replayed, err)
	}
}

func TestDoRefusesKeysThatAreNone(t *testing.T) {
	app := newApp(t, levqor.MemStores(), levqor.Options{})
	for _, key := range []string{"", string(bytes.Repeat([]byte("x"), 256)), "ä", "a\nb"} {
		if _, _, err := app.Idempotency.Do(t.Context(), scopeOf(key), nil, answer("")); !errors.Is(err, levqor.ErrInvalid) {
			t.Errorf("Do with the key %q = %v, want ErrInvalid", key, err)
		}
	}
}

func ExampleNew() {
	app, err := levqor.New(levqor.MemStores(), &levqor.Options{Secret: []byte("32 bytes from a random source ...")})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := jobs.Handle(app.Registry, shout, nil); err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error)
	go func() { done <- app.Run(ctx) }()

	info, err := app.Jobs.Enqueue(ctx, Shout{Text: "hey"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(jobs.Await[string](ctx, app.Jobs, info.ID))
	stop()
	fmt.Println(<-done)
	// Output:
	// hey! <nil>
	// <nil>
}

func ExampleMemStores() {
	stores := levqor.MemStores()
	fmt.Println(stores.Check(context.Background()))
	// Output: <nil>
}

func TestNewNamesALimitThatMakesNoSense(t *testing.T) {
	_, err := levqor.New(levqor.MemStores(), &levqor.Options{Secret: secret, Limits: guard.Limits{Writes: guard.Policy{Window: time.Millisecond}}})
	if !errors.Is(err, levqor.ErrInvalid) || !strings.Contains(err.Error(), "/limits/writes/window") {
		t.Errorf("New = %v, want ErrInvalid that names the window", err)
	}
}

func TestRunDeletesKeysWhoseQuotaIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores := levqor.MemStores()
		app := newApp(t, stores, levqor.Options{})
		for i := range 1500 { // more than one batch
			if _, err := app.Limiter.Take(t.Context(), guard.Charge{Policy: app.Limits.Writes, Key: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if n, err := stores.Rates.DeleteIdle(t.Context(), 10, time.Time{}); err != nil || n != 0 {
			t.Errorf("DeleteIdle = %d, %v; want all deleted", n, err)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

// eraser fails until it may.
type eraser struct{ may atomic.Bool }

func (e *eraser) EraseUser(context.Context, identity.User) error {
	if !e.may.Load() {
		return errors.New("away")
	}
	return nil
}

func TestAnAppFinishesDeletionsThatWereInterrupted(t *testing.T) {
	erases, stores := &eraser{}, levqor.MemStores()
	app := newApp(t, stores, levqor.Options{UserErasers: []identity.UserEraser{erases}})
	email, err := identity.ParseEmail("ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	ada, _, err := app.Directory.EnsureUser(t.Context(), email, "Ada")
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Directory.DeleteUser(t.Context(), ada.ID); err == nil {
		t.Fatal("DeleteUser = nil while an eraser fails")
	}
	erases.may.Store(true)
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	for ctx.Err() == nil {
		left, err := stores.Directory.DeletedUsers(ctx, 0, 1)
		if err == nil && len(left) == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if ctx.Err() != nil {
		t.Error("the deletion is not finished")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
