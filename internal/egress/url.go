package egress

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

const (
	maxURL   = 8 << 10 // Presigned URLs of cloud storage are the longest in use, at 2 to 4 KiB.
	maxHost  = 253
	maxLabel = 63
)

// CheckURL reports why raw cannot be a target, or nil. It resolves no names:
// [Client] judges addresses when it connects.
//
// A target is an absolute http or https URL of at most 8192 bytes of printable
// ASCII, without user information and fragment. Its port, where given, is 1 to
// 65535 in plain decimal. Its host is a DNS name in ASCII without a trailing
// dot, an IPv4 address in dotted decimal, or a bracketed IPv6 address without
// a zone; other spellings of addresses are refused.
//
// Unless o allows private networks, a [Blocked] literal address and a name
// without a dot are refused too, with an error that is [ErrBlocked].
//
// The error's text never repeats any part of raw. [Refused] holds for it, and
// [Public] gives its text without the package's name.
func CheckURL(raw string, o *Options) error {
	if err := checkText(raw); err != nil {
		return err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return urlError("the URL is malformed") // The cause quotes the URL.
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return urlError("the URL's scheme is not http or https")
	}
	if u.User != nil {
		return urlError("the URL has user information")
	}
	if u.Opaque != "" || u.Hostname() == "" {
		return urlError("the URL has no host")
	}
	if len(u.String()) > maxURL {
		return urlError("the URL is longer than 8192 bytes once its characters are escaped")
	}
	if err := checkPort(u); err != nil {
		return err
	}
	return checkHost(u, o.withDefaults())
}

func checkText(raw string) error {
	if raw == "" {
		return urlError("the URL is empty")
	}
	if len(raw) > maxURL {
		return urlError("the URL is longer than 8192 bytes")
	}
	for _, c := range []byte(raw) {
		switch {
		case c <= ' ' || c > '~':
			return urlError("the URL has a character that is not printable ASCII")
		case c == '\\':
			return urlError("the URL has a backslash")
		case c == '#':
			return urlError("the URL has a fragment")
		}
	}
	return nil
}

func checkPort(u *url.URL) error {
	port := u.Port()
	if port == "" && !strings.HasSuffix(u.Host, ":") {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' {
		return urlError("the URL's port is not 1 to 65535")
	}
	return nil
}

func checkHost(u *url.URL, o Options) error {
	host := u.Hostname()
	g := gate{allowPrivate: o.AllowPrivate}
	if strings.HasPrefix(u.Host, "[") {
		addr, err := netip.ParseAddr(host)
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return urlError("the URL's host is not a plain IPv6 address")
		}
		return g.judge(addr)
	}
	if err := checkName(host); err != nil {
		return err
	}
	if endsInNumber(host) {
		addr, err := netip.ParseAddr(host)
		if err != nil {
			return urlError("the URL's host is not an IPv4 address in dotted decimal")
		}
		return g.judge(addr)
	}
	if !o.AllowPrivate && !strings.Contains(host, ".") {
		return blockedError("name without a dot") // A search list completes it, inside the operator's network.
	}
	return nil
}

// checkName holds host to letters, digits, hyphens and underscores, so that
// percent signs, colons and other marks cannot pass. Names in other scripts
// are given in punycode.
func checkName(host string) error {
	if len(host) > maxHost {
		return urlError("the URL's host is too long")
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" {
			return urlError("the URL's host has an empty label or a trailing dot")
		}
		if len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return urlError("the URL's host has a malformed label")
		}
		if strings.IndexFunc(label, notNameRune) >= 0 {
			return urlError("the URL's host has a character that a name cannot have")
		}
	}
	return nil
}

func notNameRune(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_':
		return false
	}
	return true
}

// endsInNumber is the test of the WHATWG URL standard for hosts that some
// resolvers read as IPv4: 2130706433, 0x7f.1, 0177.0.0.1. No top-level domain
// looks like that.
func endsInNumber(host string) bool {
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	digits := "0123456789"
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		last, digits = hex, "0123456789abcdef"
	}
	return strings.Trim(last, digits) == ""
}
