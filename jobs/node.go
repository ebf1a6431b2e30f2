package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

// run is one Run of a worker: a node of the store with the attempts it holds.
type run struct {
	*Worker
	kinds     []string
	handlers  sync.WaitGroup // attempts that have not finished
	outcomes  chan Outcome
	complete  chan struct{} // closed when no further outcome will come
	abandoned chan struct{} // closed when outcomes are not wanted any more
	early     chan struct{} // holds one element when a heartbeat is wanted before its time
	lanes     []*lane

	mu   sync.Mutex
	node NodeID
	held map[ID]*attempt // until the store has their outcome
}

func newRun(w *Worker) *run {
	r := &run{
		Worker:    w,
		outcomes:  make(chan Outcome, 4*settleBatch), // so that handlers seldom wait for the store
		complete:  make(chan struct{}),
		abandoned: make(chan struct{}),
		early:     make(chan struct{}, 1),
		held:      map[ID]*attempt{},
	}
	for name, places := range w.opts.Queues {
		r.lanes = append(r.lanes, newLane(name, places))
	}
	for _, k := range w.registry.Kinds() {
		r.kinds = append(r.kinds, k.Name)
	}
	return r
}

// join adds the run as a new node and waits for the store if it is away.
func (r *run) join(ctx context.Context) error {
	host, _ := os.Hostname() // for people only
	node := Node{ID: NodeID(rand.Int64()), Name: storable(fmt.Sprintf("%s:%d", host, os.Getpid()), 256)}
	err := r.persist(ctx, "join", func(ctx context.Context) error {
		err := r.store.Join(ctx, node, r.opts.Lease, r.now())
		if errors.Is(err, ErrConflict) {
			return nil // an earlier call of ours whose answer was lost
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("jobs: join: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.node = node.ID
	return nil
}

func (r *run) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Lease)
	defer cancel()
	if err := r.store.Leave(ctx, r.nodeID(), r.now()); err != nil {
		return fmt.Errorf("jobs: leave: %w", err)
	}
	return nil
}

// keep renews the lease and takes over the jobs of nodes that died, until ctx
// ends.
func (r *run) keep(ctx context.Context) {
	tick := time.NewTicker(r.opts.Heartbeat)
	defer tick.Stop()
	// After an outage every node's lease has run out. One that comes back waits
	// for a lease before it takes jobs from others, which are coming back too.
	patience := 0
	for {
		if err := r.beat(ctx); err != nil {
			r.report(ctx, "heartbeat", err)
			patience = int(r.opts.Lease / r.opts.Heartbeat)
		} else if patience > 0 {
			patience--
		} else {
			r.rescue(ctx)
		}
		r.watchLimits(ctx)
		if !r.beatUntil(ctx, tick.C) {
			return
		}
	}
}

// beat renews the lease and stops the attempts that the store says are lost.
func (r *run) beat(ctx context.Context) error {
	held := r.leases()
	lost, err := r.callBeat(ctx, held)
	if errors.Is(err, ErrLeaseLost) {
		r.opts.Logger.WarnContext(ctx, "jobs: the lease ran out; all running jobs are lost")
		for _, l := range r.leases() {
			r.lose(l)
		}
		return r.join(ctx)
	}
	for _, l := range held {
		if slices.Contains(lost, l.ID) {
			r.lose(l)
		}
	}
	return err
}

// callBeat leaves time for a second heartbeat within the lease.
func (r *run) callBeat(ctx context.Context, held []Lease) ([]ID, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Lease/2)
	defer cancel()
	return r.store.Beat(ctx, r.nodeID(), r.opts.Lease, held, r.now())
}

// watchLimits learns which queues have limits: there the end of a job may let another
// start.
func (r *run) watchLimits(ctx context.Context) {
	limits, ok := r.store.(LimitStore)
	if !ok {
		return
	}
	call, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	all, err := limits.ListQueues(call)
	r.report(ctx, "list queues", err)
	if err != nil {
		return
	}
	settings := map[string]QueueSettings{}
	for i := range all {
		settings[all[i].Queue] = all[i]
	}
	for _, l := range r.lanes {
		l.limit(settings[l.queue])
	}
}

// rescue takes over the jobs of nodes that died.
func (r *run) rescue(ctx context.Context) {
	call, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	n, err := r.store.Rescue(call, r.now())
	r.report(ctx, "rescue", err)
	r.registry.events.many(EventJobsRescued, r.now(), "", n)
	if n > 0 {
		r.opts.Logger.WarnContext(ctx, "jobs: took over the jobs of workers that died", slog.Int("jobs", n))
		r.registry.wakes.wakeAll()
	}
}

// promoteBatch bounds the jobs made ready by one statement.
const promoteBatch = 1000

// promote makes jobs ready whose time has come, until ctx ends.
func (r *run) promote(ctx context.Context) {
	for failures := 0; ; {
		call, cancel := context.WithTimeout(ctx, storeTimeout)
		n, err := r.store.Promote(call, promoteBatch, r.now())
		cancel()
		r.report(ctx, "promote", err)
		if failures++; err == nil {
			failures = 0
		}
		if n > 0 {
			r.registry.wakes.wakeAll()
		}
		if n == promoteBatch {
			continue
		}
		if !sleep(ctx, jitter(r.pause(failures))) {
			return
		}
	}
}

// maxPause is the longest wait between calls of a store that is away.
const maxPause = 2 * time.Second

// pause is how long to wait after so many failures in a row.
func (r *run) pause(failures int) time.Duration {
	return max(r.opts.Poll, min(maxPause, r.opts.Poll<<min(failures, 10)))
}

func (r *run) nodeID() NodeID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.node
}

