// Package httpapi serves an App as the HTTP API of openapi.yaml.
//
//	app, err := levqor.New(stores, &levqor.Options{
//		Secret:    secret,
//		Validator: httpapi.NewValidator(), // job args by their validate tags
//	})
//	handler, err := httpapi.New(app, nil)
//	err = httpapi.Serve(ctx, listener, handler, nil)
//
// The handler can be mounted beside a host's own routes.
//
// Every request passes the same gates, in this order: a request ID, the guard of
// package httpguard, the route, the caller, its rate limit and its scope, the size and
// content type of the body, JSON without
// duplicate keys or trailing data, the contract's parameters and schemas. Only
// then does it reach the operation. Every error leaves as
// application/problem+json, by one table (problem.go), and holds nothing that is
// not meant for the caller.
package httpapi

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/levqor/sdk"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
	"github.com/levqor/sdk/levqor/httpguard"
)

// Options configure the handler. The zero value of each field means its default.
type Options struct {
	// Version is what the version operation reports. Default: that of the build.
	Version string
	// Logger gets errors that no caller is told about. Default: discard.
	Logger *slog.Logger
	// Authenticator tells who sends a request, for hosts with users of their own. API keys
	// are not asked for then, unless by [FirstOf] and [APIKeys]. Default: that of APIKeys.
	Authenticator Authenticator
	// Guard says what browsers may do with answers, which is nothing unless it allows
	// origins. Default: that of httpguard.New(nil).
	Guard *httpguard.Guard
	// MaxStreams is how many streams of events a caller may have open on this
	// handler. Default: 20.
	MaxStreams int
	// TrustedProxies are those whose X-Forwarded-For says where a request comes from. Of
	// the addresses in it the last one counts that is not a trusted proxy's, so they must
	// be all that stand in between. Default: none; the peer of the connection is the client.
	TrustedProxies []netip.Prefix
	// SecretScanningKeys are GitHub's public keys in PEM, by their identifiers, as
	// https://api.github.com/meta/public_keys/secret_scanning lists them. With them,
	// POST /api/v1/secret-scanning/github takes GitHub's reports of leaked API keys and
	// revokes those. Default: none, and no such route.
	SecretScanningKeys map[string]string
}

// requestTimeout bounds the work on one request, and of a stream what comes before it.
const requestTimeout = 30 * time.Second

// New returns the API of an app. Options may be nil. It returns an ErrInvalid for trusted
// proxies that are none and a key that cannot be read, and an error if the contract that
// was built in cannot be read, which is a bug.
func New(app *levqor.App, opts *Options) (http.Handler, error) {
	return newHandler(app, opts, sdk.OpenAPI)
}

// newHandler serves the operations as a contract declares them.
func newHandler(app *levqor.App, opts *Options, contract []byte) (http.Handler, error) {
	s := &server{app: app, schemas: kindSchemas{registry: app.Registry}}
	if opts != nil {
		s.opts = *opts
	}
	if err := httpguard.CheckProxies(s.opts.TrustedProxies); err != nil {
		return nil, fmt.Errorf("httpapi: new: %w", err)
	}
	if s.opts.Logger == nil {
		s.opts.Logger = slog.New(slog.DiscardHandler)
	}
	if s.opts.Authenticator == nil {
		s.opts.Authenticator = APIKeys(app, &s.opts)
	}
	if s.opts.MaxStreams <= 0 {
		s.opts.MaxStreams = 20
	}
	if s.opts.Version == "" {
		s.opts.Version = buildVersion()
	}
	doc, err := openapi3.NewLoader().LoadFromData(contract)
	if err != nil {
		return nil, fmt.Errorf("httpapi: read the contract: %w", err)
	}
	s.doc, s.scopes = doc, scopesOf(doc)
	if s.scanningKeys, err = parseScanningKeys(s.opts.SecretScanningKeys); err != nil {
		return nil, err
	}
	if s.opts.Guard == nil {
		if s.opts.Guard, err = httpguard.New(nil); err != nil {
			return nil, fmt.Errorf("httpapi: guard: %w", err)
		}
	}
	s.router = &router{mux: http.NewServeMux(), server: s}
	s.guarded = s.opts.Guard.Handler(httpguard.API, s.router)
	strict := oas.NewStrictHandlerWithOptions(s, []oas.StrictMiddlewareFunc{linkNext}, oas.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  s.refuse,
		ResponseErrorHandlerFunc: s.fail,
	})
	oas.HandlerWithOptions(strict, oas.StdHTTPServerOptions{BaseRouter: s.router, ErrorHandlerFunc: s.refuse})
	if s.router.err != nil {
		return nil, s.router.err
	}
	for pattern, serve := range s.foreignRoutes() {
		s.router.handleForeign(pattern, serve)
	}
	return s, nil
}

// server implements the operations; see jobs.go, system.go and their neighbours.
type server struct {
	app     *levqor.App
	opts    Options
	doc     *openapi3.T
	router  *router
	guarded http.Handler // the router behind the guard
	schemas kindSchemas
	streams streams
	scopes  []string // that the contract asks for

	scanningKeys map[string]*ecdsa.PublicKey
}

var (
	_ oas.StrictServerInterface = (*server)(nil)
	_ httpguard.Handler         = (*server)(nil)
)

// Guarded implements [httpguard.Handler].
func (s *server) Guarded() httpguard.Class { return httpguard.API }

// ServeHTTP gives a request its ID; the guard and the router do the rest.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := "req_" + rand.Text()
	r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
	w.Header().Set("Request-Id", id)
	tracked := &trackedWriter{ResponseWriter: w}
	defer s.recover(tracked, r)
	s.guarded.ServeHTTP(tracked, r)
}

// recover turns a panic into an answer, unless one has begun.
func (s *server) recover(w *trackedWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // a panic value that net/http compares as well
		panic(p)
	}
	s.logPanic(r.Context(), p)
	if w.begun {
		panic(http.ErrAbortHandler)
	}
	s.fail(w, r, errPanic)
}

func (s *server) logPanic(ctx context.Context, p any) {
	s.opts.Logger.ErrorContext(ctx, "httpapi: panic", slog.String("request_id", requestID(ctx)),
		slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
}

// trackedWriter knows whether an answer has begun.
type trackedWriter struct {
	http.ResponseWriter
	begun bool
}

func (w *trackedWriter) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *trackedWriter) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *trackedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type requestIDKey struct{}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
