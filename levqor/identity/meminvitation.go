package identity

import (
	"context"
	"slices"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

var _ InvitationStore = (*MemDirectory)(nil)

// PutInvitation implements [InvitationStore].
func (s *MemDirectory) PutInvitation(_ context.Context, i Invitation, ttl time.Duration, most int, now time.Time) (Invitation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = timeid.Instant(now)
	if _, err := s.tenant(i.Tenant); err != nil {
		return Invitation{}, err
	}
	if i.Open() && s.hasOwner(i.Tenant) {
		return Invitation{}, ErrHasOwner
	}
	others := 0
	var replaced InvitationID
	for _, other := range s.invitations {
		switch {
		case other.Tenant != i.Tenant:
		case other.Email.Canonical() == i.Email.Canonical():
			replaced = other.ID
		case s.lives(other, now) && !other.Open():
			others++
		}
	}
	if others >= most && !i.Open() {
		return Invitation{}, ErrTooManyInvitations
	}
	if _, taken := s.invitations[i.ID]; taken && i.ID != replaced {
		return Invitation{}, ErrConflict
	}
	delete(s.invitations, replaced)
	return s.putInvitation(i, ttl, now), nil
}

// PutFirstInvitation implements [InvitationStore].
func (s *MemDirectory) PutFirstInvitation(_ context.Context, i Invitation, ttl time.Duration, now time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.tenant(i.Tenant); err != nil {
		return false, err
	}
	if s.hasOwner(i.Tenant) {
		return false, nil
	}
	for _, other := range s.invitations {
		if other.Tenant == i.Tenant && other.Open() {
			return false, nil
		}
	}
	if _, taken := s.invitations[i.ID]; taken {
		return false, ErrConflict
	}
	s.putInvitation(i, ttl, timeid.Instant(now))
	return true, nil
}

// FindInvitation implements [InvitationStore].
func (s *MemDirectory) FindInvitation(_ context.Context, id InvitationID, now time.Time) (Invitation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.invitation(id, timeid.Instant(now))
}

// Invitations implements [InvitationStore].
func (s *MemDirectory) Invitations(_ context.Context, tenant TenantID, before InvitationID, limit int, now time.Time) ([]Invitation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = timeid.Instant(now)
	all := page(s.invitations, len(s.invitations), func(i Invitation) (Invitation, bool) {
		return i.clone(), i.Tenant == tenant && !i.Open() && s.lives(i, now) && (before == 0 || i.ID < before)
	})
	slices.Reverse(all)
	return all[:min(limit, len(all))], nil
}

// RevokeInvitation implements [InvitationStore].
func (s *MemDirectory) RevokeInvitation(_ context.Context, tenant TenantID, id InvitationID, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.invitation(id, timeid.Instant(now))
	if err != nil || found.Tenant != tenant || found.Open() {
		return ErrNotFound
	}
	delete(s.invitations, id)
	return nil
}

// AcceptInvitation implements [InvitationStore].
func (s *MemDirectory) AcceptInvitation(_ context.Context, id InvitationID, user UserID, now time.Time) (Member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = timeid.Instant(now)
	found, err := s.invitation(id, now)
	if err != nil {
		return Member{}, err
	}
	if _, err := s.user(user); err != nil {
		return Member{}, err
	}
	delete(s.invitations, id)
	member, there := s.members[memPlace{found.Tenant, user}]
	if !there {
		member = Member{Tenant: found.Tenant, User: user, Grant: found.Grant, CreatedAt: now}
	}
	if found.Open() {
		member.Role = found.Role
	}
	s.put(member)
	return member.clone(), nil
}

// DeleteExpiredInvitations implements [InvitationStore].
func (s *MemDirectory) DeleteExpiredInvitations(_ context.Context, limit int, now time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = timeid.Instant(now)
	deleted := 0
	for id, i := range s.invitations {
		if deleted < limit && !i.Open() && !i.ExpiresAt.After(now) {
			delete(s.invitations, id)
			deleted++
		}
	}
	return deleted, nil
}

func (s *MemDirectory) invitation(id InvitationID, now time.Time) (Invitation, error) {
	found, ok := s.invitations[id]
	if !ok || !s.lives(found, now) {
		return Invitation{}, ErrNotFound
	}
	return found.clone(), nil
}

func (s *MemDirectory) lives(i Invitation, now time.Time) bool {
	return i.ExpiresAt.After(now) && (!i.Open() || !s.hasOwner(i.Tenant))
}

func (s *MemDirectory) hasOwner(tenant TenantID) bool {
	for place, member := range s.members {
		if place.tenant == tenant && member.Role == RoleOwner {
			return true
		}
	}
	return false
}

func (s *MemDirectory) putInvitation(i Invitation, ttl time.Duration, now time.Time) Invitation {
	i.CreatedAt, i.ExpiresAt = now, now.Add(ttl)
	s.invitations[i.ID] = i.clone()
	return i
}

func (i Invitation) clone() Invitation {
	i.Hash, i.Scopes = slices.Clone(i.Hash), slices.Clone(i.Scopes)
	return i
}
