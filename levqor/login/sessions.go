package login

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/internal/timeid"
	"github.com/levqor/sdk/levqor/identity"
)

// SessionsOptions configure [Sessions]. The zero value of each field means its default. The
// lifetimes hold for sessions that begin, or move to another tenant, from then on.
type SessionsOptions struct {
	// Idle is how long a session lives without a request. Default: 24 hours.
	Idle time.Duration
	// Absolute is how long it lives after the user last proved who they are. Default: 14
	// days.
	Absolute time.Duration
	// OwnerIdle is Idle for sessions in the tenant [identity.OwnerTenantID]. Default: 30
	// minutes.
	OwnerIdle time.Duration
	// OwnerAbsolute is Absolute for those. Default: 12 hours.
	OwnerAbsolute time.Duration
	// FreshFor is how long a proof is good for what needs a fresh one. Default: 5 minutes.
	FreshFor time.Duration
	// RequireSecondFactor tells whose sessions have no scopes below [LevelSecondFactor].
	// Default: those of owners and admins.
	RequireSecondFactor func(role identity.Role) bool
	// Now replaces the store's clock, for tests. Default: the store's clock.
	Now func() time.Time
}

// Sessions knows who has signed in. It is safe for concurrent use.
type Sessions struct {
	store SessionStore
	opts  SessionsOptions
	ids   *timeid.Source
}

// NewSessions returns sessions on a store. Options may be nil.
func NewSessions(store SessionStore, opts *SessionsOptions) *Sessions {
	s := &Sessions{store: store, ids: &timeid.Source{}}
	if opts != nil {
		s.opts = *opts
	}
	o := &s.opts
	o.Idle, o.Absolute = cmp.Or(o.Idle, 24*time.Hour), cmp.Or(o.Absolute, 14*24*time.Hour)
	o.OwnerIdle, o.OwnerAbsolute = cmp.Or(o.OwnerIdle, 30*time.Minute), cmp.Or(o.OwnerAbsolute, 12*time.Hour)
	o.FreshFor = cmp.Or(o.FreshFor, 5*time.Minute)
	if o.RequireSecondFactor == nil {
		o.RequireSecondFactor = func(r identity.Role) bool { return r == identity.RoleOwner || r == identity.RoleAdmin }
	}
	return s
}

// With returns the same sessions on another store, such as one bound to the caller's
// transaction.
func (s *Sessions) With(store SessionStore) *Sessions {
	c := *s
	c.store = store
	return &c
}

// Start says who signs in.
type Start struct {
	// User is who it is.
	User identity.UserID
	// Tenant is where they are at work; 0 for none.
	Tenant identity.TenantID
	// Level is how well they have proven who they are.
	Level Level
	// Device is what they sign in with.
	Device Device
	// Vouched tells that the identity provider of Tenant has checked a second factor, and
	// that the tenant trusts it to; see [Session].
	Vouched bool
	// ByProvider tells that the identity provider of Tenant has said who they are, and nothing
	// else has; see [Session].
	ByProvider bool
	// Age is how long ago they proved who they are, if not just now. What is no longer fresh
	// counts as just that.
	Age time.Duration
	// Old is the token that the browser has so far, if any. Its session ends, so that
	// nobody goes on with one that they have planted in somebody's browser.
	Old string
}

// Start begins a session and returns its token, 43 characters of base64url that cannot be
// had again. Beyond [MaxSessions] the user's oldest session ends. It returns an ErrInvalid
// that names each wrong field, and ErrNotFound if there is no such user or they are disabled.
func (s *Sessions) Start(ctx context.Context, start Start) (token string, session Session, err error) {
	if err := errors.Join(checkLevel(start.Level, LevelHalf), start.Device.validate()); err != nil {
		return "", Session{}, fmt.Errorf("login: start session: %w", err)
	}
	var old []byte
	if isSecret(start.Old) {
		old = hashToken(start.Old)
	}
	for range 5 { // another process may have taken the ID
		token = newSecret()
		session, err = s.store.InsertSession(ctx, Session{
			ID: s.newID(), Hash: hashToken(token), User: start.User, Tenant: start.Tenant, Level: start.Level, Device: start.Device,
			Lifetime: s.lifetime(start.Tenant), Vouched: start.ifTenant(start.Vouched), Provider: start.ifTenant(start.ByProvider),
		}, old, s.age(start.Age), s.now())
		if !errors.Is(err, ErrConflict) {
			break
		}
	}
	if err != nil {
		return "", Session{}, fmt.Errorf("login: start session: %w", err)
	}
	return token, session, nil
}

