package httpjobs

import (
	_ "embed" // for schema
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/levqor/sdk/internal/egress"
	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
)

//go:embed schema.json
var schema []byte

// Encodings of a body.
const (
	// Text means that a body is written as it is.
	Text = "text"
	// Base64 means that a body is written in standard base64 with padding.
	Base64 = "base64"
)

// Request is what the job is to send. A test holds it and schema.json to the
// same rules.
type Request struct {
	// Method is GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS. Default: GET.
	Method string `json:"method,omitempty"`
	// URL is absolute, with the scheme http or https and any port, at most 8192
	// bytes of ASCII, without user information or fragment.
	URL string `json:"url"`
	// Headers are sent as they are, at most 64. Host, Content-Length and the
	// headers of the connection are the client's own and refused.
	Headers []Header `json:"headers,omitempty"`
	// Body is what is sent, at most [MaxBody] bytes. GET and HEAD have none.
	Body string `json:"body,omitempty"`
	// BodyEncoding says how Body is written: [Text] or [Base64], as in a
	// [Result]. Default: Text.
	BodyEncoding string `json:"body_encoding,omitempty"`
	// TimeoutSeconds bounds the request, with its answer, within the job's own
	// timeout, up to 86400. Default: the job's timeout alone.
	TimeoutSeconds float64 `json:"timeout_seconds,omitempty"`
	// ExpectedStatus lists the statuses that count as success, at most 100 of 100
	// to 599. Default: any 2xx.
	ExpectedStatus []int `json:"expected_status,omitempty"`
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
	maxHeaders  = 64
	maxTimeout  = 24 * 60 * 60
	maxExpected = 100
)

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// Validate returns an ErrInvalid that names each wrong field. Addresses are
// judged when the request is made, since names change theirs.
func (r Request) Validate() error {
	errs := []error{r.validateMethod(), r.validateURL()}
	if len(r.Headers) > maxHeaders {
		errs = append(errs, tooMany("/headers", maxHeaders))
	}
	for i, h := range r.Headers {
		if err := h.validate(); err != nil {
			errs = append(errs, fault.Under(fmt.Sprintf("/headers/%d", i), err))
		}
	}
	errs = append(errs, r.validateBody())
	if !(r.TimeoutSeconds >= 0 && r.TimeoutSeconds <= maxTimeout) { // refuses NaN too
		errs = append(errs, fault.Invalid("/timeout_seconds", "out_of_range", fmt.Sprintf("must be between 0 and %d", maxTimeout)))
	}
	if len(r.ExpectedStatus) > maxExpected {
		errs = append(errs, tooMany("/expected_status", maxExpected))
	}
	for i, s := range r.ExpectedStatus {
		if s < 100 || s > 599 {
			errs = append(errs, fault.Invalid(fmt.Sprintf("/expected_status/%d", i), "out_of_range", "must be between 100 and 599"))
		}
	}
	return errors.Join(errs...)
}

func tooMany(field string, limit int) error {
	return fault.Invalid(field, "too_long", fmt.Sprintf("must have at most %d elements", limit))
}

func (r Request) validateMethod() error {
	if r.Method == "" || slices.Contains(methods, r.Method) {
		return nil
	}
	return fault.Invalid("/method", "unknown_method", "must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS")
}

func (r Request) validateURL() error {
	if r.URL == "" {
		return fault.Invalid("/url", "required", "must not be empty")
	}
	if err := egress.CheckURL(r.URL, &egress.Options{AllowPrivate: true}); err != nil {
		return fault.Invalid("/url", "invalid_url", egress.Public(err))
	}
	return nil
}

func (r Request) validateBody() error {
	if e := r.BodyEncoding; e != "" && e != Text && e != Base64 {
		return fault.Invalid("/body_encoding", "unknown_encoding", "must be text or base64")
	}
	if r.Body != "" && (r.method() == http.MethodGet || r.method() == http.MethodHead) {
		return fault.Invalid("/body", "not_allowed", "must be empty for GET and HEAD")
	}
	if len(r.Body) > base64.StdEncoding.EncodedLen(MaxBody) { // spares decoding it
		return errBodyTooLong()
	}
	body, err := r.content()
	if err != nil {
		return err
	}
	if len(body) > MaxBody {
		return errBodyTooLong()
	}
	return nil
}

func errBodyTooLong() error {
	return fault.Invalid("/body", "too_long", fmt.Sprintf("must be at most %d bytes", MaxBody))
}

// content returns the bytes to be sent. What is not UTF-8 cannot be text, since
// JSON would change it.
func (r Request) content() (string, error) {
	if r.BodyEncoding == Base64 {
		raw, err := base64.StdEncoding.DecodeString(r.Body)
		if err != nil {
			return "", fault.Invalid("/body", "invalid_base64", "is not base64")
		}
		return string(raw), nil
	}
	if !utf8.ValidString(r.Body) {
		return "", fault.Invalid("/body", "invalid_utf8", "is not UTF-8 text; other bytes are written in base64")
	}
	return r.Body, nil
}

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
