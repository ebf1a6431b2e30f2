package jobs

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

// MaxBackoff is the longest wait that [Backoff] returns.
const MaxBackoff = time.Hour

// Backoff is the default wait after a failed attempt, counted from 1: one
// second doubled per attempt up to [MaxBackoff], of which a random half is
// taken off so that jobs which failed together do not return together.
func Backoff(attempt int) time.Duration {
	d := MaxBackoff
	if attempt < 13 { // 2^12 s is past MaxBackoff
		d = min(MaxBackoff, time.Second<<max(attempt-1, 0))
	}
	return d/2 + rand.N(d/2+1)
}

// Permanent marks err as one that another attempt cannot mend: the job is
// Discarded at once. It returns nil for nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &verdict{error: err, permanent: true}
}

// RetryAfter marks err with the wait that the other side asked for; it takes the
// place of the kind's backoff if it is longer. It returns nil for nil.
func RetryAfter(err error, wait time.Duration) error {
	if err == nil {
		return nil
	}
	return &verdict{error: err, wait: wait}
}

// Snooze ends an attempt that found it too early: the job waits for the given time,
// and the attempt does not count. A wait below zero is none.
//
//	return zero, jobs.Snooze(time.Minute) // the report is not there yet
func Snooze(wait time.Duration) error { return snooze(max(wait, 0)) }

// snooze is a wait that a handler asked for.
type snooze time.Duration

// Snoozed reports whether err ends an attempt as [Snooze] does, and the wait, for hooks
// that tell it from a failure.
func Snoozed(err error) (wait time.Duration, ok bool) {
	s, ok := errors.AsType[snooze](err)
	return time.Duration(s), ok
}

func (s snooze) Error() string { return "snoozed for " + time.Duration(s).String() }

// verdict is an error with what its handler knows about trying again.
type verdict struct {
	error
	permanent bool
	wait      time.Duration
}

func (v *verdict) Unwrap() error { return v.error }

// permanentKinds are errors that come back whatever the time.
var permanentKinds = []error{fault.ErrInvalid, fault.ErrUnauthenticated, fault.ErrForbidden, fault.ErrNotFound}

// judge returns what becomes of a job of the kind after err.
func judge(err error, info Info, backoff func(int) time.Duration) (state State, delay time.Duration) {
	var v *verdict
	if !errors.As(err, &v) {
		v = &verdict{permanent: slices.ContainsFunc(permanentKinds, func(kind error) bool { return errors.Is(err, kind) })}
	}
	if v.permanent || info.Attempt >= info.MaxAttempts {
		return Discarded, 0
	}
	return Retryable, max(v.wait, backoff(info.Attempt))
}
