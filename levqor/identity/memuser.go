package identity

import (
	"context"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

// OnLockOut makes the directory call fn, from now on, for each user who was disabled or
// whose deletion has begun: what else a database would end in the same transaction. Call it
// before the directory is in use.
func (s *MemDirectory) OnLockOut(fn func(UserID)) { s.onLockOut = append(s.onLockOut, fn) }

// OnForget makes the directory call fn, from now on, for each user who was forgotten: what
// else a database would remove in the same transaction. Call it before the directory is in
// use.
func (s *MemDirectory) OnForget(fn func(UserID)) { s.onForget = append(s.onForget, fn) }

func (s *MemDirectory) lockOut(id UserID) {
	for _, fn := range s.onLockOut {
		fn(id)
	}
}

// EnsureUser implements [UserStore].
func (s *MemDirectory) EnsureUser(_ context.Context, user User, now time.Time) (User, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.users {
		if u.Email.Canonical() != user.Email.Canonical() {
			continue
		}
		if !u.DeletedAt.IsZero() {
			return User{}, false, ErrDeletionPending
		}
		return u, false, nil
	}
	if _, taken := s.users[user.ID]; taken {
		return User{}, false, ErrConflict
	}
	if _, held := s.lastUndo(user.Email.Canonical(), timeid.Instant(now)); held {
		return User{}, false, ErrAddressHeld
	}
	user.CreatedAt = timeid.Instant(now)
	s.users[user.ID] = user
	return user, true, nil
}

// FindUser implements [UserStore].
func (s *MemDirectory) FindUser(_ context.Context, id UserID) (User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.user(id)
}

// FindUserByEmail implements [UserStore].
func (s *MemDirectory) FindUserByEmail(_ context.Context, canonical string) (User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, u := range s.users {
		if u.Email.Canonical() == canonical {
			return s.user(id)
		}
	}
	return User{}, ErrNotFound
}

// RenameUser implements [UserStore].
func (s *MemDirectory) RenameUser(_ context.Context, id UserID, name string) (User, error) {
	return s.changeUser(id, func(u *User) { u.Name = name })
}

// DisableUser implements [UserStore].
func (s *MemDirectory) DisableUser(_ context.Context, id UserID, now time.Time) (User, error) {
	user, err := s.changeUser(id, func(u *User) {
		if u.DisabledAt.IsZero() {
			u.DisabledAt = timeid.Instant(now)
		}
		s.endMade(id, 0, time.Time{}, timeid.Instant(now))
	})
	if err == nil {
		s.lockOut(id)
	}
	return user, err
}

// EnableUser implements [UserStore].
func (s *MemDirectory) EnableUser(_ context.Context, id UserID) (User, error) {
	return s.changeUser(id, func(u *User) { u.DisabledAt = time.Time{} })
}

// HoldUser implements [UserStore]. Transactions in memory run one at a time.
func (s *MemDirectory) HoldUser(ctx context.Context, id UserID) error {
	_, err := s.FindUser(ctx, id)
	return err
}

func (s *MemDirectory) user(id UserID) (User, error) {
	user, ok := s.users[id]
	if !ok || !user.DeletedAt.IsZero() {
		return User{}, ErrNotFound
	}
	return user, nil
}

func (s *MemDirectory) changeUser(id UserID, change func(*User)) (User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, err := s.user(id)
	if err != nil {
		return User{}, err
	}
	change(&user)
	s.users[id] = user
	return user, nil
}
