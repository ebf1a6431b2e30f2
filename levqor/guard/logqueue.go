package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	// Of one kind the first event is recorded with the next flush and those of the minute
	// after it as one.
	foldTime      = time.Minute
	flushInterval = time.Second
	// So many kinds of events wait, and so many of them of one tenant: a flood in one
	// log leaves room for the others.
	maxWaiting         = 10_000
	maxWaitingOfTenant = 1_000
	lastFlushTimeout   = 5 * time.Second
)

// Note has an event recorded soon, by [Log.Run] or [Log.Flush], and never waits: for what
// was denied or failed, which strangers can bring about as often as they like. The first
// of its kind, of the same actor from the same address, is recorded by itself, and those
// that follow it within a minute as one event with their count. What finds no room is
// counted, and recorded as events that were dropped. A process that is killed forgets what
// it has not recorded. Note returns an ErrInvalid that names each wrong field.
func (l *Log) Note(e Event) error {
	if err := e.Validate(); err != nil {
		return fmt.Errorf("guard: note: %w", err)
	}
	l.queue.add(e, l.clock())
	return nil
}

// Run records what is noted until ctx ends, and then the rest. What cannot be recorded
// waits.
func (l *Log) Run(ctx context.Context) {
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.tell(ctx, l.flush(ctx, false))
			continue
		case <-ctx.Done():
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlushTimeout)
		defer cancel()
		l.tell(ctx, l.Flush(ctx))
		return
	}
}

func (l *Log) tell(ctx context.Context, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		l.opts.Logger.WarnContext(ctx, "guard: security events are not recorded yet", slog.Any("error", err))
	}
}

// Flush records what is noted, also what waits for more of its kind.
func (l *Log) Flush(ctx context.Context) error { return l.flush(ctx, true) }

func (l *Log) flush(ctx context.Context, all bool) error {
	l.queue.flushing.Lock()
	defer l.queue.flushing.Unlock()
	now := l.clock()
	var errs []error
	for tenant, waiting := range l.queue.take(now, all) {
		err := l.record(ctx, tenant, func(at time.Time) []Event {
			events := make([]Event, len(waiting))
			for i, w := range waiting {
				events[i] = w.event
				if events[i].At.IsZero() { // by the store's clock, however wrong this one is
					events[i].At = at.Add(-max(0, now.Sub(w.since)))
				}
			}
			return events
		})
		if err != nil {
			l.queue.putBack(waiting, now)
			errs = append(errs, fmt.Errorf("guard: flush: %w", err))
		}
	}
	return errors.Join(errs...)
}

// queue holds what is noted until it is recorded.
type queue struct {
	flushing sync.Mutex
	mu       sync.Mutex
	folds    map[kind]*fold
	tenants  map[string]int // how many folds each has
	dropped  map[string]int
}

// kind is what is the same in events that are folded.
type kind struct {
	tenant                         string
	action                         Action
	outcome                        Outcome
	actor, target, address, detail string
}

// fold is a kind of event of which some may wait.
type fold struct {
	waiting  noted
	count    int       // of those that wait
	recorded time.Time // when the first one was; zero before
}

// noted is an event that waits, since it was noted.
type noted struct {
	event Event
	since time.Time
}

func newQueue() *queue {
	return &queue{folds: map[kind]*fold{}, tenants: map[string]int{}, dropped: map[string]int{}}
}

func (e Event) kind() kind {
	return kind{e.Tenant, e.Action, e.Outcome, e.Actor, e.Target, e.Address, e.detailText()}
}

func (q *queue) add(e Event, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.put(noted{e, now}, max(1, e.Count))
}

func (q *queue) put(n noted, count int) {
	k := n.event.kind()
	f, ok := q.folds[k]
	if !ok {
		if len(q.folds) >= maxWaiting || q.tenants[k.tenant] >= maxWaitingOfTenant {
			q.dropped[k.tenant] += count
			return
		}
		f = &fold{}
		q.folds[k] = f
		q.tenants[k.tenant]++
	}
	if f.count == 0 || n.since.Before(f.waiting.since) {
		f.waiting = n
	}
	f.count += count
}

// take returns what is due by tenant, in the order in which it was noted.
func (q *queue) take(now time.Time, all bool) map[string][]noted {
	q.mu.Lock()
	defer q.mu.Unlock()
	due := map[string][]noted{}
	for k, f := range q.folds {
		over := f.recorded.IsZero() || now.Sub(f.recorded) >= foldTime
		switch {
		case f.count > 0 && (over || all):
			f.waiting.event.Count = f.count
			due[k.tenant] = append(due[k.tenant], f.waiting)
			f.count, f.recorded = 0, now
		case f.count == 0 && over:
			q.remove(k)
		}
	}
	for tenant, n := range q.dropped {
		lost := Event{Tenant: tenant, Action: ActionLogEventsDropped, Outcome: OutcomeFailed, Count: n}
		due[tenant] = append(due[tenant], noted{lost, now})
	}
	clear(q.dropped)
	for _, waiting := range due {
		slices.SortStableFunc(waiting, func(a, b noted) int {
			return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.event.RequestID, b.event.RequestID))
		})
	}
	return due
}

// putBack lets events wait that could not be recorded.
func (q *queue) putBack(all []noted, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, n := range all {
		if n.event.Action == ActionLogEventsDropped {
			q.dropped[n.event.Tenant] += n.event.Count
			continue
		}
		q.put(n, n.event.Count)
		if f := q.folds[n.event.kind()]; f != nil && f.recorded.Equal(now) {
			f.recorded = time.Time{} // it was not
		}
	}
}

func (q *queue) remove(k kind) {
	delete(q.folds, k)
	if q.tenants[k.tenant]--; q.tenants[k.tenant] == 0 {
		delete(q.tenants, k.tenant)
	}
}

// forget drops what waits of a tenant.
func (q *queue) forget(tenant string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.dropped, tenant)
	for k := range q.folds {
		if k.tenant == tenant {
			q.remove(k)
		}
	}
}
