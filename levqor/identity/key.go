package identity

import (
	"net/netip"
	"slices"
	"time"
)

// displayedKid is how much of a key's ID people need to tell two keys apart.
const displayedKid = 6

// Prefix returns the beginning of the key's tokens, by which people find theirs.
func (k Key) Prefix() string {
	kid, _ := kidOf(k.ID)
	return tokenPrefix + k.Environment + "_" + kid[:min(displayedKid, len(kid))]
}

// Current reports whether the key gives access at an instant: it is neither revoked
// nor expired.
func (k Key) Current(at time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || k.ExpiresAt.After(at))
}

// Retiring reports whether the secret from before the last rotation gives access
// at an instant.
func (k Key) Retiring(at time.Time) bool {
	return k.Current(at) && k.RetiringUntil.After(at)
}

// MayRotate returns nil if the key can get another secret at an instant, else the
// error that [KeyStore] has for it. Stores share it.
func (k Key) MayRotate(at time.Time) error {
	switch {
	case k.Retiring(at):
		return ErrRotating
	case !k.Current(at):
		return ErrConflict
	default:
		return nil
	}
}

// retiringUntil is when the secret from before the last rotation really ends.
func (k Key) retiringUntil() time.Time {
	if !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(k.RetiringUntil) {
		return k.ExpiresAt
	}
	return k.RetiringUntil
}

// allowsFrom reports whether the key may be used from an address. The zero address
// is one that nobody knows.
func (k Key) allowsFrom(addr netip.Addr) bool {
	if len(k.AllowedNetworks) == 0 {
		return true
	}
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(k.AllowedNetworks, func(p netip.Prefix) bool { return p.Contains(addr) })
}
