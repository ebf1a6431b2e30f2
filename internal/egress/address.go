package egress

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
)

// Blocked reports whether addr belongs to a network that requests must not
// reach, and if so names that network for logs. An IPv4-mapped IPv6 address is
// always blocked, and named as its IPv4 address where that is blocked too. An
// address with a zone and the zero Addr are blocked.
func Blocked(addr netip.Addr) (reason string, blocked bool) {
	if !addr.IsValid() {
		return "invalid address", true
	}
	if addr.Zone() != "" {
		return "address with a zone", true
	}
	if reason, blocked := lookup(addr.Unmap()); blocked {
		return reason, true
	}
	return lookup(addr)
}

func lookup(addr netip.Addr) (name string, found bool) {
	for _, n := range networks {
		if n.prefix.Contains(addr) {
			return n.name, true
		}
	}
	return "", false
}

// gate is the check every connection passes.
type gate struct {
	allowPrivate bool
}

// control runs between the creation of a socket and its connect call. The
// address is the one the kernel will connect to, so there is no second
// resolution that could differ.
func (g gate) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return blockedError("not TCP")
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return blockedError("unreadable address")
	}
	return g.judge(ap.Addr())
}

func (g gate) judge(addr netip.Addr) error {
	if g.allowPrivate {
		return nil
	}
	if reason, blocked := Blocked(addr); blocked {
		return blockedError(reason)
	}
	return nil
}

// blockedError takes a network's name, never an address: CheckURL shows its
// text to users.
func blockedError(reason string) error {
	return fmt.Errorf("%w (%s)", ErrBlocked, reason)
}
