package identity

import (
	"context"
	"slices"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

type memPlace struct {
	tenant TenantID
	user   UserID
}

// AddMember implements [MemberStore].
func (s *MemDirectory) AddMember(_ context.Context, member Member, now time.Time) (Member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(member, now)
}

// JoinMember implements [MemberStore].
func (s *MemDirectory) JoinMember(_ context.Context, member Member, now time.Time) (Member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.removed[memPlace{member.Tenant, member.User}] {
		return Member{}, ErrRemoved
	}
	return s.add(member, now)
}

func (s *MemDirectory) add(member Member, now time.Time) (Member, error) {
	if _, err := s.tenant(member.Tenant); err != nil {
		return Member{}, err
	}
	if _, err := s.user(member.User); err != nil {
		return Member{}, err
	}
	if _, ok := s.members[memPlace{member.Tenant, member.User}]; ok {
		return Member{}, ErrAlreadyMember
	}
	member.CreatedAt = timeid.Instant(now)
	s.put(member)
	return member, nil
}

// FindMember implements [MemberStore].
func (s *MemDirectory) FindMember(_ context.Context, tenant TenantID, user UserID) (Member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	member, ok := s.members[memPlace{tenant, user}]
	if !ok || !s.users[user].DisabledAt.IsZero() {
		return Member{}, ErrNotFound
	}
	return member.clone(), nil
}

// ChangeMember implements [MemberStore].
func (s *MemDirectory) ChangeMember(_ context.Context, tenant TenantID, user UserID, grant Grant) (Member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	member, ok := s.members[memPlace{tenant, user}]
	if !ok {
		return Member{}, ErrNotFound
	}
	if member.Role == RoleOwner && grant.Role != RoleOwner && !s.hasOwnerBeside(member) {
		return Member{}, ErrLastOwner
	}
	member.Grant = grant
	s.put(member)
	return member.clone(), nil
}

// RemoveMember implements [MemberStore].
func (s *MemDirectory) RemoveMember(_ context.Context, tenant TenantID, user UserID, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	member, ok := s.members[memPlace{tenant, user}]
	if !ok {
		return ErrNotFound
	}
	if member.Role == RoleOwner && !s.hasOwnerBeside(member) {
		return ErrLastOwner
	}
	delete(s.members, memPlace{tenant, user})
	s.removed[memPlace{tenant, user}] = true
	s.endMade(user, tenant, time.Time{}, timeid.Instant(now))
	return nil
}

// Members implements [MemberStore].
func (s *MemDirectory) Members(_ context.Context, tenant TenantID, after UserID, limit int) ([]Member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return page(s.users, limit, func(u User) (Member, bool) {
		member, ok := s.members[memPlace{tenant, u.ID}]
		return member.clone(), ok && u.ID > after
	}), nil
}

// Profiles implements [MemberStore].
func (s *MemDirectory) Profiles(_ context.Context, tenant TenantID, after UserID, limit int) ([]Profile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return page(s.users, limit, func(u User) (Profile, bool) {
		member, ok := s.members[memPlace{tenant, u.ID}]
		return Profile{Member: member.clone(), Email: u.Email, Name: u.Name, DisabledAt: u.DisabledAt}, ok && u.ID > after
	}), nil
}

// hasOwnerBeside reports whether the member's tenant has another owner who can act.
func (s *MemDirectory) hasOwnerBeside(m Member) bool {
	for place, other := range s.members {
		if place.tenant == m.Tenant && place.user != m.User && other.Role == RoleOwner && s.users[place.user].DisabledAt.IsZero() {
			return true
		}
	}
	return false
}

// isAlone reports whether the member's tenant has no other.
func (s *MemDirectory) isAlone(m Member) bool {
	for place := range s.members {
		if place.tenant == m.Tenant && place.user != m.User {
			return false
		}
	}
	return true
}

func (s *MemDirectory) put(m Member) {
	s.members[memPlace{m.Tenant, m.User}] = m.clone()
	delete(s.removed, memPlace{m.Tenant, m.User})
}

func (m Member) clone() Member {
	m.Scopes = slices.Clone(m.Scopes)
	return m
}
