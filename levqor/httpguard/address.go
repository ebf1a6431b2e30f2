package httpguard

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/levqor/sdk/internal/fault"
)

// ParseProxies reads the prefixes of trusted proxies with commas between, such as
// "10.0.0.0/8, fd00::/8", for [ClientAddr]. It returns an ErrInvalid for anything else.
func ParseProxies(text string) ([]netip.Prefix, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	parts := strings.Split(text, ",")
	all := make([]netip.Prefix, len(parts))
	for i, part := range parts {
		all[i], _ = netip.ParsePrefix(strings.TrimSpace(part)) // the zero prefix is refused
	}
	return all, CheckProxies(all)
}

// CheckProxies returns an ErrInvalid about "/trusted_proxies" for a prefix that no address
// would match.
func CheckProxies(trusted []netip.Prefix) error {
	for i, p := range trusted {
		if !p.IsValid() || p.Addr().Is4In6() {
			return fault.Invalid(fmt.Sprintf("/trusted_proxies/%d", i), "invalid_format", "must be a prefix of IPv4 or IPv6 addresses")
		}
	}
	return nil
}

// ClientAddr returns where a request comes from: the peer of the connection, or if that is
// a trusted proxy the last address in X-Forwarded-For that is none. Each proxy adds the
// address of its own peer at the end, so whatever a client writes stands before its own. A
// proxy that adds what is no address counts as the client itself. It returns the zero
// address if the connection has none, as on a Unix socket.
func ClientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	at := parseHop(r.RemoteAddr)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !trusts(trusted, at) {
			break
		}
		next := parseHop(hop)
		if !next.IsValid() {
			break
		}
		at = next
	}
	return at
}

func trusts(trusted []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// parseHop reads an address with or without a port, the zero address for anything else. A
// zone names an interface of the host that wrote it, and says nothing here.
func parseHop(text string) netip.Addr {
	text = strings.TrimSpace(text)
	if hop, err := netip.ParseAddrPort(text); err == nil {
		return hop.Addr().WithZone("").Unmap()
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text, _ = strings.CutSuffix(inner, "]")
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return addr.WithZone("").Unmap()
}
