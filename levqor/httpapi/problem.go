package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
)

// What only HTTP can get wrong.
var (
	errRoute       = fmt.Errorf("no such route: %w", fault.ErrNotFound)
	errMethod      = errors.New("method not allowed")
	errTooLarge    = errors.New("body too large")
	errMediaType   = errors.New("unsupported media type")
	errKeyRequired = errors.New("no idempotency key")
	errKeyInQuery  = errors.New("API key in the query")
	errCursor      = errors.New("invalid cursor")
	errNoPerson    = fmt.Errorf("a program has no account: %w", fault.ErrForbidden)
	errStale       = fmt.Errorf("the last proof is too old: %w", fault.ErrForbidden)
	errPanic       = errors.New("panic")
)

// scopeError says which scope the caller lacks.
type scopeError struct{ scope string }

func (e *scopeError) Error() string { return "scope " + e.scope + " is missing" }
func (e *scopeError) Unwrap() error { return fault.ErrForbidden }

// statusClosed is what others call "client closed request". Nobody reads it but
// the log.
const statusClosed = 499

// rule is one line of the table from errors to answers.
type rule struct {
	err    error
	status int
	code   client.ProblemCode
	title  string
}

// rules holds what is specific before what is general: the first match counts.
var rules = []rule{
	{errKeyRequired, http.StatusBadRequest, client.ProblemCodeIdempotencyKeyRequired, "The header Idempotency-Key is required."},
	{errKeyInQuery, http.StatusBadRequest, client.ProblemCodeAPIKeyInQuery, "API keys belong in the Authorization header. Revoke this key: query strings are logged."},
	{errCursor, http.StatusBadRequest, client.ProblemCodeInvalidCursor, "The cursor is not one of this list and these filters."},
	{errMethod, http.StatusMethodNotAllowed, client.ProblemCodeMethodNotAllowed, "The path does not have this method."},
	{errTooLarge, http.StatusRequestEntityTooLarge, client.ProblemCodeBodyTooLarge, "The body is larger than 1 MiB."},
	{errPrecondition, http.StatusPreconditionFailed, client.ProblemCodePreconditionFailed, "It is no longer as If-Match says."},
	{levqor.ErrNoMailer, http.StatusServiceUnavailable, client.ProblemCodeNoMailer, "The service has nothing to send mail with."},
	{errMediaType, http.StatusUnsupportedMediaType, client.ProblemCodeUnsupportedMediaType, "The content type must be application/json."},
	{levqor.ErrKeyReused, http.StatusUnprocessableEntity, client.ProblemCodeIdempotencyKeyReused, "The Idempotency-Key was used for another request."},
	{errNoPerson, http.StatusForbidden, client.ProblemCodePersonRequired, "This is for people who have signed in."},
	{errStale, http.StatusForbidden, client.ProblemCodeProofRequired, "This needs a fresh proof of who you are. Sign in again."},
	{identity.ErrScopeNotHeld, http.StatusForbidden, client.ProblemCodeScopeNotHeld, "The caller does not hold a scope that is at stake."},
	{identity.ErrRotating, http.StatusConflict, client.ProblemCodeRotationInProgress, "The token from before the last rotation still works."},
	{fault.ErrInvalid, http.StatusBadRequest, client.ProblemCodeValidationFailed, "The request is not valid."},
	{fault.ErrUnauthenticated, http.StatusUnauthorized, client.ProblemCodeInvalidAPIKey, "The API key is missing or gives no access."},
	{fault.ErrForbidden, http.StatusForbidden, client.ProblemCodeForbidden, "This is not allowed."},
	{fault.ErrNotFound, http.StatusNotFound, client.ProblemCodeNotFound, "There is nothing here."},
	{fault.ErrConflict, http.StatusConflict, client.ProblemCodeConflict, "The present state does not allow this."},
	{guard.ErrRateLimited, http.StatusTooManyRequests, client.ProblemCodeRateLimited, "There were too many requests."},
	{fault.ErrLimit, http.StatusTooManyRequests, client.ProblemCodeLimitReached, "A limit is reached."},
	{context.Canceled, statusClosed, client.ProblemCodeCanceled, "The caller left."},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, client.ProblemCodeTimeout, "The request took too long."},
	{fault.ErrUnavailable, http.StatusServiceUnavailable, client.ProblemCodeUnavailable, "The service cannot do this at present."},
}

