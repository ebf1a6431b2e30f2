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
// found by looking.
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
