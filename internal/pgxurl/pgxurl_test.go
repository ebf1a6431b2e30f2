package pgxurl_test

import (
	"testing"

	"github.com/levqor/sdk/internal/pgxurl"
)

func TestServersElsewhereAreReachedOverTLSAlone(t *testing.T) {
	for name, c := range map[string]struct {
		address, env      string
		encrypted, strict bool // strict: the certificate is checked and nothing else is tried
	}{
		"a name":                  {"postgres://app@db.example.com/app", "", true, true},
		"the other scheme":        {"postgresql://app@db.example.com:5433/app?application_name=a%20b", "", true, true},
		"an address":              {"postgres://app@10.0.0.5/app", "", true, true},
		"an IPv6 address":         {"postgres://app@[2001:db8::5]/app", "", true, true},
		"the second of two":       {"postgres://app@127.0.0.1:5432,db.example.com:5432/app", "", true, true},
		"a host in the query":     {"postgres:///app?host=db.example.com", "", true, true},
		"loopback":                {"postgres://app@127.0.0.1/app", "", true, false},
		"loopback in IPv6":        {"postgres://app@[::1]/app", "", true, false},
		"this machine by name":    {"postgres://app@localhost/app", "", true, false},
		"a socket":                {"postgres:///app?host=/var/run/postgresql", "", false, false},
		"a URL that says no":      {"postgres://app@db.example.com/app?sslmode=disable", "", false, false},
		"a URL that wants less":   {"postgres://app@db.example.com/app?sslmode=prefer", "", true, false},
		"an environment that can": {"postgres://app@db.example.com/app", "disable", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PGSSLMODE", c.env)
			config, err := pgxurl.Parse(c.address)
			if err != nil {
				t.Fatal(err)
			}
			if got := config.TLSConfig != nil; got != c.encrypted {
				t.Errorf("encrypted: %v, want %v", got, c.encrypted)
			}
			strict := config.TLSConfig != nil && !config.TLSConfig.InsecureSkipVerify && config.TLSConfig.ServerName == config.Host
			for _, f := range config.Fallbacks {
				strict = strict && f.TLSConfig != nil && !f.TLSConfig.InsecureSkipVerify
			}
			if strict != c.strict {
				t.Errorf("certificates are checked everywhere: %v, want %v", strict, c.strict)
			}
		})
	}
}

func TestWhatTheURLSaysIsKept(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	config, err := pgxurl.Parse("postgres://app:p%40ss@db.example.com:5433/orders?application_name=a%20b&search_path=x")
	if err != nil {
		t.Fatal(err)
	}
	if config.User != "app" || config.Password != "p@ss" || config.Host != "db.example.com" || config.Port != 5433 || config.Database != "orders" ||
		config.RuntimeParams["application_name"] != "a b" || config.RuntimeParams["search_path"] != "x" {
		t.Errorf("Parse = %+v", config)
	}
}

func TestWhatIsNoURLIsRefused(t *testing.T) {
	for _, address := range []string{"postgres://app@db:port/app", "host=db.example.com", "postgres://a@b/%zz"} {
		if _, err := pgxurl.Parse(address); err == nil {
			t.Errorf("%q is taken", address)
		}
	}
}
