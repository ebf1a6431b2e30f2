// Command server is Levqor as a service: the API of openapi.yaml and the worker
// behind it, on one database. Run any number of them on one PostgreSQL.
//
//	go run ./examples/server
//
// It is configured by environment variables alone; config.go lists them. On its
// very first start on a database it prints the owner's API key, once:
//
//	url: http://localhost:8080
//	owner key: lvq_live_…
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
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
)

func main() {
	if len(os.Args) > 1 {
		usage(os.Stderr)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
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
	app, metrics, closeAll, err := open(ctx, cfg, log)
	defer closeAll()
	if err != nil {
		return err
	}
	handler, err := httpapi.New(app, &httpapi.Options{Logger: log})
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.addr)
	if err != nil {
		return err
	}
	fmt.Fprintln(stderr, "url:", cfg.url(listener.Addr()))
	token, created, err := app.Keys.EnsureOwner(ctx)
	if err != nil {
		return err
	}
	if created {
		fmt.Fprintln(stderr, "owner key:", token)
	}
	parts := []func(context.Context) error{app.Run, func(ctx context.Context) error {
		return httpapi.Serve(ctx, listener, handler, &httpapi.ServeOptions{CertFile: cfg.certFile, KeyFile: cfg.keyFile, Logger: log})
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
	return serve(ctx, parts)
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
		Secret: cfg.secret, Validator: httpapi.NewValidator(), Timetables: cronjobs.Parse, NoWorker: cfg.noWorker, Logger: log,
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

// serve runs all parts until ctx ends or one of them fails, and then waits for all.
func serve(ctx context.Context, parts []func(context.Context) error) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error)
	for _, part := range parts {
		go func() {
			defer stop()
			done <- part(ctx)
		}()
	}
	for range parts {
		err = errors.Join(err, <-done)
	}
	return err
}
