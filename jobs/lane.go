package jobs

import (
	"context"
	"sync/atomic"
	"time"
)

// A lane claims ahead as many jobs as it starts within prefetchTime, at most
// maxPrefetch: short jobs then cost one statement a thousand, and long ones are
// left to other processes.
const (
	prefetchTime = 50 * time.Millisecond
	maxPrefetch  = 2000
)

// lane holds the places for running jobs of one queue, and the jobs that were
// claimed ahead.
type lane struct {
	queue   string
	places  int
	waiting chan *attempt // claimed and not started
	room    chan struct{} // holds one element when there is as much room as was wanted

	runners atomic.Int64 // goroutines that run handlers, at most as many as places
	idle    atomic.Int64 // those of them that wait for a job
	running atomic.Int64 // jobs that have a place
	ahead   atomic.Int64 // how many jobs to claim ahead
	wanted  atomic.Int64 // the room that a wait is for
	started atomic.Int64 // jobs started since the last measure
	guarded atomic.Bool  // the queue has limits
}

func newLane(queue string, places int) *lane {
	return &lane{queue: queue, places: places, waiting: make(chan *attempt, places+maxPrefetch), room: make(chan struct{}, 1)}
}

// free returns how many jobs to claim.
func (l *lane) free() int {
	return max(0, l.places+int(l.ahead.Load()-l.running.Load())-len(l.waiting))
}

// worthwhile is the room that is worth the round trip of a claim.
func (l *lane) worthwhile() int { return max(1, (l.places+int(l.ahead.Load()))/4) }

func (l *lane) enter() {
	l.running.Add(1)
	l.started.Add(1)
}

func (l *lane) exit() {
	l.running.Add(-1)
	if want := l.wanted.Load(); want == 0 || l.free() < int(want) {
		return
	}
	select {
	case l.room <- struct{}{}:
	default:
	}
}

// measure sets how many jobs to claim ahead from how many were started in a time.
func (l *lane) measure(d time.Duration) {
	pace := float64(l.started.Swap(0)) / max(d, time.Millisecond).Seconds()
	l.ahead.Store(min(maxPrefetch, int64(pace*prefetchTime.Seconds())))
}

// wait returns when there is room worth a claim, or any and d has passed, or ctx
// has ended.
func (l *lane) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	want := l.worthwhile()
	l.wanted.Store(int64(want))
	defer l.wanted.Store(0)
	for ctx.Err() == nil && l.free() < want {
		select {
		case <-ctx.Done():
		case <-l.room:
		case <-t.C:
			want = 1
			l.wanted.Store(1)
		}
	}
}

// fetch claims jobs for the lane until ctx ends. Handlers run under base, which
// outlives ctx.
func (r *run) fetch(ctx, base context.Context, l *lane) {
	defer r.handBack(l)
	woken, stop := r.registry.wakes.listen(l.queue)
	defer stop()
	begun := time.Now() //nolint:forbidigo // measures a pace
	failures := 0
	for ctx.Err() == nil {
		if pause := time.Since(begun); pause > prefetchTime/5 { //nolint:forbidigo // measures a pace
			l.measure(pause)
			begun = begun.Add(pause)
		}
		free := l.free()
		if free == 0 {
			l.wait(ctx, r.opts.Poll)
			continue
		}
		jobs, err := r.claim(ctx, l.queue, free)
		r.report(ctx, "claim", err)
		if failures++; err == nil {
			failures = 0
		}
		for _, info := range jobs {
			l.waiting <- r.take(ctx, base, info, l)
			r.hire(ctx, l)
		}
		if len(jobs) == free {
			l.wait(ctx, r.opts.Poll) // there may be more
			continue
		}
		rest(ctx, jitter(r.pause(failures)), woken)
	}
}

// hire starts another runner if none is idle and there is a place for one. Runners
// are kept, because a new goroutine's stack has to grow again for each job.
func (r *run) hire(ctx context.Context, l *lane) {
	if int(l.idle.Load()) >= len(l.waiting) || int(l.runners.Load()) >= l.places {
		return
	}
	l.runners.Add(1)
	go r.serve(ctx, l)
}

// handBack gives up what has not started.
func (r *run) handBack(l *lane) {
	close(l.waiting)
	for a := range l.waiting {
		r.unstarted(a)
	}
}

func (r *run) unstarted(a *attempt) {
	a.stop(errDrain)
	r.finish(a, nil, errDrain)
}

// serve runs jobs of the lane in their order, until ctx ends.
func (r *run) serve(ctx context.Context, l *lane) {
	over := false
	defer func() {
		if !over { // the handler ended this goroutine
			l.runners.Add(-1)
			r.hire(ctx, l)
		}
	}()
	for {
		l.idle.Add(1)
		a, ok := <-l.waiting
		l.idle.Add(-1)
		if !ok {
			over = true
			return
		}
		if ctx.Err() != nil {
			r.unstarted(a)
			continue
		}
		r.hire(ctx, l) // whoever sent the next job may have counted on this runner
		l.enter()
		a.placed.Store(true)
		if over = !r.execute(a); over {
			return // another runner has the place by now
		}
	}
}

// replace starts a runner in the place of one whose handler does not return.
func (r *run) replace(ctx context.Context, l *lane) {
	l.runners.Add(-1)
	r.hire(ctx, l)
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

func (r *run) claim(ctx context.Context, queue string, limit int) ([]Info, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return r.store.Claim(ctx, Claim{Node: r.nodeID(), Queue: queue, Kinds: r.kinds, Limit: limit}, r.now())
}
