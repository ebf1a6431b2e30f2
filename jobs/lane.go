package jobs

import (
	"context"
	"time"
)

// lane holds the places for running jobs of one queue.
type lane struct {
	queue string
	taken chan struct{} // one element per running job
	freed chan struct{} // holds one element when a place became free
}

func newLane(queue string, limit int) *lane {
	return &lane{queue: queue, taken: make(chan struct{}, limit), freed: make(chan struct{}, 1)}
}

func (l *lane) free() int { return cap(l.taken) - len(l.taken) }

func (l *lane) enter() { l.taken <- struct{}{} }

func (l *lane) exit() {
	<-l.taken
	select {
	case l.freed <- struct{}{}:
	default:
	}
}

// wait returns when at least want places are free, or any place and d has
// passed, or ctx has ended.
func (l *lane) wait(ctx context.Context, want int, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	late := false
	for ctx.Err() == nil && l.free() < want && (!late || l.free() == 0) {
		select {
		case <-ctx.Done():
		case <-l.freed:
		case <-t.C:
			late = true
		}
	}
}

// fetch fills the lane until ctx ends. Handlers run under base, which outlives
// ctx.
func (r *run) fetch(ctx, base context.Context, l *lane) {
	woken, stop := r.registry.wakes.listen(l.queue)
	defer stop()
	for ctx.Err() == nil {
		free := l.free()
		jobs, err := r.claim(ctx, l.queue, free)
		r.report(ctx, "claim", err)
		for _, info := range jobs {
			l.enter()
			r.start(base, info, l)
		}
		if len(jobs) == free {
			// There may be more. A claim of a quarter of the places is worth its
			// round trip; with longer jobs, Poll bounds the wait for one place.
			l.wait(ctx, max(1, cap(l.taken)/4), r.opts.Poll)
			continue
		}
		rest(ctx, jitter(r.opts.Poll), woken)
	}
}

// rest waits until d has passed, ctx has ended or jobs have come.
func rest(ctx context.Context, d time.Duration, woken <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-woken:
	case <-t.C:
	}
}

func (r *run) claim(ctx context.Context, queue string, limit int) ([]Info, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return r.store.Claim(ctx, Claim{Node: r.nodeID(), Queue: queue, Kinds: r.kinds, Limit: limit}, r.now())
}
