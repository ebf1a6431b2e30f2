package jobs

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

// DefaultEventBuffer is how many events wait for a subscriber that does not say.
const DefaultEventBuffer = 1000

// SubscribeOptions configure a [Subscription]. The zero value of each field means its
// default.
type SubscribeOptions struct {
	// Types are the events that are wanted. Default: all.
	Types []EventType
	// Kinds restricts to events of jobs of these kinds. Default: all events.
	Kinds []string
	// Buffer is how many events wait for the subscriber at most; what comes then is
	// lost. Default: [DefaultEventBuffer].
	Buffer int
}

// Subscription is a stream of events; see [Registry.Subscribe].
type Subscription struct {
	from    *events
	types   uint64 // a bit for each that is wanted
	kinds   []string
	ch      chan Event
	dropped atomic.Int64
}

// Subscribe returns what the queues and workers of this process that share the
// registry do from now on. Options may be nil. Stop it when it is not wanted any more.
//
// Nobody waits for a subscriber: one that falls behind by more than its buffer loses
// events, and [Subscription.Dropped] tells how many. Other processes are not heard, so
// whoever must know looks at the store, such as with [Queue.Watch], and events say
// when to look. What is done on a store bound to a transaction is told at once: if the
// transaction is rolled back, it did not happen, and if it is tried again, it is told
// twice. A job that is cancelled or retried again without effect is told of again.
// Events of one job come in their order, but one that a worker takes at once may start
// before its enqueuer has told of it.
func (r *Registry) Subscribe(opts *SubscribeOptions) *Subscription {
	var o SubscribeOptions
	if opts != nil {
		o = *opts
	}
	if o.Buffer <= 0 {
		o.Buffer = DefaultEventBuffer
	}
	if len(o.Types) == 0 {
		o.Types = EventTypes()
	}
	s := &Subscription{from: &r.events, kinds: slices.Clone(o.Kinds), ch: make(chan Event, o.Buffer)}
	for _, t := range o.Types {
		s.types |= 1 << t
	}
	r.events.subscribe(s)
	return s
}

// Events returns the events. The channel is closed by Stop.
func (s *Subscription) Events() <-chan Event { return s.ch }

// Dropped returns how many events were lost so far because the buffer was full.
func (s *Subscription) Dropped() int64 { return s.dropped.Load() }

// Stop ends the subscription. Events that wait can still be read. Further calls do
// nothing.
func (s *Subscription) Stop() { s.from.unsubscribe(s) }

func (s *Subscription) wants(e *Event) bool {
	return s.types&(1<<e.Type) != 0 && (len(s.kinds) == 0 || slices.Contains(s.kinds, e.Job.Kind))
}

// events tells whoever of this process listens what happens to jobs: subscribers what,
// watchers that they should look. Callers do not wait, and where nobody listens they
// pay for one atomic load.
type events struct {
	listeners atomic.Int64 // subscribers and watchers
	jobs      wakes[ID]
	tenants   wakes[string]

	mu          sync.RWMutex
	subscribers map[*Subscription]struct{}
}

// quiet reports whether nobody listens.
func (e *events) quiet() bool { return e.listeners.Load() == 0 }

func (e *events) subscribe(s *Subscription) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.subscribers == nil {
		e.subscribers = map[*Subscription]struct{}{}
	}
	e.subscribers[s] = struct{}{}
	e.listeners.Add(1)
}

func (e *events) unsubscribe(s *Subscription) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.subscribers[s]; !ok {
		return
	}
	delete(e.subscribers, s)
	e.listeners.Add(-1)
	close(s.ch)
}

// watch returns a channel that holds an element when something happened to what has
// the key, and what ends watching.
func watch[K comparable](e *events, w *wakes[K], key K) (woken <-chan struct{}, stop func()) {
	woken, unlisten := w.listen(key)
	e.listeners.Add(1)
	return woken, func() {
		unlisten()
		e.listeners.Add(-1)
	}
}

// job tells what happened to a job. It keeps nothing that the job points to.
func (e *events) job(t EventType, now time.Time, job *Info) {
	if e.quiet() {
		return
	}
	e.jobs.wake(job.ID)
	e.tenants.wake(job.Tenant)
	event := Event{Type: t, Job: *job, Tenant: job.Tenant, Queue: job.Queue}
	e.deliver(&event, now)
}

// stored tells of the jobs of a batch that were stored.
func (e *events) stored(batch []Insertion, now time.Time) {
	if e.quiet() {
		return
	}
	for i := range batch {
		if in := &batch[i]; in.DuplicateOf == 0 {
			e.job(EventEnqueued, now, in.Info)
		}
	}
}

// many tells of something that happened to a number of jobs of a tenant.
func (e *events) many(t EventType, now time.Time, tenant string, n int) {
	if n == 0 || e.quiet() {
		return
	}
	e.jobs.wakeAll()
	e.tenants.wakeAll()
	e.deliver(&Event{Type: t, Tenant: tenant, Count: n}, now)
}

// queue tells what happened to a queue.
func (e *events) queue(t EventType, queue string) {
	if !e.quiet() {
		e.deliver(&Event{Type: t, Queue: queue}, time.Time{})
	}
}

// logged tells that a job has a new line in its log, which is no event of its own.
func (e *events) logged(id ID) {
	if !e.quiet() {
		e.jobs.wake(id)
	}
}

// deliver gives an event to those who want it and have room.
func (e *events) deliver(event *Event, now time.Time) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	copied := false
	for s := range e.subscribers {
		if !s.wants(event) {
			continue
		}
		if !copied { // once for all of them
			event.Job = event.Job.clone()
			event.Job.Args = redact(event.Job.Args)
			event.At = timeid.Instant(now)
			copied = true
		}
		select {
		case s.ch <- *event:
		default:
			s.dropped.Add(1)
		}
	}
}
