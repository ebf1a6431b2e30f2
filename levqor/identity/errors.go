package identity

import "github.com/levqor/sdk/internal/fault"

// The kinds of errors that this package returns; test with errors.Is.
var (
	// ErrInvalid reports a wrong value and names the field.
	ErrInvalid = fault.ErrInvalid
	// ErrUnauthenticated reports that a token gives no access. It does not tell
	// why: unknown, revoked, expired and misspelt tokens look alike.
	ErrUnauthenticated = fault.ErrUnauthenticated
	// ErrNotFound reports that the tenant has no such key.
	ErrNotFound = fault.ErrNotFound
	// ErrConflict reports that a key with the same ID exists.
	ErrConflict = fault.ErrConflict
	// ErrUnavailable reports that the store could not be reached.
	ErrUnavailable = fault.ErrUnavailable
)
