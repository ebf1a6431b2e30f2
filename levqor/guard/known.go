package guard

import (
	"sync"
	"time"
)

// What is drawn ahead is bounded, since other processes neither can give it nor know of it:
// it is what comes back in a moment, and a small part of what is left.
const (
	heldWithin = 100 * time.Millisecond
	heldPart   = 16
)

// maxKnown bounds how many keys are remembered.
const maxKnown = 10_000

// known remembers the arrival times of keys that were refused or are used often. They only
// ever move on, and time passes at the same pace everywhere, so they tell two things as
// exactly as the store would.
//
// A draw does not fit, as long as the arrival time lies too far ahead.
//
// A draw fits that was drawn ahead, together with others in one statement, as long as the
// arrival time less all that is still held has not passed: to give it back to the quota at
// that moment, and to take it anew, would change nothing. When that time has passed, the
// quota would have become full, and what is too much is void. What others hold meanwhile is
// not reckoned with, so between several processes the count can be wrong by that much.
//
// Times are reckoned from before the store was asked, so that both end too early rather than
// too late.
type known struct {
	mu   sync.Mutex
	keys map[string]*knownKey
}

type knownKey struct {
	arrival time.Time     // at least
	at      time.Time     // when that was so
	until   time.Time     // when it says nothing any more
	last    time.Time     // when somebody asked last
	held    time.Duration // how much of the way to it is held
	asking  bool          // somebody is drawing ahead
}

// find returns the level of a draw if it is sure, with 0. Otherwise n is how many such draws
// to ask the store for; what comes of it must be noted.
func (k *known) find(d Draw, now time.Time) (level Level, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.keys[d.Key]
	if !ok || now.Before(key.at) {
		return Level{}, 1
	}
	ahead := max(0, key.arrival.Sub(now))
	often := now.Sub(key.last) < heldWithin/2
	key.held, key.last = min(key.held, ahead), now
	switch {
	case key.held >= d.Advance:
		level = Level{Fits: true, Ahead: ahead - key.held}
		key.held -= d.Advance
		return level, 0
	case ahead-key.held+d.Advance > d.Depth && ahead <= d.Horizon():
		return Level{Ahead: ahead - key.held}, 0
	case key.asking || !often:
		return Level{}, 1
	}
	n = int(max(1, min(d.mayHold(), (d.Depth-ahead)/d.Advance/heldPart)))
	key.asking = n > 1
	return Level{}, n
}

// mayHold returns how many draws come back in a moment.
func (d Draw) mayHold() time.Duration { return heldWithin / d.Advance }

// note remembers what came of n draws of which asked were asked for at first: the level
// before them, at a time from before the store was asked.
func (k *known) note(d Draw, asked, n int, level Level, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := k.keys[d.Key]
	if key != nil && asked > 1 {
		key.asking = false
	}
	if n == 0 { // nothing is known
		return
	}
	fresh := knownKey{arrival: at.Add(level.Ahead), at: at, until: at.Add(d.wait(level)), last: at}
	if level.Fits {
		fresh.arrival = fresh.arrival.Add(time.Duration(n) * d.Advance)
		fresh.until = at.Add(heldWithin)
		fresh.held = time.Duration(n-1) * d.Advance
	}
	if key != nil {
		fresh.held += key.held
		fresh.asking = key.asking
	}
	if level.Fits && d.mayHold() < 2 && fresh.held == 0 && !fresh.asking {
		delete(k.keys, d.Key) // what was known is out of date
		return
	}
	k.keep(d.Key, fresh)
}

func (k *known) keep(name string, fresh knownKey) {
	if k.keys == nil {
		k.keys = map[string]*knownKey{}
	}
	if key, ok := k.keys[name]; ok {
		*key = fresh
		return
	}
	if len(k.keys) >= maxKnown {
		k.forget(fresh.at)
	}
	k.keys[name] = &fresh
}

// forget makes room: what is over goes, and if that is too little, everything. Who is
// forgotten is asked about in the store again.
func (k *known) forget(now time.Time) {
	for name, key := range k.keys {
		if !key.until.After(now) {
			delete(k.keys, name)
		}
	}
	if len(k.keys) > maxKnown/2 {
		clear(k.keys)
	}
}
