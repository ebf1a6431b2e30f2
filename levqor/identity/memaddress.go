package identity

import (
	"bytes"
	"context"
	"maps"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

// ChangeAddress implements [AddressStore].
func (s *MemDirectory) ChangeAddress(_ context.Context, undo Undo, to Email, now time.Time) (User, Undo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, err := s.user(undo.User)
	if err != nil || !user.DisabledAt.IsZero() {
		return User{}, Undo{}, ErrNotFound
	}
	now = timeid.Instant(now)
	if s.inUse(to.Canonical(), user.ID, now) {
		return User{}, Undo{}, ErrAddressInUse
	}
	if _, taken := s.undos[undo.ID]; taken {
		return User{}, Undo{}, ErrConflict
	}
	open, step := 0, 0
	for _, other := range s.undos {
		if other.User != user.ID {
			continue
		}
		step = max(step, other.Step)
		if other.open(now) {
			open++
		}
	}
	if open >= MaxUndos {
		return User{}, Undo{}, ErrTooManyUndos
	}
	undo.Email, undo.Step, undo.CreatedAt, undo.ExpiresAt = user.Email, step+1, now, now.Add(UndoTTL)
	s.undos[undo.ID] = undo.clone()
	user.Email = to
	s.users[user.ID] = user
	return user, undo, nil
}

// inUse reports whether somebody else has an address, or may have it back.
func (s *MemDirectory) inUse(canonical string, user UserID, now time.Time) bool {
	for _, other := range s.users {
		if other.ID != user && other.Email.Canonical() == canonical {
			return true
		}
	}
	for _, undo := range s.undos {
		if undo.User != user && undo.open(now) && undo.Email.Canonical() == canonical {
			return true
		}
	}
	return false
}

// FindUndo implements [AddressStore].
func (s *MemDirectory) FindUndo(_ context.Context, id UndoID, now time.Time) (Undo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.undo(id, timeid.Instant(now))
}

func (s *MemDirectory) undo(id UndoID, now time.Time) (Undo, error) {
	undo, ok := s.undos[id]
	if !ok || !undo.open(now) {
		return Undo{}, ErrNotFound
	}
	if _, err := s.user(undo.User); err != nil {
		return Undo{}, err
	}
	return undo.clone(), nil
}

// FindUndoByAddress implements [AddressStore].
func (s *MemDirectory) FindUndoByAddress(_ context.Context, canonical string, now time.Time) (Undo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.lastUndo(canonical, timeid.Instant(now))
	if !ok {
		return Undo{}, ErrNotFound
	}
	return s.undo(last.ID, timeid.Instant(now))
}

// lastUndo returns the last open undo that leads back to an address. All of them are of one
// user.
func (s *MemDirectory) lastUndo(canonical string, now time.Time) (last Undo, ok bool) {
	for _, undo := range s.undos {
		if undo.open(now) && undo.Email.Canonical() == canonical && undo.Step > last.Step {
			last, ok = undo, true
		}
	}
	return last, ok
}

// UndoAddress implements [AddressStore].
func (s *MemDirectory) UndoAddress(_ context.Context, id UndoID, now time.Time) (User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	undo, err := s.undo(id, timeid.Instant(now))
	if err != nil {
		return User{}, err
	}
	user := s.users[undo.User]
	user.Email = undo.Email
	s.users[user.ID] = user
	s.endMade(user.ID, 0, undo.CreatedAt, timeid.Instant(now))
	maps.DeleteFunc(s.undos, func(_ UndoID, other Undo) bool { return other.User == user.ID && other.Step >= undo.Step })
	return user, nil
}

// DeleteExpiredUndos implements [AddressStore].
func (s *MemDirectory) DeleteExpiredUndos(_ context.Context, limit int, now time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	deleted := 0
	for id, undo := range s.undos {
		if deleted < limit && !undo.open(timeid.Instant(now)) {
			delete(s.undos, id)
			deleted++
		}
	}
	return deleted, nil
}

func (u Undo) open(now time.Time) bool { return u.ExpiresAt.After(now) }

func (u Undo) clone() Undo {
	u.Hash = bytes.Clone(u.Hash)
	return u
}
