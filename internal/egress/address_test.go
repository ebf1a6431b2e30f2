package egress_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/levqor/sdk/internal/egress"
)

// special is written out again, not taken from the package, so that a row
// deleted or mistyped there fails here.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
	"192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "168.63.129.16/32",
	"::/128", "::1/128", "::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64",
	"100:0:0:1::/64", "2001::/32", "2001:2::/48", "2001:20::/28", "2001::/23", "2001:db8::/32",
	"2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
	"fec0::/10", "ff00::/8", "::/3", "4000::/2", "8000::/1",
)

func prefixes(texts ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, t := range texts {
		ps = append(ps, netip.MustParsePrefix(t))
	}
	return ps
}

func isSpecial(addr netip.Addr) bool {
	for _, p := range special {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// within returns an address of p whose host bits are taken from bits.
func within(p netip.Prefix, bits [16]byte) netip.Addr {
	raw := p.Masked().Addr().AsSlice()
	for i := range raw {
		keep := min(max(p.Bits()-8*i, 0), 8)
		raw[i] |= bits[i] & (0xff >> keep)
	}
	addr, _ := netip.AddrFromSlice(raw)
	return addr
}

func randomBits() (b [16]byte) {
	binary.BigEndian.PutUint64(b[:8], rand.Uint64())
	binary.BigEndian.PutUint64(b[8:], rand.Uint64())
	return b
}

func ones() (b [16]byte) {
	for i := range b {
		b[i] = 0xff
	}
	return b
}

func TestBlockedRanges(t *testing.T) {
	for _, p := range special {
		t.Run("every address within "+p.String()+" is blocked", func(t *testing.T) {
			addrs := []netip.Addr{p.Addr(), within(p, ones())}
			for range 500 {
				addrs = append(addrs, within(p, randomBits()))
			}
			for _, a := range addrs {
				if _, blocked := egress.Blocked(a); !blocked {
					t.Fatalf("Blocked(%s) = false, want true", a)
				}
				if !a.Is4() {
					continue
				}
				mapped := netip.AddrFrom16(a.As16())
				want, _ := egress.Blocked(a)
				if got, blocked := egress.Blocked(mapped); !blocked || got != want {
					t.Fatalf("Blocked(%s) = %q, %v, want %q, true", mapped, got, blocked, want)
				}
			}
		})
		t.Run("the neighbours of "+p.String()+" are judged by their own range", func(t *testing.T) {
			for _, a := range []netip.Addr{p.Addr().Prev(), within(p, ones()).Next()} {
				if !a.IsValid() {
					continue // The range ends where the family does.
				}
				if _, got := egress.Blocked(a); got != isSpecial(a) {
					t.Errorf("Blocked(%s) = %v, want %v", a, got, isSpecial(a))
				}
			}
		})
	}
}

func TestBlockedRandom(t *testing.T) {
	t.Run("an address outside all ranges is not blocked", func(t *testing.T) {
		families := prefixes("0.0.0.0/0", "2000::/3", "2001::/16", "2620:4f::/32", "168.63.0.0/16")
		for range 50_000 {
			a := within(families[rand.IntN(len(families))], randomBits())
			if _, got := egress.Blocked(a); got != isSpecial(a) {
				t.Fatalf("Blocked(%s) = %v, want %v", a, got, isSpecial(a))
			}
		}
	})
}

func TestBlockedExamples(t *testing.T) {
	for _, text := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
		"126.255.255.255", "128.0.0.0", "172.15.255.255", "172.32.0.0", "198.17.255.255",
		"198.20.0.0", "223.255.255.255", "168.63.129.15", "168.63.129.17",
		"2000::", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2003::", "2606:4700:4700::1111",
		"2a00:1450:4001:80b::200e", "3ffe:ffff:ffff:ffff::", "3fff:1000::",
	} {
		t.Run("the public address "+text+" is not blocked", func(t *testing.T) {
			if reason, blocked := egress.Blocked(netip.MustParseAddr(text)); blocked {
				t.Errorf("Blocked(%s) = %q, true, want false", text, reason)
			}
		})
	}
	for text, want := range map[string]string{
		"169.254.169.254":  "link local",
		"255.255.255.255":  "limited broadcast",
		"::ffff:127.0.0.1": "loopback",
		"::ffff:8.8.8.8":   "IPv4-mapped",
		"64:ff9b::7f00:1":  "NAT64",
		"2002:7f00:1::":    "6to4",
		"fd00:ec2::254":    "unique local",
		"fe80::1%eth0":     "address with a zone",
		"2606:4700::1%1":   "address with a zone",
		"192.0.0.9":        "IETF protocol assignments",
		"168.63.129.16":    "Azure platform",
		"302:de1e:cafe::1": "outside global unicast",
		"::":               "unspecified",
		"::1":              "loopback",
		"::7f00:1":         "IPv4-compatible",
		"64:ff9b:1::1":     "local-use NAT64",
		"100::1":           "discard only",
		"100:0:0:1::1":     "dummy prefix",
		"2001:0:7f00:1::":  "Teredo",
		"2001:2::1":        "benchmarking",
		"2001:20::1":       "ORCHIDv2",
		"2001:1::1":        "IETF protocol assignments",
		"5f00::1":          "segment routing identifiers",
		"fe80::1":          "link local",
		"fec0::1":          "site local",
		"ff02::1":          "multicast",
	} {
		t.Run("the address "+text+" is blocked as "+want, func(t *testing.T) {
			if got, blocked := egress.Blocked(netip.MustParseAddr(text)); !blocked || got != want {
				t.Errorf("Blocked(%s) = %q, %v, want %q, true", text, got, blocked, want)
			}
		})
	}
	t.Run("the zero address is blocked", func(t *testing.T) {
		if _, blocked := egress.Blocked(netip.Addr{}); !blocked {
			t.Error("Blocked(Addr{}) = false, want true")
		}
	})
}
