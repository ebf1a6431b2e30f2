package identity

import (
	"context"
	"time"
)

// DirectoryStore keeps people and tenants. What holds for every method: it is safe for
// concurrent use; now is the instant that the call works with, and the zero time means
// the store's own clock; what it does is done as a whole or not at all; errors wrap the
// kinds of this package and print nothing of the store's inner workings. A tenant or
// user whose deletion has begun is not found, where nothing else is said.
type DirectoryStore interface {
	UserStore
	TenantStore
	MemberStore
	AddressStore
	DeletionStore
}

// UserStore keeps users, of whom no two have the same canonical address.
type UserStore interface {
	// EnsureUser stores a user unless one with the same canonical address is stored. It
	// returns that user as it is stored and whether it was stored by this call: of any
	// number of callers at once, in any number of processes, one is told true. It
	// returns ErrDeletionPending while that user is being deleted, ErrAddressHeld if nobody
	// has the address and an open undo leads back to it, and another ErrConflict if the ID
	// is taken.
	EnsureUser(ctx context.Context, user User, now time.Time) (stored User, created bool, err error)

	// FindUser returns the user with an ID, or ErrNotFound.
	FindUser(ctx context.Context, id UserID) (User, error)

	// FindUserByEmail returns the user with a canonical address, or ErrNotFound.
	FindUserByEmail(ctx context.Context, canonical string) (User, error)

	// RenameUser sets a user's name, or returns ErrNotFound.
	RenameUser(ctx context.Context, id UserID, name string) (User, error)

	// DisableUser sets DisabledAt of a user, unless it is set, ends their sessions of
	// package login on the same database and ends what they have made in all tenants: it
	// revokes the API keys whose Creator they are, or whose Creator is such a key and so on,
	// revoked ones too, and removes the invitations whose Inviter they or such keys are. It
	// waits for transactions that hold a tenant of theirs, and ends what those have made too.
	// Or it returns ErrNotFound.
	DisableUser(ctx context.Context, id UserID, now time.Time) (User, error)

	// EnableUser lets a user in again, whose keys stay revoked. It returns ErrNotFound if
	// there is no such user.
	EnableUser(ctx context.Context, id UserID) (User, error)

	// HoldUser returns ErrNotFound if there is no such user. Within a transaction, it keeps
	// others from changing the user, their second factors and their sessions' number until
	// the transaction ends, and waits for those who do so.
	HoldUser(ctx context.Context, id UserID) error
}

// AddressStore changes the addresses of users and keeps what undoes that. An undo is open
// until its ExpiresAt; one that is not looks absent, and so does one whose user's deletion
// has begun.
type AddressStore interface {
	// ChangeAddress gives the undo's User an address and stores the undo, which leads back
	// to the one that they have so far: it sets Email, a Step above those of the user's other
	// undos, CreatedAt to now and ExpiresAt to [UndoTTL] after it. It returns ErrNotFound if
	// there is no such user or they are disabled, ErrAddressInUse if another user has the
	// canonical address, one whose deletion has begun too, or an open undo of another user
	// leads back to it, ErrTooManyUndos if [MaxUndos] of the user are open, and another
	// ErrConflict if the ID is taken. Of callers at once for one canonical address, in any
	// number of processes, one gets it.
	ChangeAddress(ctx context.Context, undo Undo, to Email, now time.Time) (User, Undo, error)

	// FindUndo returns an open undo and changes nothing, or ErrNotFound.
	FindUndo(ctx context.Context, id UndoID, now time.Time) (Undo, error)

	// FindUndoByAddress returns that open undo of those that lead back to a canonical
	// address which was stored last, or ErrNotFound.
	FindUndoByAddress(ctx context.Context, canonical string, now time.Time) (Undo, error)

	// UndoAddress gives the user of an open undo, disabled or not, the address that it leads
	// back to, and removes it with all undos of the user of higher Steps. It ends what the
	// user has made at the undo's CreatedAt or later, as DisableUser ends all. It returns
	// ErrNotFound if there is no such undo. Of callers at once one gets the user.
	UndoAddress(ctx context.Context, id UndoID, now time.Time) (User, error)

	// DeleteExpiredUndos removes up to limit undos that have expired, and returns how many.
	DeleteExpiredUndos(ctx context.Context, limit int, now time.Time) (int, error)
}

