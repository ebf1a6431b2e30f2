// Package oidclogin signs people in at the identity providers of their tenants: OpenID
// Connect Core 1.0 with the authorization code flow and PKCE (RFC 7636).
//
//	party, err := oidclogin.New(app, "https://app.example.com/login/sso/done", nil)
//
//	// on the login page, when somebody has given their address
//	c, err := app.SSO.FindByDomain(ctx, email)
//	to, secret, err := party.Begin(ctx, c.ID, "/jobs")
//	http.SetCookie(w, oidclogin.Cookie(secret))
//	http.Redirect(w, r, to, http.StatusSeeOther)
//
//	// at /login/sso/done/{id}, where the provider sends the browser back to
//	who, err := party.Finish(ctx, cookie.Value, oidclogin.ReadCallback(r.URL))
//	token, session, err := app.FinishProviderLogin(ctx, who.Login, login.Start{Device: device})
//	http.Redirect(w, r, who.ReturnPath, http.StatusSeeOther)
//
// Package web does all of that on its pages.
//
// Addresses of providers come from tenants, so they are reached through a guard that
// refuses private networks. What a provider says is for the operator's log; callers
// learn only that the sign-in failed.
package oidclogin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/sso"
)

// The errors of a sign-in; test with errors.Is. Those of [sso.Connections.SignIn] come
// besides.
var (
	// ErrSignInFailed reports that nobody is signed in: the flow is unknown, was used, has
	// expired or belongs to another browser, or the provider's answer is not right. It is
	// an [identity.ErrUnauthenticated] and does not tell which.
	ErrSignInFailed error = &fault.Error{Kind: fault.ErrUnauthenticated, Code: "sign_in_failed", Detail: "the sign-in was not completed; begin again"}
	// ErrProviderUnavailable reports that the provider did not answer as one does. It is an
	// [levqor.ErrUnavailable].
	ErrProviderUnavailable error = &fault.Error{Kind: fault.ErrUnavailable, Code: "provider_unavailable", Detail: "the identity provider does not answer"}
)

// Options configure a [RelyingParty]. The zero value of each field means its default.
type Options struct {
	// AllowPrivate lets providers be in private networks and speak http, for tests and for
	// services that trust all their tenants.
	AllowPrivate bool
	// MaxAge is how long ago somebody may have entered their password at the provider,
	// which asks again otherwise; to the second. Default: as long as the provider likes.
	MaxAge time.Duration
	// Timeout bounds each request to a provider. Default: 10 seconds.
	Timeout time.Duration
	// Logger gets why a sign-in failed, without personal data. Default: discard.
	Logger *slog.Logger
	// Now replaces the clock of the process, for tests. Default: that clock.
	Now func() time.Time
}

// RelyingParty is the service as providers know it. It is safe for concurrent use.
type RelyingParty struct {
	app      *levqor.App
	callback string
	opts     Options
	client   *http.Client

	mu    sync.Mutex
	known map[string]*discovery // by issuer
}

// New returns a relying party whose callback URLs, which [RelyingParty.CallbackURL] makes
// of the given one and tenants register at their providers, are served by
// [RelyingParty.Finish]. Options may be nil. It returns an ErrInvalid about
// "/callback_url" unless it is an https URL, or an http URL of this machine, without user,
// query and fragment.
func New(app *levqor.App, callbackURL string, opts *Options) (*RelyingParty, error) {
	p := &RelyingParty{app: app, callback: strings.TrimRight(callbackURL, "/"), known: map[string]*discovery{}}
	if opts != nil {
		p.opts = *opts
	}
	if p.opts.Timeout <= 0 {
		p.opts.Timeout = 10 * time.Second
	}
	if p.opts.Logger == nil {
		p.opts.Logger = slog.New(slog.DiscardHandler)
	}
	if p.opts.Now == nil {
		p.opts.Now = time.Now //nolint:forbidigo // decides how old a token is, which no store knows
	}
	u, err := url.Parse(callbackURL)
	if err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(callbackURL, "?#") || u.Scheme != "https" && (u.Scheme != "http" || !here(u.Hostname())) {
		return nil, fmt.Errorf("oidclogin: new: %w", fault.Invalid("/callback_url", "invalid_format", "must be an https URL without user, query and fragment"))
	}
	p.client = newClient(p.opts)
	return p, nil
}

// CallbackURL returns where a connection's provider sends browsers back to: the redirect
// URI to register there. Each connection has its own, below the URL that [New] was given:
// a provider does not know the others', so it gives no code to a browser that another one
// has sent to it in the middle of a sign-in.
func (p *RelyingParty) CallbackURL(id sso.ConnectionID) string {
	return p.callback + "/" + id.String()
}

