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
	taken   chan struct{} // one element per running job
	waiting chan *attempt // claimed and not started
	room    chan struct{} // holds one element when there is as much room as was wanted

	ahead   atomic.Int64 // how many jobs to claim ahead
	wanted  atomic.Int64 // the room that a wait is for
	started atomic.Int64 // jobs started since the last measure
}

func newLane(queue string, limit int) *lane {
	return &lane{
		queue: queue, taken: make(chan struct{}, limit), waiting: make(chan *attempt, limit+maxPrefetch), room: make(chan struct{}, 1),
	}
}

// free returns how many jobs to claim.
func (l *lane) free() int {
	return max(0, cap(l.taken)+int(l.ahead.Load())-len(l.taken)-len(l.waiting))
}

// worthwhile is the room that is worth the round trip of a claim.
func (l *lane) worthwhile() int { return max(1, (cap(l.taken)+int(l.ahead.Load()))/4) }

// enter takes a place for a job, or reports that ctx has ended.
func (l *lane) enter(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case l.taken <- struct{}{}:
		l.started.Add(1)
		return true
	}
}

func (l *lane) exit() {
	<-l.taken
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
	defer close(l.waiting)
	woken, stop := r.registry.wakes.listen(l.queue)
	defer stop()
	begun := time.Now() //nolint:forbidigo // measures a pace
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
		for _, info := range jobs {
			l.waiting <- r.take(base, info)
		}
		if len(jobs) == free {
			l.wait(ctx, r.opts.Poll) // there may be more
			continue
		}
		rest(ctx, jitter(r.opts.Poll), woken)
	}
}

// dispatch starts the jobs of the lane in their order. What has not started when
// ctx ends is handed back.
func (r *run) dispatch(ctx context.Context, l *lane) {
	for a := range l.waiting {
		if l.enter(ctx) {
			a.exit = l.exit
			go r.execute(a)
			continue
		}
		a.stop(errDrain)
		r.finish(a, nil, errDrain)
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
