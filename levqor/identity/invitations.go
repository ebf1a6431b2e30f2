package identity

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

const invitationPurpose = "invitation"

// InvitationsOptions configure [Invitations]. The zero value of each field means its
// default.
type InvitationsOptions struct {
	// Now replaces the store's clock, for tests. Default: the store's clock.
	Now func() time.Time
}

// Invitations offer places in tenants by a token, which is in the mail to whoever is
// invited and nowhere else: having it proves who reads that mailbox. What is stored is a
// keyed hash of it. They are safe for concurrent use.
type Invitations struct {
	store   InvitationStore
	people  *Directory
	hasher  Hasher
	opts    InvitationsOptions
	by      *Principal // who invites; nil for the service itself
	unknown []byte     // compared with where no invitation was found, so that it takes as long
}

// NewInvitations returns invitations on a store, to places in the tenants of a directory
// on the same database. Options may be nil.
func NewInvitations(store InvitationStore, people *Directory, hasher Hasher, opts *InvitationsOptions) *Invitations {
	i := &Invitations{store: store, people: people, hasher: hasher, unknown: hasher.MAC(invitationPurpose, []byte("no invitation"))}
	if opts != nil {
		i.opts = *opts
	}
	return i
}

// With returns the same invitations on other stores, such as those bound to the caller's
// transaction.
func (i *Invitations) With(store InvitationStore, people DirectoryStore) *Invitations {
	c := *i
	c.store, c.people = store, i.people.With(people)
	return &c
}

// ForCaller returns the same invitations as a caller may make and revoke them: to its own
// tenant, naming it as the inviter, and with no more than it may itself. What it may not
// is an ErrScopeNotHeld.
func (i *Invitations) ForCaller(by Principal) *Invitations {
	c := *i
	c.by = &by
	return &c
}

// Invite invites an address to a tenant for [InvitationTTL] and returns the invitation
// with its token, which cannot be had again. It takes the place of an invitation of that
// tenant to the same address. It returns an ErrInvalid that names each wrong field,
// ErrNotFound if there is no such tenant, and ErrTooManyInvitations beyond
// [MaxInvitations].
func (i *Invitations) Invite(ctx context.Context, tenant TenantID, email Email, grant Grant) (Invitation, string, error) {
	errs := grant.validate()
	if email == (Email{}) {
		errs = append(errs, invalidEmail("required", "must be an address"))
	}
	if err := errors.Join(errs...); err != nil {
		return Invitation{}, "", wrap("invite", err)
	}
	if err := grant.heldBy(i.by, tenant); err != nil {
		return Invitation{}, "", wrap("invite", err)
	}
	made, token, err := i.put(ctx, Invitation{Tenant: tenant, Email: email, Grant: grant.sorted()})
	return made, token, wrap("invite", err)
}

// InviteOwner makes an open invitation for the first owner of the service, in the place
// of the one from before, and returns its token. It returns ErrHasOwner once the owner's
// tenant has an owner.
func (i *Invitations) InviteOwner(ctx context.Context) (Invitation, string, error) {
	offer := ownerInvitation()
	if err := offer.heldBy(i.by, offer.Tenant); err != nil {
		return Invitation{}, "", wrap("invite owner", err)
	}
	made, token, err := i.put(ctx, offer)
	return made, token, wrap("invite owner", err)
}

// EnsureOwner makes an open invitation for the first owner of the service, unless the
// owner's tenant has an owner or one was made before. Of any number of processes that
// start on an empty database, exactly one gets created = true and the token.
func (i *Invitations) EnsureOwner(ctx context.Context) (token string, created bool, err error) {
	err = i.people.withID(func(id int64) error {
		made, text := i.generate(InvitationID(id), ownerInvitation())
		token = text
		created, err = i.store.PutFirstInvitation(ctx, made, InvitationTTL, i.now())
		return err
	})
	if err != nil || !created {
		return "", false, wrap("ensure owner's invitation", err)
	}
	return token, true, nil
}

func ownerInvitation() Invitation {
	return Invitation{Tenant: OwnerTenantID, Grant: Grant{Role: RoleOwner}}
}

func (i *Invitations) put(ctx context.Context, n Invitation) (made Invitation, token string, err error) {
	err = i.people.withID(func(id int64) error {
		made, token = i.generate(InvitationID(id), n)
		made, err = i.store.PutInvitation(ctx, made, InvitationTTL, MaxInvitations, i.now())
		return err
	})
	if err != nil {
		return Invitation{}, "", err
	}
	return made, token, nil
}

func (i *Invitations) generate(id InvitationID, n Invitation) (Invitation, string) {
	token, secret := newInvitationToken(id)
	n.ID, n.Hash = id, i.hasher.MAC(invitationPurpose, []byte(id.String()), []byte(secret))
	if i.by != nil {
		n.Inviter = cmp.Or(i.by.UserID, i.by.KeyID)
	}
	return n, token
}

// List returns up to limit live invitations of a tenant, the newest first: from the
// beginning for before = 0, else those behind that ID. It returns an ErrInvalid about
// "/limit" outside 1 to 1,000.
func (i *Invitations) List(ctx context.Context, tenant TenantID, before InvitationID, limit int) ([]Invitation, error) {
	if err := checkLimit(limit); err != nil {
		return nil, wrap("invitations", err)
	}
	all, err := i.store.Invitations(ctx, tenant, before, limit, i.now())
	return all, wrap("invitations", err)
}

