package httpjobs

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/levqor/sdk/internal/fault"
)

// Header is one header field of a request.
type Header struct {
	// Name is the field's name, at most 128 bytes.
	Name string `json:"name"`
	// Value is its value, at most 8192 bytes.
	Value string `json:"value"`
	// Secret makes the value readable by the request only.
	Secret bool `json:"secret,omitempty"`
}

const (
	maxHeaderName  = 128
	maxHeaderValue = 8192
)

// ownHeaders belong to the connection or follow from the rest of the request,
// and some would let one request be read as two.
var ownHeaders = []string{
	"Connection", "Content-Length", "Expect", "Host", "Http2-Settings", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

func (h Header) validate() error {
	if h.Name == "" {
		return fault.Invalid("/name", "required", "must not be empty")
	}
	if len(h.Name) > maxHeaderName {
		return fault.Invalid("/name", "too_long", fmt.Sprintf("must be at most %d bytes", maxHeaderName))
	}
	if strings.ContainsFunc(h.Name, notToken) {
		return fault.Invalid("/name", "invalid_header", "has a character that the name of a header cannot have")
	}
	if slices.Contains(ownHeaders, http.CanonicalHeaderKey(h.Name)) {
		return fault.Invalid("/name", "reserved_header", "is set by the client")
	}
	if len(h.Value) > maxHeaderValue {
		return fault.Invalid("/value", "too_long", fmt.Sprintf("must be at most %d bytes", maxHeaderValue))
	}
	if !utf8.ValidString(h.Value) || strings.ContainsFunc(h.Value, notFieldValue) {
		return fault.Invalid("/value", "invalid_header", "has a character that the value of a header cannot have")
	}
	return nil
}

// notToken tells what RFC 9110 §5.6.2 does not allow in a field name.
func notToken(c rune) bool {
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

// notFieldValue tells control characters, of which a field value may hold only
// the tab; see RFC 9110 §5.5.
func notFieldValue(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }
