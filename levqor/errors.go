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

	// ErrNoMailer reports that the service has nothing to send mail with. It is an
	// [ErrUnavailable].
	ErrNoMailer error = &fault.Error{Kind: ErrUnavailable, Code: "no_mailer", Detail: "the service sends no mail"}
	// ErrProviderRequired reports that everybody with an address of the domain signs in at
	// their tenant's own identity provider; see [sso.Connection]. It is an ErrForbidden.
	ErrProviderRequired error = &fault.Error{Kind: fault.ErrForbidden, Code: "provider_required", Detail: "addresses of this domain sign in through the organisation's own provider, and not by mail"}
	// ErrKeyReused reports that an idempotency key came with another request
	// before. It is an [ErrConflict].
	ErrKeyReused = fmt.Errorf("idempotency key reused: %w", fault.ErrConflict)
)
