package egress

import "net/netip"

// network is a range of addresses that requests must not reach.
type network struct {
	prefix netip.Prefix
	name   string
}

// networks lists the IANA IPv4 and IPv6 Special-Purpose Address Registries
// (as of 2025-10-09), multicast and reserved space, and the rest of IPv6 that
// is not global unicast. The first match names an address, so narrow ranges
// stand before wide ones.
//
// A few registry entries are globally reachable: the AS112 DNS sinks, AMT
// relays, PCP and TURN anycast, ORCHIDv2 and DRIP tags. They are refused like
// the others. No web service of a user lives there, and the anycast ones are
// answered by the nearest instance, which may stand in the operator's network.
var networks = []network{
	// IPv4.
	block("0.0.0.0/8", "this network"), // Linux connects 0.0.0.0 to the host itself.
	block("10.0.0.0/8", "private use"),
	block("100.64.0.0/10", "shared address space"), // Carrier NAT; also Alibaba's metadata, 100.100.100.200.
	block("127.0.0.0/8", "loopback"),
	block("169.254.0.0/16", "link local"), // Cloud metadata, 169.254.169.254.
	block("172.16.0.0/12", "private use"),
	block("192.0.0.0/24", "IETF protocol assignments"), // With 192.0.0.9 and .10 (anycast) and 192.0.0.192 (Oracle metadata).
	block("192.0.2.0/24", "documentation TEST-NET-1"),
	block("192.31.196.0/24", "AS112"),             // Anycast.
	block("192.52.193.0/24", "AMT relays"),        // Anycast.
	block("192.88.99.0/24", "6to4 relay anycast"), // Deprecated by RFC 7526.
	block("192.168.0.0/16", "private use"),
	block("192.175.48.0/24", "AS112 direct delegation"), // Anycast.
	block("198.18.0.0/15", "benchmarking"),
	block("198.51.100.0/24", "documentation TEST-NET-2"),
	block("203.0.113.0/24", "documentation TEST-NET-3"),
	block("224.0.0.0/4", "multicast"),
	block("255.255.255.255/32", "limited broadcast"),
	block("240.0.0.0/4", "reserved"), // Some clouds route it internally.

	// Not in the registry: a public address that Azure answers inside every
	// virtual machine, with the machine's goal state and secrets.
	block("168.63.129.16/32", "Azure platform"),

	// IPv6.
	block("::/128", "unspecified"),
	block("::1/128", "loopback"),
	block("::ffff:0:0/96", "IPv4-mapped"), // Blocked looks for the IPv4 address first, for the better name.
	block("::/96", "IPv4-compatible"),     // Deprecated by RFC 4291; carries an IPv4 address.
	block("64:ff9b::/96", "NAT64"),        // Carries an IPv4 address, which the translator would reach.
	block("64:ff9b:1::/48", "local-use NAT64"),
	block("100::/64", "discard only"),
	block("100:0:0:1::/64", "dummy prefix"),
	block("2001::/32", "Teredo"), // Carries an IPv4 address.
	block("2001:2::/48", "benchmarking"),
	block("2001:20::/28", "ORCHIDv2"),
	block("2001::/23", "IETF protocol assignments"), // With the PCP, TURN, AMT, AS112 and DRIP entries.
	block("2001:db8::/32", "documentation"),
	block("2002::/16", "6to4"), // Carries an IPv4 address.
	block("2620:4f:8000::/48", "AS112 direct delegation"),
	block("3fff::/20", "documentation"),
	block("5f00::/16", "segment routing identifiers"),
	block("fc00::/7", "unique local"), // With AWS's metadata, fd00:ec2::254.
	block("fe80::/10", "link local"),
	block("fec0::/10", "site local"), // Deprecated by RFC 3879, still routed in old networks.
	block("ff00::/8", "multicast"),

	// Only 2000::/3 is global unicast. The rest is unassigned, so whatever
	// answers there is local, such as the Yggdrasil overlay in 200::/7.
	block("::/3", "outside global unicast"),
	block("4000::/2", "outside global unicast"),
	block("8000::/1", "outside global unicast"),
}

func block(prefix, name string) network {
	return network{prefix: netip.MustParsePrefix(prefix), name: name}
}
