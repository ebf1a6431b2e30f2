package identity

import (
	"context"
	"time"
)

// InvitationStore keeps invitations, on the database of a [DirectoryStore]. An
// invitation lives before its ExpiresAt, and an open one also no longer than its tenant
// has no owner; one that does not live is as if there were none, where nothing else is
// said. They end with their tenant: [DeletionStore] removes them. What holds for every
// method: it is safe for concurrent use; now is the instant that the call works with, and
// the zero time means the store's own clock; what it does is done as a whole or not at
// all; errors wrap the kinds of this package and print nothing of the store's inner
// workings.
type InvitationStore interface {
	// PutInvitation stores an invitation that lives for ttl and returns it with CreatedAt
	// and ExpiresAt set. It takes the place of the tenant's invitation to the same
	// canonical address, and an open one that of an open one. It returns ErrNotFound if
	// there is no such tenant, ErrTooManyInvitations if the tenant has most others that
	// live, ErrHasOwner for an open one where the tenant has an owner, and another
	// ErrConflict if the ID is taken.
	PutInvitation(ctx context.Context, i Invitation, ttl time.Duration, most int, now time.Time) (Invitation, error)

	// PutFirstInvitation stores an open invitation as PutInvitation does, unless the
	// tenant has an owner or an open one is stored, whether that lives or not, and reports
	// whether it did. Of any number of callers at once, in any number of processes, one is
	// told true.
	PutFirstInvitation(ctx context.Context, i Invitation, ttl time.Duration, now time.Time) (bool, error)

	// FindInvitation returns the invitation with an ID, of any tenant, or ErrNotFound.
	FindInvitation(ctx context.Context, id InvitationID, now time.Time) (Invitation, error)

	// Invitations returns up to limit invitations of a tenant that are not open, those with
	// the highest IDs first, and with IDs below before unless that is 0.
	Invitations(ctx context.Context, tenant TenantID, before InvitationID, limit int, now time.Time) ([]Invitation, error)

	// RevokeInvitation removes a tenant's invitation. It returns ErrNotFound if there is
	// none with that ID, it is open, or it belongs to another tenant.
	RevokeInvitation(ctx context.Context, tenant TenantID, id InvitationID, now time.Time) error

	// AcceptInvitation removes an invitation and makes a user the member that it offers,
	// and returns the member; that they were removed from the tenant is forgotten. Whoever is a member already stays what they are, but an open
	// invitation makes an owner of them. Of any number of callers at once, in any number of
	// processes, one accepts; the others get ErrNotFound, as where there is no such
	// invitation or user.
	AcceptInvitation(ctx context.Context, id InvitationID, user UserID, now time.Time) (Member, error)

	// DeleteExpiredInvitations removes up to limit invitations whose time is over, and
	// returns how many. Open ones stay.
	DeleteExpiredInvitations(ctx context.Context, limit int, now time.Time) (int, error)
}
