package factor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/levqor/sdk/levqor/identity"
)

// CeremonyTTL is how long a ceremony of passkeys can last.
const CeremonyTTL = 5 * time.Minute

// CeremonyPurpose is what a ceremony is for.
type CeremonyPurpose string

// The ceremonies of WebAuthn.
const (
	// Registration makes a passkey.
	Registration CeremonyPurpose = "registration"
	// Login uses one.
	Login CeremonyPurpose = "login"
)

// Ceremony is a challenge that an authenticator has been given and has not answered.
type Ceremony struct {
	// Hash is that of the token that takes the ceremony up again.
	Hash []byte
	// User is who must answer; 0 if anybody may.
	User identity.UserID
	// Purpose is what the ceremony is for.
	Purpose CeremonyPurpose
	// Data is what must be known when the answer comes, with the challenge: not nil.
	Data []byte
}

// BeginCeremony stores a ceremony for [CeremonyTTL] and returns a token that
// [Factors.EndCeremony] takes: for a cookie or a field of a form. It sets the Hash itself.
// It returns ErrNotFound if there is no such user.
func (f *Factors) BeginCeremony(ctx context.Context, ceremony Ceremony) (token string, err error) {
	token = rand.Text()
	ceremony.Hash = tokenHash(token)
	if err := f.store.AddCeremony(ctx, ceremony, CeremonyTTL, f.now()); err != nil {
		return "", wrap("begin ceremony", err)
	}
	return token, nil
}

// EndCeremony ends a ceremony and returns it: it counts once, whatever comes of it. It
// returns ErrCeremonyOver if there is none with that token and purpose, or any more.
func (f *Factors) EndCeremony(ctx context.Context, token string, purpose CeremonyPurpose) (Ceremony, error) {
	ceremony, err := f.store.TakeCeremony(ctx, tokenHash(token), f.now())
	if errors.Is(err, ErrNotFound) || err == nil && ceremony.Purpose != purpose {
		err = ErrCeremonyOver
	}
	if err != nil {
		return Ceremony{}, wrap("end ceremony", err)
	}
	return ceremony, nil
}

// tokenHash needs no key: a token has 130 random bits (ASVS 5.0, 6.5.2).
func tokenHash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
