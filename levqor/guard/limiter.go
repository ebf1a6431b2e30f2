package guard

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

// Hasher makes keyed hashes. A key ring of package levqor is one.
type Hasher interface {
	// MAC returns the keyed hash of parts for a purpose.
	MAC(purpose string, parts ...[]byte) []byte
}

const hashPurpose = "rate-limit"

// LimiterOptions configure a [Limiter]. The zero value of each field means its default.
type LimiterOptions struct {
	// Now replaces the store's clock, for tests. Default: the store's clock.
	Now func() time.Time
}

// Limiter takes what callers want of their quotas. It is safe for concurrent use.
type Limiter struct {
	store  LimitStore
	hasher Hasher
	opts   LimiterOptions
	known  *known
}

// NewLimiter returns a limiter on a store. Options may be nil.
func NewLimiter(store LimitStore, hasher Hasher, opts *LimiterOptions) *Limiter {
	l := &Limiter{store: store, hasher: hasher, known: &known{}}
	if opts != nil {
		l.opts = *opts
	}
	return l
}

// Take takes all charges or none, and returns a decision for each in their order. It
// returns a [LimitError], with the decisions, if a quota does not have what is to be taken,
// an ErrInvalid for a wrong policy or a cost that no wait could pay, and ErrUnavailable if
// the store could not be asked.
//
// A caller that was refused is refused again without asking the store for as long as the
// answer is sure, so a flood does not reach the database. Of a quota of twenty a second or
// more, whoever calls often is given some ahead by one statement, at most what comes back in
// 0.1 s. One process counts as if it had asked the store each time. Of several that serve the
// same caller each may hold so much, which the others do not give, or give once more when the
// quota is full: of 3,000 a minute, 5.
func (l *Limiter) Take(ctx context.Context, charges ...Charge) ([]Decision, error) {
	draws := make([]Draw, len(charges))
	for i, c := range charges {
		var err error
		if draws[i], err = c.draw(l.hasher); err != nil {
			return nil, fmt.Errorf("guard: take: %w", fault.Under(fmt.Sprintf("/charges/%d", i), err))
		}
	}
	if len(draws) == 0 {
		return nil, nil
	}
	levels, err := l.take(ctx, draws)
	if err != nil {
		return nil, fmt.Errorf("guard: take: %w", err)
	}
	return decide(charges, draws, levels)
}

// take asks the store, unless it is known what a single draw comes to.
func (l *Limiter) take(ctx context.Context, draws []Draw) ([]Level, error) {
	began := l.clock()
	var now time.Time
	if l.opts.Now != nil {
		now = began
	}
	if len(draws) == 1 {
		level, err := l.takeOne(ctx, draws[0], began, now)
		return []Level{level}, err
	}
	levels, err := l.store.Take(ctx, draws, now)
	if err != nil {
		return nil, err
	}
	for i, level := range levels {
		l.known.note(draws[i], 1, 1, level, began)
	}
	return levels, nil
}

// takeOne asks the store for as many of a draw as are worth holding, or if there are not so
// many left, for the one.
func (l *Limiter) takeOne(ctx context.Context, d Draw, began, now time.Time) (level Level, err error) {
	level, asked := l.known.find(d, began)
	if asked == 0 {
		return level, nil
	}
	n := asked
	level, err = l.ask(ctx, d, n, now)
	if n > 1 && err == nil && !level.Fits {
		n = 1
		level, err = l.ask(ctx, d, n, now)
	}
	if err != nil {
		n = 0
	}
	l.known.note(d, asked, n, level, began)
	return level, err
}

// ask takes n of a draw from the store.
func (l *Limiter) ask(ctx context.Context, d Draw, n int, now time.Time) (Level, error) {
	d.Advance *= time.Duration(n)
	levels, err := l.store.Take(ctx, []Draw{d}, now)
	if err != nil {
		return Level{}, err
	}
	return levels[0], nil
}

// clock is that of this process: what was refused is remembered by it.
func (l *Limiter) clock() time.Time {
	if l.opts.Now != nil {
		return l.opts.Now()
	}
	return time.Now() //nolint:forbidigo // measures a time that has passed, in one process
}

// decide says what levels mean for the charges.
func decide(charges []Charge, draws []Draw, levels []Level) ([]Decision, error) {
	refused := &LimitError{}
	for i, level := range levels {
		if !level.Fits {
			refused.Violated = append(refused.Violated, charges[i].Policy.Name)
			refused.RetryAfter = max(refused.RetryAfter, draws[i].wait(level))
		}
	}
	decisions := make([]Decision, len(charges))
	for i, level := range levels {
		d := Decision{Policy: charges[i].Policy, Refused: !level.Fits, Reset: level.Ahead}
		left := draws[i].Depth - level.Ahead
		switch {
		case d.Refused:
			d.Reset = draws[i].wait(level)
		case len(refused.Violated) == 0:
			d.Reset += draws[i].Advance
			left -= draws[i].Advance
		}
		d.Remaining = max(0, int(left/d.Policy.interval()))
		decisions[i] = d
	}
	if len(refused.Violated) > 0 {
		return decisions, fmt.Errorf("guard: take: %w", refused)
	}
	return decisions, nil
}

// wait returns how long it takes until a draw fits that does not. It is never 0: the clock
// may have gone on since.
func (d Draw) wait(level Level) time.Duration {
	return max(time.Microsecond, level.Ahead+d.Advance-d.Depth)
}

// hashedKey returns who is counted by which policy as the store sees it.
func hashedKey(h Hasher, c Charge) string {
	return base64.RawURLEncoding.EncodeToString(h.MAC(hashPurpose, []byte(c.Policy.Name), []byte(c.Key)))
}
