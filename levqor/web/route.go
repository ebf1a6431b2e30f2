package web

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/login"
)

// maxForm bounds the body of a form, in bytes.
const maxForm = 64 << 10

// action answers a request of a visitor, who is nil if nobody is signed in, or says why not.
type action func(w http.ResponseWriter, r *http.Request, who *visitor) error

// access says who may ask for a page.
type access int

const (
	open   access = iota // anybody
	known                // who is signed in, also before they have shown a second factor that they have
	signed               // who is signed in
	proven               // who has proven to be that person within the last minutes
	own                  // likewise, and not by a team's provider alone: what is done counts in other teams too
)

// route is a page or a form.
type route struct {
	pattern string // without the base
	class   httpguard.Class
	access  access
	do      action
}

// limited are the forms by which people get in, with the quota that they take of.
var limited = map[string]string{
	"POST /login": "begin", "POST /login/again": "begin", "POST /login/mail": "begin",
	"POST /login/code": "prove", "POST /login/l/{flow}": "prove", "POST /login/factor": "prove", "POST /login/recovery": "prove",
	"POST /login/passkey": "prove", "POST /join": "prove", "GET " + callbackPath: "provider",
	"POST /account/email": "begin", "POST /account/email/code": "prove", "POST /account/email/l/{flow}": "prove", "POST /undo": "prove",
}

func (s *site) routes() []route {
	return slices.Concat(s.loginRoutes(), s.providerRoutes(), s.proofRoutes(), s.accountRoutes(), s.emailRoutes(), s.factorRoutes(), s.passkeyRoutes(), s.teamRoutes(), s.teamProviderRoutes(), s.joinRoutes())
}

func (s *site) mount() (http.Handler, error) {
	mux := http.NewServeMux()
	for _, rt := range s.routes() {
		method, at, _ := strings.Cut(rt.pattern, " ")
		h := s.handler(rt)
		if quota, ok := limited[rt.pattern]; ok {
			h = s.limit(quota, rt.pattern)(h)
		}
		mux.Handle(method+" "+s.opts.Base+at, s.opts.Guard.Handler(rt.class, h))
	}
	for _, name := range []string{"levqor.css", "levqor.js", "levqor.svg"} {
		raw, err := files.ReadFile("assets/" + name)
		if err != nil {
			return nil, fmt.Errorf("web: new: %w", err)
		}
		mux.Handle("GET "+s.opts.Base+"/assets/"+name, s.opts.Guard.Handler(httpguard.Asset, asset(name, raw)))
	}
	mux.Handle(s.opts.Base+"/", s.opts.Guard.Handler(httpguard.Page, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, fault.ErrNotFound)
	})))
	return &pages{mux}, nil
}

// pages are guarded, each as its class demands.
type pages struct{ *http.ServeMux }

// Guarded implements [httpguard.Handler].
func (*pages) Guarded() httpguard.Class { return httpguard.Page }

// limit counts requests of one network. What cannot be counted waits: a login is worth
// guessing at. Any page can make its visitors ask for the callback of a provider, so what is
// about no sign-in of theirs takes nothing of the quota of their network.
func (s *site) limit(quota, pattern string) func(http.Handler) http.Handler {
	policy := s.opts.Logins
	policy.Name += "-" + quota
	page := func(err error) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, err) })
	}
	network := func(r *http.Request) string {
		if pattern == "GET "+callbackPath && !s.fromProvider(r) {
			return ""
		}
		return guard.Network(s.sessions.Device(r).Address)
	}
	return httpguard.Limit(s.app.Limiter, policy, network, &httpguard.LimitOptions{
		Refused: page(fault.ErrLimit), Unavailable: page(fault.ErrUnavailable),
	})
}

// asset serves a file, which browsers keep for an hour.
func asset(name string, raw []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(raw))
	})
}

// handler puts the gates before an action: the form is read whole, the visitor is known.
func (s *site) handler(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, who, err := s.admit(w, r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		switch {
		case rt.access >= known && who == nil:
			s.goTo(w, r, "/login?return="+s.here(r))
		case rt.access >= signed && who.Half():
			s.goTo(w, r, "/login/factor?return="+s.here(r))
		case rt.access == own && who.Session.Provider != 0:
			s.goTo(w, r, "/login/again?own=yes&return="+s.here(r))
		case rt.access >= proven && !who.Fresh:
			s.goTo(w, r, "/login/again?return="+s.here(r))
		default:
			if err := rt.do(w, r, who); err != nil {
				s.fail(w, r, err)
			}
		}
	})
}

// admit reads the form of a request and finds its visitor.
func (s *site) admit(w http.ResponseWriter, r *http.Request) (*http.Request, *visitor, error) {
	if err := readForm(w, r); err != nil {
		return r, nil, err
	}
	found, token, err := s.sessions.Find(r)
	if errors.Is(err, login.ErrUnauthenticated) {
		return r, nil, nil
	}
	if err != nil {
		return r, nil, err
	}
	who := &visitor{Found: found, token: token}
	return withVisitor(r, who), who, nil
}

// readForm reads the body of a POST as a form in which no field comes twice.
func readForm(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return nil
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return fault.Invalid("", "invalid_form", "the request is no form")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return fault.Invalid("", "invalid_form", "the form is damaged or too long")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 || strings.ContainsRune(name+values[0], 0) {
			return fault.Invalid("", "invalid_form", "the form has a field twice or text that is none")
		}
	}
	return nil
}

// goTo sends the browser to another page: one of the table, or what ReturnPath let through.
func (s *site) goTo(w http.ResponseWriter, r *http.Request, to string) {
	http.Redirect(w, r, s.opts.Base+to, http.StatusSeeOther)
}
