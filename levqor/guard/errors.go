package guard

import (
	"fmt"
	"strings"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

// The kinds of errors that this package returns; test with errors.Is.
var (
	// ErrInvalid reports a wrong value and names the field.
	ErrInvalid = fault.ErrInvalid
	// ErrConflict reports that something else is there already.
	ErrConflict = fault.ErrConflict
	// ErrUnavailable reports that the store could not be reached.
	ErrUnavailable = fault.ErrUnavailable

	// ErrRateLimited reports that a quota is used up; a [LimitError] says which. It is an
	// ErrLimit of package fault.
	ErrRateLimited = fmt.Errorf("rate limited: %w", fault.ErrLimit)
)

// LimitError is an [ErrRateLimited] that says which quotas are used up.
type LimitError struct {
	// Violated names the policies that refused, in the order of the charges.
	Violated []string
	// RetryAfter is when the same charges pass if nobody makes others meanwhile.
	RetryAfter time.Duration
}

// Error names the policies.
func (e *LimitError) Error() string {
	return strings.Join(e.Violated, ", ") + ": " + ErrRateLimited.Error()
}

// Unwrap returns [ErrRateLimited].
func (e *LimitError) Unwrap() error { return ErrRateLimited }
