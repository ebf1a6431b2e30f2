package login

import "github.com/levqor/sdk/internal/fault"

// The kinds of errors that this package returns; test with errors.Is.
var (
	// ErrInvalid reports a wrong value and names the field.
	ErrInvalid = fault.ErrInvalid
	// ErrUnauthenticated reports that what was shown lets nobody in. It does not tell why:
	// what is wrong, unknown, used, expired and tried too often looks alike.
	ErrUnauthenticated = fault.ErrUnauthenticated
	// ErrForbidden reports that the session may not do that.
	ErrForbidden = fault.ErrForbidden
	// ErrNotFound reports that there is no such flow, session, user or place in a tenant.
	ErrNotFound = fault.ErrNotFound
	// ErrConflict reports that an ID is taken.
	ErrConflict = fault.ErrConflict
	// ErrUnavailable reports that the store could not be reached.
	ErrUnavailable = fault.ErrUnavailable

	// ErrReproveRequired reports that the user has to prove again who they are first; see
	// [Sessions.Reprove]. It is an [ErrForbidden].
	ErrReproveRequired error = &fault.Error{Kind: ErrForbidden, Code: "reauthentication_required", Detail: "prove again who you are"}
)

func errInvalidLogin() error { return &fault.Error{Kind: ErrUnauthenticated, Code: "invalid_login"} }

func errInvalidSession() error {
	return &fault.Error{Kind: ErrUnauthenticated, Code: "invalid_session"}
}
