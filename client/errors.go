package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/levqor/sdk/internal/fault"
)

// The kinds of errors that a service answers with: the same values as in
// process, so errors.Is(err, jobs.ErrNotFound) holds for a remote job as well.
var (
	// ErrInvalid reports a wrong value (400, 413, 415, 422).
	ErrInvalid = fault.ErrInvalid
	// ErrUnauthenticated reports that the key gives no access (401).
	ErrUnauthenticated = fault.ErrUnauthenticated
	// ErrForbidden reports that the key lacks a scope (403).
	ErrForbidden = fault.ErrForbidden
	// ErrNotFound reports that there is no such thing, or that it is another
	// tenant's (404).
	ErrNotFound = fault.ErrNotFound
	// ErrConflict reports that the present state does not allow it (409, 412).
	ErrConflict = fault.ErrConflict
	// ErrLimit reports that a limit is reached (429).
	ErrLimit = fault.ErrLimit
	// ErrUnavailable reports that the service could not be reached or cannot work
	// at present (502, 503, 504).
	ErrUnavailable = fault.ErrUnavailable
)

// Error is an answer that says no. It unwraps to its kind.
type Error struct {
	// Problem is what the service said.
	Problem
	// Op is what was asked, such as "get job".
	Op string
}

// Error returns one line with everything a developer needs.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "client: %s: %d %s", e.Op, e.Status, e.Code)
	if e.Detail != nil {
		fmt.Fprintf(&b, ": %s", *e.Detail)
	}
	for _, f := range e.Errors {
		where := ""
		if f.Pointer != nil {
			where = *f.Pointer
		} else if f.Parameter != nil {
			where = *f.Parameter
		}
		fmt.Fprintf(&b, " [%s %s]", where, f.Detail)
	}
	fmt.Fprintf(&b, " (%s)", e.RequestID)
	return b.String()
}

// Unwrap returns the kind, nil for an error of the service itself.
func (e *Error) Unwrap() error {
	switch e.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return ErrInvalid
	case http.StatusUnauthorized:
		return ErrUnauthenticated
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return ErrConflict
	case http.StatusTooManyRequests:
		return ErrLimit
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return ErrUnavailable
	default:
		return nil
	}
}

// one returns what was expected, or the problem that came instead.
func one[T any](op string, got *T, resp *http.Response, body []byte) (*T, error) {
	if got != nil {
		return got, nil
	}
	e := &Error{Op: op}
	if err := json.Unmarshal(body, &e.Problem); err != nil || e.Status == 0 { // something between us and the service
		e.Problem = Problem{Status: resp.StatusCode, Code: ProblemCodeInternal, Title: http.StatusText(resp.StatusCode)}
	}
	return nil, e
}

// unreachable wraps an error that came instead of an answer.
func unreachable(op string, err error) error {
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("client: %s: the answer is not JSON: %w", op, err)
	}
	return fmt.Errorf("client: %s: %w: %w", op, ErrUnavailable, err)
}
