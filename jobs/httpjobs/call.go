package httpjobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/levqor/sdk/internal/egress"
	"github.com/levqor/sdk/jobs"
)

// caller makes the requests of one registry's jobs.
type caller struct {
	hosts  hosts
	client *http.Client
	log    *slog.Logger
}

func (c caller) call(ctx context.Context, job *jobs.Job[Request]) (Result, error) {
	if t := job.Args.TimeoutSeconds; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(t*float64(time.Second)))
		defer cancel()
	}
	req, err := newRequest(ctx, job)
	if err != nil { // of a job that was stored under other rules
		return Result{}, jobs.Permanent(errors.New("the request could not be made from the arguments"))
	}
	if !c.hosts.allow(req.URL) {
		return Result{}, c.unlisted(ctx, job)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return Result{}, c.failure(ctx, job, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if !job.Args.expects(resp.StatusCode) {
		return Result{}, refusal(resp, job.StartedAt)
	}
	result, err := readResult(resp, newMask(job.Args.Secrets()))
	if err != nil {
		return Result{}, c.failure(ctx, job, err)
	}
	return result, nil
}

func newRequest(ctx context.Context, job *jobs.Job[Request]) (*http.Request, error) {
	body, err := job.Args.content()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, job.Args.method(), job.Args.URL, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for _, h := range job.Args.Headers {
		req.Header.Add(h.Name, h.Value)
	}
	if _, given := req.Header["User-Agent"]; !given {
		req.Header.Set("User-Agent", "levqor-jobs")
	}
	_, given := req.Header["Idempotency-Key"]
	if !given && req.Method != http.MethodGet && req.Method != http.MethodHead {
		req.Header.Set("Idempotency-Key", job.ID.String())
	}
	return req, nil
}

// unlisted returns the error of a request for a host that the operator has not listed.
func (c caller) unlisted(ctx context.Context, job *jobs.Job[Request]) error {
	c.log.LogAttrs(ctx, slog.LevelWarn, "httpjobs: a request was for a host that is not listed",
		slog.String("job", job.ID.String()), slog.String("tenant", job.Tenant))
	return jobs.Permanent(errors.New("the host and port are not among those that may be called"))
}

// failure returns the error of a request that got no answer, in words that the
// job's owner may read, and logs the cause for the operator.
func (c caller) failure(ctx context.Context, job *jobs.Job[Request], err error) error {
	cause := err
	if u, ok := errors.AsType[*url.Error](err); ok {
		cause = u.Err // without the URL, whose query may be personal
	}
	if errors.Is(err, egress.ErrResponse) {
		cause = egress.ErrResponse // without what the server sent, which may repeat a secret
	}
	level := slog.LevelDebug
	if errors.Is(err, egress.ErrBlocked) {
		level = slog.LevelWarn
	}
	c.log.LogAttrs(ctx, level, "httpjobs: a request failed", slog.String("job", job.ID.String()),
		slog.String("tenant", job.Tenant), slog.String("cause", cause.Error()))

	shown := errors.New(egress.Public(err))
	if egress.Refused(err) {
		return jobs.Permanent(shown)
	}
	return shown
}

// refusal returns the error of a status that was not expected.
func refusal(resp *http.Response, asked time.Time) error {
	switch status := resp.StatusCode; {
	case status >= 500 && status <= 599, status == http.StatusTooManyRequests:
		err := fmt.Errorf("the server answered %d", status)
		return jobs.RetryAfter(err, retryAfter(resp.Header, asked))
	case status >= 300 && status <= 399:
		return jobs.Permanent(fmt.Errorf("the server answered %d, and redirects are not followed", status))
	case status >= 200 && status <= 299:
		return jobs.Permanent(fmt.Errorf("the server answered %d, which was not expected", status))
	default:
		return jobs.Permanent(fmt.Errorf("the server answered %d", status))
	}
}

// retryAfter reads both forms of the header, see RFC 9110 §10.2.3. A date counts
// from the server's own clock, since only the difference is of interest, and
// from the beginning of the attempt if the server does not tell its time.
func retryAfter(h http.Header, asked time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	seconds, err := strconv.ParseUint(value, 10, 31)
	if err == nil || errors.Is(err, strconv.ErrRange) { // seconds is then the largest
		return min(time.Duration(seconds)*time.Second, MaxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		asked = date
	}
	return max(0, min(at.Sub(asked), MaxRetryAfter))
}