// ifTenant returns the tenant if something is said by its provider, else 0.
func (s Start) ifTenant(says bool) identity.TenantID {
	if !says {
		return 0
	}
	return s.Tenant
}

// age bounds the age of a proof: what is no longer fresh is just that.
func (s *Sessions) age(age time.Duration) time.Duration {
	return max(0, min(age, s.opts.FreshFor+time.Second))
}

// Raise gives a session whose user has just proven who they are, at a level, a new token;
// the old one is dead. A higher level that the session has stays, and [LevelHalf] unless
// the user has shown a second factor. It returns an ErrInvalid
// about "/level", and ErrUnauthenticated for a token that is no session's.
func (s *Sessions) Raise(ctx context.Context, token string, level Level) (string, Session, error) {
	if err := checkLevel(level); err != nil {
		return "", Session{}, fmt.Errorf("login: raise session: %w", err)
	}
	next, session, err := s.rotate(ctx, token, Rotation{Level: level})
	if err != nil {
		return "", Session{}, fmt.Errorf("login: raise session: %w", unknown(err))
	}
	return next, session, nil
}

// Reprove is [Sessions.Raise] for a user who has proven by their mailbox who they are: the
// level of the session stays, and it is fresh, unless it is of [LevelHalf].
func (s *Sessions) Reprove(ctx context.Context, token string) (string, Session, error) {
	return s.Raise(ctx, token, LevelMail)
}

// ProviderProof is what the identity provider of a tenant says of somebody who has signed in
// already.
type ProviderProof struct {
	// Tenant is whose provider it is.
	Tenant identity.TenantID
	// Vouched tells that it has checked a second factor, and that the tenant trusts it to.
	Vouched bool
	// Age is how long ago the person proved there who they are.
	Age time.Duration
}

// ReproveBy is [Sessions.Reprove] by the identity provider of a tenant: the session stays
// where it is at work, and is as fresh as the proof is, if it was not fresher.
func (s *Sessions) ReproveBy(ctx context.Context, token string, proof ProviderProof) (string, Session, error) {
	next, session, err := s.rotate(ctx, token, Rotation{Level: LevelMail, Provider: proof.Tenant, Vouched: proof.Vouched, Age: s.age(proof.Age)})
	if err != nil {
		return "", Session{}, fmt.Errorf("login: reprove session: %w", unknown(err))
	}
	return next, session, nil
}

// Switch moves a session to another tenant of its user, or to none for 0, and gives it a new
// token; the old one is dead. It returns ErrNotFound if the user is no member of it,
// ErrReproveRequired if their last proof is too long ago for it or was by the provider of
// another tenant alone, and ErrUnauthenticated for
// a token that is no session's.
func (s *Sessions) Switch(ctx context.Context, token string, tenant identity.TenantID) (string, Session, error) {
	if _, err := s.Authenticate(ctx, token); err != nil { // else what is not found may be either
		return "", Session{}, err
	}
	next, session, err := s.rotate(ctx, token, Rotation{Switch: true, Tenant: tenant, Lifetime: s.lifetime(tenant)})
	if err != nil {
		return "", Session{}, fmt.Errorf("login: switch tenant: %w", err)
	}
	return next, session, nil
}

// Lower gives a session whose user has no second factor any more [LevelMail] and a new
// token; the old one is dead. What was proven last stays as fresh as it is. It returns
// ErrUnauthenticated for a token that is no session's.
func (s *Sessions) Lower(ctx context.Context, token string) (string, Session, error) {
	next, session, err := s.rotate(ctx, token, Rotation{Lower: true})
	if err != nil {
		return "", Session{}, fmt.Errorf("login: lower session: %w", unknown(err))
	}
	return next, session, nil
}

func (s *Sessions) rotate(ctx context.Context, token string, r Rotation) (string, Session, error) {
	if !isSecret(token) {
		return "", Session{}, errInvalidSession()
	}
	next := newSecret()
	r.Hash = hashToken(next)
	session, err := s.store.RotateSession(ctx, hashToken(token), r, s.now())
	return next, session, err
}

