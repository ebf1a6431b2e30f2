package httpapi

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

const (
	// A heartbeat keeps proxies from taking a stream for dead, and finds out about
	// callers that have left without a word.
	heartbeat = 15 * time.Second
	// A stream outlives its key by recheck at most, and identity.CacheTTL where another
	// process has revoked it. A look at the key holds the stream up, so it is bounded.
	recheck        = 30 * time.Second
	recheckTimeout = 5 * time.Second
)

// stream answers with messages for as long as there are any.
type stream struct {
	*server
	ctx      context.Context //nolint:containedctx // the request's, of which the generated interface hands on the writer alone
	messages func(context.Context) iter.Seq2[message, error]
}

// VisitWatchJobResponse implements the generated interface.
func (s stream) VisitWatchJobResponse(w http.ResponseWriter) error { return s.serve(w) }

// VisitWatchJobsResponse implements the generated interface.
func (s stream) VisitWatchJobsResponse(w http.ResponseWriter) error { return s.serve(w) }

// serve returns an error if the stream has not begun.
func (s stream) serve(w http.ResponseWriter) error {
	if s.drained() {
		return fmt.Errorf("httpapi: draining: %w", fault.ErrUnavailable)
	}
	leave, err := s.streams.enter(caller(s.ctx).ID(), s.opts.MaxStreams)
	if err != nil {
		return err
	}
	defer leave()
	out := eventWriter{w, http.NewResponseController(w)}
	req := streamedRequest(s.ctx)
	if !out.begin(req) || req.Method == http.MethodHead {
		return nil
	}
	ctx, stop := context.WithCancel(s.ctx)
	found := make(chan message) // holds none: who reads slowly is told of fewer changes
	go s.produce(ctx, found)
	s.send(ctx, out, found)
	stop()
	for range found { // until the producer has ended
	}
	return nil
}

// produce hands the messages over until there are no more or ctx ends.
func (s stream) produce(ctx context.Context, found chan<- message) {
	defer close(found)
	defer func() { // this goroutine is not net/http's, which would survive a panic
		if p := recover(); p != nil {
			s.logPanic(ctx, p)
		}
	}()
	for m, err := range s.messages(ctx) {
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, fault.ErrNotFound) {
				s.opts.Logger.ErrorContext(ctx, "httpapi: stream failed", slog.String("request_id", requestID(ctx)),
					slog.Any("error", err), slog.String("cause", fault.Cause(err)))
			}
			return
		}
		select {
		case found <- m:
		case <-ctx.Done():
			return
		}
	}
}

// send writes messages until there are no more, the caller leaves, loses its right, or
// the service drains.
func (s stream) send(ctx context.Context, out eventWriter, found <-chan message) {
	beat, check := time.NewTicker(heartbeat), time.NewTicker(recheck)
	defer beat.Stop()
	defer check.Stop()
	for ok := true; ok; {
		select {
		case m, more := <-found:
			ok = more && out.message(m)
		case <-beat.C:
			ok = out.write([]byte(":\n\n"))
		case <-check.C:
			ok = s.stillAllowed(ctx)
		case <-s.app.Draining():
			return
		case <-serverDraining(ctx):
			return
		case <-ctx.Done():
			return
		}
	}
}

// stillAllowed checks the key of a stream again. While the database is away nobody is
// sent off, and nobody sees anything.
func (s stream) stillAllowed(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	req := streamedRequest(ctx)
	caller, err := s.authenticate(req.WithContext(ctx))
	if err != nil {
		return !errors.Is(err, fault.ErrUnauthenticated)
	}
	return caller.Allows(req.scope)
}

func (s *server) drained() bool {
	select {
	case <-s.app.Draining():
		return true
	default:
		return false
	}
}

// streams counts the open streams of each key.
type streams struct {
	mu   sync.Mutex
	open map[string]int
}

// enter counts a stream until leave is called, or returns an ErrLimit.
func (s *streams) enter(key string, most int) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]int{}
	}
	if s.open[key] >= most {
		return nil, &fault.Error{Kind: fault.ErrLimit, Code: "too_many_streams", Detail: fmt.Sprintf("A key may have %d streams open.", most)}
	}
	s.open[key]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open[key]--; s.open[key] == 0 {
			delete(s.open, key)
		}
	}, nil
}

// streamed is the request of a stream, with the scope that it needs.
type streamed struct {
	*http.Request
	scope string
}

type streamedKey struct{}

func streamedRequest(ctx context.Context) streamed {
	req, _ := ctx.Value(streamedKey{}).(streamed)
	return req
}
