package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"strings"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/identity"
)

// Authenticator tells who sends a request: the seam where a host's own users come in. It is
// safe for concurrent use, and is asked again about streams that last.
type Authenticator interface {
	// Authenticate returns the caller: whose data it may touch as Tenant, what it may do as
	// Scopes, and its KeyID or UserID, by which rate limits and idempotency keys tell callers
	// apart, of all tenants; with Stale, operations that need a fresh proof are refused. It
	// returns an identity.ErrUnauthenticated for a request without credentials of its own kind
	// or with wrong ones, and an ErrUnavailable if it cannot tell; any other error is answered
	// as a fault of the service.
	//
	// Browsers send cookies with requests that other sites make, so one that takes cookies
	// stands behind [SameOrigin].
	Authenticate(r *http.Request) (identity.Principal, error)
}

// AuthenticatorFunc is a function as an [Authenticator].
type AuthenticatorFunc func(r *http.Request) (identity.Principal, error)

// Authenticate implements [Authenticator].
func (f AuthenticatorFunc) Authenticate(r *http.Request) (identity.Principal, error) { return f(r) }

// FirstOf returns an authenticator that asks others, one after the other, until one knows
// the caller or fails otherwise than with an ErrUnauthenticated.
func FirstOf(all ...Authenticator) Authenticator {
	return AuthenticatorFunc(func(r *http.Request) (identity.Principal, error) {
		err := identity.ErrUnauthenticated
		for _, a := range all {
			var p identity.Principal
			if p, err = a.Authenticate(r); err == nil || !errors.Is(err, identity.ErrUnauthenticated) {
				return p, err
			}
		}
		return identity.Principal{}, err
	})
}

// SameOrigin returns an authenticator that knows the callers of another one only if a page
// of the service's own origin sends the request (Sec-Fetch-Site: same-origin) and, where it
// may change something, its content type is application/json, which no form can send: what
// an [Authenticator] that takes cookies needs against forged requests. Programs send no
// such header, and have keys.
func SameOrigin(a Authenticator) Authenticator {
	return AuthenticatorFunc(func(r *http.Request) (identity.Principal, error) {
		media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		if r.Header.Get("Sec-Fetch-Site") != "same-origin" || !reads && media != "application/json" {
			return identity.Principal{}, fmt.Errorf("httpapi: not from a page of this origin: %w", identity.ErrUnauthenticated)
		}
		return a.Authenticate(r)
	})
}

// APIKeys returns the authenticator of an app's API keys, which stand in the header
// Authorization: the default, to be combined with others by [FirstOf]. Of the options,
// which may be nil, TrustedProxies and Logger count, and should be those of [New].
func APIKeys(app *levqor.App, opts *Options) Authenticator {
	k := apiKeys{app: app, log: slog.New(slog.DiscardHandler)}
	if opts != nil {
		k.proxies = opts.TrustedProxies
	}
	if opts != nil && opts.Logger != nil {
		k.log = opts.Logger
	}
	return k
}

type apiKeys struct {
	app     *levqor.App
	proxies []netip.Prefix
	log     *slog.Logger
}

// Authenticate implements [Authenticator].
func (k apiKeys) Authenticate(r *http.Request) (identity.Principal, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return identity.Principal{}, fmt.Errorf("httpapi: no bearer token: %w", identity.ErrUnauthenticated)
	}
	p, err := k.app.Keys.AuthenticateFrom(r.Context(), strings.TrimSpace(token), httpguard.ClientAddr(r, k.proxies))
	if errors.Is(err, identity.ErrOtherEnvironment) || errors.Is(err, identity.ErrOtherNetwork) {
		k.log.WarnContext(r.Context(), "httpapi: API key refused", slog.String("request_id", requestID(r.Context())), slog.Any("error", err))
	}
	return p, err
}

// authenticate returns who sends a request. The empty tenant is the service's own, and
// callers without an ID would share limits, so neither is taken from anybody.
func (s *server) authenticate(r *http.Request) (identity.Principal, error) {
	p, err := s.opts.Authenticator.Authenticate(r)
	switch {
	case err == nil && (p.Tenant == "" || p.ID() == ""):
		return identity.Principal{}, errors.New("httpapi: the authenticator returned a caller without a tenant or an ID")
	case err == nil, errors.Is(err, fault.ErrUnauthenticated), errors.Is(err, fault.ErrUnavailable),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return p, err
	default: // of another kind, the contract does not have the answer
		return identity.Principal{}, fmt.Errorf("httpapi: the authenticator failed: %v", err) //nolint:errorlint // see above
	}
}
