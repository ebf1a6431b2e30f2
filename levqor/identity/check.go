package identity

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/levqor/sdk/internal/fault"
)

// maxNetworks bounds the networks of a key, which each request looks through.
const maxNetworks = 100

// The ends of the calendar that every store keeps.
var (
	earliest = time.Unix(0, 0)
	latest   = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
)

func (k *Keys) checkNew(n NewKey) error {
	errs := []error{checkName(n.Name), k.checkScopes(n.Scopes), checkNetworks(n.AllowedNetworks)}
	if n.Tenant == "" || len(n.Tenant) > 64 || !plain(n.Tenant) {
		errs = append(errs, fault.Invalid("/tenant", "out_of_range", "must have 1 to 64 bytes"))
	}
	if n.Tenant != OwnerTenant && slices.ContainsFunc(n.Scopes, func(s string) bool { return strings.HasPrefix(s, operatorScopes) }) {
		errs = append(errs, fault.Invalid("/scopes", "owner_only", "must hold no scope operator:… outside the owner's tenant"))
	}
	if !n.ExpiresAt.IsZero() && (n.ExpiresAt.Before(earliest) || n.ExpiresAt.After(latest)) {
		errs = append(errs, fault.Invalid("/expires_at", "out_of_range", "must be between the years 1970 and 9999 in UTC"))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return k.holds(n.Tenant, n.Scopes)
}

func (c KeyChange) validate() error {
	var errs []error
	if c.Name != nil {
		errs = append(errs, checkName(*c.Name))
	}
	if c.AllowedNetworks != nil {
		errs = append(errs, checkNetworks(*c.AllowedNetworks))
	}
	return errors.Join(errs...)
}

func checkName(name string) error {
	switch {
	case name == "" || len(name) > 100:
		return fault.Invalid("/name", "out_of_range", "must have 1 to 100 bytes")
	case !plain(name):
		return fault.Invalid("/name", "invalid_character", "must hold no control characters")
	default:
		return nil
	}
}

// plain reports whether text can be stored and shown in a line.
func plain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

func (k *Keys) checkScopes(scopes []string) error {
	if len(scopes) == 0 || slices.ContainsFunc(scopes, func(s string) bool { return !scopeForm.MatchString(s) }) {
		return fault.Invalid("/scopes", "invalid_format", "must hold at least one scope, each of letters, digits and : . _ - alone")
	}
	var errs []error
	for i, s := range scopes {
		if k.opts.Scopes != nil && s != AllScopes && !slices.Contains(k.opts.Scopes, s) {
			errs = append(errs, fault.Invalid(fmt.Sprintf("/scopes/%d", i), "unknown_scope", "is not a scope of this service"))
		}
	}
	return errors.Join(errs...)
}

func checkNetworks(networks []netip.Prefix) error {
	if len(networks) > maxNetworks {
		return fault.Invalid("/allowed_networks", "too_long", fmt.Sprintf("must have at most %d elements", maxNetworks))
	}
	var errs []error
	for i, p := range networks {
		if !p.IsValid() {
			errs = append(errs, fault.Invalid(fmt.Sprintf("/allowed_networks/%d", i), "invalid_format", "must be a network, such as 192.0.2.0/24"))
		}
	}
	return errors.Join(errs...)
}

// canonical returns networks in the form in which addresses are compared with them:
// without the bits of hosts, and those of IPv4 that are written as IPv6 as IPv4.
func canonical(networks []netip.Prefix) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range networks {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		all = append(all, p.Masked())
	}
	return all
}

func checkOverlap(overlap time.Duration) error {
	if overlap < 0 || overlap > MaxOverlap {
		return fault.Invalid("/overlap_seconds", "out_of_range", "must be between 0 and 30 days")
	}
	return nil
}
