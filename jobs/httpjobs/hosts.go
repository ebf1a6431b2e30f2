package httpjobs

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/levqor/sdk/internal/egress"
	"github.com/levqor/sdk/internal/fault"
)

// listedPorts are those of a host that is listed without one.
var listedPorts = []string{"443", "8443"}

// listedHost is one that requests may be for.
type listedHost struct {
	name  string // in lower case, without brackets
	below bool   // all names below it, and not itself
	port  string // empty: the listedPorts over https
}

// hosts are all of them; none means any.
type hosts []listedHost

// parseHosts reads [Options.Hosts].
func parseHosts(texts []string) (hosts, error) {
	var all hosts
	var errs []error
	for i, text := range texts {
		host, err := parseHost(text)
		if err != nil {
			errs = append(errs, fault.Invalid(fmt.Sprintf("/hosts/%d", i), "invalid_host", "must be a host, with a port or without, and nothing else"))
		}
		all = append(all, host)
	}
	return all, errors.Join(errs...)
}

func parseHost(text string) (listedHost, error) {
	text, below := strings.CutPrefix(text, "*.")
	raw := "https://" + text
	u, err := url.Parse(raw)
	if err != nil || u.Host != text {
		return listedHost{}, errors.New("no host")
	}
	err = egress.CheckURL(raw, &egress.Options{AllowPrivate: true})
	return listedHost{name: strings.ToLower(u.Hostname()), below: below, port: u.Port()}, err
}

// allow reports whether a request for a URL may be made.
func (all hosts) allow(u *url.URL) bool {
	return len(all) == 0 || slices.ContainsFunc(all, func(h listedHost) bool { return h.allows(u) })
}

func (h listedHost) allows(u *url.URL) bool {
	name := strings.ToLower(u.Hostname())
	listed := name == h.name
	if h.below {
		listed = strings.HasSuffix(name, "."+h.name)
	}
	if !listed {
		return false
	}
	if h.port != "" {
		return port(u) == h.port
	}
	return u.Scheme == "https" && slices.Contains(listedPorts, port(u))
}

// port returns that of a URL, or its scheme's.
func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}
