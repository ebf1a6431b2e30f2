package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"mime"
	"net/http"
	"strconv"
	"time"
)

const (
	// A stream that says nothing for three of the service's heartbeats is taken for dead.
	maxSilence = 45 * time.Second
	// Reconnecting waits for so long unless the service says otherwise.
	reconnectWait = time.Second
)

var errSilence = errors.New("the stream fell silent")

// WatchJob yields a job as it is, and then as it is after each change of its state,
// attempt or progress, until it is over. Changes that follow each other closely may be
// yielded as one.
//
// A connection that breaks is made again, less and less often, until ctx ends. It ends
// after the first error: that of ctx; ErrUnavailable if the service cannot be reached at
// first; or another *[Error], such as ErrNotFound.
func (s *Service) WatchJob(ctx context.Context, id string) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		w := jobWatch{service: s, id: id, yield: yield}
		if err := w.run(ctx); err != nil {
			yield(Job{}, err)
		}
	}
}

// jobWatch is one WatchJob.
type jobWatch struct {
	service *Service
	id      string
	yield   func(Job, error) bool

	lastID string        // where to go on
	known  []byte        // what was yielded last
	retry  time.Duration // how soon to reconnect
	over   bool          // nothing more is to be yielded
}

// run connects again and again until the job is over. It returns nil when there is
// nothing more to yield.
func (w *jobWatch) run(ctx context.Context) error {
	w.retry = reconnectWait
	for failures := 0; ; failures++ {
		heard, err := w.connect(ctx)
		switch {
		case w.over:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("client: watch job: %w", context.Cause(ctx))
		case heard:
			failures = 0
		case err != nil && (w.known == nil || !passes(err)):
			return err
		}
		wait := max(w.retry, min(w.retry<<min(failures, 10), maxWait))
		select {
		case <-ctx.Done():
		case <-time.After(wait + rand.N(wait/4+1)):
		}
	}
}

// passes reports whether a connection may be had later.
func passes(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrLimit)
}

// connect yields what one connection has to tell, and reports whether that was
// something. The error says why there was no stream.
func (w *jobWatch) connect(ctx context.Context) (heard bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(maxSilence, func() { cancel(errSilence) })
	defer silence.Stop()
	resp, err := w.open(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	events := newEventReader(resp.Body, w.lastID, func() { silence.Reset(maxSilence) })
	for !w.over {
		ev, err := events.next()
		if events.retry > 0 {
			w.retry = min(events.retry, maxWait)
		}
		if err != nil {
			return heard, nil // a stream that breaks is made again
		}
		w.lastID = events.lastID
		heard = true
		if err := w.take(ev); err != nil {
			w.over = true
			w.yield(Job{}, err)
		}
	}
	return heard, nil
}

// open asks for the stream. It returns an error for any other answer.
func (w *jobWatch) open(ctx context.Context) (*http.Response, error) {
	var params WatchJobParams
	if n, err := strconv.Atoi(w.lastID); err == nil {
		params.LastEventID = &n
	}
	resp, err := w.service.streams.WatchJob(ctx, w.id, &params)
	if err != nil {
		return nil, unreachable("watch job", err)
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode == http.StatusOK && media == "text/event-stream" {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // what is missing is no problem document
	_, err = one[Job]("watch job", nil, resp, body)
	return nil, err
}

// take yields the job of an event, unless it is the one that was yielded last.
func (w *jobWatch) take(ev event) error {
	if ev.name != "job" && ev.name != "end" {
		return nil
	}
	var job Job
	if err := json.Unmarshal(ev.data, &job); err != nil {
		return fmt.Errorf("client: watch job: an event is not the JSON of a job: %w", err)
	}
	again := bytes.Equal(ev.data, w.known)
	w.known = ev.data
	w.over = ev.name == "end"
	if !again && !w.yield(job, nil) {
		w.over = true
	}
	return nil
}
