package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
)

// variables is every setting of the service, with its default.
var variables = []struct{ name, fallback, what string }{
	{"LEVQOR_ADDR", "127.0.0.1:8080", "where to listen"},
	{"LEVQOR_METRICS_ADDR", "", "where to listen for Prometheus, which gets figures of all tenants; nowhere if empty"},
	{"LEVQOR_PUBLIC_URL", "", "the URL that callers use; http://localhost:<port> if empty"},
	{"LEVQOR_DATABASE_URL", "sqlite://levqor.db", "sqlite://<file> or postgres://…"},
	{"LEVQOR_SECRET", "", "at least 32 bytes, the same on all nodes; on SQLite kept in a file beside the database if empty"},
	{"LEVQOR_WORKER", "on", "off makes a node that takes requests and works off no jobs"},
	{"LEVQOR_KEEP_JOBS", "168h", "how long jobs stay after they are over, at least 1h, or forever; discarded ones at least 720h"},
	{"LEVQOR_SIGNALS", "off", "on starts jobs at once on other nodes, by NOTIFY of PostgreSQL; behind a pooler the postgres:// URL of the server itself"},
	{"LEVQOR_ALLOW_PRIVATE_NETWORKS", "false", "true lets jobs reach private addresses"},
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
	secret                                    []byte
	noWorker, allowPrivate                    bool
	keepJobs                                  time.Duration
	certFile, keyFile                         string
	signalsURL                                string // none if empty
}

func readConfig(getenv func(string) string) (config, error) {
	env := map[string]string{}
	for _, v := range variables {
		env[v.name] = v.fallback
		if value := getenv(v.name); value != "" {
			env[v.name] = value
		}
	}
	cfg := config{
		addr: env["LEVQOR_ADDR"], metricsAddr: env["LEVQOR_METRICS_ADDR"], publicURL: env["LEVQOR_PUBLIC_URL"], databaseURL: env["LEVQOR_DATABASE_URL"],
		certFile: env["LEVQOR_TLS_CERT_FILE"], keyFile: env["LEVQOR_TLS_KEY_FILE"],
	}
	var errs []error
	var err error
	if cfg.noWorker, err = oneOf(env, "LEVQOR_WORKER", "off", "on"); err != nil {
		errs = append(errs, err)
	}
	if cfg.allowPrivate, err = oneOf(env, "LEVQOR_ALLOW_PRIVATE_NETWORKS", "true", "false"); err != nil {
		errs = append(errs, err)
	}
	if cfg.keepJobs, err = readKeep(env["LEVQOR_KEEP_JOBS"]); err != nil {
		errs = append(errs, err)
	}
	if cfg.signalsURL, err = signalsURL(env["LEVQOR_SIGNALS"], cfg.databaseURL); err != nil {
		errs = append(errs, err)
	}
	if (cfg.certFile == "") != (cfg.keyFile == "") {
		errs = append(errs, errors.New("LEVQOR_TLS_CERT_FILE and LEVQOR_TLS_KEY_FILE go together"))
	}
	if len(errs) > 0 {
		return config{}, errors.Join(errs...)
	}
	cfg.secret, err = readSecret(env["LEVQOR_SECRET"], cfg.databaseURL)
	return cfg, err
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
	keep, err := time.ParseDuration(value)
	if err != nil || keep < time.Hour {
		return 0, errors.New("LEVQOR_KEEP_JOBS must be a duration of at least 1h, such as 168h, or forever")
	}
	return keep, nil
}

// signalsURL returns where signals go, nowhere if it is empty.
func signalsURL(given, databaseURL string) (string, error) {
	switch {
	case given == "off":
		return "", nil
	case given == "on" && strings.HasPrefix(databaseURL, "sqlite://"):
		return "", errors.New("LEVQOR_SIGNALS needs PostgreSQL: nodes on a SQLite file share a machine and look often")
	case given == "on":
		return databaseURL, nil
	case strings.HasPrefix(given, "postgres://"), strings.HasPrefix(given, "postgresql://"):
		return given, nil
	default:
		return "", errors.New("LEVQOR_SIGNALS must be off, on or the postgres:// URL of the server")
	}
}

// readSecret returns the secret of the service. With SQLite there is one machine,
// so a file beside the database will do; nodes on PostgreSQL have to agree.
func readSecret(given, databaseURL string) ([]byte, error) {
	if given != "" {
		return []byte(given), nil
	}
	path, isFile := strings.CutPrefix(databaseURL, "sqlite://")
	if !isFile {
		return nil, errors.New("LEVQOR_SECRET must be set with PostgreSQL, the same on all nodes; make one with: openssl rand -hex 32")
	}
	return levqor.SecretFile(path + ".secret")
}

// url is what the start prints: the public URL, or the port on this machine.
func (c config) url(addr net.Addr) string {
	if c.publicURL != "" {
		return c.publicURL
	}
	scheme := "http"
	if c.certFile != "" {
		scheme = "https"
	}
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return scheme + "://" + addr.String()
	}
	return scheme + "://localhost:" + port
}
