// Package guard says how often a caller may do what. All processes on one database
// count together, and exactly: of calls made at the same time as many pass as the
// quota has left, wherever they are made.
//
//	limiter := guard.NewLimiter(store, ring, nil)
//	logins := guard.Policy{Name: "login", Limit: 5, Window: time.Minute}
//	_, err := limiter.Take(ctx, guard.Charge{Policy: logins, Key: address})
//	if refused, ok := errors.AsType[*guard.LimitError](err); ok {
//		wait(refused.RetryAfter)
//	}
//
// A quota is counted by the generic cell rate algorithm. It is full at first, what is
// taken comes back evenly, a whole quota within one window, and there is no moment at
// which all of it comes back. So a caller that has kept quiet may take the whole quota at
// once and then what comes back: within one window that is up to twice the limit less one,
// in the long run never more than the limit for each window.
//
// Who is counted never reaches the store: a keyed hash does. Quotas begin anew when the
// secret behind the hash is replaced.
package guard

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

var nameForm = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)

const (
	maxWindow = 366 * 24 * time.Hour
	// What comes back is counted in whole microseconds, which a hundred of them make
	// exact to one percent.
	minInterval = 100 * time.Microsecond
)

// Policy says how much a key may take.
type Policy struct {
	// Name tells policies apart, 1 to 64 of a to z, 0 to 9, _ and -. Each has its own
	// count of a key, which all policies of that name on a database share, whatever
	// their limits.
	Name string
	// Limit is how much may be taken at once, and in the long run in each Window: at
	// least 1, and at most one in each 100 µs.
	Limit int
	// Window is how long a whole quota takes to come back: whole seconds, from 1 to 366
	// days' worth of them.
	Window time.Duration
}

// Validate returns an ErrInvalid that names each wrong field.
func (p Policy) Validate() error {
	var errs []error
	if !nameForm.MatchString(p.Name) {
		errs = append(errs, fault.Invalid("/name", "invalid_format", "must be 1 to 64 of a to z, 0 to 9, _ and -"))
	}
	if p.Window < time.Second || p.Window > maxWindow || p.Window%time.Second != 0 {
		errs = append(errs, fault.Invalid("/window", "out_of_range", "must be whole seconds, from 1 second to 366 days"))
	}
	if p.Limit < 1 {
		errs = append(errs, fault.Invalid("/limit", "too_small", "must be at least 1"))
	} else if int64(p.Limit) > int64(p.Window/minInterval) {
		errs = append(errs, fault.Invalid("/limit", "too_large", "must be at most one in each 100 microseconds of the window"))
	}
	return errors.Join(errs...)
}

// interval is how long one takes to come back. It is rounded up: a window never gives back
// more than the limit.
func (p Policy) interval() time.Duration {
	us := p.Window.Microseconds()
	n := int64(p.Limit)
	return time.Duration((us+n-1)/n) * time.Microsecond
}

// Charge is what a call takes of one quota.
type Charge struct {
	// Policy is the quota's.
	Policy Policy
	// Key is who is counted: an ID, an address, anything. It is stored as a keyed hash.
	Key string
	// Cost is how much is taken, at most the policy's limit. Default: 1.
	Cost int
}

// draw returns the charge as the store sees it. A cost above the limit is wrong rather
// than refused: no wait would help.
func (c Charge) draw(h Hasher) (Draw, error) {
	if err := c.Policy.Validate(); err != nil {
		return Draw{}, fault.Under("/policy", err)
	}
	if c.Cost < 0 || c.Cost > c.Policy.Limit {
		return Draw{}, fault.Invalid("/cost", "out_of_range", fmt.Sprintf("must be from 0, for 1, to the limit of %d", c.Policy.Limit))
	}
	interval := c.Policy.interval()
	return Draw{
		Key:     hashedKey(h, c),
		Advance: time.Duration(max(1, c.Cost)) * interval,
		Depth:   time.Duration(c.Policy.Limit) * interval,
	}, nil
}

// Decision says what is left of a quota.
type Decision struct {
	// Policy is the quota's.
	Policy Policy
	// Refused says that the quota does not have what was to be taken.
	Refused bool
	// Remaining is what is left.
	Remaining int
	// Reset is how long it takes until the quota is full or, if it refused, until it has
	// what was to be taken.
	Reset time.Duration
}