var internal = rule{nil, http.StatusInternalServerError, client.ProblemCodeInternal, "Something went wrong on our side."}

func ruleFor(err error) rule {
	for _, r := range rules {
		if errors.Is(err, r.err) {
			return r
		}
	}
	return internal
}

// refuse answers a request that the contract admits and the generated code cannot
// decode, such as an integer written 1.0.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	refusal := fault.Invalid("", "invalid", "has a value in a form that is not accepted")
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		refusal.Field = "/" + strings.ReplaceAll(wrong.Field, ".", "/")
		refusal.Code, refusal.Detail = "wrong_type", "has the wrong type, or is a number in another form than its type is written in"
	}
	s.fail(w, r, refusal)
}

// fail answers a request with an error. Errors of the service itself are logged
// and not described.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	rule := ruleFor(err)
	s.noteRefusal(r, rule, err)
	if rule.status >= http.StatusInternalServerError {
		s.opts.Logger.ErrorContext(r.Context(), "httpapi: request failed", slog.String("request_id", requestID(r.Context())),
			slog.Int("status", rule.status), slog.Any("error", err), slog.String("cause", fault.Cause(err)))
	}
	problem := client.Problem{
		Type: "urn:levqor:problem:" + string(rule.code), Title: rule.title, Status: rule.status, Code: rule.code,
		Instance: &r.URL.Path, RequestID: requestID(r.Context()),
	}
	if rule.status < http.StatusInternalServerError {
		problem.Errors = fieldErrors(err)
		problem.Detail = detail(err, problem.Errors)
	}
	if scope, ok := errors.AsType[*scopeError](err); ok {
		problem.Code, problem.RequiredScope = client.ProblemCodeInsufficientScope, &scope.scope
		problem.Type = "urn:levqor:problem:" + string(problem.Code)
	}
	if limit, ok := errors.AsType[*guard.LimitError](err); ok {
		problem.ViolatedPolicies = limit.Violated
	}
	writeProblem(w, problem)
}

func writeProblem(w http.ResponseWriter, p client.Problem) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="levqor", error="invalid_token"`)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the caller has left
}

// fieldErrors lists what an error says about single values.
func fieldErrors(err error) []client.FieldError {
	if !errors.Is(err, fault.ErrInvalid) {
		return nil
	}
	var all []client.FieldError
	for _, known := range fault.All(err) {
		f := *known
		e := client.FieldError{Code: f.Code, Detail: f.Detail}
		if f.Field == "/idempotency_key" { // package levqor knows no headers
			f.Field = parameterField("header", "Idempotency-Key")
		}
		if in, name, ok := strings.Cut(f.Field, ":"); ok && !strings.HasPrefix(f.Field, "/") {
			where := client.FieldErrorIn(in)
			e.In, e.Parameter = &where, &name
		} else {
			pointer := "#" + (&url.URL{Fragment: f.Field}).EscapedFragment()
			e.Pointer = &pointer
		}
		all = append(all, e)
	}
	return all
}

// detail says in a sentence what happened, where the title does not.
func detail(err error, fields []client.FieldError) *string {
	var text string
	switch n := len(fields); {
	case n == 1:
		text = "1 value is not valid."
	case n > 1:
		text = fmt.Sprintf("%d values are not valid.", n)
	default:
		all := fault.All(err)
		if len(all) == 0 || all[0].Detail == "" {
			return nil
		}
		text = all[0].Detail
	}
	return &text
}
