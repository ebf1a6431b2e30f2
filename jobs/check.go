package jobs

import (
	"fmt"
	"strings"
	"time"
)

// MaxNameLength bounds the names of kinds and queues, in bytes.
const MaxNameLength = 64

// problems collects what is wrong with a value.
type problems []error

// add keeps an error if there is one.
func (p *problems) add(err error) {
	if err != nil {
		*p = append(*p, err)
	}
}

// checkName returns an ErrInvalid unless name is 1 to 64 letters, digits and
// the characters _ . : - /.
func checkName(field, name string) error {
	if name == "" {
		return invalid(field, "required", "must not be empty")
	}
	if len(name) > MaxNameLength {
		return invalid(field, "too_long", fmt.Sprintf("must be at most %d characters", MaxNameLength))
	}
	for _, c := range []byte(name) {
		if !nameByte(c) {
			return invalid(field, "invalid_character", "may hold only letters, digits and _ . : - /")
		}
	}
	return nil
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_.:-/", c) >= 0
}

// checkOptional is checkName for a name that may be empty: the tenant of a program that
// has none, or a filter that does not restrict.
func checkOptional(field, name string) error {
	if name == "" {
		return nil
	}
	return checkName(field, name)
}

// checkRange returns an ErrInvalid unless n lies between 1 and high.
func checkRange(field string, n, high int) error {
	if n < 1 {
		return invalid(field, "too_small", "must be at least 1")
	}
	if n > high {
		return invalid(field, "too_large", fmt.Sprintf("must be at most %d", high))
	}
	return nil
}

func checkTimeout(field string, d time.Duration) error {
	if d != NoTimeout && d < time.Millisecond {
		return invalid(field, "too_small", "must be at least a millisecond")
	}
	return nil
}

// pointerEscaper writes a name as an element of a JSON pointer; see RFC 6901.
var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// pointer turns the dotted path of encoding/json into a JSON pointer.
func pointer(path string) string {
	if path == "" {
		return ""
	}
	return "/" + strings.ReplaceAll(pointerEscaper.Replace(path), ".", "/")
}
