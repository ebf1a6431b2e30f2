package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// Causes of the end of a handler's context, next to ErrLeaseLost.
var (
	errTimeout = errors.New("the attempt took longer than its timeout")
	errDrain   = errors.New("the worker is shutting down")

	errUnstarted = errors.New("the attempt has not begun")
)

// errPanic is the failure of an attempt whose code panicked. What it panicked
// with is for the operator's log.
var errPanic = errors.New("the handler panicked")

// errUncommitted is the failure of an attempt that completed its job in a transaction.
// If that was committed, the store answers that the lease is lost, as it should; else
// the handler was wrong to report success.
var errUncommitted = errors.New("the job was completed in a transaction that was not committed")

// attempt is one run of a handler.
type attempt struct {
	info Info
	kind *Kind
	ctx  context.Context //nolint:containedctx // read after the handler has returned, to learn why it ended
	stop context.CancelCauseFunc
	lane *lane
	// placed is set when the attempt gets a place in its lane.
	placed atomic.Bool
	over   atomic.Bool
	// replaced is set when another goroutine has got the place of this attempt's.
	replaced atomic.Bool
	// replace starts another goroutine in the place of this attempt's.
	replace func()
	// record stores an outcome at once; nil if it may wait for others.
	record func(Outcome)
	// settled is set when the handler completed the job in its own transaction.
	settled atomic.Bool
}

func (a *attempt) lease() Lease { return Lease{ID: a.info.ID, Epoch: a.info.Epoch} }

// named returns an outcome of the attempt with what stores count it by.
func (a *attempt) named(out Outcome) Outcome {
	out.Tenant, out.Queue = a.info.Tenant, a.info.Queue
	return out
}

// take keeps a claimed job until the store has its outcome.
func (r *run) take(ctx, base context.Context, info Info, l *lane) *attempt {
	kind, _ := r.registry.lookup(info.Kind) // claims name registered kinds only
	handling, stop := context.WithCancelCause(base)
	a := &attempt{info: info, kind: kind, ctx: handling, stop: stop, lane: l}
	a.replace = func() { r.replace(ctx, a) }
	if kind.Options.Paid {
		a.record = func(out Outcome) { _ = r.record(base, []Outcome{out}) } // fails when the store stayed away until the end
	}
	r.hold(a)
	r.handlers.Add(1)
	return a
}

// execute runs the handler of an attempt, and reports whether it ended before it
// was given up.
func (r *run) execute(a *attempt) (inTime bool) {
	ctx := a.ctx
	if err := context.Cause(ctx); err != nil {
		return r.finish(a, nil, err) // lost before it could begin
	}
	if a.info.Timeout > 0 {
		timer := time.AfterFunc(a.info.Timeout, func() { r.interrupt(a, errTimeout) })
		defer timer.Stop()
	}
	r.registry.events.job(EventStarted, r.now(), &a.info)
	var result []byte
	err := errors.New("the handler ended its goroutine")
	defer func() {
		if p := recover(); p != nil {
			err = errPanic
			r.logPanic(a, p)
		}
		inTime = r.finish(a, result, err)
	}()
	result, err = r.registry.execution(ctx, a.info, func(ctx context.Context) ([]byte, error) {
		return a.kind.run(ctx, r.Worker, a.info, func() { a.settled.Store(true) })
	})
	return false // the deferred function knows
}

// interrupt ends the handler's context. A handler that does not return then must not
// keep its place for ever.
func (r *run) interrupt(a *attempt, cause error) {
	a.stop(cause)
	time.AfterFunc(r.opts.Grace, func() {
		if !a.placed.Load() {
			return // has no place to lose; who takes it finds its context ended
		}
		if r.finish(a, nil, fmt.Errorf("the handler did not return: %w", context.Cause(a.ctx))) {
			a.replace()
		}
	})
}

// finish takes the end of an attempt, the first one if there are two, and frees
// its place. It reports whether this was the first one.
func (r *run) finish(a *attempt, result []byte, err error) (first bool) {
	if !a.over.CompareAndSwap(false, true) {
		return false
	}
	defer r.handlers.Done()
	if a.placed.Load() {
		defer a.lane.exit()
	}
	why := context.Cause(a.ctx)
	a.stop(nil)
	if errors.Is(why, ErrLeaseLost) {
		return true // already dropped; the store would refuse the outcome
	}
	if err != nil && errors.Is(why, errTimeout) {
		err = errTimeout
	}
	out := a.named(r.outcome(a, result, err, why))
	if a.record != nil && out.State != Ready { // what was handed back cost nothing
		out.Durable = true
		a.record(out)
		return true
	}
	select {
	case r.outcomes <- out:
	case <-r.abandoned: // the store stayed away until the end
	}
	return true
}

// outcome decides what becomes of the job.
func (r *run) outcome(a *attempt, result []byte, err, why error) Outcome {
	if err != nil && (errors.Is(why, errDrain) || errors.Is(why, errUnstarted)) {
		return Outcome{Lease: a.lease(), State: Ready}
	}
	if err == nil && a.settled.Load() {
		err = errUncommitted
	}
	if err != nil {
		return r.failure(a, err)
	}
	return Outcome{Lease: a.lease(), State: Completed, Result: result}
}

// failure decides what becomes of a job whose attempt failed. The kind's Backoff
// and the methods of the error are the program's own code and may panic.
func (r *run) failure(a *attempt, err error) (out Outcome) {
	defer func() {
		if p := recover(); p != nil {
			r.logPanic(a, p)
			out = Outcome{Lease: a.lease(), Error: errPanic.Error()}
			out.State, out.Delay = judge(errPanic, a.info, Backoff)
		}
	}()
	if wait, ok := Snoozed(err); ok {
		return Outcome{Lease: a.lease(), State: Scheduled, Delay: wait}
	}
	out = Outcome{Lease: a.lease(), Error: errorText(err)}
	out.State, out.Delay = judge(err, a.info, a.kind.Options.Backoff)
	return out
}

func (r *run) logPanic(a *attempt, p any) {
	r.opts.Logger.ErrorContext(a.ctx, "jobs: the handler panicked", slog.String("job", a.info.ID.String()),
		slog.String("kind", a.info.Kind), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
}

// errorText returns the text of an error as it is stored.
func errorText(err error) string {
	return cmp.Or(storable(err.Error(), 4<<10), "error without text")
}

// drain waits for the running handlers, then ends their contexts, then waits for
// those that obey and gives up the rest. It reports whether all of them could
// hand over their outcome.
func (r *run) drain() bool {
	done := make(chan struct{})
	go func() {
		r.handlers.Wait()
		close(done)
	}()
	if within(done, r.opts.Drain) {
		return true
	}
	r.mu.Lock()
	for _, a := range r.held {
		r.interrupt(a, errDrain)
	}
	r.mu.Unlock()
	// Past a lease other workers take the jobs over anyway.
	if within(done, r.opts.Grace+r.opts.Lease) {
		return true
	}
	close(r.abandoned)
	return false
}

func within[T any](done <-chan T, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}
