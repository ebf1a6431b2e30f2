package login

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/levqor/sdk/internal/timeid"
	"github.com/levqor/sdk/levqor/identity"
)

// MemSessionStore is a [SessionStore] in memory, for tests. See [NewMemSessionStore].
type MemSessionStore struct {
	people *identity.MemDirectory

	mu       sync.Mutex
	sessions map[string]Session // by hash
}

var _ SessionStore = (*MemSessionStore)(nil)

// NewMemSessionStore returns an empty store of the sessions of people, which end when their
// users are disabled or deleted there.
func NewMemSessionStore(people *identity.MemDirectory) *MemSessionStore {
	s := &MemSessionStore{people: people, sessions: map[string]Session{}}
	people.OnLockOut(func(user identity.UserID) { s.endAll(user, 0) })
	return s
}

// InsertSession implements [SessionStore]. Whoever disables the user ends their sessions
// after that, and waits for this one.
func (s *MemSessionStore) InsertSession(ctx context.Context, session Session, old []byte, age time.Duration, now time.Time) (Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user, err := s.people.FindUser(ctx, session.User); err != nil || !user.DisabledAt.IsZero() {
		return Session{}, ErrNotFound
	}
	now = timeid.Instant(now)
	_, taken := s.sessions[string(session.Hash)]
	for _, other := range s.sessions {
		taken = taken || other.ID == session.ID
	}
	if taken {
		return Session{}, ErrConflict
	}
	delete(s.sessions, string(old))
	if all := s.list(session.User, now); len(all) >= MaxSessions {
		for _, oldest := range all[MaxSessions-1:] {
			delete(s.sessions, string(oldest.Hash))
		}
	}
	session.CreatedAt, session.SeenAt, session.ProvenAt = now, now, now.Add(-age)
	s.sessions[string(session.Hash)] = session.clone()
	return session, nil
}

// FindSession implements [SessionStore].
func (s *MemSessionStore) FindSession(ctx context.Context, hash []byte, now time.Time) (FoundSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session, user, err := s.find(ctx, hash, timeid.Instant(now))
	if err != nil {
		return FoundSession{}, err
	}
	member, err := s.people.FindMember(ctx, session.Tenant, session.User)
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return FoundSession{}, err
	}
	found := FoundSession{Session: session, User: user, Member: member, At: timeid.Instant(now)}
	if session.Untouched(found.At) {
		session.SeenAt = found.At
		s.sessions[string(hash)] = session
	}
	return found, nil
}

// RotateSession implements [SessionStore].
func (s *MemSessionStore) RotateSession(ctx context.Context, hash []byte, r Rotation, now time.Time) (Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session, user, err := s.find(ctx, hash, timeid.Instant(now))
	if err != nil {
		return Session{}, err
	}
	if r.Switch && r.Tenant != 0 {
		if _, err := s.people.FindMember(ctx, r.Tenant, user.ID); err != nil {
			return Session{}, err
		}
	}
	rotated, err := session.Rotate(r, timeid.Instant(now))
	if err != nil {
		return Session{}, err
	}
	delete(s.sessions, string(hash))
	s.sessions[string(rotated.Hash)] = rotated.clone()
	return rotated, nil
}

// EndSession implements [SessionStore].
func (s *MemSessionStore) EndSession(_ context.Context, hash []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, string(hash))
	return nil
}

// EndOneSession implements [SessionStore].
func (s *MemSessionStore) EndOneSession(_ context.Context, user identity.UserID, id SessionID, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for hash, session := range s.sessions {
		if session.User == user && session.ID == id && session.Current(timeid.Instant(now)) {
			delete(s.sessions, hash)
			return nil
		}
	}
	return ErrNotFound
}

// EndAllSessions implements [SessionStore].
func (s *MemSessionStore) EndAllSessions(_ context.Context, user identity.UserID, except SessionID) error {
	s.endAll(user, except)
	return nil
}

// EndSessionsIn implements [SessionStore].
func (s *MemSessionStore) EndSessionsIn(_ context.Context, tenant identity.TenantID, user identity.UserID, except SessionID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.sessions, func(_ string, session Session) bool {
		return session.User == user && session.Tenant == tenant && session.ID != except
	})
	return nil
}

// EndSessionsOfAll implements [SessionStore].
func (s *MemSessionStore) EndSessionsOfAll(_ context.Context, limit int) (ended int, more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for hash := range s.sessions {
		if ended == limit {
			break
		}
		delete(s.sessions, hash)
		ended++
	}
	return ended, len(s.sessions) > 0, nil
}

func (s *MemSessionStore) endAll(user identity.UserID, except SessionID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.sessions, func(_ string, session Session) bool { return session.User == user && session.ID != except })
}

// DropVouches implements [VouchStore].
func (s *MemSessionStore) DropVouches(_ context.Context, tenant identity.TenantID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for hash, session := range s.sessions {
		if tenant != 0 && session.Vouched == tenant {
			session.Vouched = 0
			s.sessions[hash] = session
		}
	}
	return nil
}

// EndProvidedSessions implements [VouchStore].
func (s *MemSessionStore) EndProvidedSessions(_ context.Context, tenant identity.TenantID, user identity.UserID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for hash, session := range s.sessions {
		switch {
		case session.User != user:
		case session.Provider == tenant:
			delete(s.sessions, hash)
		case session.Vouched == tenant:
			session.Vouched = 0
			s.sessions[hash] = session
		}
	}
	return nil
}

// ListSessions implements [SessionStore].
func (s *MemSessionStore) ListSessions(_ context.Context, user identity.UserID, now time.Time) ([]Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list(user, timeid.Instant(now)), nil
}

// DeleteExpiredSessions implements [SessionStore].
func (s *MemSessionStore) DeleteExpiredSessions(_ context.Context, limit int, now time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	deleted := 0
	for hash, session := range s.sessions {
		if deleted < limit && !session.Current(timeid.Instant(now)) {
			delete(s.sessions, hash)
			deleted++
		}
	}
	return deleted, nil
}

// Snapshot returns what puts the store back into its present state: how a
// transaction in memory is rolled back.
func (s *MemSessionStore) Snapshot() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sessions := maps.Clone(s.sessions)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sessions = sessions
	}
}

func (s *MemSessionStore) find(ctx context.Context, hash []byte, now time.Time) (Session, identity.User, error) {
	session, ok := s.sessions[string(hash)]
	if !ok || !session.Current(now) {
		return Session{}, identity.User{}, ErrNotFound
	}
	user, err := s.people.FindUser(ctx, session.User)
	if err != nil || !user.DisabledAt.IsZero() {
		return Session{}, identity.User{}, ErrNotFound
	}
	return session.clone(), user, nil
}

func (s *MemSessionStore) list(user identity.UserID, now time.Time) []Session {
	var all []Session
	for _, session := range s.sessions {
		if session.User == user && session.Current(now) {
			all = append(all, session.clone())
		}
	}
	slices.SortFunc(all, func(a, b Session) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	return all
}

func (s Session) clone() Session {
	s.Hash = slices.Clone(s.Hash)
	return s
}
