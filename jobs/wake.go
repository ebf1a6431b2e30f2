package jobs

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// wakes tells those of this process who wait for something that it has come, so they
// need not wait for their next look at the store: workers for jobs of a queue, watchers
// for changes of a job. It is a hint: what other processes and open transactions do is
// found by looking, or by [Signals].
type wakes[K comparable] struct {
	mu        sync.Mutex
	listeners map[K]map[chan struct{}]struct{}
}

// listen returns a channel that holds an element when there was a wake for key, and
// what ends listening.
func (w *wakes[K]) listen(key K) (woken <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listeners == nil {
		w.listeners = map[K]map[chan struct{}]struct{}{}
	}
	if w.listeners[key] == nil {
		w.listeners[key] = map[chan struct{}]struct{}{}
	}
	w.listeners[key][ch] = struct{}{}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.listeners[key], ch)
		if len(w.listeners[key]) == 0 {
			delete(w.listeners, key)
		}
	}
}

// wakeAll tells whoever listens to anything.
func (w *wakes[K]) wakeAll() {
	w.mu.Lock()
	keys := slices.Collect(maps.Keys(w.listeners))
	w.mu.Unlock()
	for _, key := range keys {
		w.wake(key)
	}
}

// wake tells whoever listens to key.
func (w *wakes[K]) wake(key K) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.listeners[key] {
		select {
		case ch <- struct{}{}:
		default: // told already
		}
	}
}

// rest waits until d has passed, ctx has ended or there was a wake, and reports whether
// there was one.
func rest(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-woken:
		return true
	case <-t.C:
	}
	return false
}

// runs are the runs of workers of this process.
type runs struct {
	mu  sync.Mutex
	all map[*run]struct{}
}

// attend lets a run know of jobs that are cancelled, until stop is called.
func (s *runs) attend(r *run) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[*run]struct{}{}
	}
	s.all[r] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.all, r)
	}
}

// cancelled tells the runs about a job, or with anySubject about some.
func (s *runs) cancelled(job string) {
	s.mu.Lock()
	all := slices.Collect(maps.Keys(s.all))
	s.mu.Unlock()
	for _, r := range all {
		r.cancelled(job)
	}
}

// Committer is a store bound to a transaction that knows when it ends. A [Queue] on
// such a store wakes workers after the commit; on another one it wakes them at once,
// too early for an open transaction.
type Committer interface {
	// AfterCommit calls fn when the transaction has committed, and not at all if it
	// is rolled back.
	AfterCommit(fn func())
}

// Wake tells the workers of this process, and by [Signals] those of others, that jobs
// have come to queues; without a name, to any. Queues do it by themselves. It is for
// those who have enqueued in a transaction of their own, after its commit: else
// workers find the jobs at their next look. It does not wait.
func (r *Registry) Wake(queues ...string) {
	if len(queues) == 0 {
		r.wakes.wakeAll()
		r.signal(verbReady, anySubject)
	}
	for _, queue := range queues {
		r.wakes.wake(queue)
		r.signal(verbReady, queue)
	}
}

// told calls fn, which wakes, when what the queue has stored can be seen.
func (q *Queue) told(fn func()) {
	if tx, ok := q.store.(Committer); ok {
		tx.AfterCommit(fn)
		return
	}
	fn()
}

// tellStored tells of the jobs of a batch: whoever listens to events, and workers of
// those that are ready.
func (q *Queue) tellStored(batch []Insertion) {
	var queues []string
	for i := range batch {
		in := &batch[i]
		if in.State == Ready && (len(queues) == 0 || queues[len(queues)-1] != in.Queue) {
			queues = append(queues, in.Queue)
		}
	}
	heard := !q.registry.events.quiet()
	if len(queues) == 0 && !heard {
		return
	}
	if _, later := q.store.(Committer); later && heard {
		batch = snapshot(batch) // the caller may change its jobs until then
	}
	q.told(func() {
		if heard {
			q.registry.events.stored(batch, q.now())
		}
		if len(queues) > 0 {
			q.registry.Wake(queues...)
		}
	})
}

func snapshot(batch []Insertion) []Insertion {
	batch = slices.Clone(batch)
	for i := range batch {
		info := batch[i].clone()
		batch[i].Info = &info
	}
	return batch
}

// wakeCancelled tells the worker that runs a job, or with anySubject some, that it was
// cancelled.
func (q *Queue) wakeCancelled(job string) {
	q.told(func() {
		q.registry.runs.cancelled(job)
		q.registry.signal(verbCancelled, job)
	})
}
