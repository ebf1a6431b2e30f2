package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/jobstest"
)

// bus carries signals between the registries of a test.
type bus struct {
	mu    sync.Mutex
	ears  map[*func(text string)]struct{}
	sends [][]string
	fail  error         // of Send and Listen
	dumb  error         // of Send
	cut   chan struct{} // closed to end all listening
}

func newBus() *bus { return &bus{ears: map[*func(string)]struct{}{}, cut: make(chan struct{})} }

func (b *bus) Send(ctx context.Context, texts []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := errors.Join(ctx.Err(), b.fail, b.dumb); err != nil {
		return err
	}
	b.sends = append(b.sends, texts)
	for heard := range b.ears {
		for _, text := range texts {
			(*heard)(text)
		}
	}
	return nil
}

func (b *bus) Listen(ctx context.Context, listening func(), heard func(text string)) error {
	b.mu.Lock()
	cut := b.cut
	if ctx.Err() != nil || b.fail != nil {
		defer b.mu.Unlock()
		return errors.Join(ctx.Err(), b.fail)
	}
	listening()
	b.ears[&heard] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.ears, &heard)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-cut:
		return errors.New("the line was cut")
	}
}

// gag lets nobody send until err is nil.
func (b *bus) gag(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dumb = err
}

func (b *bus) sent() [][]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.sends)
}

// hang ends all listening, and lets nobody begin or send until err is nil.
func (b *bus) hang(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail = err; err != nil {
		close(b.cut)
		b.cut = make(chan struct{})
	}
}

func TestBusKeepsThePromisesOfSignals(t *testing.T) {
	jobstest.TestSignals(t, func(*testing.T) (one, two jobs.Signals) {
		b := newBus()
		return exact{b}, exact{b}
	})
}

// exact returns the context's error alone.
type exact struct{ *bus }

func (e exact) Send(ctx context.Context, texts []string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return e.bus.Send(ctx, texts)
}

func (e exact) Listen(ctx context.Context, listening func(), heard func(text string)) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return e.bus.Listen(ctx, listening, heard)
}

// other is another process on the store of a bench, which works nothing off.
type other struct {
	*bench
	log *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// patient works jobs off and looks by itself once in an hour.
var patient = jobs.WorkerOptions{Poll: time.Hour, Lease: 40 * time.Hour, Heartbeat: 10 * time.Hour, Queues: map[string]int{"default": 2, "side": 2}}

// apart runs fn in a bubble with one process, for a worker, and another one that sends.
func apart(t *testing.T, fn func(w *bench, other *other, signals *bus)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, signals, log := jobs.NewMemStore(), newBus(), &lockedBuffer{}
		open := func() *bench {
			registry := jobs.NewRegistry(&jobs.RegistryOptions{Signals: signals, Logger: slog.New(slog.NewTextHandler(log, nil))})
			return &bench{T: t, store: store, registry: registry, queue: jobs.New(store, registry, nil)}
		}
		w, sender := open(), &other{open(), log}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- sender.registry.SendSignals(ctx) }()
		defer func() {
			stop()
			if err := <-done; err != nil {
				t.Errorf("SendSignals = %v", err)
			}
		}()
		fn(w, sender, signals)
	})
}

// within waits for a job and tells whether it took no longer than signals do.
func (b *bench) within(id jobs.ID, what string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	begun := time.Now()
	if _, err := jobs.Await[int](ctx, b.queue, id); err != nil || time.Since(begun) > time.Second {
		b.Errorf("%s: Await = %v after %s", what, err, time.Since(begun))
	}
}

