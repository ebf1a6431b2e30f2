// Package jobs runs work later, at least once, on the database that the program
// already has.
//
// A kind of job is a Go type. Its handler is registered once, and any part of
// the program, or another process on the same database, enqueues values of it:
//
//	type Resize struct{ Image string }
//
//	func (Resize) Kind() string { return "resize" }
//
//	registry := jobs.NewRegistry(nil)
//	err := jobs.Handle(registry, func(ctx context.Context, job *jobs.Job[Resize]) (Size, error) {
//		return resize(ctx, job.Args.Image)
//	}, nil)
//	store := jobs.NewMemStore()
//	queue := jobs.New(store, registry, nil)
//	worker, err := jobs.NewWorker(store, registry, nil)
//	go worker.Run(ctx)
//
//	info, err := queue.Enqueue(ctx, Resize{Image: "a.png"}, nil)
//	size, err := jobs.Await[Size](ctx, queue, info.ID)
//
// # What is promised
//
// A job that Enqueue returned is stored; with [Queue.With] and a store bound to
// a transaction it is stored if, and only if, the transaction commits. Its
// handler runs at least once, and exactly one attempt settles it: each claim
// raises the job's lease epoch, and what an attempt under an older epoch reports
// is refused with [ErrLeaseLost]. Side effects of a handler are the handler's
// own: give them the job's ID as idempotency key.
//
// A worker that dies loses its lease after [WorkerOptions.Lease], and others
// take its jobs over. All times are those of the database, so processes with
// wrong clocks agree.
//
// # Tenants
//
// A Queue sees the jobs of one tenant. [New] returns the one for programs with a
// single tenant, whose name is empty; [Queue.ForTenant] returns another's.
// Workers serve all tenants.
//
// # Queues, schedules, repetitions
//
// [Queues] pause a queue and limit what runs of it: of all, of each tenant, of each
// limit key, and how many start in a time. [Schedules] store jobs at given times.
// [Unique] keeps a job from repeating another. [Queue.ChangeMany] cancels, retries and
// moves many. Each holds for all processes on one database.
//
// # History
//
// Jobs that are over stay for [WorkerOptions.Retention] and can be looked at and, unless
// they completed, retried; then a worker forgets them.
//
// # Seeing it
//
// [Queue.Watch] and [Queue.WatchList] yield jobs as they change, whichever process
// changes them. [Registry.Subscribe] gives the typed [Event] of all that this process
// does, such as for webhooks and metrics.
//
// # Looking at it
//
// [Queue.Counts] and [Queues.Counts] tell how many jobs there are in which state, however
// many, [Queue.DeadLetters] what went wrong, [CheckHealth] whether jobs are worked off.
//
// # Stores
//
// [MemStore] keeps jobs in memory, for tests and programs that may forget.
// Package bunjobs keeps them in PostgreSQL or a SQLite file. [Signals], such as those of
// package pgxjobs, tell workers in other processes at once what was stored. To write another
// store, implement [Store] and run the cases of package jobstest; [ScheduleStore],
// [LimitStore], [HistoryStore], [HealthStore], [LogStore], [CountStore], [SealedStore] and
// [DeadLetterStore] are abilities of their own.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// DefaultQueue is the queue of kinds that name none.
const DefaultQueue = "default"

// DefaultMaxArgs is the default bound on the JSON text of a job's arguments.
const DefaultMaxArgs = 1 << 20

// Options configure a [Queue]. The zero value of each field means its default.
type Options struct {
	// MaxArgs bounds the JSON text of a job's arguments, in bytes.
	// Default: [DefaultMaxArgs].
	MaxArgs int
	// Now replaces the store's clock, for tests. Default: the store's clock.
	Now func() time.Time
}

// Queue takes jobs in for one tenant and tells what became of them. It is safe
// for concurrent use.
type Queue struct {
	store    QueueStore
	registry *Registry
	tenant   string
	opts     Options
	ids      *ids
}

