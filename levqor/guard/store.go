package guard

import (
	"context"
	"time"
)

// LimitStore keeps how much of their quotas keys have used: for each the arrival time, at
// which its quota will be full again. Rows belong to the operator. What holds for every
// method: it is safe for concurrent use; now is the instant that the call works with, and
// the zero time means the store's own clock, which all processes share; errors wrap the
// kinds of this package and print nothing of the store's inner workings.
//
// A store may forget everything when its machine dies.
type LimitStore interface {
	// Take moves the arrival time of each draw's key on as [Draw.Level] says, and returns
	// the level before that for each in their order. If one does not fit, none is moved.
	// Draws of one key are counted one after the other. So are calls at the same time, in
	// any processes; those that name the same keys in another order come through too. In a
	// transaction what was taken vanishes with it.
	Take(ctx context.Context, draws []Draw, now time.Time) ([]Level, error)

	// DeleteIdle removes up to limit keys whose quota is full at now, and returns how many.
	DeleteIdle(ctx context.Context, limit int, now time.Time) (int, error)
}

// Draw is a charge as a store sees it. Its times are whole microseconds.
type Draw struct {
	// Key is who is counted by which policy, as a hash.
	Key string
	// Advance is how far the arrival time is moved on.
	Advance time.Duration
	// Depth is how far it may lie ahead of now afterwards.
	Depth time.Duration
}

// Horizon is how far ahead of now an arrival time can lie. One that lies further was
// written under a clock that was wrong or by a policy that has changed, and counts as none:
// a clock that was a year ahead for a moment locks nobody out for a year. A clock that is
// set back by less gives nothing away.
func (d Draw) Horizon() time.Duration { return 2*d.Depth + time.Minute }

// Level returns what the quota is at now by its arrival time, the zero time for none, and
// the arrival time after the draw, if it fits. It is the rule for all stores; one in SQL
// says it in its own words.
func (d Draw) Level(arrival, now time.Time) (level Level, after time.Time) {
	if arrival.Before(now) || arrival.After(now.Add(d.Horizon())) {
		arrival = now
	}
	ahead := arrival.Sub(now)
	return Level{Fits: ahead+d.Advance <= d.Depth, Ahead: ahead}, arrival.Add(d.Advance)
}

// Level is the state of a quota.
type Level struct {
	// Fits says that the quota has what was to be taken.
	Fits bool
	// Ahead is how long it would have taken the quota to be full again before the call.
	Ahead time.Duration
}
