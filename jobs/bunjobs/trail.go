package bunjobs

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/levqor/sdk/jobs"
)

// A transaction that stays open keeps PostgreSQL from clearing away the index entries of
// jobs that were claimed, and each claim would walk over all of them: 80 ms after 100,000
// jobs, measured. A claim that took long for what it brought therefore leaves a trail, and
// those that follow begin where it ended. What lies behind is looked at again after fifty
// times as long as the look took, and after maxTrail at the latest.
const (
	slowClaim  = 5 * time.Millisecond
	slowPerJob = 50 * time.Microsecond
	maxTrail   = 5 * time.Second
	// trailSlack is how far behind the last claimed turn a claim still begins: jobs
	// become ready somewhat later than their turn says.
	trailSlack = time.Second
)

// trail is where claims of a queue have arrived.
type trail struct {
	lines []jobs.LineKey // whose turn it is first
	from  map[jobs.LineKey]time.Time
	until time.Time
}

// trails are those of all queues.
type trails struct {
	mu  sync.Mutex
	all map[string]*trail
}

// of returns a copy of a queue's trail, or nil if there is none to follow.
func (t *trails) of(queue string) *trail {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.all[queue]
	if known == nil || time.Now().After(known.until) {
		return nil
	}
	return &trail{lines: slices.Clone(known.lines), from: maps.Clone(known.from)}
}

// leave remembers where a claim arrived that looked at everything and took some time.
func (t *trails) leave(queue string, lines []jobs.Line, claimed []jobs.Info, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if took < slowClaim+time.Duration(len(claimed))*slowPerJob {
		delete(t.all, queue)
		return
	}
	known := t.all[queue]
	if known == nil {
		if len(claimed) == 0 {
			return // nothing to begin at
		}
		known = &trail{from: map[jobs.LineKey]time.Time{}}
		if t.all == nil {
			t.all = map[string]*trail{}
		}
		t.all[queue] = known
	}
	for _, line := range lines {
		if !slices.Contains(known.lines, line.LineKey) {
			known.lines = append(known.lines, line.LineKey)
		}
	}
	for len(known.lines) > maxShares {
		delete(known.from, known.lines[0])
		known.lines = known.lines[1:]
	}
	known.until = time.Now().Add(min(maxTrail, 50*took))
	known.advance(claimed)
}

// follow remembers how far a claim has come that followed a trail.
func (t *trails) follow(queue string, claimed []jobs.Info) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.all[queue]; known != nil {
		known.advance(claimed)
	}
}

// advance moves on to the jobs that were claimed. Lines that were served come last the
// next time.
func (t *trail) advance(claimed []jobs.Info) {
	for _, job := range claimed {
		line, turn := job.Line(), job.Turn().Add(-trailSlack)
		if turn.After(t.from[line]) {
			t.from[line] = turn
		}
		if at := slices.Index(t.lines, line); at >= 0 && at < len(t.lines)-1 {
			t.lines = append(slices.Delete(t.lines, at, at+1), line)
		}
	}
}