func TestAWorkerHearsOfTheJobsOfOtherProcesses(t *testing.T) {
	apart(t, func(w *bench, other *other, _ *bus) {
		handle(t, w.registry, func(context.Context, *jobs.Job[add]) (int, error) { return 1, nil }, nil)
		defer work(t, w.store, w.registry, &patient)()
		synctest.Wait()
		w.within(other.enqueue(nil), "enqueued")
		w.within(other.enqueue(&jobs.EnqueueOptions{Queue: "side"}), "enqueued into another queue")

		later := other.enqueue(&jobs.EnqueueOptions{Delay: 24 * time.Hour})
		if _, err := other.queue.Retry(other.Context(), later); err != nil {
			t.Fatal(err)
		}
		w.within(later, "retried")
		elsewhere := other.enqueue(&jobs.EnqueueOptions{Queue: "nobodys"})
		change := jobs.BulkChange{Operation: jobs.BulkMove, Queue: "side"}
		if _, err := other.queue.ChangeMany(other.Context(), change); err != nil {
			t.Fatal(err)
		}
		w.within(elsewhere, "moved")
	})
}

func TestAHandlerHearsThatItsJobWasCancelledElsewhere(t *testing.T) {
	apart(t, func(w *bench, other *other, _ *bus) {
		started, ended := make(chan struct{}, 1), make(chan error, 1)
		handle(t, w.registry, func(ctx context.Context, _ *jobs.Job[add]) (int, error) {
			started <- struct{}{}
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return 0, ctx.Err()
		}, &jobs.KindOptions{Timeout: jobs.NoTimeout})
		defer work(t, w.store, w.registry, &patient)()
		for what, cancel := range map[string]func(id jobs.ID) error{
			"alone": func(id jobs.ID) error { _, err := other.queue.Cancel(other.Context(), id); return err },
			"with many": func(jobs.ID) error {
				_, err := other.queue.ChangeMany(other.Context(), jobs.BulkChange{Operation: jobs.BulkCancel})
				return err
			},
			"in its own process": func(id jobs.ID) error { _, err := w.queue.Cancel(other.Context(), id); return err },
		} {
			time.Sleep(time.Second) // the heartbeat of the last one is over
			id := other.enqueue(nil)
			<-started
			begun := time.Now()
			if err := cancel(id); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; !errors.Is(err, jobs.ErrLeaseLost) || time.Since(begun) > time.Second {
				t.Errorf("cancelled %s, the handler's context ended with %v after %s", what, err, time.Since(begun))
			}
		}
	})
}

func TestAFloodOfJobsIsFewSignalsAndTheLastIsNotLost(t *testing.T) {
	apart(t, func(_ *bench, other *other, signals *bus) {
		const n = 10_000
		begun := time.Now()
		for i := range n {
			other.enqueue(nil)
			if i%10 == 0 {
				time.Sleep(time.Millisecond) // a second in all
			}
		}
		synctest.Wait()
		before := len(signals.sent())
		time.Sleep(100 * time.Millisecond)
		if most := int(time.Since(begun)/(15*time.Millisecond)) + 1; len(signals.sent()) > most || before < 10 {
			t.Errorf("%d jobs within %s were %d signals", n, time.Since(begun), len(signals.sent()))
		}
		sent := len(signals.sent())
		other.enqueue(nil)
		synctest.Wait()
		other.enqueue(nil)
		time.Sleep(100 * time.Millisecond)
		if len(signals.sent()) != sent+2 {
			t.Errorf("two jobs one after the other were %d signals, want 2", len(signals.sent())-sent)
		}
	})
}

func TestSignalsThatFailAreSentAgainAndNobodyIsTold(t *testing.T) {
	apart(t, func(w *bench, other *other, signals *bus) {
		handle(t, w.registry, func(context.Context, *jobs.Job[add]) (int, error) { return 1, nil }, nil)
		signals.hang(errors.New("the line is dead"))
		var log lockedBuffer
		opts := patient
		opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
		defer work(t, w.store, w.registry, &opts)()
		synctest.Wait() // it has looked and found nothing
		id := other.enqueue(nil)
		time.Sleep(10 * time.Minute)
		if info := other.get(id); info.State != jobs.Ready {
			t.Fatalf("the job is %s, want it to wait for a signal", info.State)
		}
		for name, text := range map[string]string{"sender": other.log.String(), "worker": log.String()} {
			if n := strings.Count(text, "the line is dead"); n < 10 || n > 1000 {
				t.Errorf("the log of the %s has %d failures in ten minutes:\n%.500s", name, n, text)
			}
		}
		signals.hang(nil)
		time.Sleep(20 * time.Second)
		if info := other.get(id); info.State != jobs.Completed {
			t.Errorf("the job is %s, 20 s after the line was mended", info.State)
		}
	})
}

