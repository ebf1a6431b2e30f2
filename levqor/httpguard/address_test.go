package httpguard_test

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
)

func TestTheClientIsTheLastWhoIsNoTrustedProxy(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("192.0.2.7/32")}
	hundred := strings.TrimSuffix(strings.Repeat("198.51.100.9, ", 100), ", ")
	for _, tt := range []struct{ name, peer, header, want string }{
		{"no proxy", "203.0.113.5:4711", "", "203.0.113.5"},
		{"a stranger who claims to be a proxy", "203.0.113.5:4711", "X-Forwarded-For: 198.51.100.9", "203.0.113.5"},
		{"a stranger who claims to come from a proxy", "203.0.113.5:4711", "X-Forwarded-For: 10.0.0.1, 10.0.0.2", "203.0.113.5"},
		{"a proxy", "10.0.0.1:80", "X-Forwarded-For: 198.51.100.9", "198.51.100.9"},
		{"a single trusted address", "192.0.2.7:80", "X-Forwarded-For: 198.51.100.9", "198.51.100.9"},
		{"its neighbour", "192.0.2.8:80", "X-Forwarded-For: 198.51.100.9", "192.0.2.8"},
		{"a proxy that says nothing", "10.0.0.1:80", "", "10.0.0.1"},
		{"a proxy that says an empty text", "10.0.0.1:80", "X-Forwarded-For: ", "10.0.0.1"},
		{"two proxies", "10.0.0.1:80", "X-Forwarded-For: 198.51.100.9, 10.9.9.9", "198.51.100.9"},
		{"proxies alone", "10.0.0.1:80", "X-Forwarded-For: 10.0.0.3, 10.0.0.2", "10.0.0.3"},
		{"an address that the client made up", "10.0.0.1:80", "X-Forwarded-For: 1.1.1.1, 198.51.100.9", "198.51.100.9"},
		{"a trusted address that the client made up", "10.0.0.1:80", "X-Forwarded-For: 10.0.0.5, 198.51.100.9", "198.51.100.9"},
		{"100 addresses that the client made up", "10.0.0.1:80", "X-Forwarded-For: " + strings.ReplaceAll(hundred, "198.51.100.9", "1.1.1.1") + ", 198.51.100.9", "198.51.100.9"},
		{"100 proxies", "10.0.0.1:80", "X-Forwarded-For: 198.51.100.9, " + strings.ReplaceAll(hundred, "198.51.100.9", "10.1.1.1"), "198.51.100.9"},
		{"several lines", "10.0.0.1:80", "X-Forwarded-For: 1.1.1.1\nX-Forwarded-For: 198.51.100.9\nX-Forwarded-For: 10.0.0.2", "198.51.100.9"},
		{"a name in mixed case", "10.0.0.1:80", "x-fOrWaRdEd-fOr: 1.1.1.1\nX-FORWARDED-FOR: 198.51.100.9", "198.51.100.9"},
		{"the other headers", "10.0.0.1:80", "X-Real-IP: 1.1.1.1\nForwarded: for=1.1.1.1\nTrue-Client-IP: 1.1.1.1", "10.0.0.1"},
		{"a port", "10.0.0.1:80", "X-Forwarded-For: 198.51.100.9:4711", "198.51.100.9"},
		{"no spaces", "10.0.0.1:80", "X-Forwarded-For: 1.1.1.1,198.51.100.9", "198.51.100.9"},
		{"tabs and spaces", "10.0.0.1:80", "X-Forwarded-For:  1.1.1.1 ,\t 198.51.100.9 \t", "198.51.100.9"},
		{"garbage before the client", "10.0.0.1:80", "X-Forwarded-For: ' OR 1=1 --, 198.51.100.9", "198.51.100.9"},
		{"garbage in its place", "10.0.0.1:80", "X-Forwarded-For: 198.51.100.9, unknown", "10.0.0.1"},
		{"garbage behind a second proxy", "10.0.0.1:80", "X-Forwarded-For: 198.51.100.9, _hidden, 10.0.0.2", "10.0.0.2"},
		{"an empty place", "10.0.0.1:80", "X-Forwarded-For: 198.51.100.9,, ", "10.0.0.1"},
		{"a name of a host", "10.0.0.1:80", "X-Forwarded-For: example.com", "10.0.0.1"},
		{"octal digits", "10.0.0.1:80", "X-Forwarded-For: 0198.051.0100.09", "10.0.0.1"},
		{"a number", "10.0.0.1:80", "X-Forwarded-For: 3325256713", "10.0.0.1"},
		{"a prefix", "10.0.0.1:80", "X-Forwarded-For: 198.51.100.0/24", "10.0.0.1"},
		{"a very long text", "10.0.0.1:80", "X-Forwarded-For: " + strings.Repeat("1", 60_000), "10.0.0.1"},
		{"many commas", "10.0.0.1:80", "X-Forwarded-For: " + strings.Repeat(",", 60_000), "10.0.0.1"},
		{"an IPv6 peer", "[2001:db8:1:2:3:4:5:6]:443", "", "2001:db8:1:2::/64"},
		{"an IPv6 proxy", "[fd00::1]:443", "X-Forwarded-For: 2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"},
		{"IPv6 in brackets", "10.0.0.1:80", "X-Forwarded-For: [2001:db8:1:2::9]", "2001:db8:1:2::/64"},
		{"IPv6 with a port", "10.0.0.1:80", "X-Forwarded-For: [2001:db8:1:2::9]:4711", "2001:db8:1:2::/64"},
		{"IPv6 with a zone", "10.0.0.1:80", "X-Forwarded-For: fe80::1%eth0", "fe80::/64"},
		{"IPv6 with a zone and a port", "10.0.0.1:80", "X-Forwarded-For: [fe80::1%25eth0]:1", "fe80::/64"},
		{"a peer with a zone", "[fe80::1%eth0]:443", "", "fe80::/64"},
		{"a bracket that is not closed", "10.0.0.1:80", "X-Forwarded-For: [2001:db8:1:2::9", "2001:db8:1:2::/64"},
		{"IPv4 within IPv6", "[::ffff:203.0.113.5]:443", "", "203.0.113.5"},
		{"a proxy by IPv4 within IPv6", "[::ffff:10.0.0.1]:443", "X-Forwarded-For: ::ffff:198.51.100.9", "198.51.100.9"},
		{"a Unix socket", "@", "X-Forwarded-For: 198.51.100.9", "invalid IP"},
		{"no peer", "", "", "invalid IP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := "GET / HTTP/1.1\r\nHost: levqor.test\r\n" + strings.ReplaceAll(tt.header, "\n", "\r\n")
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.TrimSuffix(text, "\r\n") + "\r\n\r\n")))
			if err != nil {
				t.Fatal(err)
			}
			r.RemoteAddr = tt.peer
			if got := guard.Network(httpguard.ClientAddr(r, trusted)); got != tt.want {
				t.Errorf("the client is %s, want %s", got, tt.want)
			}
		})
	}
}

func TestProxiesAreReadFromText(t *testing.T) {
	if all, err := httpguard.ParseProxies(" 10.0.0.0/8,fd00::/8 "); err != nil || fmt.Sprint(all) != "[10.0.0.0/8 fd00::/8]" {
		t.Errorf("ParseProxies = %v, %v", all, err)
	}
	if all, err := httpguard.ParseProxies("  "); err != nil || len(all) != 0 {
		t.Errorf("ParseProxies of nothing = %v, %v", all, err)
	}
	for _, text := range []string{"10.0.0.1", "10.0.0.0/8,", "10.0.0.0/8;10.1.0.0/16", "10.0.0.0/33", "*", "::ffff:10.0.0.0/104"} {
		if all, err := httpguard.ParseProxies(text); !errors.Is(err, httpguard.ErrInvalid) {
			t.Errorf("ParseProxies(%q) = %v, %v; want ErrInvalid", text, all, err)
		}
	}
}
