// Package levqor composes the rooms of the SDK on one database into a service:
// one [App], one lifecycle, one set of keys.
//
//	db, err := bunlevqor.Open("sqlite://levqor.db")
//	err = bunlevqor.Migrate(ctx, db)
//	app, err := levqor.New(bunlevqor.Stores(db), &levqor.Options{Secret: secret})
//	err = httpjobs.Register(app.Registry, nil)
//	handler, err := httpapi.New(app, nil)
//	go http.ListenAndServe(addr, handler)
//	err = app.Run(ctx) // works off jobs and fires schedules until ctx ends, then drains
//
// Any number of processes may run on one PostgreSQL database, or on one SQLite
// file on one machine: all that they share is in the database.
package levqor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor/identity"
)

// Options configure an [App]. The zero value of each field means its default;
// Secret has none.
type Options struct {
	// Secret seeds the keys of the service: at least [MinSecret] bytes from a
	// random source, the same on all nodes.
	Secret []byte
	// OldSecrets still open what they sealed and honour the API keys that they
	// hashed. Default: none.
	OldSecrets [][]byte
	// Validator checks job arguments by their tags. Default: none.
	Validator jobs.Validator
	// Worker configures how jobs are worked off; its Logger and Now are those of
	// the App unless set. Default: that of [jobs.NewWorker].
	Worker *jobs.WorkerOptions
	// Timetables reads the plans of schedules that are neither intervals nor single
	// times, such as [github.com/levqor/sdk/jobs/cronjobs.Parse]. Default: none.
	Timetables jobs.TimetableParser
	// Signals tell nodes at once what others have taken in and cancelled, such as those
	// of [github.com/levqor/sdk/jobs/pgxjobs.Open]. Default: none; nodes look for it.
	Signals jobs.Signals
	// Intake hooks wrap what takes jobs in; see [jobs.RegistryOptions]. Default: none.
	Intake []jobs.IntakeHook
	// Execution hooks wrap each attempt; see [jobs.RegistryOptions]. Default: none.
	Execution []jobs.ExecutionHook
	// NoWorker makes a node that takes jobs in, works none off and fires no
	// schedules.
	NoWorker bool
	// Logger gets what no caller can be told. Default: discard.
	Logger *slog.Logger
	// Now replaces the stores' clock, for tests. Default: the stores' clock.
	Now func() time.Time
}

// App is the service. Its fields are for use, not for change.
type App struct {
	// Jobs takes jobs in; use [jobs.Queue.ForTenant] for a tenant's.
	Jobs *jobs.Queue
	// Schedules keeps recurring work; use [jobs.Schedules.ForTenant] for a tenant's.
	Schedules *jobs.Schedules
	// Queues are the settings of queues, which hold for all tenants.
	Queues *jobs.Queues
	// Registry knows the kinds of jobs. Register them before Run.
	Registry *jobs.Registry
	// Keys makes and checks API keys.
	Keys *identity.Keys
	// KeyRing derives the keys of the service.
	KeyRing *KeyRing
	// Idempotency makes requests that are sent twice take effect once.
	Idempotency *Idempotency

	stores Stores
	opts   Options
	phase  atomic.Int32
	drains chan struct{} // closed with the phase
	once   sync.Once
}

// The phases of an App's life.
const (
	fresh int32 = iota
	running
	draining
)

// New returns a service on stores. It starts nothing. It returns an ErrInvalid
// for a secret that is missing or too short.
func New(stores Stores, opts *Options) (*App, error) {
	a := &App{stores: stores, drains: make(chan struct{})}
	if opts != nil {
		a.opts = *opts
	}
	if a.opts.Logger == nil {
		a.opts.Logger = slog.New(slog.DiscardHandler)
	}
	a.opts.Worker = a.workerOptions()
	ring, err := NewKeyRing(append([][]byte{a.opts.Secret}, a.opts.OldSecrets...)...)
	if err != nil {
		return nil, fmt.Errorf("levqor: new: %w", err)
	}
	a.KeyRing = ring
	a.Registry = jobs.NewRegistry(&jobs.RegistryOptions{
		Validator: a.opts.Validator, Sealer: ring.Sealer(), Intake: a.opts.Intake, Execution: a.opts.Execution,
		Signals: a.opts.Signals, Logger: a.opts.Logger,
	})
	a.Jobs = jobs.New(stores.Jobs, a.Registry, &jobs.Options{Now: a.opts.Now})
	a.Queues = jobs.NewQueues(stores.Limits).ForRegistry(a.Registry)
	a.Schedules = jobs.NewSchedules(stores.Schedules, a.Jobs, &jobs.SchedulesOptions{Parse: a.opts.Timetables, Worker: a.opts.Worker})
	a.Keys = identity.NewKeys(stores.Keys, ring, &identity.KeysOptions{Now: a.opts.Now})
	a.Idempotency = &Idempotency{stores: stores, now: a.now}
	return a, nil
}