// Revoke ends an invitation of a tenant, or returns ErrNotFound.
func (i *Invitations) Revoke(ctx context.Context, tenant TenantID, id InvitationID) error {
	found, err := i.store.FindInvitation(ctx, id, i.now())
	if err == nil && found.Tenant != tenant {
		err = ErrNotFound
	}
	if err == nil {
		err = found.heldBy(i.by, tenant)
	}
	if err != nil {
		return wrap("revoke invitation", err)
	}
	return wrap("revoke invitation", i.store.RevokeInvitation(ctx, tenant, id, i.now()))
}

// Find returns the live invitation of a token. Tokens that are malformed, unknown,
// revoked, replaced, used or expired are an ErrNotFound, and look alike.
func (i *Invitations) Find(ctx context.Context, token string) (Invitation, error) {
	id, secret, ok := parseInvitationToken(token)
	if !ok {
		return Invitation{}, wrap("find invitation", ErrNotFound)
	}
	found, err := i.store.FindInvitation(ctx, id, i.now())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Invitation{}, wrap("find invitation", err)
	}
	hash := found.Hash
	if err != nil {
		hash = i.unknown
	}
	if !i.hasher.Verify(invitationPurpose, hash, []byte(id.String()), []byte(secret)) {
		return Invitation{}, wrap("find invitation", ErrNotFound)
	}
	return found, nil
}

// Look returns what the invitation of a token offers, as [Invitations.Find] finds it, and
// changes nothing: scanners of mail look too.
func (i *Invitations) Look(ctx context.Context, token string) (Offer, error) {
	found, err := i.Find(ctx, token)
	if err != nil {
		return Offer{}, err
	}
	tenant, err := i.people.FindTenant(ctx, found.Tenant)
	if err != nil {
		return Offer{}, err
	}
	return Offer{Tenant: tenant.Name, Address: found.Email.masked(), Role: found.Role, ExpiresAt: found.ExpiresAt}, nil
}

// Accept makes the user with the invited address, whom it makes if there is none, the
// member that the invitation of a token offers; created tells whether it made them. Only
// then does the token prove who they are: a user who was there has to sign in. A member
// stays what they are. Of any number of calls at once one succeeds; the others return
// ErrNotFound. Call it with stores of one transaction, or it may make a user and no member.
// It returns an ErrInvalid about "/email" if an open invitation needs one, or about "/name",
// and ErrAddressTaken for an open invitation and the address of a user who has not signed in.
// The address of a user who has left it and may have it back is theirs once they have signed
// in, else an ErrAddressHeld.
func (i *Invitations) Accept(ctx context.Context, token string, by Joiner) (member Member, created bool, err error) {
	found, err := i.Find(ctx, token)
	if err != nil {
		return Member{}, false, err
	}
	email := by.Email
	if !found.Open() {
		email = found.Email
	}
	user, created, err := i.people.EnsureUser(ctx, email, by.Name)
	if errors.Is(err, ErrAddressHeld) {
		user, err = i.movedAway(ctx, email, by.SignedIn)
	}
	if err != nil {
		return Member{}, false, err
	}
	if found.Open() && !created && user.ID != by.SignedIn {
		return Member{}, false, wrap("accept invitation", ErrAddressTaken)
	}
	if member, err = i.store.AcceptInvitation(ctx, found.ID, user.ID, i.now()); err != nil {
		return Member{}, false, wrap("accept invitation", err)
	}
	return member, created, nil
}

// movedAway returns the user who has left an address that they may have back, if it is they
// who have signed in: the invitation was meant for them. Whoever else has its token, such as
// somebody who reads the old mailbox, is told to sign in.
func (i *Invitations) movedAway(ctx context.Context, email Email, signedIn UserID) (User, error) {
	undo, err := i.people.store.FindUndoByAddress(ctx, email.Canonical(), i.now())
	if err == nil && undo.User == signedIn {
		return i.people.FindUser(ctx, signedIn)
	}
	if err == nil || errors.Is(err, ErrNotFound) {
		err = ErrAddressHeld
	}
	return User{}, wrap("accept invitation", err)
}

func (i *Invitations) now() time.Time {
	if i.opts.Now == nil {
		return time.Time{}
	}
	return i.opts.Now()
}

// heldBy returns nil if a caller has all that a grant in a tenant gives. Nil is the
// service itself, which may give anything.
func (g Grant) heldBy(by *Principal, tenant TenantID) error {
	return held(by, tenant.String(), append(g.Role.Scopes(), g.Scopes...))
}

// held returns nil if a caller has all scopes in a tenant. What is in another tenant does
// not exist for it.
func held(by *Principal, tenant string, scopes []string) error {
	if by == nil {
		return nil
	}
	if by.Tenant != tenant {
		return ErrNotFound
	}
	if slices.ContainsFunc(scopes, func(s string) bool { return !by.holds(s) }) {
		return errNotHeld()
	}
	return nil
}

func errNotHeld() error {
	return &fault.Error{Kind: ErrScopeNotHeld, Code: "scope_not_held", Detail: "This takes more than the caller may itself."}
}
