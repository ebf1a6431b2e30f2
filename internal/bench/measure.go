package main

import (
	"errors"
	"slices"
	"sync"
	"time"
)

func rate(n int, begun time.Time) float64 { return float64(n) / time.Since(begun).Seconds() }

// side calls fn n times from several callers side by side, and returns calls/s.
func side(n, callers int, fn func(i int) error) (float64, error) {
	var wg sync.WaitGroup
	errs := make([]error, callers)
	begun := time.Now()
	for c := range callers {
		wg.Go(func() {
			for i := c; i < n && errs[c] == nil; i += callers {
				errs[c] = fn(i)
			}
		})
	}
	wg.Wait()
	return rate(n, begun), errors.Join(errs...)
}

// paced calls fn 50 times a second.
func paced(d time.Duration, fn func(i int) error) error {
	time.Sleep(time.Second) // the workers settle
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := range int(d / (20 * time.Millisecond)) {
		<-tick.C
		if err := fn(i); err != nil {
			return err
		}
	}
	time.Sleep(500 * time.Millisecond) // the last ones start
	return nil
}

// waits collects how long jobs waited.
type waits struct {
	mu  sync.Mutex
	all []time.Duration
}

func (w *waits) add(since int64) {
	wait := time.Since(time.Unix(0, since))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, wait)
}

// quantile returns milliseconds.
func quantile(all []time.Duration, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[int(q*float64(len(all)-1))].Seconds() * 1000
}
