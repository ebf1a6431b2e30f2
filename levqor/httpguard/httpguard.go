// Package httpguard guards routes that browsers reach: the headers that say what an
// answer may do there, who may read it from another origin, and who may send what
// changes something.
//
//	guard, err := httpguard.New(nil)
//	mux := http.NewServeMux()
//	mux.Handle("GET /account", guard.Handler(httpguard.Page, account))
//	mux.Handle("POST /account/name", guard.Handler(httpguard.Page, rename))
//	mux.Handle("GET /logo.svg", guard.Handler(httpguard.Asset, logo))
//	mux.Handle("/api/", api) // of package httpapi, which is guarded
//	for _, route := range httpguard.Unguarded(mux, "GET /account", "POST /account/name") {
//		log.Error("nobody guards this route", "route", route)
//	}
//
// It is plain net/http, for the routes of a host as for those of the SDK. A handler may
// replace what the guard has set, such as the policy of a page that needs another.
package httpguard

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"
)

// Class says what the answers of a route are.
type Class int

// The classes of routes. What they have in common: nothing is sniffed, framed, or
// embedded by other origins, and over TLS browsers come back over TLS alone
// (OWASP ASVS 5.0, 3.4 and 3.5).
const (
	// API answers programs. Browsers may do nothing with an answer but hand it to a
	// script of an allowed origin, and nobody keeps it.
	API Class = iota
	// Page is HTML for one person. Scripts and styles run if they carry the nonce of the
	// answer; nobody keeps it; what changes something must come from the same origin.
	Page
	// Secret is a page whose address opens something, such as the link of a login: a
	// Page that tells nobody where its visitor came from.
	Secret
	// Public is a Page that is the same for all, so its handler may let it be kept, with
	// its nonce: it should show nothing that strangers have written.
	Public
	// Asset is a file that pages load, such as a style sheet, which its handler may
	// let be kept.
	Asset
)

// Handler is a handler of a route that is guarded.
type Handler interface {
	http.Handler
	// Guarded returns how.
	Guarded() Class
}

// Options configure a [Guard]. The zero value of each field means its default.
type Options struct {
	// Origins are those whose scripts may read the answers of API routes, such as
	// "https://app.example.com": exactly these, since patterns have holes. They bring
	// their API key; cookies never cross origins. Default: none.
	Origins []string
	// Partners are the origins from which browsers may send to pages what changes
	// something. Default: none but the page's own.
	Partners []string
	// Bypass are patterns, in the form of [http.ServeMux], of routes that take such
	// requests from anywhere, since no cookie counts for them: webhooks of others, the
	// one-click unsubscription of RFC 8058. Default: none.
	Bypass []string
	// FormTargets are origins beside the own one that forms of pages may lead to, also
	// by a redirect, such as "https://checkout.stripe.com". Default: none.
	FormTargets []string
	// ReportPath is where browsers report what a policy has kept from happening.
	// Default: nowhere.
	ReportPath string
	// HTTPS says that callers come over TLS even where a request does not, because a
	// proxy ends it. Default: as the request came.
	HTTPS bool
	// Denied answers requests that change something and come from elsewhere.
	// Default: status 403 and a line of text.
	Denied http.Handler
}

// Guard makes handlers guarded. It is safe for concurrent use.
type Guard struct {
	opts    Options
	foreign *http.CrossOriginProtection
	forms   string // what form-action allows beside the own origin
}

// New returns a guard. Options may be nil. It returns an ErrInvalid that names the
// option for an origin that is not one and a pattern that cannot be read.
func New(opts *Options) (*Guard, error) {
	g := &Guard{foreign: http.NewCrossOriginProtection()}
	if opts != nil {
		g.opts = *opts
	}
	if err := g.opts.check(); err != nil {
		return nil, err
	}
	for _, origin := range g.opts.Partners {
		if err := g.foreign.AddTrustedOrigin(origin); err != nil {
			return nil, invalidOrigin("/partners")
		}
	}
	for _, pattern := range g.opts.Bypass {
		if err := addBypass(g.foreign, pattern); err != nil {
			return nil, err
		}
	}
	if g.opts.Denied != nil {
		g.foreign.SetDenyHandler(g.opts.Denied)
	}
	for _, origin := range g.opts.FormTargets {
		g.forms += " " + origin
	}
	return g, nil
}

// Handler guards a handler as its class demands.
func (g *Guard) Handler(class Class, h http.Handler) Handler {
	if class == API {
		h = g.shared(h)
	} else {
		h = g.foreign.Handler(h)
	}
	return &guarded{g, class, h}
}

type guarded struct {
	guard *Guard
	class Class
	next  http.Handler
}

// Guarded implements [Handler].
func (h *guarded) Guarded() Class { return h.class }

// ServeHTTP implements [http.Handler].
func (h *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	nonce := ""
	if h.class != API && h.class != Asset {
		nonce = newNonce()
		r = r.WithContext(context.WithValue(r.Context(), nonceKey{}, nonce))
	}
	h.guard.setHeaders(w.Header(), h.class, nonce, h.guard.opts.HTTPS || r.TLS != nil)
	h.next.ServeHTTP(w, r)
}

type nonceKey struct{}

// Nonce returns what the scripts and styles of a page carry in their attribute nonce to
// be run, "" outside one. It is another one for each answer.
func Nonce(ctx context.Context) string {
	nonce, _ := ctx.Value(nonceKey{}).(string)
	return nonce
}

// newNonce returns 128 random bits.
func newNonce() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // does not fail
	return base64.StdEncoding.EncodeToString(raw[:])
}

// Unguarded returns those of the routes, such as "POST /account", that no guard stands
// before in a mux. It serves no request.
func Unguarded(mux *http.ServeMux, routes ...string) []string {
	var open []string
	for _, route := range routes {
		method, path, ok := strings.Cut(route, " ")
		if !ok {
			method, path = http.MethodGet, route
		}
		r, err := http.NewRequestWithContext(context.Background(), method, path, http.NoBody)
		if err != nil {
			open = append(open, route)
			continue
		}
		h, _ := mux.Handler(r)
		if _, guarded := h.(Handler); !guarded {
			open = append(open, route)
		}
	}
	return open
}
