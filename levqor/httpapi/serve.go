package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// ServeOptions configure [Serve]. The zero value of each field means its default.
type ServeOptions struct {
	// CertFile and KeyFile make it a server of TLS 1.2 and 1.3. Default: plain HTTP, for a proxy
	// in front or for loopback.
	CertFile, KeyFile string
	// Linger is how long requests are taken as before after ctx has ended, so that a
	// balancer can see that the service is not ready any more, and send them elsewhere,
	// before connections are refused: longer than it takes to notice. Connections are
	// closed after an answer meanwhile. Default: not at all.
	Linger time.Duration
	// Grace is how long open requests may go on after that. Default: 25 s.
	Grace time.Duration
	// Logger gets what goes wrong with connections. Default: discard.
	Logger *slog.Logger
}

// Serve answers requests on a listener until ctx ends and for as long as it is to linger,
// then lets open requests finish; streams of events end with ctx. Slow and oversized
// requests are cut off: 5 s and 64 KiB for the headers, 30 s for all of a request, 60 s for
// its answer, 10 s for an event of a stream. It returns nil after an orderly end.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, opts *ServeOptions) error {
	var o ServeOptions
	if opts != nil {
		o = *opts
	}
	if o.Grace == 0 {
		o.Grace = 25 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	srv := &http.Server{
		Handler:   closing(ctx, handler),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}, // GODEBUG can lower the default
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
	drained, failed := make(chan error, 1), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		linger(o.Linger, failed)
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
		close(failed)
		return fmt.Errorf("httpapi: serve: %w", err)
	}
	if err := <-drained; err != nil {
		return fmt.Errorf("httpapi: requests were cut off: %w", err)
	}
	return nil
}

// linger waits, unless the server has failed meanwhile.
func linger(d time.Duration, failed <-chan struct{}) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-failed:
	}
}

// closing closes connections after an answer once ctx has ended. A connection that is idle
// when the server shuts down is closed without a word, maybe just as a request arrives.
func closing(ctx context.Context, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}

type drainKey struct{}

// serverDraining returns a channel that is closed when the [Serve] that a request came
// through drains; nil without one.
func serverDraining(ctx context.Context) <-chan struct{} {
	draining, _ := ctx.Value(drainKey{}).(<-chan struct{})
	return draining
}

// LocalURL returns where a service that listens on an address is found from the same
// machine.
func LocalURL(addr net.Addr, overTLS bool) string {
	scheme := "http"
	if overTLS {
		scheme = "https"
	}
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return scheme + "://" + addr.String()
	}
	return scheme + "://localhost:" + port
}
