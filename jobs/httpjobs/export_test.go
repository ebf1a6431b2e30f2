package httpjobs

import "net/url"

// Allowed reports whether a request for a URL may be made where hosts are listed.
func Allowed(listed []string, raw string) (bool, error) {
	all, err := parseHosts(listed)
	if err != nil {
		return false, err
	}
	u, err := url.Parse(raw)
	return err == nil && all.allow(u), err
}