// A signal that could not be sent is sent later.
func TestSignalsOutliveASendingThatFails(t *testing.T) {
	apart(t, func(w *bench, other *other, signals *bus) {
		handle(t, w.registry, func(context.Context, *jobs.Job[add]) (int, error) { return 1, nil }, nil)
		defer work(t, w.store, w.registry, &patient)()
		synctest.Wait()
		signals.gag(errors.New("not now"))
		id := other.enqueue(nil)
		time.Sleep(time.Minute)
		if info := other.get(id); info.State != jobs.Ready || len(signals.sent()) > 0 {
			t.Fatalf("the job is %s after %d signals", info.State, len(signals.sent()))
		}
		signals.gag(nil)
		time.Sleep(10 * time.Second)
		if info := other.get(id); info.State != jobs.Completed {
			t.Errorf("the job is %s, 10 s after sending was possible", info.State)
		}
	})
}

// What was sent while nobody listened is lost, so whoever listens again looks.
func TestAWorkerLooksWhenItHearsAgain(t *testing.T) {
	apart(t, func(w *bench, other *other, signals *bus) {
		handle(t, w.registry, func(context.Context, *jobs.Job[add]) (int, error) { return 1, nil }, nil)
		defer work(t, w.store, w.registry, &patient)()
		for range 20 {
			synctest.Wait()
			signals.hang(errors.New("cut"))
			synctest.Wait()
			mute := jobs.New(w.store, jobs.NewRegistry(nil), nil)
			info, err := mute.Enqueue(other.Context(), add{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			signals.hang(nil)
			w.within(info.ID, "enqueued while the line was cut")
		}
	})
}

func TestWhatIsHeardIsNotTrusted(t *testing.T) {
	apart(t, func(w *bench, other *other, signals *bus) {
		handle(t, w.registry, func(context.Context, *jobs.Job[add]) (int, error) { return 1, nil }, nil)
		defer work(t, w.store, w.registry, &patient)()
		synctest.Wait()
		for _, text := range []string{"", " ", "x", "a ready", "a ready default more", "a cancelled job_!", "a b c", "a ready \x00", strings.Repeat("x ", 100)} {
			if err := signals.Send(w.Context(), []string{text}); err != nil {
				t.Fatal(err)
			}
		}
		w.within(other.enqueue(nil), "enqueued after what means nothing")
	})
}

// A worker that has acted on its own job need not look again for its signal.
func TestAProcessIgnoresItsOwnSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var claims atomic.Int32
		store := &hooked{MemStore: jobs.NewMemStore(), claims: func([]jobs.Info) error { claims.Add(1); return nil }}
		signals := newBus()
		registry := jobs.NewRegistry(&jobs.RegistryOptions{Signals: signals})
		handle(t, registry, func(context.Context, *jobs.Job[add]) (int, error) { return 1, nil }, nil)
		defer work(t, store, registry, &jobs.WorkerOptions{Poll: time.Hour, Lease: 40 * time.Hour})()
		time.Sleep(time.Second)
		before := claims.Load()
		if _, err := jobs.New(store, registry, nil).Enqueue(t.Context(), add{}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if len(signals.sent()) != 1 || claims.Load() != before+1 {
			t.Errorf("%d signals and %d claims for one job, want one of each", len(signals.sent()), claims.Load()-before)
		}
	})
}

// committing is a store within a transaction that the test ends.
type committing struct {
	*jobs.MemStore
	after []func()
}

func (c *committing) AfterCommit(fn func()) { c.after = append(c.after, fn) }

