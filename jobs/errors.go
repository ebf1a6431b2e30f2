package jobs

import (
	"fmt"

	"github.com/levqor/sdk/internal/fault"
)

// The kinds of errors that this package returns; test with errors.Is.
var (
	// ErrInvalid reports a wrong value; the error is or joins [*Error] values
	// that name the fields.
	ErrInvalid = fault.ErrInvalid
	// ErrNotFound reports that the tenant has no job with the given ID.
	ErrNotFound = fault.ErrNotFound
	// ErrConflict reports that the job's state does not allow the call.
	ErrConflict = fault.ErrConflict
	// ErrUnavailable reports that the store could not be reached.
	ErrUnavailable = fault.ErrUnavailable

	// ErrUnknownKind reports that no handler is registered for a kind.
	// It is an [ErrInvalid].
	ErrUnknownKind = fmt.Errorf("unknown kind: %w", fault.ErrInvalid)
	// ErrLeaseLost reports that a worker no longer holds the job: its lease ran
	// out and was taken back, or the job was cancelled. What it reports about
	// the job is refused. It is an [ErrConflict].
	ErrLeaseLost = fmt.Errorf("lease lost: %w", fault.ErrConflict)
	// ErrCancelled reports that an awaited job was cancelled.
	// It is an [ErrConflict].
	ErrCancelled = fmt.Errorf("job cancelled: %w", fault.ErrConflict)
	// ErrDiscarded reports that an awaited job failed for good.
	// It is an [ErrConflict].
	ErrDiscarded = fmt.Errorf("job discarded: %w", fault.ErrConflict)
)

// Error is an error about one field of what the caller gave.
type Error = fault.Error

// invalid returns an ErrInvalid about the value at the JSON pointer field.
func invalid(field, code, detail string) error { return fault.Invalid(field, code, detail) }