// here reports whether a host is this machine.
func here(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Identity is somebody who has signed in.
type Identity struct {
	sso.Login
	// Age is how long ago the person proved to the provider who they are, as far as it
	// tells; 0 for just now. It is a year where the provider was to ask anew and does not
	// say that it has, which it must (OpenID Connect Core 1.0, section 3.1.2.1): some take no
	// notice of what they are told.
	Age time.Duration
	// ReturnPath is where the person wanted to be: a path of the same origin.
	ReturnPath string
}

// Begin returns the URL of a connection's provider to send a browser to, and the secret
// to set as its [Cookie]. The return path is where the person wants to be afterwards; "/"
// takes the place of one that leads elsewhere. Begin returns ErrNotFound if there is no
// such connection and ErrProviderUnavailable.
func (p *RelyingParty) Begin(ctx context.Context, id sso.ConnectionID, returnPath string) (to, secret string, err error) {
	return p.begin(ctx, sso.Flow{Connection: id, ReturnPath: returnPath, MaxAge: p.opts.MaxAge})
}

// BeginAgain is [RelyingParty.Begin] for somebody who is to prove anew who they are: the
// provider is told to ask them if it has not for that long, to the second. Whether it did,
// Age of the [Identity] tells.
func (p *RelyingParty) BeginAgain(ctx context.Context, id sso.ConnectionID, returnPath string, maxAge time.Duration) (to, secret string, err error) {
	return p.begin(ctx, sso.Flow{Connection: id, ReturnPath: returnPath, MaxAge: maxAge})
}

func (p *RelyingParty) begin(ctx context.Context, begun sso.Flow) (to, secret string, err error) {
	id := begun.Connection
	connection, err := p.app.SSO.Find(ctx, id)
	if err != nil {
		return "", "", fmt.Errorf("oidclogin: begin: %w", err)
	}
	provider, err := p.provider(ctx, connection.Issuer)
	if err != nil {
		return "", "", fmt.Errorf("oidclogin: begin: %w", p.failed(ctx, id, "discovery", err))
	}
	f := newFlow()
	begun.Hash, begun.ReturnPath = f.hash(), httpguard.ReturnPath(begun.ReturnPath)
	if err := p.app.SSO.BeginFlow(ctx, begun); err != nil {
		return "", "", fmt.Errorf("oidclogin: begin: %w", err)
	}
	config := provider.config(connection, "", p.CallbackURL(id))
	return config.AuthCodeURL(f.state(), authOptions(f, begun.MaxAge)...), string(f), nil
}

func authOptions(f flow, maxAge time.Duration) []oauth2.AuthCodeOption {
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(f.verifier()), oauth2.SetAuthURLParam("nonce", f.nonce())}
	if maxAge > 0 {
		options = append(options, oauth2.SetAuthURLParam("max_age", fmt.Sprint(int(maxAge.Seconds()))))
	}
	return options
}

// Callback is what a provider sends back through the browser.
type Callback struct {
	// Connection is whose callback URL the browser came to; 0 if it is nobody's.
	Connection sso.ConnectionID
	// Code is what tokens are had for.
	Code string
	// State says which flow it is about.
	State string
	// Issuer is the provider that sends it (RFC 9207); empty if it does not tell.
	Issuer string
	// Address is where the browser is that brings it, for the security log; the zero Addr if
	// nobody knows.
	Address netip.Addr
	// Error is why there is no code, such as "access_denied"; empty if there is one.
	Error string
}

// ReadCallback reads the URL of a request to a connection's callback URL, whose path ends
// with the connection's ID.
// What its query says twice is not said: which of them is meant nobody knows.
func ReadCallback(u *url.URL) Callback {
	query := u.Query()
	one := func(name string) string {
		if len(query[name]) != 1 {
			return ""
		}
		return query[name][0]
	}
	id, err := sso.ParseConnectionID(path.Base(u.Path))
	if err != nil {
		id = 0 // of no flow
	}
	return Callback{Connection: id, Code: one("code"), State: one("state"), Issuer: one("iss"), Error: one("error")}
}

// Finish returns who has signed in, of the flow that the secret in a browser's cookie
// began. The first time somebody comes, the user, the membership and the link are stored
// in one transaction, and what is new of them in the tenant's security log. A flow is used up whatever comes of it, except for a callback that
// is not about it. Finish returns ErrSignInFailed, ErrProviderUnavailable, and those
// errors of [sso.Connections.SignIn] by which a person learns why they are refused. With an
// error, Connection is that of the flow if it was taken, for the log, and nothing else is said.
func (p *RelyingParty) Finish(ctx context.Context, secret string, callback Callback) (Identity, error) {
	who, err := p.finish(ctx, flow(secret), callback)
	if err != nil {
		return Identity{Login: sso.Login{Connection: who.Connection}}, fmt.Errorf("oidclogin: finish: %w", err)
	}
	return who, nil
}

