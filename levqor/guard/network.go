package guard

import "net/netip"

// Network returns whom an address is counted as: itself, or the /64 of an IPv6 address,
// which one client has all of. An address that is not known is "invalid IP".
func Network(addr netip.Addr) string {
	addr = addr.WithZone("").Unmap()
	if !addr.Is6() {
		return addr.String()
	}
	net, err := addr.Prefix(64)
	if err != nil {
		panic(err) // an IPv6 address has 64 bits
	}
	return net.String()
}
