package sso

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/identity"
)

// Claims are what a provider says of somebody who has signed in there. Whoever calls
// [Connections.SignIn] has checked that it is the connection's provider which says so.
type Claims struct {
	// Subject is who it is, never given to another person.
	Subject string
	// Email is the person's address at present.
	Email string
	// EmailVerified says that the provider knows the address to be the person's.
	EmailVerified bool
	// EmailUntold says that the provider does not tell whether it knows that.
	EmailUntold bool
	// Hosted is the domain of the organisation to which the account belongs, where a
	// provider has others besides; empty if it belongs to none or the provider does not
	// tell.
	Hosted string
	// Name is what newcomers are called; it may be empty.
	Name string
	// MFA says that the provider has checked a second factor.
	MFA bool
}

// Login is somebody who has signed in.
type Login struct {
	// Tenant is where the person is a member.
	Tenant identity.TenantID
	// Connection is that of the provider.
	Connection ConnectionID
	// User is who it is.
	User identity.User
	// Created says that the user was made by this sign-in.
	Created bool
	// Joined says that the user became a member by this sign-in.
	Joined bool
	// Linked says that the user was linked with the provider's subject by this sign-in.
	Linked bool
	// MFA says that the provider has checked a second factor and that the tenant trusts it.
	// It counts within this tenant alone: others have not chosen the provider.
	MFA bool
}

// SignIn returns who somebody is of whom a connection's provider makes claims. The first
// time, it is the user with the verified address, who is made if there is none, becomes a
// member of the tenant unless they are one, and is linked with the subject. From then on
// it is the subject that counts, since an address may be given to another person at the
// provider. Whoever was removed from the tenant, or has left it, is refused until they accept an
// invitation, though the provider sends them: it says who belongs to the organisation, and
// the tenant who of them is its member. Each tenant learns anew who a subject
// is: what one has a provider say binds no other, nor does it outlive a domain's sale.
//
// Call it with stores that are bound to one transaction. It returns ErrNotFound if there
// is no such connection, an ErrInvalid for claims that cannot be, ErrEmailUnverified,
// ErrForeignDomain if the address or that of the linked user is in no verified domain of
// the connection, or is that of an account at Google of no such domain, ErrOtherSubject,
// ErrRemoved and ErrNoAccess.
func (c *Connections) SignIn(ctx context.Context, people *identity.Directory, id ConnectionID, claims Claims) (Login, error) {
	login, err := c.signIn(ctx, people, id, claims)
	return login, wrap("sign in", err)
}

func (c *Connections) signIn(ctx context.Context, people *identity.Directory, id ConnectionID, claims Claims) (Login, error) {
	connection, err := c.store.FindConnection(ctx, id)
	if err != nil {
		return Login{}, err
	}
	email, err := connection.admit(claims)
	if err != nil {
		return Login{}, err
	}
	var login Login
	link, err := c.store.FindLink(ctx, connection.Tenant, connection.Issuer, claims.Subject)
	switch {
	case errors.Is(err, ErrNotFound):
		login, err = c.join(ctx, people, connection, claims, email)
		login.Linked = err == nil
	case err == nil:
		login.User, err = c.comeBack(ctx, people, connection, link)
	}
	if err != nil {
		return Login{}, err
	}
	login.Tenant, login.Connection, login.MFA = connection.Tenant, connection.ID, claims.MFA && connection.TrustMFA
	return login, nil
}

// admit returns the address of somebody for whom the provider may speak.
func (c Connection) admit(claims Claims) (identity.Email, error) {
	if claims.Subject == "" || len(claims.Subject) > maxSubject || !plain(claims.Subject) {
		return identity.Email{}, fault.Invalid("/sub", "out_of_range", "must have 1 to 255 bytes")
	}
	if !claims.EmailVerified && (!claims.EmailUntold || !c.TrustEmail) {
		return identity.Email{}, ErrEmailUnverified
	}
	email, err := identity.ParseEmail(claims.Email)
	if err != nil {
		return identity.Email{}, err
	}
	if !c.Speaks(email.Domain()) || c.Issuer == google && !c.hosts(claims.Hosted) {
		return identity.Email{}, ErrForeignDomain
	}
	return email, nil
}

// google has one issuer for everybody. Anybody may have made an account there for an
// address that they could once read, which goes on after they have left; only accounts
// with a hosted domain are in the hands of its organisation.
const google = "https://accounts.google.com"

// hosts reports whether an account belongs to an organisation with a verified domain.
func (c Connection) hosts(domain string) bool {
	canonical, err := identity.CanonicalDomain(domain)
	return err == nil && c.Speaks(canonical)
}

