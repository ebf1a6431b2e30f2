package sso

import (
	"context"
	"crypto/hmac"
	"maps"
	"slices"
)

// ListSealed implements [SealedStore].
func (s *MemStore) ListSealed(_ context.Context, after ConnectionID, limit int) ([]SealedSecret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []SealedSecret
	for _, id := range slices.Sorted(maps.Keys(s.connections)) {
		if id > after && len(all) < limit {
			all = append(all, SealedSecret{id, s.connections[id].ClientSecret})
		}
	}
	return all, nil
}

// ReplaceSealed implements [SealedStore].
func (s *MemStore) ReplaceSealed(_ context.Context, seen SealedSecret, sealed string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.connections[seen.ID]
	if !ok || !hmac.Equal([]byte(c.ClientSecret), []byte(seen.Sealed)) {
		return nil
	}
	c.ClientSecret = sealed
	s.connections[seen.ID] = c
	return nil
}