// New returns the queue of the tenant "" on a store. The registry gives the
// defaults of each kind and the rules for its arguments. Options may be nil.
func New(store QueueStore, registry *Registry, opts *Options) *Queue {
	q := &Queue{store: store, registry: registry, ids: &ids{}}
	if opts != nil {
		q.opts = *opts
	}
	if q.opts.MaxArgs <= 0 {
		q.opts.MaxArgs = DefaultMaxArgs
	}
	return q
}

// With returns the same queue on another store, such as one bound to the
// caller's transaction.
func (q *Queue) With(store QueueStore) *Queue {
	c := *q
	c.store = store
	return &c
}

// ForTenant returns the queue of another tenant on the same store.
func (q *Queue) ForTenant(tenant string) *Queue {
	c := *q
	c.tenant = tenant
	return &c
}

// Get returns a job. It returns ErrNotFound if the tenant has none with that ID.
func (q *Queue) Get(ctx context.Context, id ID) (Info, error) {
	info, err := q.store.Get(ctx, q.tenant, id)
	return q.show("get", id, info, err)
}

// List returns the tenant's jobs that match the query, the newest first. The
// query's Tenant is the queue's. It returns ErrInvalid for a limit outside 1 to
// 1000, an unknown state, or a kind or queue that no job can have.
func (q *Queue) List(ctx context.Context, query ListQuery) ([]Info, error) {
	query.Tenant = q.tenant
	errs := []error{checkRange("/limit", query.Limit, 1000), checkOptional("/kind", query.Kind), checkOptional("/queue", query.Queue)}
	for _, s := range query.States {
		if !slices.Contains(States(), s) {
			errs = append(errs, invalid("/state", "unknown_state", "is not a job state"))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("jobs: list: %w", err)
	}
	infos, err := q.store.List(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("jobs: list: %w", err)
	}
	for i := range infos {
		infos[i].Args = redact(infos[i].Args)
	}
	return infos, nil
}

// Cancel ends a job, whether it waits or runs. The context of a running handler
// ends at once in this process and, with [Signals], in others, and within
// [WorkerOptions.Heartbeat] anyway; what it returns is not stored. A
// cancelled job is returned as it is. Cancel returns ErrConflict for a job that
// is completed or discarded, and ErrNotFound.
func (q *Queue) Cancel(ctx context.Context, id ID) (Info, error) {
	info, err := q.store.Cancel(ctx, q.tenant, id, q.now())
	if err == nil {
		q.told(func() { q.registry.events.job(EventCancelled, q.now(), &info) })
	}
	if err == nil && info.Attempt > 0 { // else it never ran
		q.wakeCancelled(id.String())
	}
	return q.show("cancel", id, info, err)
}

// Retry makes a job ready at once: one that waits for its time, or one that was
// cancelled or discarded. It returns ErrConflict for a job that runs or has
// completed, and ErrNotFound.
func (q *Queue) Retry(ctx context.Context, id ID) (Info, error) {
	info, err := q.store.Retry(ctx, q.tenant, id, q.now())
	if err == nil {
		q.told(func() {
			q.registry.events.job(EventRetried, q.now(), &info)
			q.registry.Wake(info.Queue)
		})
	}
	return q.show("retry", id, info, err)
}

func (q *Queue) show(op string, id ID, info Info, err error) (Info, error) {
	if err != nil {
		return Info{}, fmt.Errorf("jobs: %s %s: %w", op, id, err)
	}
	info.Args = redact(info.Args)
	return info, nil
}

func (q *Queue) now() time.Time {
	if q.opts.Now == nil {
		return time.Time{}
	}
	return q.opts.Now()
}

// clock returns the time that new IDs begin with. It orders them roughly and
// decides nothing, so this process's clock is good enough.
func (q *Queue) clock() time.Time {
	if q.opts.Now == nil {
		return time.Now() //nolint:forbidigo // see above
	}
	return q.opts.Now()
}