// join links a subject that is new with the user who has the address.
func (c *Connections) join(ctx context.Context, people *identity.Directory, connection Connection, claims Claims, email identity.Email) (Login, error) {
	user, created, err := people.EnsureUser(ctx, email, label(claims.Name))
	if errors.Is(err, identity.ErrDeletionPending) || errors.Is(err, identity.ErrAddressHeld) || err == nil && !user.DisabledAt.IsZero() {
		return Login{}, ErrNoAccess
	}
	if err != nil {
		return Login{}, err
	}
	link := Link{Issuer: connection.Issuer, Subject: claims.Subject, User: user.ID, Tenant: connection.Tenant}
	if err := c.link(ctx, link); err != nil {
		return Login{}, err
	}
	_, err = people.Join(ctx, connection.Tenant, user.ID, identity.Grant{Role: connection.Role})
	joined := err == nil
	if errors.Is(err, identity.ErrAlreadyMember) {
		err = nil
	}
	return Login{User: user, Created: created, Joined: joined}, err
}

// link stores a link unless the same one has been stored meanwhile.
func (c *Connections) link(ctx context.Context, link Link) error {
	_, err := c.store.InsertLink(ctx, link, c.now())
	if !errors.Is(err, ErrConflict) {
		return err
	}
	there, err := c.store.FindLink(ctx, link.Tenant, link.Issuer, link.Subject)
	if errors.Is(err, ErrNotFound) || err == nil && there.User != link.User {
		return ErrOtherSubject
	}
	return err
}

// comeBack returns the user of a link. One whose own address has left the connection's
// domains is not the tenant's to sign in any more.
func (c *Connections) comeBack(ctx context.Context, people *identity.Directory, connection Connection, link Link) (identity.User, error) {
	user, err := people.FindUser(ctx, link.User)
	if errors.Is(err, identity.ErrNotFound) || err == nil && !user.DisabledAt.IsZero() {
		return identity.User{}, ErrNoAccess
	}
	if err != nil {
		return identity.User{}, err
	}
	if !connection.Speaks(user.Email.Domain()) {
		return identity.User{}, ErrForeignDomain
	}
	_, err = people.FindMember(ctx, connection.Tenant, user.ID)
	if errors.Is(err, identity.ErrNotFound) {
		return identity.User{}, ErrRemoved // whoever is linked has been one
	}
	return user, err
}

// Unlink forgets which subject a user is who came through a tenant's connections: the
// next one with the user's address is linked anew. It returns ErrNotFound if the user has
// no link that was made through this tenant.
func (c *Connections) Unlink(ctx context.Context, tenant identity.TenantID, user identity.UserID) error {
	return wrap("unlink", c.store.Unlink(ctx, tenant, user))
}

// UnlinkSince forgets all subjects that were found to be a user at an instant or later, by
// whatever tenant: for an account that was in wrong hands since.
func (c *Connections) UnlinkSince(ctx context.Context, user identity.UserID, since time.Time) error {
	return wrap("unlink since", c.store.UnlinkSince(ctx, user, since))
}

// BeginFlow keeps that somebody has begun to sign in, for [FlowTTL].
func (c *Connections) BeginFlow(ctx context.Context, flow Flow) error {
	return wrap("begin flow", c.store.BeginFlow(ctx, flow, FlowTTL, c.now()))
}

// TakeFlow returns the flow with a hash, once. It returns ErrNotFound if there is none,
// it was taken before or its time is over.
func (c *Connections) TakeFlow(ctx context.Context, hash []byte) (Flow, error) {
	flow, err := c.store.TakeFlow(ctx, hash, c.now())
	return flow, wrap("take flow", err)
}

// EraseUser implements [identity.UserEraser].
func (c *Connections) EraseUser(ctx context.Context, user identity.User) error {
	return wrap("erase user", c.store.EraseUser(ctx, user.ID))
}

// EraseTenant implements [identity.TenantEraser].
func (c *Connections) EraseTenant(ctx context.Context, tenant identity.Tenant) error {
	return wrap("erase tenant", c.store.EraseTenant(ctx, tenant.ID))
}

var (
	_ identity.UserEraser   = (*Connections)(nil)
	_ identity.TenantEraser = (*Connections)(nil)
)

// label returns a name as the directory takes it, or none: nobody is kept out by theirs.
func label(name string) string {
	name = strings.TrimSpace(name)
	if len(name) > maxName || !plain(name) {
		return ""
	}
	return name
}
