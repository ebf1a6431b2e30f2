package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// WorkerOptions configure a [Worker]. The zero value of each field means its
// default.
type WorkerOptions struct {
	// Queues names the queues to work off, each with how many of its jobs run at
	// once, 1 to 10,000. Default: 100 of [DefaultQueue].
	Queues map[string]int
	// Poll is how long to wait before looking again at a queue that had nothing
	// to do, and for jobs whose time has come. What this process enqueues through the
	// same registry is taken at once, and with [Signals] what others enqueue, unless
	// its transaction is still open. Default: 100 ms.
	Poll time.Duration
	// Lease is how long the jobs of a worker that died stay with it. It must be
	// at least four times Heartbeat. Default: 10 s.
	Lease time.Duration
	// Heartbeat is how often the lease is renewed, lost and cancelled jobs are
	// noticed, and other workers' expired leases are looked for. Default: a tenth
	// of Lease.
	Heartbeat time.Duration
	// Grace is how long a handler whose context has ended may go on before its
	// attempt is given up. Default: 5 s.
	Grace time.Duration
	// Drain is how long running jobs may go on after Run's context has ended,
	// before their own contexts end. Default: 25 s.
	Drain time.Duration
	// Retention says how long jobs that are over stay, where the store is a
	// [HistoryStore]. Workers of one store should agree on it: the shortest holds.
	// Default: that of [Retention].
	Retention Retention
	// Logger gets what no caller can be told. Default: discard.
	Logger *slog.Logger
	// Now replaces the store's clock, for tests. Default: the store's clock.
	Now func() time.Time
}

func (o *WorkerOptions) setDefaults() {
	if len(o.Queues) == 0 {
		o.Queues = map[string]int{DefaultQueue: 100}
	}
	o.Poll = cmp.Or(o.Poll, 100*time.Millisecond)
	o.Lease = cmp.Or(o.Lease, 10*time.Second)
	o.Heartbeat = cmp.Or(o.Heartbeat, o.Lease/10)
	o.Grace = cmp.Or(o.Grace, 5*time.Second)
	o.Drain = cmp.Or(o.Drain, 25*time.Second)
	o.Retention = o.Retention.withDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

func (o *WorkerOptions) validate() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(o.Queues)) {
		field := "/queues/" + pointerEscaper.Replace(name)
		errs = append(errs, checkName("/queues", name), checkRange(field, o.Queues[name], 10_000))
	}
	for _, f := range []struct {
		field string
		value time.Duration
	}{{"/poll", o.Poll}, {"/heartbeat", o.Heartbeat}, {"/grace", o.Grace}, {"/drain", o.Drain}} {
		if f.value < time.Millisecond {
			errs = append(errs, invalid(f.field, "too_small", "must be at least a millisecond"))
		}
	}
	if o.Lease < 4*o.Heartbeat {
		errs = append(errs, invalid("/lease", "too_small", "must be at least four times the heartbeat"))
	}
	return errors.Join(append(errs, o.Retention.validate())...)
}

// Worker runs the jobs of a store. One per process and store is enough.
type Worker struct {
	store    WorkerStore
	registry *Registry
	opts     WorkerOptions
}

// NewWorker returns a worker for the registered kinds; kinds that are registered
// later but before Run count too. Options may be nil. It returns an ErrInvalid
// that names each option out of range.
func NewWorker(store WorkerStore, registry *Registry, opts *WorkerOptions) (*Worker, error) {
	w := &Worker{store: store, registry: registry}
	if opts != nil {
		w.opts = *opts
	}
	w.opts.setDefaults()
	if err := w.opts.validate(); err != nil {
		return nil, fmt.Errorf("jobs: new worker: %w", err)
	}
	return w, nil
}

// Run works off jobs until ctx ends, then drains: it takes no further jobs,
// lets those that run go on for [WorkerOptions.Drain], ends the contexts of the
// rest, records every outcome and hands back what did not finish without
// counting the attempt. It returns when all that is done: nil, or an error if the
// store could not be told. While the store is away Run waits for it.
func (w *Worker) Run(ctx context.Context) error {
	r := newRun(w)
	if err := r.join(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // nothing has begun
		}
		return err
	}
	// Store calls and handlers outlive ctx: a drain needs both.
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer r.registry.runs.attend(r)()
	var keepers, fetchers sync.WaitGroup
	keepers.Go(func() { r.keep(base) })
	keepers.Go(func() { r.promote(base) })
	keepers.Go(func() { r.recount(base) })
	keepers.Go(func() { r.forget(base) })
	keepers.Go(func() { r.hear(base) })
	keepers.Go(func() { r.registry.sendSignals(base, r.opts.Logger) })
	for _, l := range r.lanes {
		fetchers.Go(func() { r.fetch(ctx, base, l) })
	}
	settled := make(chan error, 1)
	go func() { settled <- r.settle(base) }()

	fetchers.Wait()
	if !r.drain() {
		stop()
	}
	err := r.flush(stop, settled)
	stop()
	keepers.Wait()
	return errors.Join(err, r.leave(context.WithoutCancel(ctx)))
}

func (w *Worker) now() time.Time {
	if w.opts.Now == nil {
		return time.Time{}
	}
	return w.opts.Now()
}
