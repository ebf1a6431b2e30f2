package fuzz_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/levqor/sdk"
)

// answer is what a request got. It takes a stream up to its first event, or for a
// moment.
type answer struct {
	status int
	header http.Header
	body   []byte
	leave  context.CancelFunc
	stream bool
}

// patience is how long a stream may stay silent.
const patience = 50 * time.Millisecond

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	if a.status != 0 {
		panic("the answer has begun")
	}
	a.status = status
	if a.stream = strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream"); a.stream {
		time.AfterFunc(patience, a.leave)
	}
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	a.body = append(a.body, b...)
	if a.stream && bytes.Contains(b, []byte("data: ")) {
		a.leave()
	}
	return len(b), nil
}

// Flush implements [http.Flusher].
func (a *answer) Flush() {}

// send returns the answer to a request, with the request as it was sent, or an error for
// one that net/http refuses by itself.
func (s *service) send(q *request) (*http.Request, *answer, error) {
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	r, err := q.http(ctx)
	if err != nil {
		return nil, nil, err
	}
	a := &answer{header: http.Header{}, leave: leave}
	if q.role.limited {
		s.strict.ServeHTTP(a, r)
	} else {
		s.handler.ServeHTTP(a, r)
	}
	a.status = cmp.Or(a.status, http.StatusOK) // as net/http does with an answer without a body
	return r, a, nil
}

// code returns the problem's, empty if the answer is none.
func (a *answer) code() string {
	var problem struct{ Code string }
	if a.status < http.StatusBadRequest || json.Unmarshal(a.body, &problem) != nil {
		return ""
	}
	return problem.Code
}

// inner is text of the service's inside. It is looked for in problems alone: other
// answers hold what callers have made up.
var inner = regexp.MustCompile(`(?i)sql:|\bpq:|\bpgx|SQLSTATE|sqlite|postgres|constraint|runtime error|panic|goroutine|\.go:|/(root|home|tmp|usr|work|var)/|` +
	`\bbun:|\blevqor_|json: |strconv\.|reflect\.|openapi3|context canceled|deadline exceeded|invalid memory|nil pointer`)

// judge returns what is wrong with an answer.
func (c *contract) judge(r *http.Request, q *request, a *answer, tenants []string) error {
	op := c.find(r)
	errs := []error{a.always(), c.tells(q, op, a, tenants)}
	if op == nil {
		if code := a.code(); code != "not_found" && code != "method_not_allowed" {
			errs = append(errs, errors.New("an answer to an unknown operation"))
		}
		return errors.Join(errs...)
	}
	if code := a.code(); code != "" && (!op.lists(code) || c.statuses[code] != a.status) {
		errs = append(errs, fmt.Errorf("the operation does not list %q with %d", code, a.status))
	}
	if r.Method != http.MethodHead { // has no body outside this process
		errs = append(errs, c.valid(r, op, a), c.streamed(a))
	}
	return errors.Join(append(errs, permitted(q, op, a), counted(op, a), repeated(q, a), op.handsOut(a))...)
}

// always returns what is wrong with an answer whatever the operation.
func (a *answer) always() error {
	var errs []error
	if a.status >= http.StatusInternalServerError {
		errs = append(errs, errors.New("an error of the service"))
	}
	id := a.header.Get("Request-Id")
	if id == "" {
		errs = append(errs, errors.New("no Request-Id"))
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		errs = append(errs, errors.New("an answer that may be cached or sniffed"))
	}
	if a.status < http.StatusBadRequest {
		return errors.Join(errs...)
	}
	if a.header.Get("Content-Type") != "application/problem+json" {
		errs = append(errs, errors.New("an error that is no problem+json"))
	}
	var problem struct {
		Status    int    `json:"status"`
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(a.body, &problem); err != nil || problem.Status != a.status || problem.RequestID != id {
		errs = append(errs, fmt.Errorf("a problem with status %d of request %s, %w", problem.Status, problem.RequestID, err))
	}
	return errors.Join(errs...)
}

// tells returns an error for an answer that holds what another tenant has planted, or
// what is of the service's inside. The operator sees all tenants.
func (c *contract) tells(q *request, op *operation, a *answer, tenants []string) error {
	if bytes.Equal(a.body, sdk.OpenAPI) {
		return nil
	}
	body := a.plain()
	if found := inner.Find(body); found != nil && a.status >= http.StatusBadRequest {
		return fmt.Errorf("the answer holds %q", found)
	}
	if op != nil && strings.HasPrefix(op.scope, "operator:") && q.role.allows(op.scope) {
		return nil
	}
	for _, tenant := range tenants {
		marker := (&role{tenant: tenant}).marker()
		if tenant != q.role.tenant && (bytes.Contains(body, []byte(marker)) || strings.Contains(fmt.Sprint(a.header), marker)) {
			return fmt.Errorf("the answer holds what %s has planted", tenant)
		}
	}
	return nil
}

// plain returns the body without what differs by request, and what repeats it.
func (a *answer) plain() []byte {
	if a.status < http.StatusBadRequest {
		return a.body
	}
	var problem map[string]json.RawMessage
	if json.Unmarshal(a.body, &problem) != nil {
		return a.body
	}
	delete(problem, "instance")
	delete(problem, "request_id")
	return encode(problem)
}

// streamed returns what is wrong with the events of a stream, or with the lines of an
// export.
func (c *contract) streamed(a *answer) error {
	if a.header.Get("Content-Type") == lines {
		var errs []error
		for line := range bytes.Lines(a.body) {
			errs = append(errs, c.validData("SecurityEvent", line))
		}
		return errors.Join(errs...)
	}
	if !a.stream {
		return nil
	}
	var errs []error
	for block := range strings.SplitSeq(string(a.body), "\n\n") {
		var event, data string
		for line := range strings.Lines(block) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch name {
			case "event":
				event = value
			case "data":
				data = value
			}
		}
		if data != "" {
			errs = append(errs, c.validEvent(event, []byte(data)))
		}
	}
	return errors.Join(errs...)
}

