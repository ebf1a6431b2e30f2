package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// ServeOptions configure [Serve]. The zero value of each field means its default.
type ServeOptions struct {
	// CertFile and KeyFile make it a TLS server. Default: plain HTTP, for a proxy
	// in front or for loopback.
	CertFile, KeyFile string
	// Grace is how long open requests may go on after ctx has ended.
	// Default: 10 s.
	Grace time.Duration
	// Logger gets what goes wrong with connections. Default: discard.
	Logger *slog.Logger
}

// Serve answers requests on a listener until ctx ends, then lets open requests
// finish; streams of events end then. Slow and oversized requests are cut off: 5 s and
// 64 KiB for the headers, 30 s for all of a request, 60 s for its answer, 10 s for an
// event of a stream. It returns nil after an orderly end.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, opts *ServeOptions) error {
	var o ServeOptions
	if opts != nil {
		o = *opts
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	srv := &http.Server{
		Handler: handler,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.WithoutCancel(ctx), drainKey{}, ctx.Done())
		},
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Grace)
		defer cancel()
		err := srv.Shutdown(grace)
		if err != nil {
			_ = srv.Close() // Shutdown gives up and leaves them open
		}
		drained <- err
	})
	defer stop()
	var err error
	if o.CertFile != "" {
		err = srv.ServeTLS(listener, o.CertFile, o.KeyFile)
	} else {
		err = srv.Serve(listener)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("httpapi: serve: %w", err)
	}
	if err := <-drained; err != nil {
		return fmt.Errorf("httpapi: requests were cut off: %w", err)
	}
	return nil
}

type drainKey struct{}

// serverDraining returns a channel that is closed when the [Serve] that a request came
// through drains; nil without one.
func serverDraining(ctx context.Context) <-chan struct{} {
	draining, _ := ctx.Value(drainKey{}).(<-chan struct{})
	return draining
}
