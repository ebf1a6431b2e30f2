package httpjobs

import (
	_ "embed" // for schema
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/levqor/sdk/internal/egress"
	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
)

//go:embed schema.json
var schema []byte

// Request is what the job is to send. A test holds it and schema.json to the
// same rules.
type Request struct {
	// Method is GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS. Default: GET.
	Method string `json:"method,omitempty"`
	// URL is absolute, with the scheme http or https, at most 2048 bytes, without
	// user information or fragment.
	URL string `json:"url"`
	// Headers are sent as they are, at most 64. Connection-level headers, Host
	// and Content-Length are the client's own.
	Headers []Header `json:"headers,omitempty"`
	// Body is sent as it is, at most [MaxBody] bytes. GET and HEAD have none.
	Body string `json:"body,omitempty"`
	// TimeoutSeconds bounds the request within the job's own timeout, up to 3600.
	// Default: the job's timeout.
	TimeoutSeconds float64 `json:"timeout_seconds,omitempty"`
	// ExpectedStatus lists the statuses that count as success, 200 to 599.
	// Default: any 2xx.
	ExpectedStatus []int `json:"expected_status,omitempty"`
}

// Header is one header field.
type Header struct {
	// Name is the field's name, at most 128 bytes.
	Name string `json:"name"`
	// Value is its value, at most 8192 bytes.
	Value string `json:"value"`
	// Secret makes the value readable by the request only.
	Secret bool `json:"secret,omitempty"`
}

var (
	_ jobs.Args         = Request{}
	_ jobs.SecretHolder = Request{}
)

// Kind implements [jobs.Args].
func (Request) Kind() string { return Kind }

// Secrets implements [jobs.SecretHolder].
func (r Request) Secrets() []*string {
	var all []*string
	for i := range r.Headers {
		if r.Headers[i].Secret {
			all = append(all, &r.Headers[i].Value)
		}
	}
	return all
}

// Limits that are not said elsewhere.
const (
	maxHeaders     = 64
	maxHeaderName  = 128
	maxHeaderValue = 8192
	maxTimeout     = 3600
	maxExpected    = 100
)

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// ownHeaders belong to the connection, not to the request.
var ownHeaders = []string{
	"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// Validate returns an ErrInvalid that names each wrong field. Addresses are
// judged when the request is made, since names change theirs.
func (r Request) Validate() error {
	errs := []error{r.validateURL(), r.validateBody()}
	if r.Method != "" && !slices.Contains(methods, r.Method) {
		errs = append(errs, fault.Invalid("/method", "unknown_method", "must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS"))
	}
	if len(r.Headers) > maxHeaders {
		errs = append(errs, fault.Invalid("/headers", "too_long", fmt.Sprintf("must have at most %d elements", maxHeaders)))
	}
	for i, h := range r.Headers {
		if err := h.validate(); err != nil {
			errs = append(errs, fault.Under(fmt.Sprintf("/headers/%d", i), err))
		}
	}
	if !(r.TimeoutSeconds >= 0 && r.TimeoutSeconds <= maxTimeout) { // refuses NaN too
		errs = append(errs, fault.Invalid("/timeout_seconds", "out_of_range", fmt.Sprintf("must be between 0 and %d", maxTimeout)))
	}
	if len(r.ExpectedStatus) > maxExpected {
		errs = append(errs, fault.Invalid("/expected_status", "too_long", fmt.Sprintf("must have at most %d elements", maxExpected)))
	}
	for i, s := range r.ExpectedStatus {
		if s < 200 || s > 599 {
			errs = append(errs, fault.Invalid(fmt.Sprintf("/expected_status/%d", i), "out_of_range", "must be between 200 and 599"))
		}
	}
	return errors.Join(errs...)
}

func (r Request) validateURL() error {
	if r.URL == "" {
		return fault.Invalid("/url", "required", "must not be empty")
	}
	if err := egress.CheckURL(r.URL, &egress.Options{AllowPrivate: true}); err != nil {
		return fault.Invalid("/url", "invalid_url", strings.TrimPrefix(err.Error(), "egress: "))
	}
	return nil
}

func (r Request) validateBody() error {
	if len(r.Body) > MaxBody {
		return fault.Invalid("/body", "too_long", fmt.Sprintf("must be at most %d bytes", MaxBody))
	}
	if r.Body != "" && (r.method() == http.MethodGet || r.method() == http.MethodHead) {
		return fault.Invalid("/body", "not_allowed", "must be empty for GET and HEAD")
	}
	return nil
}

func (h Header) validate() error {
	if h.Name == "" {
		return fault.Invalid("/name", "required", "must not be empty")
	}
	if len(h.Name) > maxHeaderName || strings.ContainsFunc(h.Name, notToken) {
		return fault.Invalid("/name", "invalid_header", "is not the name of a header")
	}
	if slices.Contains(ownHeaders, http.CanonicalHeaderKey(h.Name)) {
		return fault.Invalid("/name", "reserved_header", "is set by the client")
	}
	if len(h.Value) > maxHeaderValue || strings.ContainsFunc(h.Value, notFieldValue) {
		return fault.Invalid("/value", "invalid_header", "is not the value of a header")
	}
	return nil
}

// notToken tells what RFC 9110 §5.6.2 does not allow in a field name.
func notToken(c rune) bool {
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

// notFieldValue tells control characters, of which a field value may hold only
// the tab; see RFC 9110 §5.5.
func notFieldValue(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

func (r Request) method() string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}

func (r Request) expects(status int) bool {
	if len(r.ExpectedStatus) == 0 {
		return status >= 200 && status <= 299
	}
	return slices.Contains(r.ExpectedStatus, status)
}