func TestAQueueOnATransactionWakesAfterTheCommit(t *testing.T) {
	apart(t, func(_ *bench, other *other, signals *bus) {
		tx := &committing{MemStore: other.store}
		bound := other.queue.With(tx)
		info, err := bound.Enqueue(other.Context(), add{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bound.Retry(other.Context(), info.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if len(signals.sent()) > 0 {
			t.Errorf("%q was sent before the commit", signals.sent())
		}
		for _, fn := range tx.after {
			fn()
		}
		time.Sleep(time.Second)
		if len(signals.sent()) != 1 || len(signals.sent()[0]) != 1 {
			t.Errorf("%q was sent after the commit, want one text", signals.sent())
		}
		other.registry.Wake()
		time.Sleep(time.Second)
		other.registry.Wake("default", "side")
		time.Sleep(time.Second)
		if len(signals.sent()) != 3 || len(signals.sent()[2]) != 2 {
			t.Errorf("%q was sent after Wake", signals.sent())
		}
	})
}

func TestAQueueOnATransactionTellsOfABulkChangeAfterTheCommit(t *testing.T) {
	r := registry(t)
	tx := &committing{MemStore: jobs.NewMemStore()}
	bound := jobs.New(tx, r, nil)
	if _, err := bound.Enqueue(t.Context(), add{}, nil); err != nil {
		t.Fatal(err)
	}
	all := r.Subscribe(&jobs.SubscribeOptions{Types: []jobs.EventType{jobs.EventJobsChanged}})
	defer all.Stop()
	if _, err := bound.ChangeMany(t.Context(), jobs.BulkChange{Operation: jobs.BulkReprioritize, Priority: 1}); err != nil {
		t.Fatal(err)
	}
	if n := len(all.Events()); n != 0 {
		t.Errorf("%d events were told before the commit", n)
	}
	for _, fn := range tx.after {
		fn()
	}
	if n := len(all.Events()); n != 1 {
		t.Errorf("%d events were told after the commit, want one", n)
	}
}

func TestWhatIsHandedBackIsToldToOthers(t *testing.T) {
	apart(t, func(w *bench, other *other, signals *bus) {
		handle(t, w.registry, func(ctx context.Context, _ *jobs.Job[add]) (int, error) { <-ctx.Done(); return 0, ctx.Err() }, nil)
		opts := patient
		opts.Drain = time.Second
		stop := work(t, w.store, w.registry, &opts)
		synctest.Wait()
		id := other.enqueue(nil)
		time.Sleep(time.Second)
		sent := len(signals.sent())
		stop()
		if info := other.get(id); info.State != jobs.Ready || len(signals.sent()) != sent+1 {
			t.Errorf("the job is %s, and %d signals were sent; want it ready and told", info.State, len(signals.sent())-sent)
		}
	})
}

// One sends while the others wait, and the next one goes on when it has ended.
func TestManyMaySendSignalsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := newBus()
		registry := jobs.NewRegistry(&jobs.RegistryOptions{Signals: signals})
		done := make(chan error)
		var stops []context.CancelFunc
		for range 3 {
			ctx, stop := context.WithCancel(t.Context())
			stops = append(stops, stop)
			go func() { done <- registry.SendSignals(ctx) }()
			synctest.Wait()
		}
		for i, stop := range stops {
			registry.Wake("default")
			time.Sleep(time.Second)
			if len(signals.sent()) != i+1 {
				t.Errorf("%d signals were sent, want %d", len(signals.sent()), i+1)
			}
			stop()
			if err := <-done; err != nil {
				t.Errorf("SendSignals = %v", err)
			}
		}
	})
}

// A registry whose signals nobody sends keeps a bounded number of them.
func TestSignalsThatNobodySendsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := newBus()
		registry := jobs.NewRegistry(&jobs.RegistryOptions{Signals: signals})
		for i := range 5000 {
			registry.Wake(fmt.Sprint("q", i))
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- registry.SendSignals(ctx) }()
		synctest.Wait()
		stop()
		if err := <-done; err != nil || len(signals.sent()) != 1 || len(signals.sent()[0]) != 1000 {
			t.Errorf("SendSignals = %v after %d sendings, want one of 1000 texts", err, len(signals.sent()))
		}
	})
}