// permitted returns an error for an operation that somebody was let into without the
// right to it.
func permitted(q *request, op *operation, a *answer) error {
	switch code := a.code(); {
	case op.open() || code == "api_key_in_query":
		return nil
	case !q.role.limited && code == "rate_limited":
		return errors.New("somebody within the limits was refused")
	case q.role.limited && code != "rate_limited":
		return errors.New("somebody beyond the limits was let in")
	case q.role.limited:
		return nil
	case q.role.tenant == "" && code != "invalid_api_key":
		return errors.New("nobody was let in")
	case q.role.tenant != "" && op.person && !q.role.person && code != "person_required":
		return errors.New("a program was let in")
	case q.role.tenant != "" && !q.role.allows(op.scope) && code != "insufficient_scope":
		return errors.New("a key without the scope was let in")
	case q.role.tenant != "" && code == "invalid_api_key":
		return errors.New("a good key was refused")
	}
	return nil
}

// open reports whether an operation asks nobody who they are.
func (o *operation) open() bool { return o.scope == "" && !o.person }

// counted returns an error for an answer that does not say what is left of a limit, or
// when to come back if nothing is.
func counted(op *operation, a *answer) error {
	if op.open() || a.code() == "api_key_in_query" {
		return nil
	}
	if a.header.Get("RateLimit") == "" || a.header.Get("RateLimit-Policy") == "" {
		return errors.New("the answer does not say what is left of the limit")
	}
	if wait, err := strconv.Atoi(a.header.Get("Retry-After")); a.code() == "rate_limited" && (err != nil || wait < 1) {
		return errors.New("the answer does not say when to come back")
	}
	return nil
}

var (
	token      = regexp.MustCompile(`lvq_(live|test)_[0-9A-Za-z]{60}`)
	tokenField = regexp.MustCompile(`,"token":"` + token.String() + `"|,"url":"[^"]*"`)
)

// handsOut returns an error for an answer with the token of an API key where none is
// handed out, and for one without where there should be.
func (o *operation) handsOut(a *answer) error {
	due := a.status == http.StatusCreated && o.scope == "keys:write" && a.header.Get("Idempotent-Replayed") == ""
	if due != token.Match(a.body) {
		return fmt.Errorf("the answer should hold a token: %t", due)
	}
	return nil
}

// repeated returns an error if the second answer to a request is another one. The token
// of an API key and the link of an owner are in the first alone.
func repeated(q *request, a *answer) error {
	if q.before == nil {
		return nil
	}
	before := tokenField.ReplaceAll(q.before.body, nil)
	if a.status == q.before.status && bytes.Equal(a.body, before) && a.header.Get("Idempotent-Replayed") == "true" {
		return nil
	}
	return fmt.Errorf("the request was answered before with %d %s", q.before.status, q.before.body)
}

// alike returns an error if another tenant's thing is answered about otherwise than one
// that does not exist, but for what differs from request to request.
func alike(foreign, absent *answer) error {
	one, two := foreign.header.Clone(), absent.header.Clone()
	for _, name := range []string{"Request-Id", "RateLimit"} {
		one.Del(name)
		two.Del(name)
	}
	if foreign.status == absent.status && reflect.DeepEqual(one, two) && bytes.Equal(foreign.plain(), absent.plain()) {
		return nil
	}
	return fmt.Errorf("what does not exist is answered with %d %v %s", absent.status, two, absent.plain())
}
