package login

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/levqor/sdk/internal/timeid"
	"github.com/levqor/sdk/levqor/identity"
)

// MemLinkStore is a [LinkStore] in memory, for tests. See [NewMemLinkStore].
type MemLinkStore struct {
	mu    sync.Mutex
	links map[string]memLink
}

// memLink is a link, and whether it has ended.
type memLink struct {
	Link
	ended bool
}

var _ LinkStore = (*MemLinkStore)(nil)

// NewMemLinkStore returns an empty store.
func NewMemLinkStore() *MemLinkStore { return &MemLinkStore{links: map[string]memLink{}} }

// InsertLink implements [LinkStore].
func (s *MemLinkStore) InsertLink(_ context.Context, link Link, now time.Time) (Link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.links[link.ID]; taken {
		return Link{}, ErrConflict
	}
	now = timeid.Instant(now)
	mailed, alike := 0, 0
	for _, other := range s.links {
		if other.Email.Canonical() != link.Email.Canonical() || !other.Mailed || !other.waits(now) {
			continue
		}
		mailed++
		if other.Device.Network() == link.Device.Network() {
			alike++
		}
	}
	link.Mailed, link.Tries = alike < MaxMailed && mailed < MaxMailedInAll, 0
	link.CreatedAt, link.ExpiresAt = now, now.Add(LinkTTL)
	s.links[link.ID] = memLink{Link: link}
	return link, nil
}

// FindLink implements [LinkStore].
func (s *MemLinkStore) FindLink(_ context.Context, id string, now time.Time) (Link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	link, ok := s.links[id]
	if !ok || !link.live(timeid.Instant(now)) {
		return Link{}, ErrNotFound
	}
	return link.Link, nil
}

// TryLink implements [LinkStore].
func (s *MemLinkStore) TryLink(_ context.Context, id string, now time.Time) (Link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	link, ok := s.links[id]
	if !ok || !link.live(timeid.Instant(now)) {
		return Link{}, ErrNotFound
	}
	link.Tries++
	s.links[id] = link
	return link.Link, nil
}

// UseLink implements [LinkStore].
func (s *MemLinkStore) UseLink(_ context.Context, id string, user identity.UserID, now time.Time) (Link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	link, ok := s.links[id]
	if !ok || !link.waits(timeid.Instant(now)) || !link.Mailed || link.User != user {
		return Link{}, ErrNotFound
	}
	for id, other := range s.links {
		if other.Email.Canonical() == link.Email.Canonical() || other.User == link.User && link.User != 0 {
			other.ended = true
			s.links[id] = other
		}
	}
	return link.Link, nil
}

// EndLinks implements [LinkStore].
func (s *MemLinkStore) EndLinks(_ context.Context, user identity.UserID, addresses []identity.Email, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, link := range s.links {
		same := func(other identity.Email) bool { return other.Canonical() == link.Email.Canonical() }
		if user != 0 && link.User == user || slices.ContainsFunc(addresses, same) {
			link.ended = true
			s.links[id] = link
		}
	}
	return nil
}

// ForgetUser removes the links of a user, as the databases do when a user is forgotten: have
// the directory call it, by [identity.MemDirectory.OnForget].
func (s *MemLinkStore) ForgetUser(user identity.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.links, func(_ string, link memLink) bool { return user != 0 && link.User == user })
}

// DeleteExpiredLinks implements [LinkStore].
func (s *MemLinkStore) DeleteExpiredLinks(_ context.Context, limit int, now time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = timeid.Instant(now)
	deleted := 0
	for id, link := range s.links {
		if deleted < limit && link.ExpiresAt.Before(now) {
			delete(s.links, id)
			deleted++
		}
	}
	return deleted, nil
}

// Snapshot returns what puts the store back into its present state: how a
// transaction in memory is rolled back.
func (s *MemLinkStore) Snapshot() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	links := maps.Clone(s.links)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.links = links
	}
}

// waits reports whether the link has neither ended nor expired.
func (l memLink) waits(now time.Time) bool { return !l.ended && !l.ExpiresAt.Before(now) }

func (l memLink) live(now time.Time) bool { return l.waits(now) && l.Tries < MaxTries }
