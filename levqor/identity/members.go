package identity

import (
	"context"
	"errors"
	"time"
)

// AddMember makes a user a member of a tenant. It returns an ErrInvalid that names each
// wrong field, ErrNotFound if there is no such tenant or user, and ErrAlreadyMember.
func (d *Directory) AddMember(ctx context.Context, tenant TenantID, user UserID, grant Grant) (Member, error) {
	member, err := d.place(ctx, Member{Tenant: tenant, User: user, Grant: grant}, d.store.AddMember)
	return member, wrap("add member", err)
}

// Join is [Directory.AddMember] for a user whom nobody of the tenant has asked for now, such as
// one whom its identity provider sends. It returns ErrRemoved for whoever has been removed
// from the tenant or has left it, until they accept an invitation or are added.
func (d *Directory) Join(ctx context.Context, tenant TenantID, user UserID, grant Grant) (Member, error) {
	member, err := d.place(ctx, Member{Tenant: tenant, User: user, Grant: grant}, d.store.JoinMember)
	return member, wrap("join", err)
}

// place checks a member and stores it.
func (d *Directory) place(ctx context.Context, m Member, store func(context.Context, Member, time.Time) (Member, error)) (Member, error) {
	if err := errors.Join(m.validate()...); err != nil {
		return Member{}, err
	}
	if err := m.heldBy(d.by, m.Tenant); err != nil {
		return Member{}, err
	}
	m.Grant = m.sorted()
	return store(ctx, m, d.now())
}

// FindMember returns a member of a tenant as it is now, or ErrNotFound: for users who
// are none, whose deletion has begun or who are disabled.
func (d *Directory) FindMember(ctx context.Context, tenant TenantID, user UserID) (Member, error) {
	member, err := d.store.FindMember(ctx, tenant, user)
	return member, wrap("find member", err)
}

// ChangeRole replaces the role and the scopes of a member, at once. It returns an
// ErrInvalid that names each wrong field, ErrNotFound if the user is no member, and
// ErrLastOwner if no other owner would remain. API keys that the member has made stay as
// they are, also with scopes that the new role does not have: revoke them where it matters.
func (d *Directory) ChangeRole(ctx context.Context, tenant TenantID, user UserID, grant Grant) (Member, error) {
	if err := errors.Join(grant.validate()...); err != nil {
		return Member{}, wrap("change role", err)
	}
	if err := errors.Join(d.mayChange(ctx, tenant, user), grant.heldBy(d.by, tenant)); err != nil {
		return Member{}, wrap("change role", err)
	}
	member, err := d.store.ChangeMember(ctx, tenant, user, grant.sorted())
	return member, wrap("change role", err)
}

// RemoveMember ends a user's place in a tenant, at once, and with it the tenant's API keys
// and invitations that the user has made, or that keys of theirs have made, the keys within
// [CacheTTL]. They come back by an invitation and not by [Directory.Join]. It returns ErrNotFound if the
// user is no member, and ErrLastOwner if no other owner would remain.
func (d *Directory) RemoveMember(ctx context.Context, tenant TenantID, user UserID) error {
	if err := d.mayChange(ctx, tenant, user); err != nil {
		return wrap("remove member", err)
	}
	return wrap("remove member", d.store.RemoveMember(ctx, tenant, user, d.now()))
}

// Leave is [Directory.RemoveMember] for the user who leaves.
func (d *Directory) Leave(ctx context.Context, tenant TenantID, user UserID) error {
	return wrap("leave", d.store.RemoveMember(ctx, tenant, user, d.now()))
}

// Members returns up to limit members of a tenant in the order of their users' IDs: the
// first ones for after = 0, else those behind that ID. It returns an ErrInvalid about
// "/limit" outside 1 to 1,000.
func (d *Directory) Members(ctx context.Context, tenant TenantID, after UserID, limit int) ([]Member, error) {
	if err := checkLimit(limit); err != nil {
		return nil, wrap("members", err)
	}
	members, err := d.store.Members(ctx, tenant, after, limit)
	return members, wrap("members", err)
}

// Profiles returns the same members as Members does, with what is shown of the users.
func (d *Directory) Profiles(ctx context.Context, tenant TenantID, after UserID, limit int) ([]Profile, error) {
	if err := checkLimit(limit); err != nil {
		return nil, wrap("profiles", err)
	}
	profiles, err := d.store.Profiles(ctx, tenant, after, limit)
	return profiles, wrap("profiles", err)
}

// FindProfile returns a member, disabled or not, with what is shown of the user. It
// returns ErrNotFound if the user is no member.
func (d *Directory) FindProfile(ctx context.Context, tenant TenantID, user UserID) (Profile, error) {
	profiles, err := d.store.Profiles(ctx, tenant, user-1, 1) // the first one from there on
	if err == nil && (len(profiles) == 0 || profiles[0].User != user) {
		err = ErrNotFound
	}
	if err != nil {
		return Profile{}, wrap("find profile", err)
	}
	return profiles[0], nil
}

// mayChange returns nil if the caller may change a member.
func (d *Directory) mayChange(ctx context.Context, tenant TenantID, user UserID) error {
	if d.by == nil {
		return nil
	}
	profile, err := d.FindProfile(ctx, tenant, user)
	if err != nil {
		return err
	}
	return profile.heldBy(d.by, tenant)
}