func (p *RelyingParty) finish(ctx context.Context, f flow, callback Callback) (Identity, error) {
	if !f.isState(callback.State) {
		return Identity{}, p.failed(ctx, 0, "state", cause("the callback is not about the browser's flow"))
	}
	begun, err := p.app.SSO.TakeFlow(ctx, f.hash())
	if errors.Is(err, sso.ErrNotFound) {
		return Identity{}, p.failed(ctx, 0, "flow", cause("the flow is unknown, used or expired"))
	}
	if err != nil {
		return Identity{}, err
	}
	who := Identity{ReturnPath: begun.ReturnPath, Login: sso.Login{Connection: begun.Connection}}
	if callback.Connection != begun.Connection {
		return who, p.failed(ctx, begun.Connection, "callback", cause("the callback URL is another connection's"))
	}
	claims, age, err := p.claims(ctx, f, begun, callback)
	if err != nil {
		return who, err
	}
	who.Age = age
	err = p.app.InTx(ctx, func(ctx context.Context, tx levqor.Stores) (err error) {
		login, err := p.app.SSO.With(tx.SSO).SignIn(ctx, p.app.Directory.With(tx.Directory), begun.Connection, claims)
		if err != nil {
			return err
		}
		who.Login = login
		return p.app.SecurityLog.With(tx.SecurityLog).Record(ctx, p.news(login, callback.Address)...)
	})
	if err == nil {
		return who, nil
	}
	return who, p.refused(ctx, begun.Connection, err)
}

// news tells what a sign-in has made: a membership, and who somebody is at the provider.
func (p *RelyingParty) news(who sso.Login, from netip.Addr) []guard.Event {
	e := guard.Event{
		Tenant: who.Tenant.String(), Outcome: guard.OutcomeSuccess, Actor: who.User.ID.String(), Target: who.User.ID.String(),
		Detail: map[string]string{"connection": who.Connection.String()},
	}
	if from.IsValid() {
		e.Address = p.app.SecurityLog.Pseudonym("ip", guard.Network(from))
	}
	var all []guard.Event
	if e.Action = guard.ActionMemberAdded; who.Joined {
		all = append(all, e)
	}
	if e.Action = guard.ActionSSOLinked; who.Linked {
		all = append(all, e)
	}
	return all
}

// claims returns what the connection's provider says of somebody for a code, and how long ago
// that proved who it is.
func (p *RelyingParty) claims(ctx context.Context, f flow, begun sso.Flow, callback Callback) (sso.Claims, time.Duration, error) {
	id := begun.Connection
	connection, err := p.app.SSO.Find(ctx, id)
	if errors.Is(err, sso.ErrNotFound) {
		return sso.Claims{}, 0, p.failed(ctx, id, "connection", cause("the connection was deleted"))
	}
	if err != nil {
		return sso.Claims{}, 0, err
	}
	secret, err := p.app.SSO.Secret(connection)
	if err != nil {
		return sso.Claims{}, 0, err
	}
	provider, err := p.provider(ctx, connection.Issuer)
	if err != nil {
		return sso.Claims{}, 0, p.failed(ctx, id, "discovery", err)
	}
	if err := provider.checkCallback(callback); err != nil {
		return sso.Claims{}, 0, p.failed(ctx, id, "callback", err)
	}
	config := provider.config(connection, secret, p.CallbackURL(id))
	claims, authTime, step, err := p.redeem(ctx, provider, config, f, callback.Code)
	if err != nil {
		return sso.Claims{}, 0, p.failed(ctx, id, step, err)
	}
	return claims, p.age(authTime, begun.MaxAge), nil
}

// refused returns what a caller learns when the domain refuses somebody. Claims that
// cannot be are the provider's fault and not the caller's.
func (p *RelyingParty) refused(ctx context.Context, id sso.ConnectionID, err error) error {
	if all := fault.All(err); errors.Is(err, sso.ErrForbidden) && len(all) > 0 {
		p.log(ctx, id, "admission", all[0].Code)
		return err
	}
	if errors.Is(err, sso.ErrInvalid) || errors.Is(err, sso.ErrNotFound) {
		return p.failed(ctx, id, "admission", err)
	}
	return err
}