// InTx runs fn with stores bound to one transaction; see [Stores.InTx].
func (a *App) InTx(ctx context.Context, fn func(ctx context.Context, tx Stores) error) error {
	return a.stores.InTx(ctx, fn)
}

// Run works off jobs and keeps the stores tidy until ctx ends, then drains and
// returns: nil, or an error if what was done could not be recorded. An App runs
// once; Run returns an ErrConflict if it did before.
func (a *App) Run(ctx context.Context) error {
	if !a.phase.CompareAndSwap(fresh, running) {
		return fmt.Errorf("levqor: run: the app runs already or has run: %w", ErrConflict)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	context.AfterFunc(ctx, a.drain)
	tidied := make(chan struct{})
	go func() {
		defer close(tidied)
		a.tidy(ctx)
	}()
	err := a.work(ctx)
	stop() // also if the work ended by itself
	<-tidied
	a.drain() // the one above may still be on its way
	return err
}

// drain begins the last phase.
func (a *App) drain() {
	a.phase.Store(draining)
	a.once.Do(func() { close(a.drains) })
}

// Draining returns a channel that is closed when Run begins to drain: what only waits
// for something to happen, such as a stream of events, should end then.
func (a *App) Draining() <-chan struct{} { return a.drains }

// Ready returns nil if the service can do its work, or an ErrUnavailable: the
// database does not answer or lacks a migration, or the service is draining.
func (a *App) Ready(ctx context.Context) error {
	if a.phase.Load() == draining {
		return fmt.Errorf("levqor: draining: %w", ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := a.stores.Check(ctx); err != nil {
		return fault.Opaque(ErrUnavailable, errors.New(fault.Cause(err))) // whatever it is, the answer is no
	}
	return nil
}

// JobsHealth tells an operator whether jobs are worked off; see [jobs.CheckHealth].
func (a *App) JobsHealth(ctx context.Context) (jobs.Health, error) {
	return jobs.CheckHealth(ctx, a.stores.Health)
}

// readyTimeout bounds the look at the database, which a probe waits for.
const readyTimeout = 2 * time.Second

func (a *App) work(ctx context.Context) error {
	if a.opts.NoWorker {
		return a.Registry.SendSignals(ctx)
	}
	worker, err := jobs.NewWorker(a.stores.Jobs, a.Registry, a.opts.Worker)
	if err != nil {
		return fmt.Errorf("levqor: run: %w", err)
	}
	firing, stop := context.WithCancel(ctx)
	fired := make(chan error, 1)
	go func() { fired <- a.Schedules.Run(firing) }()
	err = worker.Run(ctx)
	stop() // also if the worker ended by itself
	return errors.Join(err, <-fired)
}

// workerOptions returns those of the App's worker, with what it takes from the App.
func (a *App) workerOptions() *jobs.WorkerOptions {
	var opts jobs.WorkerOptions
	if a.opts.Worker != nil {
		opts = *a.opts.Worker
	}
	if opts.Logger == nil {
		opts.Logger = a.opts.Logger
	}
	if opts.Now == nil {
		opts.Now = a.opts.Now
	}
	return &opts
}

// Expired idempotency records are deleted in batches that hold no lock for long.
const (
	tidyInterval = 10 * time.Minute
	tidyBatch    = 1000
)

func (a *App) tidy(ctx context.Context) {
	for {
		n, err := a.stores.Idempotency.DeleteExpired(ctx, tidyBatch, a.now())
		if err != nil && !errors.Is(err, context.Canceled) {
			a.opts.Logger.ErrorContext(ctx, "levqor: expired idempotency records were not deleted", slog.Any("error", err))
		}
		wait := tidyInterval
		if n == tidyBatch {
			wait = time.Millisecond
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (a *App) now() time.Time {
	if a.opts.Now == nil {
		return time.Time{}
	}
	return a.opts.Now()
}
