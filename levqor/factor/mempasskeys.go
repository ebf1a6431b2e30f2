package factor

import (
	"context"
	"slices"
	"time"

	"github.com/levqor/sdk/internal/timeid"
	"github.com/levqor/sdk/levqor/identity"
)

// AddPasskey implements [PasskeyStore].
func (s *MemStore) AddPasskey(ctx context.Context, passkey Passkey, now time.Time) (Passkey, error) {
	err := s.forUser(ctx, passkey.User, func() error {
		if _, taken := s.passkeys[string(passkey.ID)]; taken {
			return ErrPasskeyTaken
		}
		if len(s.passkeysOf(passkey.User)) >= MaxPasskeys {
			return ErrTooManyPasskeys
		}
		passkey.CreatedAt, passkey.LastUsedAt = timeid.Instant(now), time.Time{}
		s.put(passkey)
		return nil
	})
	if err != nil {
		return Passkey{}, err
	}
	return passkey.clone(), nil
}

// FindPasskey implements [PasskeyStore].
func (s *MemStore) FindPasskey(_ context.Context, id []byte) (Passkey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	passkey, ok := s.passkeys[string(id)]
	if !ok {
		return Passkey{}, ErrNotFound
	}
	return passkey.clone(), nil
}

// Passkeys implements [PasskeyStore].
func (s *MemStore) Passkeys(_ context.Context, user identity.UserID) ([]Passkey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passkeysOf(user), nil
}

// RenamePasskey implements [PasskeyStore].
func (s *MemStore) RenamePasskey(_ context.Context, user identity.UserID, id []byte, name string) (Passkey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	passkey, err := s.passkey(user, id)
	if err != nil {
		return Passkey{}, err
	}
	passkey.Name = name
	s.put(passkey)
	return passkey.clone(), nil
}

// UsePasskey implements [PasskeyStore].
func (s *MemStore) UsePasskey(_ context.Context, user identity.UserID, id []byte, use PasskeyUse, now time.Time) (Passkey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	passkey, err := s.passkey(user, id)
	if err != nil {
		return Passkey{}, err
	}
	if !use.Grown(passkey.SignCount) {
		return Passkey{}, ErrCloned
	}
	passkey.SignCount, passkey.BackedUp, passkey.LastUsedAt = use.SignCount, use.BackedUp, timeid.Instant(now)
	s.put(passkey)
	return passkey.clone(), nil
}

func (s *MemStore) passkey(user identity.UserID, id []byte) (Passkey, error) {
	passkey, ok := s.passkeys[string(id)]
	if !ok || passkey.User != user {
		return Passkey{}, ErrNotFound
	}
	return passkey, nil
}

func (s *MemStore) put(p Passkey) { s.passkeys[string(p.ID)] = p.clone() }

// AddCeremony implements [CeremonyStore].
func (s *MemStore) AddCeremony(ctx context.Context, ceremony Ceremony, ttl time.Duration, now time.Time) error {
	add := func() error {
		ceremony.Hash, ceremony.Data = slices.Clone(ceremony.Hash), slices.Clone(ceremony.Data)
		s.ceremonies[string(ceremony.Hash)] = memCeremony{ceremony, timeid.Instant(now).Add(ttl)}
		return nil
	}
	if ceremony.User != 0 {
		return s.forUser(ctx, ceremony.User, add)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return add()
}

// TakeCeremony implements [CeremonyStore].
func (s *MemStore) TakeCeremony(_ context.Context, hash []byte, now time.Time) (Ceremony, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ceremony, ok := s.ceremonies[string(hash)]
	if !ok || !ceremony.expires.After(timeid.Instant(now)) {
		return Ceremony{}, ErrNotFound
	}
	delete(s.ceremonies, string(hash))
	return ceremony.Ceremony, nil
}

// DeleteExpiredCeremonies implements [CeremonyStore].
func (s *MemStore) DeleteExpiredCeremonies(_ context.Context, limit int, now time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = timeid.Instant(now)
	deleted := 0
	for hash, ceremony := range s.ceremonies {
		if deleted < limit && !ceremony.expires.After(now) {
			delete(s.ceremonies, hash)
			deleted++
		}
	}
	return deleted, nil
}
