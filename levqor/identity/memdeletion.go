package identity

import (
	"context"
	"maps"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

// Instant implements [DeletionStore].
func (s *MemDirectory) Instant(_ context.Context, now time.Time) (time.Time, error) {
	return timeid.Instant(now), nil
}

// DeleteTenant implements [DeletionStore].
func (s *MemDirectory) DeleteTenant(_ context.Context, id TenantID, now time.Time) (Tenant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tenant, ok := s.tenants[id]
	if !ok {
		return Tenant{}, ErrNotFound
	}
	if id == OwnerTenantID {
		return Tenant{}, ErrOwnerTenant
	}
	return s.end(tenant, tenant.with, timeid.Instant(now)), nil
}

// ForgetTenant implements [DeletionStore].
func (s *MemDirectory) ForgetTenant(_ context.Context, id TenantID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tenant, ok := s.tenants[id]; ok && tenant.DeletedAt.IsZero() {
		return ErrConflict
	}
	delete(s.tenants, id)
	maps.DeleteFunc(s.removed, func(p memPlace, _ bool) bool { return p.tenant == id })
	return nil
}

// DeleteUser implements [DeletionStore].
func (s *MemDirectory) DeleteUser(_ context.Context, id UserID, now time.Time) (User, []Tenant, error) {
	user, tenants, err := s.endUser(id, now)
	if err == nil {
		s.lockOut(id)
	}
	return user, tenants, err
}

func (s *MemDirectory) endUser(id UserID, now time.Time) (User, []Tenant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, ok := s.users[id]
	if !ok {
		return User{}, nil, ErrNotFound
	}
	var alone []memTenant
	for place, member := range s.members {
		if place.user != id {
			continue
		}
		deletable := place.tenant != OwnerTenantID && s.isAlone(member)
		if member.Role == RoleOwner && !deletable && !s.hasOwnerBeside(member) {
			return User{}, nil, ErrLastOwner
		}
		if deletable {
			alone = append(alone, s.tenants[place.tenant])
		}
	}
	for _, tenant := range alone {
		s.end(tenant, id, timeid.Instant(now))
	}
	maps.DeleteFunc(s.members, func(p memPlace, _ Member) bool { return p.user == id })
	s.endMade(id, 0, time.Time{}, timeid.Instant(now))
	if user.DeletedAt.IsZero() {
		user.DeletedAt = timeid.Instant(now)
	}
	s.users[id] = user
	return user, page(s.tenants, len(s.tenants), func(t memTenant) (Tenant, bool) { return t.Tenant, t.with == id }), nil
}

// ForgetUser implements [DeletionStore].
func (s *MemDirectory) ForgetUser(_ context.Context, id UserID) error {
	if err := s.forgetUser(id); err != nil {
		return err
	}
	for _, fn := range s.onForget {
		fn(id)
	}
	return nil
}

func (s *MemDirectory) forgetUser(id UserID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user, ok := s.users[id]; ok && user.DeletedAt.IsZero() {
		return ErrConflict
	}
	delete(s.users, id)
	maps.DeleteFunc(s.removed, func(p memPlace, _ bool) bool { return p.user == id })
	maps.DeleteFunc(s.undos, func(_ UndoID, u Undo) bool { return u.User == id })
	return nil
}

// DeletedTenants implements [DeletionStore].
func (s *MemDirectory) DeletedTenants(_ context.Context, after TenantID, limit int) ([]Tenant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return page(s.tenants, limit, func(t memTenant) (Tenant, bool) { return t.Tenant, t.ID > after && !t.DeletedAt.IsZero() }), nil
}

// DeletedUsers implements [DeletionStore].
func (s *MemDirectory) DeletedUsers(_ context.Context, after UserID, limit int) ([]User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return page(s.users, limit, func(u User) (User, bool) { return u, u.ID > after && !u.DeletedAt.IsZero() }), nil
}

// end begins the deletion of a tenant.
func (s *MemDirectory) end(tenant memTenant, with UserID, now time.Time) Tenant {
	if tenant.DeletedAt.IsZero() {
		tenant.DeletedAt, tenant.with = now, with
	}
	s.tenants[tenant.ID] = tenant
	maps.DeleteFunc(s.members, func(p memPlace, _ Member) bool { return p.tenant == tenant.ID })
	maps.DeleteFunc(s.invitations, func(_ InvitationID, i Invitation) bool { return i.Tenant == tenant.ID })
	s.keys.revokeAll(now, func(k Key) bool { return k.Tenant == tenant.ID.String() })
	return tenant.Tenant
}

// endMade ends what a user, and the keys that they have made, have made at an instant or
// later in a tenant, or in all if it is 0.
func (s *MemDirectory) endMade(by UserID, in TenantID, since, now time.Time) {
	makers := s.keys.descent(by.String(), func(k Key) bool { return (in == 0 || k.Tenant == in.String()) && !k.CreatedAt.Before(since) })
	maps.DeleteFunc(s.invitations, func(_ InvitationID, i Invitation) bool {
		return makers[i.Inviter] && (in == 0 || i.Tenant == in) && !i.CreatedAt.Before(since)
	})
	s.keys.revokeAll(now, func(k Key) bool { return makers[k.ID] })
}

// revokeAll revokes all keys of which which is true.
func (s *MemKeyStore) revokeAll(now time.Time, which func(Key) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, key := range s.keys {
		if which(key) && key.RevokedAt.IsZero() {
			key.RevokedAt = now
			s.keys[id] = key
		}
	}
}

// descent returns who and the IDs of the keys that they have made, that those have made, and
// so on, of the keys for which of is true.
func (s *MemKeyStore) descent(who string, of func(Key) bool) map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]bool{who: true}
	for before := 0; before < len(all); {
		before = len(all)
		for id, key := range s.keys {
			if all[key.Creator] && of(key) {
				all[id] = true
			}
		}
	}
	return all
}
