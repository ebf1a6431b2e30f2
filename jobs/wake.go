package jobs

import (
	"maps"
	"slices"
	"sync"
)

// wakes tells the workers of this process that jobs have come, so they need not
// wait for their next look at the store. It is a hint: what other processes and
// open transactions store is found by looking.
type wakes struct {
	mu     sync.Mutex
	queues map[string]map[chan struct{}]struct{}
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
