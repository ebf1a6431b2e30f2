package egress

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"syscall"
)

// OwnAddress is how a client learns whether an address is the machine's.
var OwnAddress = ownAddress

// SetOwn makes c take addresses for the machine's own as f says.
func SetOwn(c *http.Client, f func(netip.AddrPort) (bool, error)) {
	c.Transport.(*transport).dialer.ControlContext = gate{own: f}.control
}

// SetResolver makes c resolve names by r.
func SetResolver(c *http.Client, r *net.Resolver) {
	c.Transport.(*transport).dialer.Resolver = r
}

// SetTLS makes c use cfg.
func SetTLS(c *http.Client, cfg *tls.Config) {
	c.Transport.(*transport).base.TLSClientConfig = cfg
}

// AfterCheck makes c call f with each address that passed the check, before
// connecting. An error from f prevents the connection, so that tests can use
// public addresses without sending a packet.
func AfterCheck(c *http.Client, f func(address string) error) {
	d := c.Transport.(*transport).dialer
	check := d.ControlContext
	d.ControlContext = func(ctx context.Context, network, address string, raw syscall.RawConn) error {
		if err := check(ctx, network, address, raw); err != nil {
			return err
		}
		return f(address)
	}
}
