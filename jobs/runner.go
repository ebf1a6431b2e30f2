package jobs

import (
	"context"
	"sync"
)

// runners are the goroutines that run the handlers of one lane. They are kept, because
// the stack of a new one has to grow again for each job, and the one that rested last
// goes on first, so short jobs stay with a few whose stacks have grown.
type runners struct {
	most int // the places of the lane

	mu     sync.Mutex
	count  int
	idle   []chan struct{} // those that rest, the last to rest at the end
	coming bool            // one was called and has not looked for a job yet
	taken  int             // jobs that were taken since waited was noted
	waited int             // jobs that waited then
}

// call sees to it that a runner looks for a job if any waits. Whoever takes one calls
// the next, so they come one after the other, as many as handlers keep busy.
func (r *run) call(ctx context.Context, l *lane) {
	l.runners.mu.Lock()
	defer l.runners.mu.Unlock()
	if len(l.waiting) > 0 {
		l.runners.call(func() { r.serve(ctx, l) })
	}
}

// call wakes a runner that rests, or starts one if there is a place for it.
func (rs *runners) call(serve func()) {
	last := len(rs.idle) - 1
	switch {
	case rs.coming:
	case last >= 0:
		rs.coming = true
		close(rs.idle[last])
		rs.idle = rs.idle[:last]
	case rs.count < rs.most:
		rs.coming = true
		rs.count++
		go serve()
	}
}

// leave gives up a runner's place.
func (rs *runners) leave() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.count--
}

// next returns a job that waits, or nil when no further ones will come. It begins with
// a look, of which it says whether it was called for.
func (l *lane) next(called bool) *attempt {
	for {
		a, rest := l.look(called)
		if rest == nil {
			return a
		}
		<-rest
		called = true
	}
}

// look returns a job that waits, nil at the end of all, or what ends the runner's rest.
func (l *lane) look(called bool) (a *attempt, rest chan struct{}) {
	l.runners.mu.Lock()
	defer l.runners.mu.Unlock()
	if called {
		l.runners.coming = false
	}
	select {
	case a = <-l.waiting:
		l.runners.taken++
		return a, nil
	default:
		rest = make(chan struct{})
		l.runners.idle = append(l.runners.idle, rest)
		return nil, rest
	}
}

// late takes out the jobs that have waited since it was called last: the first ones, as
// many as were not taken of those that waited then.
func (l *lane) late() (late []*attempt) {
	rs := &l.runners
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for range rs.waited - rs.taken {
		late = append(late, <-l.waiting)
	}
	rs.waited, rs.taken = len(l.waiting), 0
	return late
}

// close sends the runners that rest home, and those that do not when they have taken
// all jobs.
func (l *lane) close() {
	close(l.waiting)
	l.runners.mu.Lock()
	defer l.runners.mu.Unlock()
	for _, rest := range l.runners.idle {
		close(rest)
	}
	l.runners.idle = nil
}

// serve runs jobs of the lane in their order, until ctx ends.
func (r *run) serve(ctx context.Context, l *lane) {
	var a *attempt
	over := false
	defer func() {
		if !over { // the handler ended this goroutine
			r.replace(ctx, a)
		}
	}()
	for called := true; ; called = false {
		a = l.next(called)
		if a == nil {
			over = true
			return
		}
		if ctx.Err() != nil {
			r.unstarted(a)
			continue
		}
		r.call(ctx, l)
		l.enter()
		a.placed.Store(true)
		if over = !r.execute(a); over {
			return // another runner has the place by now
		}
	}
}

// replace lets another runner have the place of one whose handler does not return, or
// has ended its goroutine. Of a handler that does one after the other the place is
// given once.
func (r *run) replace(ctx context.Context, a *attempt) {
	if a.replaced.CompareAndSwap(false, true) {
		a.lane.runners.leave()
		r.call(ctx, a.lane)
	}
}

// handBack gives up what has not started.
func (r *run) handBack(l *lane) {
	l.close()
	for a := range l.waiting {
		r.unstarted(a)
	}
}

// unstarted hands a job back as if it had not been claimed.
func (r *run) unstarted(a *attempt) {
	a.stop(errUnstarted)
	r.finish(a, nil, errUnstarted)
}
