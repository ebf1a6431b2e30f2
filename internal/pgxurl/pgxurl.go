// Package pgxurl reads the URLs of PostgreSQL servers, so that every connection of the
// SDK is encrypted by the same rule.
package pgxurl

import (
	"errors"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Parse reads a "postgres://" URL as libpq does, but for one default: servers on other
// machines are reached over TLS alone, and their certificates are checked as by
// sslmode=verify-full, unless the URL, PGSSLMODE or a service file says otherwise. The
// default of libpq goes on in the clear where a server, or somebody in between, offers no TLS.
// Errors may repeat the URL.
func Parse(address string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	if query.Has("sslmode") || query.Has("service") || os.Getenv("PGSSLMODE") != "" || os.Getenv("PGSERVICE") != "" || !elsewhere(config) {
		return config, nil
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("not a PostgreSQL URL")
	}
	// Written behind the text as it is: pgx does not take a plus sign for a space.
	address, _, _ = strings.Cut(address, "#")
	if strings.Contains(address, "?") {
		return pgx.ParseConfig(address + "&sslmode=verify-full")
	}
	return pgx.ParseConfig(address + "?sslmode=verify-full")
}

// elsewhere reports whether one of the hosts is another machine, as far as its name tells.
func elsewhere(config *pgx.ConnConfig) bool {
	hosts := []string{config.Host}
	for _, f := range config.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, host := range hosts {
		addr, err := netip.ParseAddr(host)
		local := err == nil && addr.IsLoopback() || host == "localhost" || isSocket(host)
		if !local {
			return true
		}
	}
	return false
}

// isSocket reports whether a host is a path or an abstract name of a Unix socket.
func isSocket(host string) bool {
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || len(host) > 2 && host[1] == ':'
}
