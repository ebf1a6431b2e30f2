package jobs

import (
	"maps"
	"slices"
	"sync"
)

// wakes tells the workers of this process that jobs have come, so they need not
// wait for their next look at the store. It is a hint: what other processes and
// open transactions store is found by looking, or by [Signals].
type wakes struct {
	mu     sync.Mutex
	queues map[string]map[chan struct{}]struct{}
	runs   map[*run]struct{}
}

// listen returns a channel that holds an element when jobs have come to a queue,
// and what ends listening.
func (w *wakes) listen(queue string) (woken <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queues == nil {
		w.queues = map[string]map[chan struct{}]struct{}{}
	}
	if w.queues[queue] == nil {
		w.queues[queue] = map[chan struct{}]struct{}{}
	}
	w.queues[queue][ch] = struct{}{}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.queues[queue], ch)
	}
}

// attend lets a run know of jobs that are cancelled, until stop is called.
func (w *wakes) attend(r *run) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.runs == nil {
		w.runs = map[*run]struct{}{}
	}
	w.runs[r] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.runs, r)
	}
}

// cancelled tells the runs about a job, or with anySubject about some.
func (w *wakes) cancelled(job string) {
	w.mu.Lock()
	runs := slices.Collect(maps.Keys(w.runs))
	w.mu.Unlock()
	for _, r := range runs {
		r.cancelled(job)
	}
}

// wakeAll tells whoever listens to any queue.
func (w *wakes) wakeAll() {
	w.mu.Lock()
	queues := slices.Collect(maps.Keys(w.queues))
	w.mu.Unlock()
	for _, queue := range queues {
		w.wake(queue)
	}
}

// wake tells whoever listens to a queue.
func (w *wakes) wake(queue string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.queues[queue] {
		select {
		case ch <- struct{}{}:
		default: // told already
		}
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

// wakeReady tells workers about the jobs of a batch that are ready.
func (q *Queue) wakeReady(batch []Insertion) {
	var queues []string
	for i := range batch {
		in := &batch[i]
		if in.State == Ready && (len(queues) == 0 || queues[len(queues)-1] != in.Queue) {
			queues = append(queues, in.Queue)
		}
	}
	if len(queues) > 0 {
		q.told(func() { q.registry.Wake(queues...) })
	}
}

// wakeCancelled tells the worker that runs a job, or with anySubject some, that it was
// cancelled.
func (q *Queue) wakeCancelled(job string) {
	q.told(func() {
		q.registry.wakes.cancelled(job)
		q.registry.signal(verbCancelled, job)
	})
}
