package levqor

import (
	"fmt"

	"github.com/levqor/sdk/internal/fault"
)

// The kinds of errors that this package returns; test with errors.Is.
var (
	// ErrInvalid reports a wrong value and names the field.
	ErrInvalid = fault.ErrInvalid
	// ErrNotFound reports that there is no such thing.
	ErrNotFound = fault.ErrNotFound
	// ErrConflict reports that the state does not allow the call.
	ErrConflict = fault.ErrConflict
	// ErrUnavailable reports that the service cannot do its work at present.
	ErrUnavailable = fault.ErrUnavailable

	// ErrKeyReused reports that an idempotency key came with another request
	// before. It is an [ErrConflict].
	ErrKeyReused = fmt.Errorf("idempotency key reused: %w", fault.ErrConflict)
)
