package identity

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

// maker returns the key that makes or changes keys, as the store knows it now: what the
// cache believed may be revoked or expired, and should not live on in another key. For
// people, callers of a host's own and the service itself it is the zero Key, which sets no
// bounds.
func (k *Keys) maker(ctx context.Context) (Key, error) {
	if k.by == nil {
		return Key{}, nil
	}
	if _, ours := kidOf(k.by.KeyID); !ours {
		return Key{}, nil
	}
	key, at, err := k.store.FindKey(ctx, k.by.KeyID, k.now())
	if errors.Is(err, ErrNotFound) || err == nil && !key.Current(at) {
		err = errUnauthenticated()
	}
	if err != nil {
		return Key{}, err
	}
	return key, nil
}

// within returns nil if a key lives no longer than its maker and opens nothing from
// elsewhere.
func (n NewKey) within(maker Key) error {
	var errs []error
	if outlives(n.ExpiresAt, maker.ExpiresAt) {
		errs = append(errs, fault.Invalid("/expires_at", "out_of_range", "must not be after the end of the key that makes it"))
	}
	if !covers(maker.AllowedNetworks, canonical(n.AllowedNetworks)) {
		errs = append(errs, errNetworksBeyond())
	}
	return errors.Join(errs...)
}

func errNetworksBeyond() error {
	return fault.Invalid("/allowed_networks", "out_of_range", "must lie within the networks of the key that is used")
}

// outlives reports whether a key's end is after another's. Zero is never.
func outlives(end, other time.Time) bool {
	return !other.IsZero() && (end.IsZero() || end.After(other))
}

// covers reports whether all networks lie within others; none are anywhere.
func covers(others, networks []netip.Prefix) bool {
	if len(others) == 0 {
		return true
	}
	return len(networks) > 0 && !slices.ContainsFunc(networks, func(n netip.Prefix) bool {
		return !slices.ContainsFunc(others, func(o netip.Prefix) bool { return o.Bits() <= n.Bits() && o.Contains(n.Addr()) })
	})
}

// EraseTenant implements [TenantEraser]: this process forgets what it knew of the keys of
// a deleted tenant.
func (k *Keys) EraseTenant(_ context.Context, tenant Tenant) error {
	k.cache.forgetTenant(tenant.ID.String())
	return nil
}

var _ TenantEraser = (*Keys)(nil)
