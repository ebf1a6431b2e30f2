package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
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

	var answered atomic.Bool
	trace := &httptrace.ClientTrace{GotFirstResponseByte: func() { answered.Store(true) }}
	out := req.Clone(httptrace.WithClientTrace(req.Context(), trace))
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header.Set("User-Agent", defaultUserAgent)
	}

	resp, err := t.base.RoundTrip(out)
	if err != nil {
		return nil, classify(req.Context(), err, answered.Load())
	}
	dropBadLocation(resp)
	resp.Request = req
	return resp, nil
}

// classify marks an error that came after the target began to answer, because
// net/http has no type for a malformed response.
func classify(ctx context.Context, err error, answered bool) error {
	if !answered || ctx.Err() != nil || isTimeout(err) {
		return err
	}
	return fmt.Errorf("%w: %w", errResponse, err)
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
