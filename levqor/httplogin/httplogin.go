// Package httplogin carries the sessions of people over HTTP: the cookie that names a
// session, and who has sent a request.
//
//	sessions, err := httplogin.New(app.Sessions, nil)
//	mux.Handle("GET /reports", guard.Handler(httpguard.Page, sessions.Require(reports)))
//	func reports(w http.ResponseWriter, r *http.Request) {
//		found, _ := httplogin.From(r.Context())
//		who, ok := found.Principal()
//		…
//	}
//	keys := httpapi.APIKeys(app, nil)
//	api, err := httpapi.New(app, &httpapi.Options{Authenticator: httpapi.FirstOf(httpapi.SameOrigin(sessions), keys)})
//
// It is plain net/http, for the routes of a host as for those of the SDK.
package httplogin

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// Options configure [Sessions]. The zero value of each field means its default.
type Options struct {
	// Insecure makes cookies that browsers send over plain HTTP too, for development:
	// without it they have the prefix __Host-, which pins them to this host and to TLS.
	Insecure bool
	// TrustedProxies are those whose X-Forwarded-For says where a request comes from; see
	// [httpguard.ClientAddr]. Default: none.
	TrustedProxies []netip.Prefix
}

// Sessions finds the session of a request. It is safe for concurrent use.
type Sessions struct {
	sessions *login.Sessions
	opts     Options
	prefix   string // of the cookies' names
}

// New returns what carries sessions. Options may be nil. It returns an ErrInvalid for
// proxies that are none.
func New(sessions *login.Sessions, opts *Options) (*Sessions, error) {
	s := &Sessions{sessions: sessions, prefix: "__Host-"}
	if opts != nil {
		s.opts = *opts
	}
	if err := httpguard.CheckProxies(s.opts.TrustedProxies); err != nil {
		return nil, fmt.Errorf("httplogin: new: %w", err)
	}
	if s.opts.Insecure {
		s.prefix = ""
	}
	return s, nil
}

// The names of the cookies, behind the prefix.
const (
	sessionCookie = "lvq_session"
	flowCookie    = "lvq_login"
)

// Find returns the session of a request and its token. It returns an ErrUnauthenticated if
// there is none, or none any more.
func (s *Sessions) Find(r *http.Request) (found login.Found, token string, err error) {
	token = s.value(r, sessionCookie)
	if token == "" {
		return login.Found{}, "", fmt.Errorf("httplogin: no session: %w", fault.ErrUnauthenticated)
	}
	found, err = s.sessions.Authenticate(r.Context(), token)
	return found, token, err
}

// Put sends the token of a session that has begun or got another one to the browser, in
// whose hands it stays until the session ends, whatever is done with it.
func (s *Sessions) Put(w http.ResponseWriter, token string, session login.Session) {
	s.put(w, sessionCookie, token, session.ProvenAt.Add(session.Lifetime.Absolute))
}

// End ends the session of a request and then lets the browser forget what it knows of it,
// whether or not there is one. A session that could not be ended stays the browser's, which
// can ask again: else it would go on in the hands of whoever has copied the cookie.
func (s *Sessions) End(w http.ResponseWriter, r *http.Request) error {
	if err := s.sessions.End(r.Context(), s.value(r, sessionCookie)); err != nil {
		return err
	}
	s.put(w, sessionCookie, "", time.Time{})
	w.Header().Set("Clear-Site-Data", `"cache", "cookies", "storage"`)
	return nil
}

// Token returns the token of a request, right or not, to end its session when another
// begins; "" without one.
func (s *Sessions) Token(r *http.Request) string { return s.value(r, sessionCookie) }

// PutFlow binds a login that has been asked for to the browser until it expires.
func (s *Sessions) PutFlow(w http.ResponseWriter, flow login.Flow) {
	s.put(w, flowCookie, flow.ID+"."+flow.Cookie+"."+flow.Match, flow.ExpiresAt)
}

// Authenticate returns the person who has sent a request. Browsers send cookies with
// requests that other sites make, so in httpapi it stands behind SameOrigin, with the
// API keys of programs after it:
//
//	httpapi.FirstOf(httpapi.SameOrigin(sessions), httpapi.APIKeys(app, opts))
//
// Somebody whose last proof is not fresh any more is Stale, and
// somebody who has come by a provider alone is ByProvider. It returns an
// ErrUnauthenticated for a request without a session, for somebody who has
// no place in the session's tenant, and before a second factor that they have is shown.
func (s *Sessions) Authenticate(r *http.Request) (identity.Principal, error) {
	found, err := s.whole(r)
	if err != nil {
		return identity.Principal{}, err
	}
	who, ok := found.Principal()
	if !ok {
		return identity.Principal{}, fmt.Errorf("httplogin: no place in a tenant: %w", fault.ErrUnauthenticated)
	}
	who.Stale, who.ByProvider, who.SessionID = !found.Fresh, found.Session.Provider != 0, found.Session.ID.String()
	return who, nil
}

// whole returns the session of a request unless its user has a second factor to show first.
func (s *Sessions) whole(r *http.Request) (login.Found, error) {
	found, _, err := s.Find(r)
	if err == nil && found.Session.Level == login.LevelHalf {
		err = fmt.Errorf("httplogin: second factor not shown: %w", fault.ErrUnauthenticated)
	}
	return found, err
}

type foundKey struct{}

// Require lets requests with a session through to a handler, which asks [From] for it, and
// answers others, also those of people who have a second factor to show first, with status
// 401, or 503 if nobody knows. Guard the route by package httpguard too: cookies come with
// requests that other sites make.
func (s *Sessions) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, err := s.whole(r)
		switch status := statusOf(err); status {
		case http.StatusOK:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), foundKey{}, found)))
		default:
			http.Error(w, http.StatusText(status), status)
		}
	})
}

// From returns the session that [Sessions.Require] has found.
func From(ctx context.Context) (login.Found, bool) {
	found, ok := ctx.Value(foundKey{}).(login.Found)
	return found, ok
}
