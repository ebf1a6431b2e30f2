// Package egress is for sending HTTP requests to addresses that users gave,
// such as webhook targets, without letting them reach the operator's own
// networks.
//
// A URL is checked once when a user hands it in, and the client checks every
// request and every connection again:
//
//	if err := egress.CheckURL(target, opts); err != nil {
//		return egress.Public(err) // says what is wrong and repeats nothing
//	}
//	client := egress.Client(opts)
//	resp, err := client.Do(req)
//	if err != nil {
//		log.Warn("delivery failed", "err", err)         // for operators
//		return egress.Public(err), egress.Refused(err) // for the user; whether to give up
//	}
//	defer resp.Body.Close()
//	body, truncated, err := egress.ReadBody(resp.Body, 64<<10)
//
// # What is refused
//
// URLs are http or https on any port, without user information, and their hosts
// have one spelling: [CheckURL] tells the rules. Addresses are judged when the
// kernel is about to connect to them, so neither a second name resolution nor a
// name that changes its answer gets past. Refused are all special-purpose
// networks of IANA's registries (private, loopback, link local with the cloud
// metadata services, carrier NAT, multicast, documentation and so on), every
// IPv6 form that carries an IPv4 address (mapped, compatible, NAT64, 6to4,
// Teredo), all of IPv6 that is not global unicast, and the addresses of the
// machine itself, which reach services that a firewall hides from the world.
// [Options.AllowPrivate] lifts these and nothing else.
//
// Two things the machine cannot know: a public address that is translated to it
// elsewhere, and a public address by which the operator's network reaches
// something private, such as a NAT64 prefix of its own. Those are for the
// network's own firewall.
//
// # What else is bounded
//
// Redirects are returned, not followed, so headers meant for one server reach no
// other. Proxies from the environment are not used, because a proxy would
// connect in our place and undo the check. Cookies are not kept. Response
// headers, and with ReadBody bodies, have limits, and bodies are not unpacked.
//
// # What users may read
//
// Errors hold addresses and names, and are for the operator's log. [Public]
// says the same in words that hold none. A refused address reads the same
// whether anything listens there or not, as nothing was sent to it.
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
	// AllowPrivate lets requests reach private and special networks, the machine
	// itself and names without a dot. It lifts nothing else. The default is false.
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
// whose URL [CheckURL] refuses is not sent. If all addresses of a host are
// refused, the error is [ErrBlocked]; if one was tried, it says how that failed.
// Requests without a User-Agent get "Levqor".
//
// Response headers are limited to 64 KiB; limit bodies with [ReadBody]. The
// client sets no limit on the whole request: give one by the request's
// context. The client is safe for concurrent use and holds nothing to close.
func Client(o *Options) *http.Client {
	opts := o.withDefaults()
	dialer := &net.Dialer{
		Timeout:        opts.DialTimeout,
		ControlContext: gate{allowPrivate: opts.AllowPrivate, own: ownAddress}.control,
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
