package guard

import (
	"sync"
	"time"
)

// maxRefusals bounds how many keys are remembered.
const maxRefusals = 10_000

// refusals remembers how far the arrival times of keys lay ahead that were refused. They
// only ever move on, and time passes at the same pace everywhere, so as long as this says
// no the store would: the answer is as exact as the store's. It is reckoned from before the
// store was asked, so that it ends too early rather than too late.
type refusals struct {
	mu    sync.Mutex
	known map[string]refusal
}

// refusal is what the store said last of a key.
type refusal struct {
	ahead time.Duration
	at    time.Time
	until time.Time // when it says nothing any more
}

// find returns the level of a draw if it is sure not to fit.
func (r *refusals) find(d Draw, now time.Time) (level Level, sure bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.known[d.Key]
	if !ok {
		return Level{}, false
	}
	passed := now.Sub(known.at)
	level = Level{Ahead: known.ahead - passed}
	if passed >= 0 && level.Ahead+d.Advance > d.Depth && level.Ahead <= d.Horizon() {
		return level, true
	}
	return Level{}, false
}

// note remembers a level that did not fit at a time. One that did has made what is known
// of its key out of date.
func (r *refusals) note(d Draw, level Level, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if level.Fits {
		delete(r.known, d.Key)
		return
	}
	if r.known == nil {
		r.known = map[string]refusal{}
	}
	if len(r.known) >= maxRefusals {
		r.forget(at)
	}
	r.known[d.Key] = refusal{ahead: level.Ahead, at: at, until: at.Add(d.wait(level))}
}

// forget makes room: what is over goes, and if nothing is, everything. Who is forgotten is
// asked about in the store again.
func (r *refusals) forget(now time.Time) {
	for key, known := range r.known {
		if !known.until.After(now) {
			delete(r.known, key)
		}
	}
	if len(r.known) >= maxRefusals {
		clear(r.known)
	}
}
