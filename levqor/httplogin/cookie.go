package httplogin

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

// Flow is the login that a browser has asked for.
type Flow struct {
	// ID names the login; "" if the browser has asked for none.
	ID string
	// Cookie proves that the browser asked.
	Cookie string
	// Match is what another browser has to repeat.
	Match string
}

// Flow returns the login that the browser of a request has asked for. It has not been
// looked at: all of it may be made up.
func (s *Sessions) Flow(r *http.Request) Flow {
	id, rest, _ := strings.Cut(s.value(r, flowCookie), ".")
	cookie, match, ok := strings.Cut(rest, ".")
	if !ok || len(match) != 2 || strings.Trim(match, "0123456789") != "" {
		return Flow{}
	}
	return Flow{ID: id, Cookie: cookie, Match: match}
}

// DropFlow lets the browser forget the login that it asked for.
func (s *Sessions) DropFlow(w http.ResponseWriter) { s.put(w, flowCookie, "", time.Time{}) }

// Keep lets the browser keep a value under a name of the caller's until a time, and forget
// it for the zero time, as out of reach as a session: for what a page has to remember of
// somebody who is not signed in yet. The value consists of letters, digits and "-_.".
func (s *Sessions) Keep(w http.ResponseWriter, name, value string, until time.Time) {
	s.put(w, "lvq_"+name, value, until)
}

// Kept returns what [Sessions.Keep] has sent, or anything else that was made up; "" for
// nothing.
func (s *Sessions) Kept(r *http.Request, name string) string { return s.value(r, "lvq_"+name) }

// put sends a cookie that lives until a time, or is gone at once for the zero time.
func (s *Sessions) put(w http.ResponseWriter, name, value string, until time.Time) {
	cookie := &http.Cookie{ //nolint:gosec // Secure unless a host asks for cookies over plain HTTP
		Name: s.prefix + name, Value: value, Path: "/", Secure: !s.opts.Insecure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Expires: until,
	}
	if until.IsZero() {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}

// value returns the cookie of a name, "" if there is none or more than one: which of them
// is meant then nobody knows, and somebody may have planted the other.
func (s *Sessions) value(r *http.Request, name string) string {
	all := r.CookiesNamed(s.prefix + name)
	if len(all) != 1 {
		return ""
	}
	return all[0].Value
}

func statusOf(err error) int {
	switch {
	case err == nil:
		return http.StatusOK
	case errors.Is(err, fault.ErrUnauthenticated):
		return http.StatusUnauthorized
	default:
		return http.StatusServiceUnavailable
	}
}
