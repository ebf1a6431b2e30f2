package factor

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/levqor/sdk/internal/timeid"
	"github.com/levqor/sdk/levqor/identity"
)

// Users knows who there is. A directory's store is one.
type Users interface {
	// FindUser returns the user with an ID, or ErrNotFound, also if the user's deletion
	// has begun.
	FindUser(ctx context.Context, id identity.UserID) (identity.User, error)
}

// MemStore is a [Store] in memory, for tests. See [NewMemStore].
type MemStore struct {
	users Users

	mu         sync.Mutex
	totp       map[identity.UserID]memTOTP
	codes      map[identity.UserID]memCodes
	passkeys   map[string]Passkey
	ceremonies map[string]memCeremony
}

// memTOTP is a user's secrets, and when the time of the one that waits is over.
type memTOTP struct {
	TOTP
	until time.Time
}

// memCodes are a user's recovery codes, and when they were stored.
type memCodes struct {
	hashes [][]byte
	at     time.Time
}

type memCeremony struct {
	Ceremony
	expires time.Time
}

var _ Store = (*MemStore)(nil)

// NewMemStore returns an empty store for those users.
func NewMemStore(users Users) *MemStore {
	return &MemStore{
		users: users, totp: map[identity.UserID]memTOTP{}, codes: map[identity.UserID]memCodes{},
		passkeys: map[string]Passkey{}, ceremonies: map[string]memCeremony{},
	}
}

// PutPendingTOTP implements [TOTPStore].
func (s *MemStore) PutPendingTOTP(ctx context.Context, user identity.UserID, sealed string, ttl time.Duration, now time.Time) error {
	return s.forUser(ctx, user, func() error {
		totp := s.totp[user]
		totp.Pending, totp.until = sealed, timeid.Instant(now).Add(ttl)
		s.totp[user] = totp
		return nil
	})
}

// FindTOTP implements [TOTPStore].
func (s *MemStore) FindTOTP(_ context.Context, user identity.UserID, now time.Time) (TOTP, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := timeid.Instant(now)
	totp := s.totp[user].at(at)
	if totp.Secret == "" && totp.Pending == "" {
		return TOTP{}, time.Time{}, ErrNotFound
	}
	return totp, at, nil
}

// ConfirmTOTP implements [TOTPStore].
func (s *MemStore) ConfirmTOTP(_ context.Context, user identity.UserID, sealed string, step int64, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := timeid.Instant(now)
	if sealed == "" || s.totp[user].at(at).Pending != sealed {
		return ErrNotFound
	}
	s.totp[user] = memTOTP{TOTP: TOTP{Secret: sealed, LastStep: step, ConfirmedAt: at}}
	return nil
}

// UseTOTPStep implements [TOTPStore].
func (s *MemStore) UseTOTPStep(_ context.Context, user identity.UserID, sealed string, step int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	totp := s.totp[user]
	if sealed == "" || !hmac.Equal([]byte(totp.Secret), []byte(sealed)) || step <= totp.LastStep {
		return ErrReplayed
	}
	totp.LastStep = step
	s.totp[user] = totp
	return nil
}

// at returns the secrets without one whose time is over.
func (t memTOTP) at(now time.Time) TOTP {
	if !t.until.After(now) {
		t.Pending = ""
	}
	return t.TOTP
}

// ReplaceRecoveryCodes implements [RecoveryStore].
func (s *MemStore) ReplaceRecoveryCodes(ctx context.Context, user identity.UserID, hashes [][]byte, now time.Time) error {
	return s.forUser(ctx, user, func() error {
		s.codes[user] = memCodes{cloneAll(hashes), timeid.Instant(now)}
		return nil
	})
}

// RecoveryCodes implements [RecoveryStore].
func (s *MemStore) RecoveryCodes(_ context.Context, user identity.UserID) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cloneAll(s.codes[user].hashes), nil
}

