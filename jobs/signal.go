package jobs

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

// Signals carries short texts between processes, so that a worker hears at once of
// jobs that another process has stored or cancelled. They are hints: what gets lost is
// found by looking, as without them. Package pgxjobs has those of PostgreSQL; package
// jobstest checks an implementation.
//
// It is safe for concurrent use. Errors wrap the kinds of this package and print that
// alone; a call whose context has ended returns the context's error.
type Signals interface {
	// Send tells texts, each of 1 to 200 printable ASCII characters, to all that
	// listen, in this process and in others.
	Send(ctx context.Context, texts []string) error

	// Listen calls heard with each text that is sent until ctx ends or nothing can be
	// heard any more, and returns why. It calls listening once, when what is sent from
	// then on will be heard. It makes one call at a time, and none after it has
	// returned. What is heard may also be what nobody sent.
	Listen(ctx context.Context, listening func(), heard func(text string)) error
}

// A signal is the sender, a verb and what it is about, with spaces between.
const (
	verbReady     = "ready"     // jobs have come to the queue, or to any
	verbCancelled = "cancelled" // a job was cancelled, or some were
	anySubject    = "*"
)

// Sendings have a pause between them, in which a flood of jobs is one text, and each
// takes no longer than its timeout. No more texts than maxSignals wait for one.
const (
	signalPause   = 20 * time.Millisecond
	signalTimeout = 5 * time.Second
	maxSignals    = 1000
)

// outbox holds the signals that are to be sent. Whoever enqueues puts them in and goes
// on; they leave from the goroutine of a Run.
type outbox struct {
	sender string // tells our own signals from others'

	mu     sync.Mutex
	texts  map[string]struct{}
	filled chan struct{} // holds an element when there are texts
	turn   chan struct{} // holds an element while somebody sends
}

func newOutbox(sender int64) outbox {
	return outbox{
		sender: strconv.FormatInt(sender, 36), texts: map[string]struct{}{},
		filled: make(chan struct{}, 1), turn: make(chan struct{}, 1),
	}
}

// put adds a text. When nobody sends, the newest are left out in the end.
func (o *outbox) put(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.texts) < maxSignals {
		o.texts[text] = struct{}{}
	}
	select {
	case o.filled <- struct{}{}:
	default: // told already
	}
}

// take empties the outbox.
func (o *outbox) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	texts := make([]string, 0, len(o.texts))
	for text := range o.texts {
		texts = append(texts, text)
	}
	clear(o.texts)
	return texts
}

// signal tells other processes, as soon as somebody sends.
func (r *Registry) signal(verb, subject string) {
	if r.opts.Signals != nil {
		r.outbox.put(r.outbox.sender + " " + verb + " " + subject)
	}
}

// SendSignals sends the signals of what the registry's queues store until ctx ends,
// and returns nil. A [Worker] that runs does it too; SendSignals is for processes that
// enqueue and have none. Any number may run at once.
func (r *Registry) SendSignals(ctx context.Context) error {
	r.sendSignals(ctx, r.opts.Logger)
	<-ctx.Done()
	return nil
}

// sendSignals sends what is put into the outbox at once, but with a pause after each
// sending. So callers do not wait, and of a flood the last text is sent like the first.
func (r *Registry) sendSignals(ctx context.Context, logger *slog.Logger) {
	if r.opts.Signals == nil {
		return
	}
	select {
	case r.outbox.turn <- struct{}{}:
		defer func() { <-r.outbox.turn }()
	case <-ctx.Done():
		return
	}
	for failures := 0; ; {
		select {
		case <-r.outbox.filled:
		case <-ctx.Done():
		}
		if ctx.Err() != nil { // what was handed back while the worker ended is for others
			r.deliver(context.WithoutCancel(ctx), logger, time.Second)
			return
		}
		if failures++; r.deliver(ctx, logger, signalTimeout) {
			failures = 0
		}
		sleep(ctx, jitter(min(signalPause<<min(failures, 10), signalTimeout)))
	}
}

// deliver sends what is in the outbox, and puts it back if that fails.
func (r *Registry) deliver(ctx context.Context, logger *slog.Logger, timeout time.Duration) (ok bool) {
	texts := r.outbox.take()
	if len(texts) == 0 {
		return true
	}
	call, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := r.opts.Signals.Send(call, texts)
	if err == nil {
		return true
	}
	for _, text := range texts {
		r.outbox.put(text)
	}
	if ctx.Err() == nil {
		logger.WarnContext(ctx, "jobs: signals were not sent", slog.Any("error", err), slog.String("cause", fault.Cause(err)))
	}
	return false
}

// hear listens to signals until ctx ends. Whenever it begins to, some may have been
// missed, so the worker looks by itself.
func (r *run) hear(ctx context.Context) {
	if r.registry.opts.Signals == nil {
		return
	}
	for failures := 0; ; failures++ {
		err := r.registry.opts.Signals.Listen(ctx, func() {
			failures = 0
			r.registry.wakes.wakeAll()
			r.beatSoon()
		}, r.heard)
		if ctx.Err() != nil {
			return
		}
		r.opts.Logger.WarnContext(ctx, "jobs: signals are not heard", slog.Any("error", err), slog.String("cause", fault.Cause(err)))
		if !sleep(ctx, jitter(min(50*time.Millisecond<<min(failures, 10), 10*time.Second))) {
			return
		}
	}
}

// heard acts on a signal of another process; those of this one have been acted on.
func (r *run) heard(text string) {
	parts := strings.Split(text, " ")
	if len(parts) != 3 || parts[0] == r.registry.outbox.sender {
		return
	}
	switch verb, subject := parts[1], parts[2]; verb {
	case verbReady:
		if subject == anySubject {
			r.registry.wakes.wakeAll()
		} else {
			r.registry.wakes.wake(subject)
		}
	case verbCancelled:
		r.cancelled(subject)
	}
}

// cancelled makes a run that holds the job learn soon that it was cancelled.
func (r *run) cancelled(job string) {
	r.mu.Lock()
	held := len(r.held) > 0
	if id, err := ParseID(job); err == nil {
		held = r.held[id] != nil
	}
	r.mu.Unlock()
	if held {
		r.beatSoon()
	}
}

// beatSoon makes the next heartbeat come early.
func (r *run) beatSoon() {
	select {
	case r.early <- struct{}{}:
	default: // told already
	}
}

// beatUntil sends the heartbeats that are wanted before their time. It reports whether
// the tick has come; else ctx has ended.
func (r *run) beatUntil(ctx context.Context, tick <-chan time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick:
			return true
		case <-r.early:
			if !sleep(ctx, signalPause) { // more may be wanted, and each names all that is held
				return false
			}
			r.report(ctx, "heartbeat", r.beat(ctx))
		}
	}
}
