package login

import (
	"context"
	"time"

	"github.com/levqor/sdk/levqor/identity"
)

// MaxSessions is how many sessions a user can have at the same time.
const MaxSessions = 100

// VouchStore takes back what identity providers have vouched for.
type VouchStore interface {
	// DropVouches sets Vouched to 0 in all sessions that have it at a tenant. The sessions
	// go on.
	DropVouches(ctx context.Context, tenant identity.TenantID) error

	// EndProvidedSessions ends those sessions of a user whose Provider is a tenant, and sets
	// Vouched to 0 in the user's others that have it at that. Tenant is not 0.
	EndProvidedSessions(ctx context.Context, tenant identity.TenantID, user identity.UserID) error
}

// FoundSession is a session with what the store knows of its user at the same instant.
type FoundSession struct {
	// Session is as it was before the call.
	Session Session
	// User is who has signed in.
	User identity.User
	// Member is the user's place in the session's tenant; the zero Member if they have none.
	Member identity.Member
	// At is the instant that the call worked with.
	At time.Time
}

// SessionStore keeps sessions. One is current until its ExpiresAt; one that is not looks
// absent. Sessions of a user end when the user is disabled or deleted, and do not come back
// when the user is enabled. What holds for every method: it is safe for concurrent use; now
// is the instant that the call works with, and the zero time means the store's own clock;
// what it does is done as a whole or not at all; errors wrap the kinds of this package and
// print nothing of the store's inner workings.
type SessionStore interface {
	VouchStore

	// InsertSession stores a session, whose CreatedAt and SeenAt become now and whose ProvenAt
	// becomes that less age, and returns it. It ends the session with the hash old, whosever it
	// is, and of the user's so many of the oldest that [MaxSessions] are left. It returns
	// ErrNotFound if there is no such user or they are disabled, and ErrConflict if the ID or
	// the hash is taken.
	InsertSession(ctx context.Context, session Session, old []byte, age time.Duration, now time.Time) (Session, error)

	// FindSession returns the session with a hash, its user and their place in the
	// session's tenant. It sets SeenAt to now if that is [TouchInterval] later or more. It
	// returns ErrNotFound if there is no such session.
	FindSession(ctx context.Context, hash []byte, now time.Time) (FoundSession, error)

	// RotateSession changes the session with a hash as [Session.Rotate] does, and returns
	// it. Of any number of callers at once one does so. It returns ErrNotFound if there is
	// no such session, or the user is no member of the tenant that it is to move to, and
	// ErrReproveRequired as Rotate does; nothing changes then.
	RotateSession(ctx context.Context, hash []byte, r Rotation, now time.Time) (Session, error)

	// EndSession ends the session with a hash, if there is one.
	EndSession(ctx context.Context, hash []byte) error

	// EndOneSession ends a user's session. It returns ErrNotFound if there is none with
	// that ID or it belongs to another user.
	EndOneSession(ctx context.Context, user identity.UserID, id SessionID, now time.Time) error

	// EndAllSessions ends all sessions of a user but one, which may be 0 for none.
	EndAllSessions(ctx context.Context, user identity.UserID, except SessionID) error

	// EndSessionsIn ends all sessions of a user that are at work in a tenant but one, which
	// may be 0 for none. Those in other tenants and in none go on.
	EndSessionsIn(ctx context.Context, tenant identity.TenantID, user identity.UserID, except SessionID) error

	// EndSessionsOfAll ends up to limit sessions, whosever they are, and returns how many
	// were there and whether there are more. Of callers at once each is told so until none
	// is left.
	EndSessionsOfAll(ctx context.Context, limit int) (ended int, more bool, err error)

	// ListSessions returns a user's sessions, the one that began last first.
	ListSessions(ctx context.Context, user identity.UserID, now time.Time) ([]Session, error)

	// DeleteExpiredSessions removes up to limit sessions that have ended by time, and
	// returns how many.
	DeleteExpiredSessions(ctx context.Context, limit int, now time.Time) (int, error)
}