// UseRecoveryCode implements [RecoveryStore].
func (s *MemStore) UseRecoveryCode(_ context.Context, user identity.UserID, hash []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	codes := s.codes[user]
	left := slices.DeleteFunc(slices.Clone(codes.hashes), func(h []byte) bool { return hmac.Equal(h, hash) })
	if len(left) == len(codes.hashes) {
		return 0, ErrNotFound
	}
	s.codes[user] = memCodes{left, codes.at}
	return len(left), nil
}

func cloneAll(hashes [][]byte) [][]byte {
	var all [][]byte
	for _, h := range hashes {
		all = append(all, slices.Clone(h))
	}
	return all
}

// Held implements [HeldStore].
func (s *MemStore) Held(_ context.Context, user identity.UserID) (Held, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held(user), nil
}

// RemoveTOTP implements [HeldStore].
func (s *MemStore) RemoveTOTP(_ context.Context, user identity.UserID, least int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.totp[user].Secret == "" {
		return ErrNotFound
	}
	return s.remove(user, least, func() { delete(s.totp, user) })
}

// RemovePasskey implements [HeldStore].
func (s *MemStore) RemovePasskey(_ context.Context, user identity.UserID, id []byte, least int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.passkey(user, id); err != nil {
		return err
	}
	return s.remove(user, least, func() { delete(s.passkeys, string(id)) })
}

// RemoveSince implements [HeldStore].
func (s *MemStore) RemoveSince(_ context.Context, user identity.UserID, since time.Time) (Held, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.held(user)
	if totp := s.totp[user]; totp.Secret == "" || !totp.ConfirmedAt.Before(since) {
		delete(s.totp, user)
	} else {
		totp.Pending, totp.until = "", time.Time{}
		s.totp[user] = totp
	}
	maps.DeleteFunc(s.passkeys, func(_ string, p Passkey) bool { return p.User == user && !p.CreatedAt.Before(since) })
	maps.DeleteFunc(s.ceremonies, func(_ string, c memCeremony) bool { return c.User == user })
	if !s.codes[user].at.Before(since) || !s.held(user).Any() {
		delete(s.codes, user)
	}
	return before.Less(s.held(user)), nil
}

// RemoveAll implements [HeldStore].
func (s *MemStore) RemoveAll(_ context.Context, user identity.UserID) (Held, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.held(user)
	delete(s.totp, user)
	delete(s.codes, user)
	maps.DeleteFunc(s.passkeys, func(_ string, p Passkey) bool { return p.User == user })
	maps.DeleteFunc(s.ceremonies, func(_ string, c memCeremony) bool { return c.User == user })
	return held, nil
}

// remove removes one factor of a user, and the recovery codes with the last one.
func (s *MemStore) remove(user identity.UserID, least int, factor func()) error {
	left := s.held(user).Count() - 1
	if left < least {
		return ErrFactorRequired
	}
	factor()
	if left == 0 {
		delete(s.codes, user)
	}
	return nil
}

func (s *MemStore) held(user identity.UserID) Held {
	return Held{TOTP: s.totp[user].Secret != "", Passkeys: len(s.passkeysOf(user)), RecoveryCodes: len(s.codes[user].hashes)}
}

// Snapshot returns what puts the store back into its present state: how a
// transaction in memory is rolled back.
func (s *MemStore) Snapshot() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	totp, codes, passkeys, ceremonies := maps.Clone(s.totp), maps.Clone(s.codes), maps.Clone(s.passkeys), maps.Clone(s.ceremonies)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.totp, s.codes, s.passkeys, s.ceremonies = totp, codes, passkeys, ceremonies
	}
}

// forUser runs fn for a user who is there. Whoever is deleted meanwhile is erased after
// fn has run.
func (s *MemStore) forUser(ctx context.Context, user identity.UserID, fn func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.users.FindUser(ctx, user); err != nil {
		return err
	}
	return fn()
}

// passkeysOf returns a user's passkeys, the oldest first.
func (s *MemStore) passkeysOf(user identity.UserID) []Passkey {
	var all []Passkey
	for _, p := range s.passkeys {
		if p.User == user {
			all = append(all, p.clone())
		}
	}
	slices.SortFunc(all, func(a, b Passkey) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), bytes.Compare(a.ID, b.ID))
	})
	return all
}
