package client

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Waits between attempts: doubled each time, with jitter, unless the service
// says how long.
const (
	firstWait = 100 * time.Millisecond
	maxWait   = 10 * time.Second
	// How long a call waits because the service says so. Where it says longer, the answer
	// is the caller's, who can do something else meanwhile.
	longestWait = 30 * time.Second
	// How much of an answer is read so that its connection can be used again.
	drained = 64 << 10
)

// retrier sends a request again that failed for a passing reason, if sending it
// twice is harmless: it is a GET, a PUT of any version, or has an idempotency key.
type retrier struct {
	client  *http.Client
	retries int
}

// Do implements [HTTPRequestDoer].
func (r *retrier) Do(req *http.Request) (*http.Response, error) {
	for attempt := 0; ; attempt++ {
		resp, err := r.client.Do(req)
		wait, again := passing(resp, err, attempt)
		if !again || attempt >= r.retries || !repeatable(req) || endsWithin(req.Context(), wait) {
			return resp, err
		}
		if resp != nil {
			_, _ = io.CopyN(io.Discard, resp.Body, drained)
			_ = resp.Body.Close()
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
		select {
		case <-req.Context().Done():
			return nil, req.Context().Err()
		case <-time.After(wait):
		}
	}
}

func repeatable(req *http.Request) bool {
	harmless := req.Method == http.MethodGet || req.Method == http.MethodPut && ofAnyVersion(req) || req.Header.Get("Idempotency-Key") != ""
	return harmless && (req.Body == nil || req.GetBody != nil)
}

// ofAnyVersion reports whether a request does not depend on the version of what it
// changes. After one that does, and whose answer was lost, there is another version, so
// that a second one would be refused although the first has done its work.
func ofAnyVersion(req *http.Request) bool {
	match := req.Header.Get("If-Match")
	return match == "" || match == "*"
}

// passing reports whether a failure may pass, and how long to wait for that.
func passing(resp *http.Response, err error, attempt int) (time.Duration, bool) {
	wait := min(firstWait<<min(attempt, 7), maxWait)
	wait = wait/2 + rand.N(wait/2+1)
	if err != nil {
		return wait, true
	}
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	if told, ok := retryAfter(resp.Header); ok {
		return told, told <= longestWait
	}
	return wait, true
}

// retryAfter reads how long to wait: seconds, or a date (RFC 9110, section 10.2.3). The date
// counts from that of the answer, so that it does not matter what time it is here.
func retryAfter(h http.Header) (time.Duration, bool) {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second), seconds >= 0
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now() //nolint:forbidigo // the only clock there is
	}
	return max(0, at.Sub(now)), true
}

// endsWithin reports whether a context ends before a wait does: then the reason of the
// failure tells the caller more than the end would.
func endsWithin(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && time.Until(deadline) < wait //nolint:forbidigo // deadlines are of this clock
}