// End ends the session that a token stands for, if there is one.
func (s *Sessions) End(ctx context.Context, token string) error {
	if !isSecret(token) {
		return nil
	}
	return wrap("end session", s.store.EndSession(ctx, hashToken(token)))
}

// EndOne ends one of a user's sessions. It returns ErrNotFound if the user has none with
// that ID.
func (s *Sessions) EndOne(ctx context.Context, user identity.UserID, id SessionID) error {
	return wrap("end one session", s.store.EndOneSession(ctx, user, id, s.now()))
}

// EndAll ends all of a user's sessions but one, such as that of the caller; 0 for none.
func (s *Sessions) EndAll(ctx context.Context, user identity.UserID, except SessionID) error {
	return wrap("end all sessions", s.store.EndAllSessions(ctx, user, except))
}

// EndIn ends all of a user's sessions that are at work in a tenant but one; 0 for none. Those
// in other tenants go on, and may move to it as far as the user is still a member.
func (s *Sessions) EndIn(ctx context.Context, tenant identity.TenantID, user identity.UserID, except SessionID) error {
	return wrap("end sessions in a tenant", s.store.EndSessionsIn(ctx, tenant, user, except))
}

// EndEverybodys ends up to limit sessions, whosever they are, and returns how many and
// whether there are more. It is called until there are none: a service may have more of them
// than a transaction should hold.
func (s *Sessions) EndEverybodys(ctx context.Context, limit int) (ended int, more bool, err error) {
	ended, more, err = s.store.EndSessionsOfAll(ctx, limit)
	return ended, more, wrap("end everybody's sessions", err)
}

// List returns a user's sessions, the one that began last first.
func (s *Sessions) List(ctx context.Context, user identity.UserID) ([]Session, error) {
	all, err := s.store.ListSessions(ctx, user, s.now())
	return all, wrap("list sessions", err)
}

// DropVouches ends that a tenant's identity provider vouches for second factors: sessions
// by it go on, and are asked for one where a role demands it.
func (s *Sessions) DropVouches(ctx context.Context, tenant identity.TenantID) error {
	return wrap("drop vouches", s.store.DropVouches(ctx, tenant))
}

// EndProvided ends a user's sessions by a tenant's identity provider alone, and that it
// vouches for a second factor in the others.
func (s *Sessions) EndProvided(ctx context.Context, tenant identity.TenantID, user identity.UserID) error {
	return wrap("end sessions by a provider", s.store.EndProvidedSessions(ctx, tenant, user))
}

// DeleteExpired removes up to limit sessions whose time is over, and returns how many. An
// app calls it.
func (s *Sessions) DeleteExpired(ctx context.Context, limit int) (int, error) {
	n, err := s.store.DeleteExpiredSessions(ctx, limit, s.now())
	return n, wrap("delete expired sessions", err)
}

// FreshFor is how long a proof is good for what needs a fresh one.
func (s *Sessions) FreshFor() time.Duration { return s.opts.FreshFor }

func (s *Sessions) fresh(session Session, at time.Time) bool {
	return at.Sub(session.ProvenAt) <= s.opts.FreshFor
}

func (s *Sessions) lifetime(tenant identity.TenantID) Lifetime {
	if tenant == identity.OwnerTenantID {
		return Lifetime{Idle: s.opts.OwnerIdle, Absolute: s.opts.OwnerAbsolute}
	}
	return Lifetime{Idle: s.opts.Idle, Absolute: s.opts.Absolute}
}

func (s *Sessions) newID() SessionID {
	at := s.now()
	if at.IsZero() {
		at = time.Now() //nolint:forbidigo // decides nothing but where a row lies
	}
	return SessionID(s.ids.Next(at))
}

func (s *Sessions) now() time.Time {
	if s.opts.Now == nil {
		return time.Time{}
	}
	return s.opts.Now()
}

// hashToken returns what stores know of a token. It needs no key: a token is as hard to
// guess as one.
func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// checkLevel refuses what is no level that a user can prove, nor one of the others.
func checkLevel(level Level, others ...Level) error {
	if level != LevelMail && level != LevelSecondFactor && !slices.Contains(others, level) {
		return fault.Invalid("/level", "unknown_value", "must be one of the levels")
	}
	return nil
}

// unknown turns what was not found into what a caller is told.
func unknown(err error) error {
	if errors.Is(err, ErrNotFound) {
		return errInvalidSession()
	}
	return err
}

func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("login: %s: %w", op, err)
}
