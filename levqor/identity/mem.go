package identity

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// MemKeyStore is a [KeyStore] in memory, for tests. See [NewMemKeyStore].
type MemKeyStore struct {
	mu    sync.Mutex
	keys  map[string]Key
	owner bool
}

var _ KeyStore = (*MemKeyStore)(nil)

// NewMemKeyStore returns an empty store.
func NewMemKeyStore() *MemKeyStore { return &MemKeyStore{keys: map[string]Key{}} }

// InsertKey implements [KeyStore].
func (s *MemKeyStore) InsertKey(_ context.Context, key Key, now time.Time) (Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.insert(key, now)
}

// InsertOwnerKey implements [KeyStore].
func (s *MemKeyStore) InsertOwnerKey(_ context.Context, key Key, now time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner {
		return false, nil
	}
	if _, err := s.insert(key, now); err != nil {
		return false, err
	}
	s.owner = true
	return true, nil
}

// FindKey implements [KeyStore].
func (s *MemKeyStore) FindKey(_ context.Context, id string, now time.Time) (Key, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, ok := s.keys[id]
	if !ok {
		return Key{}, false, ErrNotFound
	}
	expired := !key.ExpiresAt.IsZero() && !key.ExpiresAt.After(instant(now))
	return key.clone(), key.RevokedAt.IsZero() && !expired, nil
}

// RevokeKey implements [KeyStore].
func (s *MemKeyStore) RevokeKey(_ context.Context, tenant, id string, now time.Time) (Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, ok := s.keys[id]
	if !ok || key.Tenant != tenant {
		return Key{}, ErrNotFound
	}
	if key.RevokedAt.IsZero() {
		key.RevokedAt = instant(now)
	}
	s.keys[id] = key
	return key.clone(), nil
}

// Snapshot returns what puts the store back into its present state: how a
// transaction in memory is rolled back.
func (s *MemKeyStore) Snapshot() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys, owner := maps.Clone(s.keys), s.owner
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.keys, s.owner = keys, owner
	}
}

func (s *MemKeyStore) insert(key Key, now time.Time) (Key, error) {
	if _, taken := s.keys[key.ID]; taken {
		return Key{}, ErrConflict
	}
	key.CreatedAt = instant(now)
	s.keys[key.ID] = key.clone()
	return key, nil
}

func (k Key) clone() Key {
	k.Hash, k.Scopes = bytes.Clone(k.Hash), slices.Clone(k.Scopes)
	return k
}

// instant returns now in the precision of the databases, or the current time.
func instant(now time.Time) time.Time {
	if now.IsZero() {
		now = time.Now() //nolint:forbidigo // the clock of this store
	}
	return now.UTC().Truncate(time.Microsecond)
}