func (r *run) leases() []Lease {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Lease, 0, len(r.held))
	for _, a := range r.held {
		all = append(all, a.lease())
	}
	return all
}

func (r *run) hold(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.held[a.info.ID]; old != nil {
		r.interrupt(old, ErrLeaseLost) // the store gave the job out again
	}
	r.held[a.info.ID] = a
}

// attempt returns the attempt under a lease, or nil if it was dropped. A newer
// attempt of the same job is not it.
func (r *run) attempt(l Lease) *attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.held[l.ID]; a != nil && a.info.Epoch == l.Epoch {
		return a
	}
	return nil
}

// drop forgets an attempt. A newer attempt of the same job stays.
func (r *run) drop(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[a.info.ID] == a {
		delete(r.held, a.info.ID)
	}
}

// lose stops an attempt whose outcome nobody wants any more. One that has
// completed its job itself has given the lease up and may end in peace.
func (r *run) lose(l Lease) {
	if a := r.attempt(l); a != nil && !a.settled.Load() {
		r.drop(a)
		r.interrupt(a, ErrLeaseLost)
		if a.lane.guarded.Load() {
			r.registry.wakes.wake(a.lane.queue) // limits leave room now
		}
	}
}

// report logs the failure of a store call that will be made again.
func (r *run) report(ctx context.Context, op string, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	r.opts.Logger.ErrorContext(ctx, "jobs: store call failed", slog.String("op", op), slog.Any("error", err), slog.String("cause", fault.Cause(err)))
}

// storeTimeout bounds a call of the store: on a connection that was cut without a
// word, it would wait for a quarter of an hour.
const storeTimeout = 30 * time.Second

// persist calls fn until it succeeds or ctx ends, less and less often.
func (r *run) persist(ctx context.Context, op string, fn func(ctx context.Context) error) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		call, cancel := context.WithTimeout(ctx, storeTimeout)
		err := fn(call)
		cancel()
		if err == nil {
			return nil
		}
		r.report(ctx, op, err)
		if !sleep(ctx, jitter(wait)) {
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// sleep waits and reports whether ctx has still not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// jitter spreads d by a quarter both ways, so processes that started together
// do not stay in step.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}
