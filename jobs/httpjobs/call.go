package httpjobs

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/levqor/sdk/internal/egress"
	"github.com/levqor/sdk/jobs"
)

// Result is the answer.
type Result struct {
	// Status is the HTTP status, such as 200.
	Status int `json:"status"`
	// Headers are those of the answer, ordered by name.
	Headers []ResultHeader `json:"headers"`
	// Body is the answer's body, at most [MaxBody] bytes of it.
	Body string `json:"body"`
	// BodyEncoding says how Body is written: "text", or "base64" for a body that
	// is not UTF-8 text.
	BodyEncoding string `json:"body_encoding"`
	// Truncated says that the answer's body was longer.
	Truncated bool `json:"truncated"`
}

// ResultHeader is one header field of an answer.
type ResultHeader struct {
	// Name is the canonical name, such as "Content-Type".
	Name string `json:"name"`
	// Value is one of its values.
	Value string `json:"value"`
}

// caller makes the requests of one registry's jobs.
type caller struct {
	guard  *egress.Options
	client *http.Client
}

func (c caller) call(ctx context.Context, job *jobs.Job[Request]) (Result, error) {
	// What is wrong with the URL itself another attempt cannot mend.
	if err := egress.CheckURL(job.Args.URL, c.guard); err != nil {
		return Result{}, jobs.Permanent(errors.New(strings.TrimPrefix(err.Error(), "egress: ")))
	}
	if t := job.Args.TimeoutSeconds; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(t*float64(time.Second)))
		defer cancel()
	}
	req, err := newRequest(ctx, job)
	if err != nil {
		return Result{}, jobs.Permanent(errors.New("the request could not be made from the arguments"))
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return Result{}, errors.New(egress.Public(err))
	}
	defer func() { _ = resp.Body.Close() }()
	if !job.Args.expects(resp.StatusCode) {
		return Result{}, refusal(resp)
	}
	return readResult(resp)
}

func newRequest(ctx context.Context, job *jobs.Job[Request]) (*http.Request, error) {
	args := job.Args
	var body io.Reader
	if args.Body != "" {
		body = strings.NewReader(args.Body)
	}
	req, err := http.NewRequestWithContext(ctx, args.method(), args.URL, body)
	if err != nil {
		return nil, err
	}
	for _, h := range args.Headers {
		req.Header.Add(h.Name, h.Value)
	}
	safe := slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, req.Method)
	if !safe && req.Header.Get("Idempotency-Key") == "" {
		req.Header.Set("Idempotency-Key", job.ID.String())
	}
	return req, nil
}

// refusal returns the error of a status that was not expected.
func refusal(resp *http.Response) error {
	err := fmt.Errorf("the target answered with status %d", resp.StatusCode)
	if resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests {
		return jobs.Permanent(err)
	}
	if wait := retryAfter(resp.Header); wait > 0 {
		return jobs.RetryAfter(err, wait)
	}
	return err
}

// retryAfter reads both forms of the header, see RFC 9110 §10.2.3. A date counts
// from the target's own clock, since only the difference is of interest.
func retryAfter(h http.Header) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, MaxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	from, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return max(0, min(at.Sub(from), MaxRetryAfter))
}

func readResult(resp *http.Response) (Result, error) {
	raw, truncated, err := egress.ReadBody(resp.Body, MaxBody)
	if err != nil {
		return Result{}, errors.New(egress.Public(err))
	}
	if truncated {
		raw = wholeRunes(raw)
	}
	result := Result{Status: resp.StatusCode, Headers: headersOf(resp.Header), Body: string(raw), BodyEncoding: "text", Truncated: truncated}
	if !utf8.Valid(raw) || slices.Contains(raw, 0) {
		result.Body, result.BodyEncoding = base64.StdEncoding.EncodeToString(raw), "base64"
	}
	return result, nil
}

// wholeRunes cuts off the beginning of a rune at the end of raw, so that cutting
// a text off does not make it something else.
func wholeRunes(raw []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(raw); i++ {
		if end := raw[len(raw)-i:]; utf8.RuneStart(end[0]) {
			if !utf8.FullRune(end) {
				return raw[:len(raw)-i]
			}
			break
		}
	}
	return raw
}

// headersOf lists the fields in an order that depends on nothing else. Values
// that are not UTF-8 are made so, as JSON would.
func headersOf(h http.Header) []ResultHeader {
	all := make([]ResultHeader, 0, len(h))
	for name, values := range h {
		for _, v := range values {
			all = append(all, ResultHeader{Name: name, Value: strings.ToValidUTF8(v, "\uFFFD")})
		}
	}
	slices.SortStableFunc(all, func(a, b ResultHeader) int { return strings.Compare(a.Name, b.Name) })
	return all
}
