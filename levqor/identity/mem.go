package identity

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
func (s *MemKeyStore) FindKey(_ context.Context, id string, now time.Time) (Key, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, ok := s.keys[id]
	if !ok {
		return Key{}, time.Time{}, ErrNotFound
	}
	return key.clone(), timeid.Instant(now), nil
}

// ListKeys implements [KeyStore].
func (s *MemKeyStore) ListKeys(_ context.Context, tenant string, q KeyQuery) ([]Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Key
	for _, key := range s.keys {
		passed := q.Before.ID != "" && newestFirst(key, q.Before) <= 0
		if key.Tenant == tenant && !passed && (q.WithRevoked || key.RevokedAt.IsZero()) {
			all = append(all, key.clone())
		}
	}
	slices.SortFunc(all, newestFirst)
	return all[:min(len(all), q.Limit)], nil
}

// newestFirst is the order of lists.
func newestFirst(a, b Key) int {
	return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
}

// UpdateKey implements [KeyStore].
func (s *MemKeyStore) UpdateKey(_ context.Context, tenant, id string, c KeyChange) (Key, error) {
	return s.change(tenant, id, func(key *Key) error {
		if !key.RevokedAt.IsZero() {
			return ErrConflict
		}
		if c.Name != nil {
			key.Name = *c.Name
		}
		if c.AllowedNetworks != nil {
			key.AllowedNetworks = slices.Clone(*c.AllowedNetworks)
		}
		return nil
	})
}

// RotateKey implements [KeyStore].
func (s *MemKeyStore) RotateKey(_ context.Context, tenant, id string, r KeyRotation, now time.Time) (Key, error) {
	return s.change(tenant, id, func(key *Key) error {
		now := timeid.Instant(now)
		if err := key.MayRotate(now); err != nil {
			return err
		}
		key.OldHash, key.RetiringUntil = nil, time.Time{}
		if r.Overlap > 0 {
			key.OldHash, key.RetiringUntil = key.Hash, now.Add(r.Overlap)
		}
		key.Hash, key.LastFour, key.RotatedAt = bytes.Clone(r.Hash), r.LastFour, now
		return nil
	})
}

// TouchKeys implements [KeyStore].
func (s *MemKeyStore) TouchKeys(_ context.Context, ids []string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = timeid.Instant(now)
	for _, id := range ids {
		if key, ok := s.keys[id]; ok && now.Sub(key.LastUsedAt) >= TouchInterval {
			key.LastUsedAt = now
			s.keys[id] = key
		}
	}
	return nil
}

// RehashKeys implements [KeyHashStore].
func (s *MemKeyStore) RehashKeys(_ context.Context, all []Rehash) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range all {
		key, ok := s.keys[r.ID]
		if !ok {
			continue
		}
		if hmac.Equal(key.Hash, r.From) {
			key.Hash = bytes.Clone(r.To)
		}
		if hmac.Equal(key.OldHash, r.From) {
			key.OldHash = bytes.Clone(r.To)
		}
		s.keys[r.ID] = key
	}
	return nil
}

// RevokeKey implements [KeyStore].
func (s *MemKeyStore) RevokeKey(_ context.Context, tenant, id string, now time.Time) (Key, error) {
	return s.change(tenant, id, func(key *Key) error {
		if key.RevokedAt.IsZero() {
			key.RevokedAt = timeid.Instant(now)
		}
		return nil
	})
}

// change changes a tenant's key unless do returns an error.
func (s *MemKeyStore) change(tenant, id string, do func(*Key) error) (Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, ok := s.keys[id]
	if !ok || key.Tenant != tenant {
		return Key{}, ErrNotFound
	}
	if err := do(&key); err != nil {
		return Key{}, err
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
	key.CreatedAt = timeid.Instant(now)
	s.keys[key.ID] = key.clone()
	return key, nil
}

func (k Key) clone() Key {
	k.Hash, k.OldHash, k.Scopes, k.AllowedNetworks = bytes.Clone(k.Hash), bytes.Clone(k.OldHash), slices.Clone(k.Scopes), slices.Clone(k.AllowedNetworks)
	return k
}
