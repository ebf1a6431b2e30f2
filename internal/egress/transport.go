package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
)

const defaultUserAgent = "Levqor"

// transport checks each request's URL before base sees it. The dialer is
// base's own, kept here so that tests can give it another resolver.
type transport struct {
	opts   Options
	dialer *net.Dialer
	base   *http.Transport
}

var _ http.RoundTripper = (*transport)(nil)

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := CheckURL(req.URL.String(), &t.opts); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}

	var seen course
	out := req.Clone(httptrace.WithClientTrace(req.Context(), seen.trace()))
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header.Set("User-Agent", defaultUserAgent)
	}

	resp, err := t.base.RoundTrip(out)
	if err != nil {
		return nil, seen.classify(req.Context(), err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// Nothing was offered to switch to, and reading on would not end with
		// the request's context.
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%w: switched protocols unasked", ErrResponse)
	}
	dropBadLocation(resp)
	resp.Request = req
	return resp, nil
}

// course is how far a request came, for telling its failure.
type course struct {
	answered atomic.Bool

	mu    sync.Mutex
	tried error // how the last address that was not refused failed
}

func (c *course) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotFirstResponseByte: func() { c.answered.Store(true) },
		ConnectDone: func(_, _ string, err error) {
			if err == nil || errors.Is(err, ErrBlocked) {
				return
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.tried = err
		},
	}
}

// classify mends two things that net/http does not tell. An error that came
// after the target began to answer is about the response, for which there is no
// type. And a dialer reports the first of several addresses, which may be a
// refused one although another was tried: then it is the other that counts.
func (c *course) classify(ctx context.Context, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, ErrBlocked) && c.tried != nil {
		return c.tried
	}
	if !c.answered.Load() || ctx.Err() != nil || isTimeout(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrResponse, err)
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// dropBadLocation removes a Location that does not parse. Otherwise
// [http.Client] fails on it before asking CheckRedirect, and the caller never
// sees the 3xx answer.
func dropBadLocation(resp *http.Response) {
	if _, err := resp.Location(); err != nil {
		resp.Header.Del("Location")
	}
}
