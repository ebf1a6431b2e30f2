package factor

import (
	"fmt"

	"github.com/levqor/sdk/internal/fault"
)

// The kinds of errors that this package returns; test with errors.Is.
var (
	// ErrInvalid reports a wrong value and names the field.
	ErrInvalid = fault.ErrInvalid
	// ErrNotFound reports that there is no such user, or that the user has no such factor.
	ErrNotFound = fault.ErrNotFound
	// ErrConflict reports that the state does not allow the call.
	ErrConflict = fault.ErrConflict
	// ErrLimit reports that there were too many wrong codes; a [Throttle] returns it.
	ErrLimit = fault.ErrLimit
	// ErrUnavailable reports that the store could not be reached.
	ErrUnavailable = fault.ErrUnavailable

	// ErrWrongCode reports a code that does not open anything. It is an [ErrInvalid], and
	// does not tell why: wrong, misspelt and used codes look alike.
	ErrWrongCode error = &fault.Error{Kind: ErrInvalid, Code: "wrong_code", Field: "/code", Detail: "is wrong or has been used"}
	// ErrReplayed reports a code that was right and has been used. It is an
	// [ErrWrongCode], for the operator's log: a caller is told no more than that.
	ErrReplayed = fmt.Errorf("code used before: %w", ErrWrongCode)
	// ErrFactorRequired reports that the user must have a second factor and has no other.
	// It is an [ErrConflict].
	ErrFactorRequired error = &fault.Error{Kind: ErrConflict, Code: "factor_required", Detail: "the user must have a second factor and has no other"}
	// ErrPasskeyTaken reports that a passkey is registered already, for this user or for
	// another one. It is an [ErrConflict].
	ErrPasskeyTaken error = &fault.Error{Kind: ErrConflict, Code: "passkey_taken", Detail: "the passkey is registered already"}
	// ErrTooManyPasskeys reports that the user has [MaxPasskeys]. It is an [ErrConflict].
	ErrTooManyPasskeys error = &fault.Error{Kind: ErrConflict, Code: "too_many_passkeys", Detail: fmt.Sprintf("the user has %d passkeys", MaxPasskeys)}
	// ErrCeremonyOver reports that a ceremony has been used or its time is over, or that
	// there was no such one for this purpose and user. It is an [ErrConflict].
	ErrCeremonyOver error = &fault.Error{Kind: ErrConflict, Code: "ceremony_over", Detail: "has been used or its time is over: begin again"}
	// ErrPasskeyRefused reports that what an authenticator answered is not what it was
	// asked, or not signed by the passkey. It is an ErrUnauthenticated of package fault.
	ErrPasskeyRefused error = &fault.Error{Kind: fault.ErrUnauthenticated, Code: "passkey_refused", Detail: "the passkey could not be verified"}
	// ErrCloned reports that the sign count of a passkey has not grown: there may be a
	// copy of it. It is an [ErrPasskeyRefused], for the operator's log: a caller is told
	// no more than that.
	ErrCloned = fmt.Errorf("sign count has not grown: %w", ErrPasskeyRefused)
)
