package login

import (
	"context"
	"time"

	"github.com/levqor/sdk/levqor/identity"
)

// Link is a flow as its store knows it. Links are subject-owned.
type Link struct {
	// ID identifies the flow: 22 base62 digits. It is no secret.
	ID string
	// Email is the address that is to be proven, as it was typed.
	Email identity.Email
	// User is who wants to move to the address; 0 for somebody who wants to sign in.
	User identity.UserID
	// Device is what asked.
	Device Device
	// SecretHash, CodeHash, CookieHash and MatchHash are keyed hashes.
	SecretHash, CodeHash, CookieHash, MatchHash []byte
	// Mailed tells whether mail goes out for the flow. One without mail can be looked at
	// and tried like others, and never be used.
	Mailed bool
	// Tries counts what was guessed at.
	Tries int
	// CreatedAt is when the flow was stored.
	CreatedAt time.Time
	// ExpiresAt is the last instant at which it can be used.
	ExpiresAt time.Time
}

// LinkStore keeps the links of logins and of changes of addresses, which share the bounds of
// their address. A link is live until its ExpiresAt has passed, it has been tried [MaxTries]
// times, or it has ended: it or another one of the same canonical address was used, or all
// of its user or of its address were ended. What holds for every method: it is safe for
// concurrent use; now is the instant that the call works with, and the zero time means the
// store's own clock; errors wrap the kinds of this package and print nothing of the store's
// inner workings.
type LinkStore interface {
	// InsertLink stores a link that expires [LinkTTL] after now, and returns it with
	// CreatedAt, ExpiresAt and Mailed set: true unless [MaxMailed] links of the same
	// canonical address and [Device.Network], or [MaxMailedInAll] of the address, are
	// Mailed, have not expired and have not ended. Of callers at once no more are told
	// true than there is room for. It returns ErrConflict if the ID
	// is taken.
	InsertLink(ctx context.Context, link Link, now time.Time) (Link, error)

	// FindLink returns a live link and changes nothing, or ErrNotFound.
	FindLink(ctx context.Context, id string, now time.Time) (Link, error)

	// TryLink counts a try of a live link and returns it, or ErrNotFound. Of any number of
	// callers at once, in any number of processes, [MaxTries] get it.
	TryLink(ctx context.Context, id string, now time.Time) (Link, error)

	// UseLink ends a link and all others of the same canonical address and, if it moves a
	// user to another address, all of the user that do so, and returns it as it was. It
	// returns ErrNotFound, and changes nothing, for one that is unknown, has expired, has
	// ended, is not Mailed or has another User, which is 0 for a login; it does not look at
	// Tries. Of any number of callers at once, in any number of processes, one gets it.
	UseLink(ctx context.Context, id string, user identity.UserID, now time.Time) (Link, error)

	// EndLinks ends all links of a user by which they would move to another address, and all
	// links of the canonical forms of addresses, and no others.
	EndLinks(ctx context.Context, user identity.UserID, addresses []identity.Email, now time.Time) error

	// DeleteExpiredLinks removes up to limit links that have expired, whatever became of
	// them, and returns how many.
	DeleteExpiredLinks(ctx context.Context, limit int, now time.Time) (int, error)
}
