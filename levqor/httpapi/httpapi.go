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
// Every request passes the same gates, in this order: a request ID, the route,
// the API key and its scope, the size and content type of the body, JSON without
// duplicate keys or trailing data, the contract's parameters and schemas. Only
// then does it reach the operation. Every error leaves as
// application/problem+json, by one table (problem.go), and holds nothing that is
// not meant for the caller.
package httpapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/levqor/sdk"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
)

// Options configure the handler. The zero value of each field means its default.
type Options struct {
	// Version is what the version operation reports. Default: that of the build.
	Version string
	// Logger gets errors that no caller is told about. Default: discard.
	Logger *slog.Logger
	// MaxStreams is how many streams of events an API key may have open on this
	// handler. Default: 20.
	MaxStreams int
}

// requestTimeout bounds the work on one request, and of a stream what comes before it.
const requestTimeout = 30 * time.Second

// New returns the API of an app. Options may be nil. It returns an error if the
// contract that was built in cannot be read, which is a bug.
func New(app *levqor.App, opts *Options) (http.Handler, error) {
	s := &server{app: app, schemas: kindSchemas{registry: app.Registry}}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Logger == nil {
		s.opts.Logger = slog.New(slog.DiscardHandler)
	}
	if s.opts.MaxStreams <= 0 {
		s.opts.MaxStreams = 20
	}
	if s.opts.Version == "" {
		s.opts.Version = buildVersion()
	}
	doc, err := openapi3.NewLoader().LoadFromData(sdk.OpenAPI)
	if err != nil {
		return nil, fmt.Errorf("httpapi: read the contract: %w", err)
	}
	s.doc = doc
	s.router = &router{mux: http.NewServeMux(), server: s}
	strict := oas.NewStrictHandlerWithOptions(s, nil, oas.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  s.refuse,
		ResponseErrorHandlerFunc: s.fail,
	})
	oas.HandlerWithOptions(strict, oas.StdHTTPServerOptions{BaseRouter: s.router, ErrorHandlerFunc: s.refuse})
	return s, nil
}

// server implements the operations; see jobs.go, system.go and their neighbours.
type server struct {
	app     *levqor.App
	opts    Options
	doc     *openapi3.T
	router  *router
	schemas kindSchemas
	streams streams
}

var _ oas.StrictServerInterface = (*server)(nil)

// ServeHTTP gives a request its ID, and what holds for every answer; the router does
// the rest.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := "req_" + rand.Text()
	r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
	h := w.Header()
	h.Set("Request-Id", id)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	tracked := &trackedWriter{ResponseWriter: w}
	defer s.recover(tracked, r)
	s.router.ServeHTTP(tracked, r)
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
