// Package web serves the pages on which people sign in, by mail or at the identity provider
// of their team, and look after their account and their team: plain HTML that needs no
// script but where a link's fragment is read and a passkey is asked for.
//
//	pages, err := web.New(app, &web.Options{Brand: "Engines"})
//	mux.Handle("/", pages)
//	mux.Handle("/api/", api) // for the same people too: see [httplogin.Sessions.Authenticate]
//
// All pages stand behind a guard of package httpguard. What changes something is a POST
// from the same origin, and is answered with a redirect, so that going back in a browser
// repeats nothing; a GET changes nothing, whoever follows the links of a mail. The one GET
// that does is that by which an identity provider sends a browser back, once, to finish what
// that browser has begun.
package web

import (
	"cmp"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/httplogin"
	"github.com/levqor/sdk/levqor/oidclogin"
	"github.com/levqor/sdk/levqor/webauthnfactor"
)

// Options configure the pages. The zero value of each field means its default.
type Options struct {
	// Brand is what the service is called, also in authenticator apps: a line of at most
	// 100 bytes without a colon. Default: "Levqor".
	Brand string
	// Base is the path under which the pages are mounted, such as "/people". Default:
	// none. The links in mails lead to the App's PublicURL, which ends with it then.
	Base string
	// Guard says what browsers may do with answers. Default: that of httpguard.New(nil).
	Guard *httpguard.Guard
	// Sessions carries sessions by cookies. Default: httplogin.New(app.Sessions, nil).
	Sessions *httplogin.Sessions
	// Logins is how often people of one network may ask for a mail, and show what is to let
	// them in: two quotas of this size. Default: "login", 5 a minute; a negative Limit means
	// none.
	Logins guard.Policy
	// AllowPrivateProviders lets identity providers of teams be in private networks and speak
	// http, for tests and for services that trust all their teams. Default: false.
	AllowPrivateProviders bool
	// ProviderMaxAge is how long ago somebody may have proved who they are to their team's
	// provider, which asks again otherwise, when they sign in here; see
	// [oidclogin.Options]. Default: as long as the provider likes.
	ProviderMaxAge time.Duration
	// Logger gets errors that no visitor is told about. Default: discard.
	Logger *slog.Logger
}

type site struct {
	app      *levqor.App
	opts     Options
	sessions *httplogin.Sessions
	lockout  *guard.Lockout
	passkeys *webauthnfactor.RelyingParty // nil where there can be none
	party    *oidclogin.RelyingParty      // the same
	pages    map[string]*template.Template
}

// New returns the pages of an app. Options may be nil. It returns an ErrInvalid for a base
// that is no path.
func New(app *levqor.App, opts *Options) (http.Handler, error) {
	s := &site{app: app}
	if opts != nil {
		s.opts = *opts
	}
	if base := s.opts.Base; base != "" && (path.Clean(base) != base || base[0] != '/' || base == "/") {
		return nil, fmt.Errorf("web: new: %w", fault.Invalid("/base", "invalid_format", "must be a path such as /people"))
	}
	s.opts.Brand = cmp.Or(s.opts.Brand, "Levqor")
	if len(s.opts.Brand) > maxBrand || strings.Contains(s.opts.Brand, ":") {
		return nil, fmt.Errorf("web: new: %w", fault.Invalid("/brand", "invalid_format", "must have at most 100 bytes and no colon"))
	}
	s.opts.Logger = cmp.Or(s.opts.Logger, slog.New(slog.DiscardHandler))
	s.opts.Logins = guard.Policy{
		Name: cmp.Or(s.opts.Logins.Name, "login"), Limit: cmp.Or(s.opts.Logins.Limit, 5), Window: cmp.Or(s.opts.Logins.Window, time.Minute),
	}
	if err := s.setUp(); err != nil {
		return nil, fmt.Errorf("web: new: %w", err)
	}
	return s.mount()
}

// maxBrand bounds the brand, in bytes, as factor.Factors.BeginTOTP does.
const maxBrand = 100

func (s *site) setUp() (err error) {
	if s.opts.Guard == nil {
		if s.opts.Guard, err = httpguard.New(nil); err != nil {
			return err
		}
	}
	if s.sessions = s.opts.Sessions; s.sessions == nil {
		if s.sessions, err = httplogin.New(s.app.Sessions, nil); err != nil {
			return err
		}
	}
	if s.lockout, err = guard.NewLockout(s.app.Limiter, s.app.KeyRing, nil); err != nil {
		return err
	}
	s.passkeys, s.party = s.relyingParty(), s.providerParty()
	s.pages, err = parsePages()
	return err
}

// relyingParty returns what makes passkeys, nil where browsers make none: they are bound
// to a domain that is reached over TLS, or to this machine.
func (s *site) relyingParty() *webauthnfactor.RelyingParty {
	at, err := url.Parse(s.app.PublicURL())
	if err != nil {
		return nil
	}
	party, err := webauthnfactor.New(s.app.Factors, &webauthnfactor.Options{
		RPID: at.Hostname(), Origins: []string{at.Scheme + "://" + at.Host}, DisplayName: s.opts.Brand,
	})
	if err != nil {
		return nil
	}
	return party
}

// Below callbackBase identity providers send browsers back to a path for each connection.
const callbackBase = "/login/sso/done"

const callbackPath = "/login/sso/done/{id}"

// providerParty returns what signs people in at the providers of their teams, nil where
// nobody can be sent back: providers want an address that is reached over TLS, or this
// machine.
func (s *site) providerParty() *oidclogin.RelyingParty {
	party, err := oidclogin.New(s.app, s.app.PublicURL()+callbackBase, &oidclogin.Options{
		AllowPrivate: s.opts.AllowPrivateProviders, MaxAge: s.opts.ProviderMaxAge, Logger: s.opts.Logger,
	})
	if err != nil {
		return nil
	}
	return party
}
