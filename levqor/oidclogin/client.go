package oidclogin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/levqor/sdk/internal/egress"
	"github.com/levqor/sdk/levqor/sso"
)

// maxAnswer bounds the body of an answer, in bytes.
const maxAnswer = 1 << 20

const (
	errTooLong cause = "the answer is longer than 1 MiB"
	errDown    cause = "the answer has a status of 500 or more"
	errScheme  cause = "an address is not an https URL"
)

// bounded reads whole answers in bounded time. A provider that does not keep the bounds, or
// says itself that it is out of order, has not answered.
type bounded struct {
	next    http.RoundTripper
	opts    Options
	timeout time.Duration
}

func newClient(opts Options) *http.Client {
	client := egress.Client(&egress.Options{AllowPrivate: opts.AllowPrivate})
	client.Transport = &bounded{client.Transport, opts, opts.Timeout}
	return client
}

// RoundTrip implements [http.RoundTripper].
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if !b.opts.secure(r.URL) {
		return nil, errScheme
	}
	ctx, cancel := context.WithTimeout(r.Context(), b.timeout)
	defer cancel()
	res, err := b.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // it has been read
	if res.StatusCode >= http.StatusInternalServerError {
		return nil, errDown
	}
	body, truncated, err := egress.ReadBody(res.Body, maxAnswer)
	if err != nil {
		return nil, err
	}
	if truncated {
		return nil, errTooLong
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

// secure reports whether a browser or the client may be sent to a URL.
func (o Options) secure(u *url.URL) bool {
	return u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && o.AllowPrivate)
}

// failed logs why a sign-in failed and returns what the caller learns.
func (p *RelyingParty) failed(ctx context.Context, id sso.ConnectionID, step string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p.log(ctx, id, step, reason(step, err))
	var unreached *url.Error
	if step == "discovery" || errors.As(err, &unreached) {
		return ErrProviderUnavailable
	}
	return ErrSignInFailed
}

func (p *RelyingParty) log(ctx context.Context, id sso.ConnectionID, step, reason string) {
	p.opts.Logger.WarnContext(ctx, "oidclogin: a sign-in failed",
		slog.String("connection", id.String()), slog.String("step", step), slog.String("reason", reason))
}

// cause is an error in words of this package, which may be logged.
type cause string

// Error implements error.
func (c cause) Error() string { return string(c) }

// wrong is what an operator may read of a step that failed for a reason in the words of
// others, which may hold what the provider has answered.
var wrong = map[string]string{ //nolint:gosec // names of steps, no credentials
	"discovery": "the provider's metadata are not there or not right",
	"token":     "the answer of the token endpoint is not right",
	"ID token":  "the ID token is not right: its signature, issuer, audience or times",
	"userinfo":  "the user info is not there or not right",
	"admission": "the claims cannot be",
}

// reason returns what an operator may read of an error. What the libraries say goes no
// further, since it quotes answers: those of a token endpoint may hold tokens, and those
// about somebody what their name is.
func reason(step string, err error) string {
	var own cause
	var refused *oauth2.RetrieveError
	var expired *oidc.TokenExpiredError
	var mismatch *oidc.IssuerMismatchError
	var unreached *url.Error
	switch {
	case errors.As(err, &own):
		return own.Error()
	case errors.As(err, &refused):
		status := 0
		if refused.Response != nil {
			status = refused.Response.StatusCode
		}
		return fmt.Sprintf("the token endpoint answered with status %d and %s", status, errorCode(refused.ErrorCode))
	case errors.As(err, &expired):
		return "the ID token has expired"
	case errors.As(err, &mismatch):
		return "the provider names another issuer"
	case errors.As(err, &unreached):
		return egress.Public(err)
	default:
		return wrong[step]
	}
}

// maxErrorCode is the length of the longest error code that is logged, in bytes.
const maxErrorCode = 50

// errorCode tells of an error code of a provider, such as "access_denied", if it is one: all
// that are registered are of small letters and underscores (RFC 6749, section 11.4).
func errorCode(code string) string {
	if code == "" || len(code) > maxErrorCode || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "no error code"
	}
	return "error " + code
}
