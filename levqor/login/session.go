package login

import (
	"fmt"
	"time"

	"github.com/levqor/sdk/internal/timeid"
	"github.com/levqor/sdk/levqor/identity"
)

// SessionID identifies a session: a positive integer that grows with time. It is no secret.
// Outside the process it is written as "ses_" and 11 base62 digits.
type SessionID int64

const sessionPrefix = "ses_"

// String returns the form used outside the process.
func (id SessionID) String() string { return timeid.Format(sessionPrefix, int64(id)) }

// ParseSessionID reads the form that String writes. Anything else is an ErrNotFound, since
// no session has such an ID.
func ParseSessionID(s string) (SessionID, error) {
	id, ok := timeid.Parse(sessionPrefix, s)
	if !ok {
		return 0, fmt.Errorf("login: session ID: %w", ErrNotFound)
	}
	return SessionID(id), nil
}

// Level says how well a user has proven who they are. Higher is better.
type Level int

// The levels.
const (
	// LevelHalf is by a mailbox, of somebody who has a second factor and has not shown it
	// yet: the session is good for nothing but to show it.
	LevelHalf Level = -1
	// LevelMail is by a mailbox, or by another service that says who it is.
	LevelMail Level = 1
	// LevelSecondFactor is by something besides, or by a passkey.
	LevelSecondFactor Level = 2
)

// Lifetime is how long a session lives.
type Lifetime struct {
	// Idle is how long it lives without a request, give or take a minute.
	Idle time.Duration
	// Absolute is how long it lives after the user last proved who they are.
	Absolute time.Duration
}

// TouchInterval is the time between two records of a session's use at least.
const TouchInterval = time.Minute

// Session is somebody who has signed in. Sessions are subject-owned.
type Session struct {
	// ID identifies the session. It stays when the token changes.
	ID SessionID
	// Hash is the SHA-256 of the token.
	Hash []byte
	// User is who has signed in.
	User identity.UserID
	// Tenant is where the user is at work; 0 for none.
	Tenant identity.TenantID
	// Level is how well the user has proven who they are.
	Level Level
	// Vouched is the tenant whose identity provider has checked a second factor, and which
	// trusts it to; 0 for none. It counts as a second factor there and nowhere else: other
	// tenants have not chosen that provider.
	Vouched identity.TenantID
	// Provider is the tenant whose identity provider, and nothing else, has said who it is; 0
	// once the user has shown their mailbox or a second factor. What counts in other tenants
	// too, such as a first second factor, is not for such a session.
	Provider identity.TenantID
	// Device is what they signed in with.
	Device Device
	// Lifetime is how long the session lives.
	Lifetime Lifetime
	// CreatedAt is when the user signed in.
	CreatedAt time.Time
	// SeenAt is when the session was last used, give or take a minute.
	SeenAt time.Time
	// ProvenAt is when the user last proved who they are.
	ProvenAt time.Time
}

// ExpiresAt is when the session ends unless it is used, or its user proves again who they
// are.
func (s Session) ExpiresAt() time.Time {
	idle, absolute := s.SeenAt.Add(s.Lifetime.Idle), s.ProvenAt.Add(s.Lifetime.Absolute)
	if idle.Before(absolute) {
		return idle
	}
	return absolute
}

// HasSecondFactor reports whether a second factor counts where the user is at work: one that
// they have shown, or one for which that tenant's provider vouches.
func (s Session) HasSecondFactor() bool {
	return s.Level >= LevelSecondFactor || s.Level > 0 && s.Vouched != 0 && s.Vouched == s.Tenant
}

// Current reports whether the session has not ended at an instant.
func (s Session) Current(at time.Time) bool { return at.Before(s.ExpiresAt()) }

// Untouched reports whether a use at an instant is to be recorded.
func (s Session) Untouched(at time.Time) bool { return at.Sub(s.SeenAt) >= TouchInterval }

// Rotation is a change of a session, which always gives it another token.
type Rotation struct {
	// Hash is the SHA-256 of the new token.
	Hash []byte
	// Level is what the user has just proven, at the instant of the change; 0 if nothing.
	// A session keeps a higher one that it has, and LevelHalf unless this is
	// LevelSecondFactor: the mailbox is what it knows already.
	Level Level
	// Provider is the tenant whose identity provider says so; 0 for the user's own mailbox or
	// second factor.
	Provider identity.TenantID
	// Vouched tells that this provider has checked a second factor, and is trusted to.
	Vouched bool
	// Age is how long ago that was proven, if not just now. A proof that is younger stays.
	Age time.Duration
	// Lower takes a session of LevelSecondFactor to LevelMail.
	Lower bool
	// Switch moves the session to Tenant, of which the user has to be a member, with
	// Lifetime. One that another tenant's provider alone has begun moves to none. Else it stays
	// where it is and lives as long as before.
	Switch   bool
	Tenant   identity.TenantID
	Lifetime Lifetime
}

// Rotate returns the session as a rotation leaves it. It returns ErrReproveRequired if it
// would have ended by its new lifetime, or is one for another tenant's provider alone.
func (s Session) Rotate(r Rotation, now time.Time) (Session, error) {
	s.Hash, s.SeenAt = r.Hash, now
	if r.Level == LevelSecondFactor || r.Level > 0 && s.Level != LevelHalf {
		s = s.proven(r, now)
	}
	if r.Lower {
		s.Level = min(s.Level, LevelMail)
	}
	if r.Switch {
		if s.Provider != 0 && r.Tenant != 0 && r.Tenant != s.Provider {
			return Session{}, ErrReproveRequired
		}
		s.Tenant, s.Lifetime = r.Tenant, r.Lifetime
	}
	if !s.Current(now) {
		return Session{}, ErrReproveRequired
	}
	return s, nil
}

// proven returns the session as a proof leaves it.
func (s Session) proven(r Rotation, now time.Time) Session {
	s.Level = max(s.Level, r.Level)
	if at := now.Add(-r.Age); at.After(s.ProvenAt) {
		s.ProvenAt = at
	}
	switch {
	case r.Provider == 0:
		s.Provider = 0
	case r.Vouched:
		s.Vouched = r.Provider
	case s.Vouched == r.Provider:
		s.Vouched = 0
	}
	return s
}
