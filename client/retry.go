package client

import (
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
)

// retrier sends a request again that failed for a passing reason, if sending it
// twice is harmless: it is a GET or has an idempotency key.
type retrier struct {
	client  *http.Client
	retries int
}

// Do implements [HTTPRequestDoer].
func (r *retrier) Do(req *http.Request) (*http.Response, error) {
	for attempt := 0; ; attempt++ {
		resp, err := r.client.Do(req)
		wait, again := passing(resp, err, attempt)
		if !again || attempt >= r.retries || !repeatable(req) || req.Context().Err() != nil {
			return resp, err
		}
		if resp != nil {
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
	harmless := req.Method == http.MethodGet || req.Header.Get("Idempotency-Key") != ""
	return harmless && (req.Body == nil || req.GetBody != nil)
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
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		wait = min(time.Duration(seconds)*time.Second, maxWait)
	}
	return wait, true
}
