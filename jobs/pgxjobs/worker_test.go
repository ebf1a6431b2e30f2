package pgxjobs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// ping is a job that knows when it was enqueued.
type ping struct {
	At time.Time `json:"at"`
}

func (ping) Kind() string { return "ping" }

// process is what one process has: connections, a registry and signals of its own.
type process struct {
	testing.TB
	store    *bunjobs.Store
	registry *jobs.Registry
	queue    *jobs.Queue
	log      *lockedBuffer
	started  chan time.Duration // how long each job waited
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

func (l *lockedBuffer) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), text)
}

// newProcess returns one on a migrated database. Signals may be nil.
func newProcess(tb testing.TB, address string, signals jobs.Signals) *process {
	tb.Helper()
	db := dbtest.Open(tb, address)
	p := &process{TB: tb, store: bunjobs.New(db), log: &lockedBuffer{}, started: make(chan time.Duration, 1000)}
	if err := bunjobs.Migrate(tb.Context(), db); err != nil {
		tb.Fatal(err)
	}
	p.registry = jobs.NewRegistry(&jobs.RegistryOptions{Signals: signals, Logger: p.logger()})
	p.queue = jobs.New(p.store, p.registry, nil)
	return p
}

func (p *process) logger() *slog.Logger { return slog.New(slog.NewTextHandler(p.log, nil)) }

// work runs a worker until the test ends.
func (p *process) work(opts jobs.WorkerOptions) {
	p.Helper()
	err := jobs.Handle(p.registry, func(_ context.Context, job *jobs.Job[ping]) (string, error) {
		p.started <- time.Since(job.Args.At)
		return "", nil
	}, nil)
	if err != nil {
		p.Fatal(err)
	}
	opts.Logger = p.logger()
	worker, err := jobs.NewWorker(p.store, p.registry, &opts)
	if err != nil {
		p.Fatal(err)
	}
	p.background(worker.Run)
}

// sends runs SendSignals until the test ends.
func (p *process) sends() { p.background(p.registry.SendSignals) }

func (p *process) background(run func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	p.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			p.Errorf("Run = %v", err)
		}
	})
}

func (p *process) enqueue() jobs.ID {
	p.Helper()
	begun := time.Now()
	info, err := p.queue.Enqueue(p.Context(), ping{time.Now()}, nil)
	if err != nil {
		p.Fatalf("Enqueue = %v", err)
	}
	if took := time.Since(begun); took > 2*time.Second {
		p.Errorf("Enqueue took %s", took)
	}
	return info.ID
}

// next returns how long the next job waited.
func (p *process) next() time.Duration {
	p.Helper()
	select {
	case d := <-p.started:
		return d
	case <-time.After(30 * time.Second):
		p.Fatal("no job starts")
		return 0
	}
}

// until waits for a condition.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	tb.Fatalf("%s: it did not happen", what)
}

// watched tells when somebody begins to listen, and counts.
type watched struct {
	jobs.Signals
	began, sent atomic.Int64
}

func (w *watched) Listen(ctx context.Context, listening func(), heard func(string)) error {
	return w.Signals.Listen(ctx, func() { listening(); w.began.Add(1) }, heard)
}

func (w *watched) Send(ctx context.Context, texts []string) error {
	w.sent.Add(1)
	return w.Signals.Send(ctx, texts)
}

// idle lets a worker finish what it does when it begins to listen.
func idle(tb testing.TB, w *watched, p *process) {
	tb.Helper()
	until(tb, "listening", func() bool { return w.began.Load() > 0 })
	p.enqueue()
	p.next()
}

// patient looks by itself so rarely that what starts soon was signalled.
var patient = jobs.WorkerOptions{Poll: 10 * time.Second, Lease: 40 * time.Second, Heartbeat: 8 * time.Second}

func TestAJobStartsAtOnceInAnotherProcess(t *testing.T) {
	const n = 50
	direct := dbtest.Postgres(t)
	for name, store := range map[string]string{"directly": direct, "through PgBouncer in transaction mode": ""} {
		t.Run(name, func(t *testing.T) {
			if store == "" {
				store = dbtest.PgBouncer(t, direct)
			}
			heard := &watched{Signals: signals(t, direct, nil)}
			a, b := newProcess(t, store, signals(t, direct, nil)), newProcess(t, store, heard)
			a.sends()
			b.work(patient)
			idle(t, heard, b)
			waits := waits(a, b, n)
			t.Logf("from Enqueue in one process to the start in another, with signals: p50 %s, p99 %s", waits[n/2], waits[n-1])
			if waits[n/2] > 200*time.Millisecond || waits[n-1] > 5*time.Second {
				t.Errorf("the waits were %s", waits)
			}
		})
	}
	t.Run("the figure without signals", func(t *testing.T) {
		a, b := newProcess(t, direct, nil), newProcess(t, direct, nil)
		b.work(jobs.WorkerOptions{})
		waits := waits(a, b, n)
		t.Logf("from Enqueue in one process to the start in another, without signals: p50 %s, p99 %s", waits[n/2], waits[n-1])
	})
}

// waits returns how long jobs of one process waited for another, in order.
func waits(a, b *process, n int) []time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		a.enqueue()
		all[i] = b.next()
	}
	slices.Sort(all)
	return all
}

func TestAHandlerHearsThatItsJobWasCancelledElsewhere(t *testing.T) {
	address := dbtest.Postgres(t)
	heard := &watched{Signals: signals(t, address, nil)}
	a, b := newProcess(t, address, signals(t, address, nil)), newProcess(t, address, heard)
	started, ended := make(chan struct{}), make(chan error, 1)
	err := jobs.Handle(b.registry, func(ctx context.Context, _ *jobs.Job[held]) (string, error) {
		close(started)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return "", ctx.Err()
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	a.sends()
	b.work(patient)
	idle(t, heard, b)
	info, err := a.queue.Enqueue(t.Context(), held{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-started
	begun := time.Now()
	if _, err := a.queue.Cancel(t.Context(), info.ID); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, jobs.ErrLeaseLost) || time.Since(begun) > 4*time.Second {
		t.Errorf("the handler's context ended with %v after %s; heartbeats are 8 s apart", err, time.Since(begun))
	}
}

// held is a job that runs until it is cancelled.
type held struct{}

func (held) Kind() string { return "held" }

func TestAFloodOfSingleJobsIsFewSignals(t *testing.T) {
	const n, callers = 10_000, 16
	address := dbtest.Postgres(t)
	counted := &watched{Signals: signals(t, address, nil)}
	a := newProcess(t, address, counted)
	a.sends()
	begun := time.Now()
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range n / callers {
				if _, err := a.queue.Enqueue(t.Context(), ping{}, nil); err != nil {
					t.Errorf("Enqueue = %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	took := time.Since(begun)
	t.Logf("%d jobs in %s: %d signals", n, took, counted.sent.Load())
	if most := int64(took/(15*time.Millisecond)) + 2; counted.sent.Load() > most || counted.sent.Load() == 0 {
		t.Errorf("%d signals in %s, want at most %d", counted.sent.Load(), took, most)
	}
}
