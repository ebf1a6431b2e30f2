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
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/cronjobs"
	"github.com/levqor/sdk/jobs/httpjobs"
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
	app, closeDB, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer closeDB()
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
	return serve(ctx, app, func(ctx context.Context) error {
		return httpapi.Serve(ctx, listener, handler, &httpapi.ServeOptions{CertFile: cfg.certFile, KeyFile: cfg.keyFile, Logger: log})
	})
}

// open opens the database, brings its schema up to date and composes the app.
func open(ctx context.Context, cfg config, log *slog.Logger) (app *levqor.App, closeDB func(), err error) {
	db, err := bunlevqor.Open(cfg.databaseURL)
	if err != nil {
		return nil, nil, err
	}
	closeDB = func() { _ = db.Close() }
	defer func() {
		if err != nil {
			closeDB()
		}
	}()
	if err := bunlevqor.Migrate(ctx, db); err != nil {
		return nil, nil, err
	}
	app, err = levqor.New(bunlevqor.Stores(db), &levqor.Options{
		Secret: cfg.secret, Validator: httpapi.NewValidator(), Timetables: cronjobs.Parse, NoWorker: cfg.noWorker, Logger: log,
		Worker: &jobs.WorkerOptions{Retention: jobs.Retention{Completed: cfg.keepJobs}},
	})
	if err != nil {
		return nil, nil, err
	}
	err = httpjobs.Register(app.Registry, &httpjobs.Options{AllowPrivateNetworks: cfg.allowPrivate})
	return app, closeDB, err
}

// serve runs the app and the API until ctx ends or one of them fails, and then
// waits for both. Jobs are still recorded while requests are no longer taken.
func serve(ctx context.Context, app *levqor.App, api func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() {
		defer stop()
		done <- app.Run(ctx)
	}()
	err := api(ctx)
	stop()
	return errors.Join(err, <-done)
}
