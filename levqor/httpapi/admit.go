package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/identity"
)

// maxBody bounds the body of a request, in bytes.
const maxBody = 1 << 20

// admit lets a request through to its operation, with its caller in the context
// and its body read, or returns why not.
func (s *server) admit(w http.ResponseWriter, r *http.Request, op *operation) (*http.Request, error) {
	if holdsKey(r.URL.RawQuery) {
		return r, errKeyInQuery
	}
	if !op.public {
		caller, err := s.authenticate(r)
		if err != nil {
			return r, s.limitFailure(w, r, err)
		}
		if err := s.limit(w, r, op, caller); err != nil {
			return r, err
		}
		r = r.WithContext(context.WithValue(r.Context(), visitorKey{}, &visitor{Principal: caller, request: r}))
		if err := op.admits(caller); err != nil {
			return r, err
		}
		s.tellRetiring(w.Header(), r)
	}
	errs := []error{s.checkParameters(r, op)}
	if op.body != nil {
		value, err := readJSON(w, r)
		if err != nil && !errors.Is(err, fault.ErrInvalid) {
			return r, err
		}
		if err == nil {
			err = checkSchema(op.body, value, "")
		}
		if v, ok := r.Context().Value(visitorKey{}).(*visitor); ok {
			v.body = value
		}
		errs = append(errs, err)
	}
	return r, errors.Join(errs...)
}

// admits returns nil if a caller may ask for the operation.
func (op *operation) admits(caller identity.Principal) error {
	switch {
	case op.person && (caller.KeyID != "" || caller.UserID == ""):
		return errNoPerson
	case !op.person && !caller.Allows(op.scope):
		return &scopeError{op.scope}
	case op.fresh && (caller.Stale || op.person && caller.ByProvider): // what a person does to their account counts everywhere
		return errStale
	default:
		return nil
	}
}

// holdsKey reports whether a query holds an API key, encoded or not.
func holdsKey(query string) bool {
	plain, err := url.QueryUnescape(query)
	return strings.Contains(query, "lvq_") || err == nil && strings.Contains(plain, "lvq_")
}

// visitor is who sent a request.
type visitor struct {
	identity.Principal
	request *http.Request
	body    any // as [parseJSON] returns it
}

type visitorKey struct{}

// caller returns who sent the request. Operations that ask have one.
func caller(ctx context.Context) identity.Principal {
	if v, ok := ctx.Value(visitorKey{}).(*visitor); ok {
		return v.Principal
	}
	return identity.Principal{}
}

// body returns what a caller sent.
func body(ctx context.Context) any {
	if v, ok := ctx.Value(visitorKey{}).(*visitor); ok {
		return v.body
	}
	return nil
}

// sentArgs returns the arguments in what a caller sent.
func sentArgs(ctx context.Context) any {
	object, _ := body(ctx).(map[string]any)
	return object["args"]
}

// clientAddr returns where a request comes from.
func (s *server) clientAddr(r *http.Request) netip.Addr {
	return httpguard.ClientAddr(r, s.opts.TrustedProxies)
}

// tellRetiring tells a caller with the token from before a rotation when it ends, and its
// tenant that it is still in use.
func (s *server) tellRetiring(h http.Header, r *http.Request) {
	retiring := caller(r.Context()).Retiring
	if retiring.IsZero() {
		return
	}
	h.Set("Levqor-Key-Status", "retiring")
	h.Set("Sunset", retiring.UTC().Format(http.TimeFormat))
	s.note(r, s.event(r.Context(), guard.ActionKeyUsedRetiring, caller(r.Context()).KeyID))
}

// checkParameters checks path, query and headers against the contract.
func (s *server) checkParameters(r *http.Request, op *operation) error {
	params := map[string]string{}
	for _, p := range op.route.Operation.Parameters {
		if p.Value.In == "path" {
			params[p.Value.Name] = r.PathValue(p.Value.Name)
		}
	}
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	errs := []error{unknownParameters(query, op), repeatedHeaders(r.Header, op)}
	err = openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, QueryParams: query, Route: op.route,
		Options: &openapi3filter.Options{
			ExcludeRequestBody: true, // admit does it, with the value that it has parsed
			MultiError:         true, SkipSettingDefaults: true,
		},
	})
	return errors.Join(append(errs, parameterErrors(err)...)...)
}

// readJSON reads the body as one JSON value and leaves it readable.
func readJSON(w http.ResponseWriter, r *http.Request) (any, error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := params["charset"]; err != nil || media != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, errMediaType
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, fault.Invalid("", "incomplete", "could not be read to its end")
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	return parseJSON(raw)
}
