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

// maxClaims bounds the claims of one lane that are under way at the same time. While
// the store works on one, another is read and given out.
const maxClaims = 2

// aheadTime is how long a job that was claimed ahead waits for a place, at least: after
// that, or twice as long, it is handed back for others, since handlers have become slow.
const aheadTime = time.Second

// claimGrace is how long a claim may take when the worker is told to end.
const claimGrace = 2 * time.Second

// lane holds the places for running jobs of one queue, and the jobs that were
// claimed ahead.
type lane struct {
	queue   string
	places  int
	waiting chan *attempt // claimed and not started
	room    chan struct{} // holds one element when there is as much room as was wanted
	runners runners

	running atomic.Int64 // jobs that have a place
	asked   atomic.Int64 // jobs that claims under way may bring
	ahead   atomic.Int64 // how many jobs to claim ahead
	wanted  atomic.Int64 // the room that the fetcher waits for
	started atomic.Int64 // jobs started since the last measure
	guarded atomic.Bool  // the queue has limits
	most    atomic.Int64 // bound of ahead
}

func newLane(queue string, places int) *lane {
	l := &lane{queue: queue, places: places, waiting: make(chan *attempt, places+maxPrefetch), room: make(chan struct{}, 1)}
	l.runners.most = places
	l.most.Store(maxPrefetch)
	return l
}

// free returns how many jobs to claim.
func (l *lane) free() int {
	return max(0, l.places+int(l.ahead.Load()-l.running.Load()-l.asked.Load())-len(l.waiting))
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
	l.ahead.Store(min(l.most.Load(), int64(pace*prefetchTime.Seconds())))
}

// limit tells of the limits of the queue. No more is claimed ahead than its rates allow
// in prefetchTime: what is handed back has used them up.
func (l *lane) limit(settings QueueSettings) {
	l.guarded.Store(settings.Guarded())
	most := int64(maxPrefetch)
	for _, rate := range []Rate{settings.Rate, settings.RatePerKey} {
		if rate.Per > 0 {
			most = min(most, int64(float64(rate.Count)*prefetchTime.Seconds()/rate.Per.Seconds()))
		}
	}
	l.most.Store(most)
	l.ahead.Store(min(most, l.ahead.Load()))
}

// fetcher claims jobs for a lane.
type fetcher struct {
	*run
	*lane
	answers  []chan answer // of the claims under way, the first one first
	timer    *time.Timer   // ends a rest, or the patience for more room
	resting  bool          // the queue had nothing more to do
	patient  bool          // room for a few jobs is not worth a claim yet
	failures int
	measured time.Time
}

// answer is what a claim brought.
type answer struct {
	asked int
	jobs  []Info
	err   error
}

// fetch claims jobs for the lane until ctx ends. Handlers run under base, which
// outlives ctx.
func (r *run) fetch(ctx, base context.Context, l *lane) {
	defer r.handBack(l)
	woken, stop := r.registry.wakes.listen(l.queue)
	defer stop()
	f := &fetcher{run: r, lane: l, timer: time.NewTimer(0), measured: time.Now()} //nolint:forbidigo // measures a pace
	defer f.timer.Stop()
	late := time.NewTicker(aheadTime)
	defer late.Stop()
	for ctx.Err() == nil {
		if f.measurePace(); f.mayClaim() {
			f.claim(ctx, base)
			continue
		}
		heard, first := woken, chan answer(nil)
		if len(f.answers) > 0 {
			heard = nil // what has come meanwhile is looked for after the answer
			first = f.answers[0]
		}
		select {
		case <-ctx.Done():
		case a := <-first:
			f.accept(ctx, base, a)
		case <-heard:
			f.resting = false
		case <-f.timer.C:
			f.resting, f.patient = false, false
		case <-late.C:
			for _, a := range l.late() {
				r.unstarted(a)
			}
		case <-l.room:
		}
	}
	for len(f.answers) > 0 {
		f.accept(ctx, base, <-f.answers[0])
	}
}

func (f *fetcher) measurePace() {
	if pause := time.Since(f.measured); pause > prefetchTime/5 { //nolint:forbidigo // measures a pace
		f.measure(pause)
		f.measured = f.measured.Add(pause)
	}
}

// mayClaim reports whether to claim now.
func (f *fetcher) mayClaim() bool {
	f.wanted.Store(0)
	if f.resting || len(f.answers) > 0 && !f.mayOverlap() {
		return false
	}
	want := 1
	if f.patient {
		want = f.worthwhile()
	}
	f.wanted.Store(int64(want)) // before looking, so that no room is missed
	return f.free() >= want
}

// mayOverlap reports whether to claim beside a claim that is under way, which is for queues
// that are full. One with limits would have them wait for each other in the store: a single
// claim of twice as many jobs takes less time.
func (f *fetcher) mayOverlap() bool {
	return len(f.answers) < maxClaims && f.patient && !f.guarded.Load()
}

// claim begins a claim of as many jobs as there is room for. Answers are accepted in the
// order of the claims, so that jobs start in theirs. When ctx ends, a claim gets some
// time to end well: jobs whose answer is given up would be held until the worker leaves.
func (f *fetcher) claim(ctx, base context.Context) {
	n := f.free()
	brought := make(chan answer, 1)
	f.answers = append(f.answers, brought)
	f.asked.Add(int64(n))
	go func() {
		call, cancel := context.WithTimeout(base, storeTimeout)
		defer cancel()
		defer context.AfterFunc(ctx, func() { time.AfterFunc(claimGrace, cancel) })()
		jobs, err := f.store.Claim(call, Claim{Node: f.nodeID(), Queue: f.queue, Kinds: f.kinds, Limit: n}, f.now())
		brought <- answer{n, jobs, err}
	}()
}

// accept gives out what a claim brought, and rests if that was all there is.
func (f *fetcher) accept(ctx, base context.Context, a answer) {
	f.answers = f.answers[1:]
	f.report(ctx, "claim", a.err)
	if f.failures++; a.err == nil {
		f.failures = 0
	}
	for _, info := range a.jobs {
		f.waiting <- f.take(ctx, base, info, f.lane)
		f.asked.Add(-1)
		f.call(ctx, f.lane)
	}
	f.asked.Add(int64(len(a.jobs) - a.asked))
	f.patient = len(a.jobs) == a.asked // there may be more
	f.resting = !f.patient
	pause := f.opts.Poll
	if f.resting {
		pause = jitter(f.pause(f.failures))
	}
	f.timer.Reset(pause)
}
