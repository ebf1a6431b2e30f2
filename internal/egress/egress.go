// Package egress is for sending HTTP requests to addresses that users gave,
// such as webhook targets, without letting them reach the operator's own
// networks.
//
// A URL is checked once when a user hands it in, and the client checks every
// request and every connection again:
//
//	if err := egress.CheckURL(target, opts); err != nil {
//		return err // safe to show: the text never repeats the URL
//	}
//	client := egress.Client(opts)
//	resp, err := client.Do(req)
//	if err != nil {
//		log.Warn("delivery failed", "err", err) // for operators
//		return egress.Public(err)               // for the tenant
//	}
//	defer resp.Body.Close()
//	body, truncated, err := egress.ReadBody(resp.Body, 64<<10)
package egress

import (
	"net"
	"net/http"
	"time"
)

const (
	defaultDialTimeout = 5 * time.Second
	maxResponseHeader  = 64 << 10
)

// Options adjusts [Client] and [CheckURL]. Nil means the defaults.
type Options struct {
	// AllowPrivate lets requests reach private and special networks and names
	// without a dot. It lifts nothing else. The default is false.
	AllowPrivate bool

	// DialTimeout bounds name resolution and connecting together, and then
	// the TLS handshake once more. Zero or less means 5 seconds.
	DialTimeout time.Duration
}

// Client returns a client that reaches only public addresses.
//
// Each address is judged after name resolution and before connecting, so a
// name that changes its answer gains nothing. Redirects are returned, not
// followed; proxies from the environment and cookies are not used. A request
// whose URL [CheckURL] refuses is not sent. A refused address gives an error
// that is [ErrBlocked]. Requests without a User-Agent get "Levqor".
//
// Response headers are limited to 64 KiB; limit bodies with [ReadBody]. The
// client sets no limit on the whole request: give one by the request's
// context. The client is safe for concurrent use and holds nothing to close.
func Client(o *Options) *http.Client {
	opts := o.withDefaults()
	dialer := &net.Dialer{
		Timeout:        opts.DialTimeout,
		ControlContext: gate{allowPrivate: opts.AllowPrivate}.control,
	}
	return &http.Client{
		Transport:     &transport{opts: opts, dialer: dialer, base: baseTransport(dialer)},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// baseTransport leaves Proxy nil on purpose: a proxy would connect in our
// place, and the address check would see only the proxy.
func baseTransport(d *net.Dialer) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Transport{
		DialContext:         d.DialContext,
		TLSHandshakeTimeout: d.Timeout,
		Protocols:           &protocols,
		// One request, one connection, one check. A kept connection would
		// outlive the name's change of address, carry requests of several
		// tenants, and turn an idle close by the target into a failed
		// delivery. The price is a handshake per request, which is small
		// beside the rate at which one target gets requests.
		DisableKeepAlives: true,
		// A compressed body could be small on the wire and huge in memory.
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxResponseHeader,
	}
}

func (o *Options) withDefaults() Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.DialTimeout <= 0 {
		opts.DialTimeout = defaultDialTimeout
	}
	return opts
}
