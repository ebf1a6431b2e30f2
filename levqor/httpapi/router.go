package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
)

// router is the generated code's mux. The pattern of each route names the
// operation, so requests are validated against exactly that: a second router
// that finds operations by path would be a second truth.
type router struct {
	mux    *http.ServeMux
	server *server
	err    error // what is wrong with an operation of the contract
}

// operation is an operation of the contract, with what its gate needs.
type operation struct {
	route  *routers.Route
	name   string // the pattern, such as "POST /api/v1/jobs"
	public bool
	scope  string
	person bool             // is about whoever calls, who is no program, and needs no scope
	fresh  bool             // asks people for a fresh proof of who they are
	cost   string           // which rate limit counts it
	stream bool             // goes on for as long as the caller stays
	body   *openapi3.Schema // nil if there is none
}

// endpoint is an operation behind its gate. Its type tells it from the handlers
// that the mux makes up for what it does not have.
type endpoint http.HandlerFunc

// ServeHTTP implements [http.Handler].
func (e endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) { e(w, r) }

// HandleFunc registers an operation behind its gate.
func (rt *router) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	op := rt.operation(pattern)
	ends, err := deprecation(op.route.Operation)
	if err != nil && rt.err == nil {
		rt.err = err
	}
	rt.mux.Handle(pattern, endpoint(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range ends {
			w.Header()[name] = slices.Clone(values)
		}
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		admitted, err := rt.server.admit(w, r.WithContext(ctx), op)
		if err != nil {
			rt.server.fail(w, admitted, err)
			return
		}
		if op.stream {
			admitted = streaming(r, admitted, op)
		}
		handler(conditional(w, r), admitted)
	}))
}

// streaming returns a request that was admitted without its time limit, and with what
// a stream needs to know of it.
func streaming(r, admitted *http.Request, op *operation) *http.Request {
	ctx := context.WithValue(r.Context(), visitorKey{}, admitted.Context().Value(visitorKey{}))
	return r.WithContext(context.WithValue(ctx, streamedKey{}, streamed{r, op.scope}))
}

// operation finds the operation of a pattern. The patterns come from the same
// contract, so it is there.
func (rt *router) operation(pattern string) *operation {
	method, path, _ := strings.Cut(pattern, " ")
	item := rt.server.doc.Paths.Value(path)
	spec := item.GetOperation(method)
	checked := *spec
	checked.Security = openapi3.NewSecurityRequirements() // admit does it
	op := &operation{
		name:  pattern,
		route: &routers.Route{Spec: rt.server.doc, Path: path, PathItem: item, Method: method, Operation: &checked},
	}
	op.public = spec.Security != nil && len(*spec.Security) == 0
	op.scope, _ = spec.Extensions["x-scope"].(string)
	op.person = spec.Extensions["x-caller"] == "person"
	op.fresh = spec.Extensions["x-proof"] == "fresh"
	op.cost, _ = spec.Extensions["x-cost"].(string)
	op.stream, _ = spec.Extensions["x-stream"].(bool)
	if spec.RequestBody != nil {
		op.body = spec.RequestBody.Value.Content["application/json"].Schema.Value
	}
	return op
}

// ServeHTTP serves a request, or says as a problem that there is no such route.
// A path that is not clean, such as /api/v1//jobs, is one of those: a redirect
// would be an answer that the contract does not have.
func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler, _ := rt.mux.Handler(r)
	if _, ok := handler.(endpoint); ok {
		rt.mux.ServeHTTP(w, r) // sets the path's values
		return
	}
	// The mux answers in text or HTML; only its verdict is of use.
	verdict := &verdictWriter{header: http.Header{}}
	handler.ServeHTTP(verdict, r)
	if verdict.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", verdict.header.Get("Allow"))
		rt.server.fail(w, r, errMethod)
		return
	}
	rt.server.fail(w, r, errRoute)
}

// verdictWriter keeps the head of an answer and drops the rest.
type verdictWriter struct {
	header http.Header
	status int
}

func (w *verdictWriter) Header() http.Header         { return w.header }
func (w *verdictWriter) WriteHeader(status int)      { w.status = status }
func (w *verdictWriter) Write(b []byte) (int, error) { return len(b), nil }
