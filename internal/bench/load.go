package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// side calls fn for 0 to n-1 from several callers side by side.
func side(n, callers int, fn func(i int) error) (int, error) {
	var wg sync.WaitGroup
	errs := make([]error, callers)
	for c := range callers {
		wg.Go(func() {
			for i := c; i < n && errs[c] == nil; i += callers {
				errs[c] = fn(i)
			}
		})
	}
	wg.Wait()
	return n, errors.Join(errs...)
}

// offer calls fn so many times a second for a time, and no longer. After a call that took
// long it catches up.
func offer(ctx context.Context, perSecond int, d time.Duration, fn func(i int) error) error {
	begun := time.Now()
	for i := 0; ; i++ {
		due := time.Duration(i) * time.Second / time.Duration(perSecond)
		if due >= d || time.Since(begun) >= d {
			return nil
		}
		if err := pause(ctx, due-time.Since(begun)); err != nil {
			return err
		}
		if err := fn(i); err != nil {
			return err
		}
	}
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// paced calls fn 50 times a second, with workers that have settled before and time for
// the last ones to start.
func paced(ctx context.Context, d time.Duration, fn func(i int) error) error {
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	if err := offer(ctx, 50, d, fn); err != nil {
		return err
	}
	return pause(ctx, 500*time.Millisecond)
}

// waits collects how long things took.
type waits struct {
	mu  sync.Mutex
	all []time.Duration
}

// since adds the time from an instant, in nanoseconds since 1970, until now.
func (w *waits) since(begun int64) { w.add(time.Since(time.Unix(0, begun))) }

func (w *waits) add(wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, wait)
}

func (w *waits) count() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(len(w.all))
}
