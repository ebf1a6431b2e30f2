// Command server is Levqor as a service: the API of openapi.yaml and the worker
// behind it, on one database. Run any number of them on one PostgreSQL.
//
//	go run ./examples/server
//
// It is configured by environment variables alone; config.go lists them. On its first
// start on a database it prints the owner's API key and link, once:
//
//	url: http://localhost:8080
//	owner key: lvq_live_…
//	owner link: http://localhost:8080/join#lvi_…
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
	"github.com/levqor/sdk/jobs/cronjobs"
	"github.com/levqor/sdk/jobs/httpjobs"
	"github.com/levqor/sdk/jobs/pgxjobs"
	"github.com/levqor/sdk/jobs/prometheusjobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/httpapi"
	"github.com/levqor/sdk/levqor/httplogin"
	"github.com/levqor/sdk/levqor/web"
)

func main() {
	if len(os.Args) > 1 {
		usage(os.Stderr)
		os.Exit(2)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // what lives is small beside what requests leave behind
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	if err := run(ctx, os.Getenv, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		stop()
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, getenv func(string) string, stderr *os.File) error {
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.addr)
	if err != nil {
		return err
	}
	if cfg.publicURL == "" {
		cfg.publicURL = httpapi.LocalURL(listener.Addr(), cfg.certFile != "")
	}
	app, metrics, closeAll, err := open(ctx, cfg, log)
	defer closeAll()
	if err != nil {
		return err
	}
	handler, err := handler(app, cfg, log)
	if err != nil {
		return err
	}
	fmt.Fprintln(stderr, "url:", cfg.publicURL)
	if err := app.Announce(ctx, stderr); err != nil {
		return err
	}
	if cfg.mailer == nil {
		fmt.Fprintln(stderr, "mail: none is sent, so whoever signs out cannot sign in again; LEVQOR_MAIL sends it")
	}
	parts := []func(context.Context) error{app.Run, func(ctx context.Context) error {
		return httpapi.Serve(ctx, listener, handler, &httpapi.ServeOptions{CertFile: cfg.certFile, KeyFile: cfg.keyFile, Linger: cfg.linger, Logger: log})
	}}
	if cfg.metricsAddr != "" {
		scraped, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.metricsAddr)
		if err != nil {
			return err
		}
		fmt.Fprintf(stderr, "metrics: http://%s/metrics\n", scraped.Addr())
		parts = append(parts, func(ctx context.Context) error {
			return httpapi.Serve(ctx, scraped, metrics, &httpapi.ServeOptions{Logger: log})
		})
	}
	return levqor.RunAll(ctx, parts...)
}

// handler serves the API, and the pages beside it for the same people.
func handler(app *levqor.App, cfg config, log *slog.Logger) (http.Handler, error) {
	sessions, err := httplogin.New(app.Sessions, &httplogin.Options{
		Insecure: strings.HasPrefix(cfg.publicURL, "http://"), TrustedProxies: cfg.trustedProxies,
	})
	if err != nil {
		return nil, err
	}
	opts := &httpapi.Options{Logger: log, Guard: cfg.guard, TrustedProxies: cfg.trustedProxies}
	opts.Authenticator = httpapi.FirstOf(httpapi.SameOrigin(sessions), httpapi.APIKeys(app, opts))
	api, err := httpapi.New(app, opts)
	if err != nil {
		return nil, err
	}
	pages, err := web.New(app, &web.Options{Guard: cfg.guard, Sessions: sessions, AllowPrivateProviders: cfg.allowPrivate, Logger: log})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	for _, at := range []string{"/api/", "/healthz", "/readyz"} {
		mux.Handle(at, api)
	}
	return mux, nil
}

// open opens the database, brings its schema up to date and composes the app and what
// Prometheus scrapes. What it has opened is to be closed after an error too.
func open(ctx context.Context, cfg config, log *slog.Logger) (app *levqor.App, scraped http.Handler, closeAll func(), err error) {
	db, err := bunlevqor.Open(cfg.databaseURL)
	if err != nil {
		return nil, nil, func() {}, err
	}
	closers := []io.Closer{db}
	closeAll = func() {
		for _, c := range slices.Backward(closers) {
			_ = c.Close()
		}
	}
	if err := bunlevqor.Migrate(ctx, db); err != nil {
		return nil, nil, closeAll, err
	}
	metrics, registry := prometheusjobs.NewMetrics(nil), prometheus.NewRegistry()
	registry.MustRegister(metrics, prometheusjobs.NewCollector(bunjobs.New(db), &prometheusjobs.Options{Logger: log}))
	opts := &levqor.Options{
		Secret: cfg.secret, OldSecrets: cfg.oldSecrets, Validator: httpapi.NewValidator(), Timetables: cronjobs.Parse, NoWorker: cfg.noWorker, Logger: log,
		PublicURL: cfg.publicURL, Mailer: cfg.mailer,
		Intake: []jobs.IntakeHook{metrics.Intake}, Execution: []jobs.ExecutionHook{metrics.Execution},
		Worker: &jobs.WorkerOptions{Retention: jobs.Retention{Completed: cfg.keepJobs}},
	}
	if cfg.signalsURL != "" {
		signals, err := pgxjobs.Open(cfg.signalsURL, nil)
		if err != nil {
			return nil, nil, closeAll, err
		}
		closers = append(closers, signals)
		opts.Signals = signals
	}
	app, err = levqor.New(bunlevqor.Stores(db), opts)
	if err == nil {
		err = httpjobs.Register(app.Registry, &httpjobs.Options{AllowPrivateNetworks: cfg.allowPrivate})
	}
	return app, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), closeAll, err
}
