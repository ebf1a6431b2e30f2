package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/levqor/sdk/internal/fault"
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
		caller, err := s.authenticate(r, op.scope)
		if err != nil {
			return r, err
		}
		r = r.WithContext(context.WithValue(r.Context(), callerKey{}, caller))
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
		errs = append(errs, err)
	}
	return r, errors.Join(errs...)
}

// holdsKey reports whether a query holds an API key, encoded or not.
func holdsKey(query string) bool {
	plain, err := url.QueryUnescape(query)
	return strings.Contains(query, "lvq_") || err == nil && strings.Contains(plain, "lvq_")
}

type callerKey struct{}

// caller returns who sent the request. Operations that ask have one.
func caller(ctx context.Context) identity.Principal {
	p, _ := ctx.Value(callerKey{}).(identity.Principal)
	return p
}

func (s *server) authenticate(r *http.Request, scope string) (identity.Principal, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return identity.Principal{}, fmt.Errorf("httpapi: no bearer token: %w", identity.ErrUnauthenticated)
	}
	p, err := s.app.Keys.Authenticate(r.Context(), strings.TrimSpace(token))
	if err != nil {
		return identity.Principal{}, err
	}
	if !p.Allows(scope) {
		return identity.Principal{}, &scopeError{scope}
	}
	return p, nil
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
			MultiError:         true, SkipSettingDefaults: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
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
