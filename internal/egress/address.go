package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
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
	// own reports whether an address is one of this machine's.
	own func(netip.AddrPort) (bool, error)
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
	if err := g.judge(ap.Addr()); err != nil || g.allowPrivate {
		return err
	}
	own, err := g.own(ap)
	if err != nil {
		return fmt.Errorf("egress: look for the machine's own addresses: %w", err)
	}
	if own {
		return blockedError("this machine")
	}
	return nil
}

// ownAddress reports whether addr is one of this machine's. It lets the kernel
// choose the source for addr, which for an address of its own is that address.
// Connecting a UDP socket sends nothing, and unlike listing the interfaces it
// needs no netlink socket, which hardened services are often denied.
func ownAddress(addr netip.AddrPort) (bool, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) {
		return false, nil // No route leads there, so the request will fail for that reason.
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	local, ok := conn.LocalAddr().(*net.UDPAddr)
	return ok && local.AddrPort().Addr().Unmap() == addr.Addr(), nil
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
