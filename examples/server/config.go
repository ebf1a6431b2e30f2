package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/pgxjobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/smtpnotify"
)

// variables is every setting of the service, with its default.
var variables = []struct{ name, fallback, what string }{
	{"LEVQOR_ADDR", "127.0.0.1:8080", "where to listen"},
	{"LEVQOR_METRICS_ADDR", "", "where to listen for Prometheus, which gets figures of all tenants; nowhere if empty"},
	{"LEVQOR_PUBLIC_URL", "", "the URL that callers use; http://localhost:<port> if empty"},
	{"LEVQOR_DATABASE_URL", "sqlite://levqor.db", "sqlite://<file> or postgres://…"},
	{"LEVQOR_SECRET", "", "at least 32 bytes, the same on all nodes; on SQLite kept in a file beside the database if empty"},
	{"LEVQOR_OLD_SECRETS", "", "secrets from before, with commas between; see docs/operations.md on replacing the secret"},
	{"LEVQOR_MAIL", "off", "smtp://user:password@host or smtps://… sends mails; log writes them to stderr, where whoever reads it can sign in as anybody"},
	{"LEVQOR_MAIL_FROM", "", "who mails are from, such as Acme <no-reply@acme.example>"},
	{"LEVQOR_WORKER", "on", "off makes a node that takes requests and works off no jobs"},
	{"LEVQOR_KEEP_JOBS", "168h", "how long jobs stay after they are over, at least 1h, or forever; discarded ones at least 720h"},
	{"LEVQOR_SIGNALS", "off", "on starts jobs at once on other nodes, by NOTIFY of PostgreSQL; behind a pooler the postgres:// URL of the server itself"},
	{"LEVQOR_ALLOW_PRIVATE_NETWORKS", "false", "true lets jobs reach private addresses, and identity providers be there"},
	{"LEVQOR_ORIGINS", "", "origins, separated by commas, whose scripts may read the API, such as https://app.example.com; none if empty"},
	{"LEVQOR_TRUSTED_PROXIES", "", "addresses of the proxies in front, as prefixes with commas between; their X-Forwarded-For says who the client is"},
	{"LEVQOR_LINGER", "5s", "how long requests are still taken after SIGTERM, while /readyz says 503 and the balancer turns to other nodes"},
	{"LEVQOR_TLS_CERT_FILE", "", "certificate chain, PEM; plain HTTP if empty"},
	{"LEVQOR_TLS_KEY_FILE", "", "key of the certificate, PEM"},
}

// usage prints the settings, for whoever passes an argument.
func usage(w io.Writer) {
	fmt.Fprintln(w, "The service takes no arguments. Environment variables configure it:")
	for _, v := range variables {
		fmt.Fprintf(w, "  %-32s %s (default %q)\n", v.name, v.what, v.fallback)
	}
}

type config struct {
	addr, metricsAddr, publicURL, databaseURL string
	certFile, keyFile, signalsURL             string // none if empty
	secret                                    []byte
	oldSecrets                                [][]byte
	noWorker, allowPrivate                    bool
	keepJobs, linger                          time.Duration
	mailer                                    levqor.Mailer // none if nil
	trustedProxies                            []netip.Prefix
	guard                                     *httpguard.Guard
}

func readConfig(getenv func(string) string) (cfg config, err error) {
	env := map[string]string{}
	for _, v := range variables {
		env[v.name] = v.fallback
		if value := getenv(v.name); value != "" {
			env[v.name] = value
		}
	}
	cfg = config{
		addr: env["LEVQOR_ADDR"], metricsAddr: env["LEVQOR_METRICS_ADDR"], publicURL: env["LEVQOR_PUBLIC_URL"], databaseURL: env["LEVQOR_DATABASE_URL"],
		certFile: env["LEVQOR_TLS_CERT_FILE"], keyFile: env["LEVQOR_TLS_KEY_FILE"],
	}
	errs := make([]error, 9)
	cfg.noWorker, errs[0] = oneOf(env, "LEVQOR_WORKER", "off", "on")
	cfg.allowPrivate, errs[1] = oneOf(env, "LEVQOR_ALLOW_PRIVATE_NETWORKS", "true", "false")
	cfg.keepJobs, errs[2] = readKeep(env["LEVQOR_KEEP_JOBS"])
	if cfg.signalsURL, errs[3] = pgxjobs.ServerURL(env["LEVQOR_SIGNALS"], cfg.databaseURL); errs[3] != nil {
		errs[3] = fmt.Errorf("LEVQOR_SIGNALS %w", errs[3])
	}
	cfg.trustedProxies, errs[4] = httpguard.ParseProxies(env["LEVQOR_TRUSTED_PROXIES"])
	cfg.guard, errs[5] = readGuard(env["LEVQOR_ORIGINS"], cfg.publicURL)
	cfg.mailer, errs[8] = smtpnotify.FromSettings("LEVQOR_MAIL", env, os.Stderr)
	cfg.linger, errs[7] = atLeast(0, "LEVQOR_LINGER", env["LEVQOR_LINGER"])
	if (cfg.certFile == "") != (cfg.keyFile == "") {
		errs[6] = errors.New("LEVQOR_TLS_CERT_FILE and LEVQOR_TLS_KEY_FILE go together")
	}
	if err := errors.Join(errs...); err != nil {
		return config{}, err
	}
	cfg.oldSecrets = levqor.ParseSecrets(env["LEVQOR_OLD_SECRETS"])
	cfg.secret, err = bunlevqor.Secret(env["LEVQOR_SECRET"], cfg.databaseURL)
	return cfg, err
}

// readGuard makes the guard of what browsers reach.
func readGuard(origins, publicURL string) (*httpguard.Guard, error) {
	list := strings.FieldsFunc(origins, func(c rune) bool { return c == ',' || c == ' ' })
	guard, err := httpguard.New(&httpguard.Options{Origins: list, HTTPS: strings.HasPrefix(publicURL, "https://")})
	if err != nil {
		return nil, errors.New("LEVQOR_ORIGINS must hold origins alone, such as https://app.example.com")
	}
	return guard, nil
}

// oneOf reports whether a variable is yes, and refuses what is neither.
func oneOf(env map[string]string, name, yes, no string) (bool, error) {
	if env[name] != yes && env[name] != no {
		return false, fmt.Errorf("%s must be %s or %s", name, yes, no)
	}
	return env[name] == yes, nil
}

// readKeep reads how long jobs stay.
func readKeep(value string) (time.Duration, error) {
	if value == "forever" {
		return jobs.Forever, nil
	}
	return atLeast(time.Hour, "LEVQOR_KEEP_JOBS", value)
}

// atLeast reads a duration.
func atLeast(least time.Duration, name, value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < least {
		return 0, fmt.Errorf("%s must be a duration of at least %v", name, least)
	}
	return d, nil
}
