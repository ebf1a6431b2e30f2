package factor

import (
	"context"
	"crypto/hmac"
	"slices"

	"github.com/levqor/sdk/levqor/identity"
)

// ListSealedTOTP implements [SealedStore].
func (s *MemStore) ListSealedTOTP(_ context.Context, after identity.UserID, limit int) ([]SealedTOTP, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var users []identity.UserID
	for user := range s.totp {
		if user > after {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	var all []SealedTOTP
	for _, user := range users[:min(limit, len(users))] {
		for _, text := range []string{s.totp[user].Secret, s.totp[user].Pending} {
			if text != "" {
				all = append(all, SealedTOTP{user, text})
			}
		}
	}
	return all, nil
}

// ReplaceSealedTOTP implements [SealedStore].
func (s *MemStore) ReplaceSealedTOTP(_ context.Context, seen SealedTOTP, sealed string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	totp, ok := s.totp[seen.User]
	if !ok {
		return nil
	}
	for _, text := range []*string{&totp.Secret, &totp.Pending} {
		if hmac.Equal([]byte(*text), []byte(seen.Sealed)) {
			*text = sealed
		}
	}
	s.totp[seen.User] = totp
	return nil
}
