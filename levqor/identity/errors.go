package identity

import (
	"fmt"

	"github.com/levqor/sdk/internal/fault"
)

// The kinds of errors that this package returns; test with errors.Is.
var (
	// ErrInvalid reports a wrong value and names the field.
	ErrInvalid = fault.ErrInvalid
	// ErrUnauthenticated reports that a token gives no access. It does not tell
	// why: unknown, revoked, expired and misspelt tokens look alike.
	ErrUnauthenticated = fault.ErrUnauthenticated
	// ErrForbidden reports that the caller may not do that.
	ErrForbidden = fault.ErrForbidden
	// ErrNotFound reports that the tenant has no such key or member, or that there is no
	// such user or tenant.
	ErrNotFound = fault.ErrNotFound
	// ErrConflict reports that a thing with the same ID exists, or that the state does not
	// allow the call.
	ErrConflict = fault.ErrConflict
	// ErrLimit reports that there are as many as there may be.
	ErrLimit = fault.ErrLimit
	// ErrUnavailable reports that the store could not be reached.
	ErrUnavailable = fault.ErrUnavailable

	// ErrScopeNotHeld reports that a caller would give, or change a key that has,
	// a scope that it does not hold itself. It is an [ErrForbidden].
	ErrScopeNotHeld = fmt.Errorf("scope not held: %w", fault.ErrForbidden)
	// ErrRotating reports that a key cannot be rotated because the secret from
	// before the last time still works. It is an [ErrConflict].
	ErrRotating = fmt.Errorf("rotation in progress: %w", fault.ErrConflict)
	// ErrOtherEnvironment reports a token of another environment, such as a test
	// key shown to the live service. It is an [ErrUnauthenticated], for the
	// operator's log: a caller is told no more than that.
	ErrOtherEnvironment = fmt.Errorf("key of another environment: %w", fault.ErrUnauthenticated)
	// ErrOtherNetwork reports a token that is right and came from where its key
	// may not be used. It is an [ErrUnauthenticated], for the operator's log: a
	// caller is told no more than that.
	ErrOtherNetwork = fmt.Errorf("key used from another network: %w", fault.ErrUnauthenticated)
	// ErrLastOwner reports that a tenant would be left without an owner who can act. It
	// is an [ErrConflict].
	ErrLastOwner error = &fault.Error{Kind: ErrConflict, Code: "last_owner", Detail: "the tenant would have no owner"}
	// ErrHasOwner reports that the owner's tenant has an owner, so there is no link for a
	// first one. It is an [ErrConflict].
	ErrHasOwner error = &fault.Error{Kind: ErrConflict, Code: "has_owner", Detail: "the service has an owner"}
	// ErrTooManyInvitations reports that a tenant has [MaxInvitations] live invitations. It
	// is an [ErrLimit].
	ErrTooManyInvitations error = &fault.Error{Kind: ErrLimit, Code: "too_many_invitations", Detail: "the tenant has as many invitations as it may"}
	// ErrAlreadyMember reports that the user is a member of the tenant. It is an
	// [ErrConflict].
	ErrAlreadyMember error = &fault.Error{Kind: ErrConflict, Code: "already_member", Detail: "the user is a member of the tenant"}
	// ErrRemoved reports that the user has been removed from the tenant or has left it, and
	// has not been invited again. It is an [ErrForbidden].
	ErrRemoved error = &fault.Error{Kind: ErrForbidden, Code: "removed", Detail: "the account was removed from the team, or has left it: ask for an invitation"}
	// ErrOwnerTenant reports that the owner's tenant cannot be deleted. It is an
	// [ErrConflict].
	ErrOwnerTenant error = &fault.Error{Kind: ErrConflict, Code: "owner_tenant", Detail: "the owner's tenant cannot be deleted"}
	// ErrAddressTaken reports that an open invitation was accepted under the address of a
	// user who is not signed in. It is an [ErrConflict].
	ErrAddressTaken error = &fault.Error{Kind: ErrConflict, Code: "address_taken", Detail: "somebody has this address: if it is yours, sign in first and then open the link again"}
	// ErrAddressInUse reports that somebody else has an address, or had it so lately that
	// they may have it back. It is an [ErrConflict].
	ErrAddressInUse error = &fault.Error{Kind: ErrConflict, Code: "address_in_use", Detail: "another account has this address, or may have it back"}
	// ErrAddressHeld reports that nobody has an address and a user had it so lately that they
	// may have it back. It is an [ErrConflict].
	ErrAddressHeld error = &fault.Error{Kind: ErrConflict, Code: "address_held", Detail: "an account has left this address lately: if it is yours, sign in with the new one first"}
	// ErrTooManyUndos reports that a user has changed their address [MaxUndos] times in
	// [UndoTTL]. It is an [ErrLimit].
	ErrTooManyUndos error = &fault.Error{Kind: ErrLimit, Code: "too_many_changes", Detail: "the address has been changed too often in the last seven days"}
	// ErrDeletionPending reports that a user with the same address is being deleted. It
	// is an [ErrConflict].
	ErrDeletionPending error = &fault.Error{Kind: ErrConflict, Code: "deletion_pending", Detail: "a user with this address is being deleted"}
)

// refusal is an error about a key whose ID the operator should know.
type refusal struct {
	kind  error
	keyID string
}

func (e *refusal) Error() string { return e.keyID + ": " + e.kind.Error() }
func (e *refusal) Unwrap() error { return e.kind }
