package httpguard

import (
	"net/url"
	"slices"
	"strings"
)

// maxReturnPath bounds a path, in bytes.
const maxReturnPath = 2000

// ReturnPath returns where a browser may be sent after a sign-in or the like: s if it is
// an absolute path of the same origin, such as "/jobs?state=ready", else "/". What a
// browser, a proxy or a server might read as the address of another host, or as another
// path than the one that is written, is refused: "//evil.example", "/\evil.example",
// "/%2fevil.example", dot segments, and characters that an address does not hold
// (OWASP ASVS 5.0, 3.7.2).
func ReturnPath(s string) string {
	if len(s) > maxReturnPath || !strings.HasPrefix(s, "/") || strings.ContainsFunc(s, notInAddress) {
		return "/"
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" || u.Host != "" || !plainPath(u.EscapedPath()) {
		return "/"
	}
	return s
}

// notInAddress reports whether browsers write a character in another way, or drop it.
func notInAddress(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }

// plainPath reports whether an escaped path says the same however often it is unescaped
// on its way.
func plainPath(path string) bool {
	for range 5 {
		segments := strings.Split(path, "/")
		if strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == '\uFFFD' }) ||
			strings.Contains(path, "//") || slices.Contains(segments, ".") || slices.Contains(segments, "..") {
			return false
		}
		unescaped, err := url.PathUnescape(path)
		if err != nil || unescaped == path {
			return true // a % that escapes nothing is one
		}
		path = unescaped
	}
	return false
}