// TenantStore keeps tenants. The one with OwnerTenantID is there from the beginning.
type TenantStore interface {
	// CreateTenant stores a tenant whose only member is a user with RoleOwner. It returns
	// ErrNotFound if there is no such user, and ErrConflict if the ID is taken.
	CreateTenant(ctx context.Context, tenant Tenant, owner UserID, now time.Time) (Tenant, error)

	// FindTenant returns the tenant with an ID, or ErrNotFound.
	FindTenant(ctx context.Context, id TenantID) (Tenant, error)

	// RenameTenant sets a tenant's name, or returns ErrNotFound.
	RenameTenant(ctx context.Context, id TenantID, name string) (Tenant, error)

	// TenantsOf returns up to limit tenants of which a user is a member, in the order of
	// their IDs and with IDs above after.
	TenantsOf(ctx context.Context, user UserID, after TenantID, limit int) ([]Tenant, error)

	// Tenants returns up to limit tenants in the order of their IDs and with IDs above
	// after.
	Tenants(ctx context.Context, after TenantID, limit int) ([]Tenant, error)

	// HoldTenant returns ErrNotFound if there is no such tenant. Within a transaction, it
	// keeps others from changing the tenant and its members until the transaction ends, and
	// waits for those who do so.
	HoldTenant(ctx context.Context, id TenantID) error
}

// MemberStore keeps who is a member of which tenant. Whoever is an owner stays one while
// the tenant has no other owner who is not disabled: calls that would end it return
// ErrLastOwner and change nothing, and of calls at the same time that would do so
// together one does.
type MemberStore interface {
	// AddMember makes a user a member of a tenant, and forgets that they were removed from
	// it. It returns ErrNotFound if there is no such tenant or user, and ErrAlreadyMember if
	// the user is a member.
	AddMember(ctx context.Context, member Member, now time.Time) (Member, error)

	// JoinMember makes a user a member as AddMember does, unless they were removed from the
	// tenant, also by a call at the same time that ends first: then it returns ErrRemoved.
	JoinMember(ctx context.Context, member Member, now time.Time) (Member, error)

	// FindMember returns a member of a tenant. It returns ErrNotFound if the user is none,
	// and also while the user is disabled, so that nobody acts for them.
	FindMember(ctx context.Context, tenant TenantID, user UserID) (Member, error)

	// ChangeMember replaces what a member may do, also if the user is disabled. It returns
	// ErrNotFound if the user is no member of the tenant.
	ChangeMember(ctx context.Context, tenant TenantID, user UserID, grant Grant) (Member, error)

	// RemoveMember ends a user's place in a tenant, also if the user is disabled, and what
	// they have made in it, as DisableUser does. It keeps that they were removed from this
	// tenant, for JoinMember, until the tenant or the user is forgotten. It returns
	// ErrNotFound if the user is no member of it.
	RemoveMember(ctx context.Context, tenant TenantID, user UserID, now time.Time) error

	// Members returns up to limit members of a tenant, disabled ones too, in the order of
	// their users' IDs and with IDs above after. There are none if there is no such tenant.
	Members(ctx context.Context, tenant TenantID, after UserID, limit int) ([]Member, error)

	// Profiles returns the same members as Members does, with what is shown of the users.
	Profiles(ctx context.Context, tenant TenantID, after UserID, limit int) ([]Profile, error)
}

// DeletionStore records what has been deleted and not yet erased everywhere.
type DeletionStore interface {
	// Instant returns the instant that now stands for, by which DeletedAt is set.
	Instant(ctx context.Context, now time.Time) (time.Time, error)

	// DeleteTenant begins to delete a tenant: it sets DeletedAt, unless it is set, removes
	// its members and invitations and revokes its API keys. It returns the tenant, one whose deletion has
	// begun too, or ErrNotFound, and ErrOwnerTenant for that one.
	DeleteTenant(ctx context.Context, id TenantID, now time.Time) (Tenant, error)

	// ForgetTenant removes a tenant whose deletion has begun, with who was removed from it. It does nothing if it is
	// gone, and returns ErrConflict if the deletion has not begun.
	ForgetTenant(ctx context.Context, id TenantID) error

	// DeleteUser begins to delete a user: it sets DeletedAt, unless it is set, removes the
	// user from all tenants, with keys and invitations as DisableUser does, ends their
	// sessions of package login on the same database and, as DeleteTenant does, deletes those
	// tenants of which they were the only member. It returns the user, one whose deletion has
	// begun too, and all tenants that were deleted with the user and are not forgotten; or
	// ErrNotFound. It returns ErrLastOwner, and changes nothing, while the user is the last
	// owner of a tenant that has other members or cannot be deleted.
	DeleteUser(ctx context.Context, id UserID, now time.Time) (User, []Tenant, error)

	// ForgetUser removes a user whose deletion has begun, with their undos, from which tenants
	// they were removed and the links of
	// package login on the same database by which they would move to another address; the
	// addresses are free from then on. It does nothing if the user is gone, and returns
	// ErrConflict if the deletion has not begun.
	ForgetUser(ctx context.Context, id UserID) error

	// DeletedTenants returns up to limit tenants whose deletion has begun and that are not
	// forgotten, in the order of their IDs and with IDs above after.
	DeletedTenants(ctx context.Context, after TenantID, limit int) ([]Tenant, error)

	// DeletedUsers returns up to limit users whose deletion has begun and who are not
	// forgotten, in the order of their IDs and with IDs above after.
	DeletedUsers(ctx context.Context, after UserID, limit int) ([]User, error)
}
