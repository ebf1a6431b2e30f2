package oteljobs_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/oteljobs"
)

func TestAnAttemptInAnotherProcessLinksToWhereTheJobComesFrom(t *testing.T) {
	r := newRig(t, oteljobs.Options{})
	member, err := baggage.NewMember("plan", "gold")
	if err != nil {
		t.Fatal(err)
	}
	bag, err := baggage.New(member)
	if err != nil {
		t.Fatal(err)
	}
	info := r.enqueue(baggage.ContextWithBaggage(t.Context(), bag), nil)
	var inner trace.SpanContext
	r.work(info.ID, func(ctx context.Context, _ *jobs.Job[resize]) (string, error) {
		_, span := r.tracer.Start(ctx, "decode")
		defer span.End()
		inner = span.SpanContext()
		return baggage.FromContext(ctx).Member("plan").Value(), nil
	}, nil)
	producer, consumer := r.ended(trace.SpanKindProducer, 1)[0], r.ended(trace.SpanKindConsumer, 1)[0]
	if consumer.Name() != "process default" || consumer.Parent().IsValid() || consumer.SpanContext().TraceID() == producer.SpanContext().TraceID() {
		t.Errorf("the span %q has the parent %v; want a trace of its own", consumer.Name(), consumer.Parent())
	}
	r.wantLinks(consumer, producer.SpanContext())
	r.wantAttributes(consumer, processing(attribute.String("messaging.message.id", info.ID.String()),
		attribute.Int("levqor.job.attempt", 1), attribute.String("levqor.job.outcome", "completed"))...)
	if inner.TraceID() != consumer.SpanContext().TraceID() {
		t.Error("what the handler does is not within the attempt's trace")
	}
	done, err := r.queue.Get(t.Context(), info.ID)
	if err != nil || string(done.Result) != `"gold"` {
		t.Errorf("the handler got the baggage %s, %v", done.Result, err)
	}
}

func TestAnAttemptIsAChildWhereThatIsWanted(t *testing.T) {
	r := newRig(t, oteljobs.Options{Parent: true})
	info := r.enqueue(t.Context(), nil)
	r.work(info.ID, returns("", nil), nil)
	producer, consumer := r.ended(trace.SpanKindProducer, 1)[0], r.ended(trace.SpanKindConsumer, 1)[0]
	if consumer.Parent().SpanID() != producer.SpanContext().SpanID() || !consumer.Parent().IsRemote() {
		t.Errorf("the parent is %v, want the span that took the job in", consumer.Parent())
	}
	r.wantLinks(consumer, producer.SpanContext())
}

func TestAJobWithoutAContextBeginsATrace(t *testing.T) {
	for _, parent := range []bool{false, true} {
		r := newRig(t, oteljobs.Options{Parent: parent})
		info, err := jobs.New(r.store, jobs.NewRegistry(nil), nil).Enqueue(t.Context(), resize{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.work(info.ID, returns("", nil), nil)
		consumer := r.ended(trace.SpanKindConsumer, 1)[0]
		r.wantLinks(consumer)
		if consumer.Parent().IsValid() {
			t.Errorf("the parent is %v, want none", consumer.Parent())
		}
	}
}

// The span around a worker lives as long as the process and is no parent for attempts.
func TestTheSpanAroundAWorkerIsLinked(t *testing.T) {
	r := newRig(t, oteljobs.Options{})
	ctx, around := r.tracer.Start(t.Context(), "main")
	job := jobs.Info{ID: 7, Queue: "default", Kind: "resize", Attempt: 1}
	if err := oteljobs.Execution(r.opts)(ctx, job, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	consumer := r.ended(trace.SpanKindConsumer, 1)[0]
	r.wantLinks(consumer, around.SpanContext())
	if consumer.Parent().IsValid() {
		t.Errorf("the parent is %v, want none", consumer.Parent())
	}
}

func TestEachAttemptIsASpanAndItsErrorHasNoText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, oteljobs.Options{})
		info := r.enqueue(t.Context(), nil)
		r.work(info.ID, func(_ context.Context, job *jobs.Job[resize]) (string, error) {
			if job.Attempt == 1 {
				return "", fmt.Errorf("no room for %s: %w", job.Args.Image, &net.AddrError{Err: job.Args.Image})
			}
			return "done", nil
		}, nil)
		all := r.ended(trace.SpanKindConsumer, 2)
		producer := r.ended(trace.SpanKindProducer, 1)[0]
		for i, outcome := range []string{"failed", "completed"} {
			r.wantLinks(all[i], producer.SpanContext())
			attrs := processing(attribute.String("messaging.message.id", info.ID.String()),
				attribute.Int("levqor.job.attempt", i+1), attribute.String("levqor.job.outcome", outcome))
			if i == 0 {
				attrs = append(attrs, attribute.String("error.type", "*net.AddrError"))
			}
			r.wantAttributes(all[i], attrs...)
		}
		if s := all[0].Status(); s.Code != codes.Error || s.Description != "" || all[1].Status().Code != codes.Unset {
			t.Errorf("the states are %+v and %+v", s, all[1].Status())
		}
		if text := fmt.Sprintf("%+v", all) + fmt.Sprintf("%+v", r.metrics()); strings.Contains(text, "ada@example.com") {
			t.Errorf("arguments appear in %s", text)
		}
	})
}

func TestErrorsHaveTextsAndSpansTenantsWhereThatIsWanted(t *testing.T) {
	r := newRig(t, oteljobs.Options{ErrorText: true, Tenant: true})
	r.queue = r.queue.ForTenant("acme")
	info := r.enqueue(t.Context(), nil)
	r.work(info.ID, returns("", jobs.Permanent(errors.New("no such image"))), nil)
	producer, consumer := r.ended(trace.SpanKindProducer, 1)[0], r.ended(trace.SpanKindConsumer, 1)[0]
	if s := consumer.Status(); s.Code != codes.Error || s.Description != "no such image" {
		t.Errorf("the status is %+v, want the error's text", s)
	}
	r.wantAttributes(producer, enqueueing(attribute.String("messaging.destination.name", "default"),
		attribute.String("messaging.message.id", info.ID.String()), attribute.String("levqor.job.kind", "resize"),
		attribute.String("levqor.tenant", "acme"))...)
	r.wantAttributes(consumer, processing(attribute.String("messaging.message.id", info.ID.String()), attribute.Int("levqor.job.attempt", 1),
		attribute.String("levqor.job.outcome", "failed"), attribute.String("error.type", "*errors.errorString"),
		attribute.String("levqor.tenant", "acme"))...)
}

func TestASnoozeIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, oteljobs.Options{})
		info := r.enqueue(t.Context(), nil)
		early := true
		r.work(info.ID, func(context.Context, *jobs.Job[resize]) (string, error) {
			if early {
				early = false
				return "", jobs.Snooze(time.Minute)
			}
			return "done", nil
		}, nil)
		for i, outcome := range []string{"snoozed", "completed"} {
			span := r.ended(trace.SpanKindConsumer, 2)[i]
			if span.Status().Code != codes.Unset {
				t.Errorf("span %d has the status %+v", i, span.Status())
			}
			r.wantAttributes(span, processing(attribute.String("messaging.message.id", info.ID.String()),
				attribute.Int("levqor.job.attempt", 1), attribute.String("levqor.job.outcome", outcome))...)
			if n, _ := r.histogram("messaging.process.duration", processing(attribute.String("levqor.job.outcome", outcome))...); n != 1 {
				t.Errorf("%d attempts that %s were measured, want 1", n, outcome)
			}
		}
	})
}

func TestErrorsHaveClasses(t *testing.T) {
	errLost := errors.New("the handler's own words")
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"a kind of the SDK", fmt.Errorf("x: %w", jobs.ErrUnavailable), "unavailable"},
		{"a refined kind", jobs.Permanent(jobs.ErrUnknownKind), "unknown_kind"},
		{"a deadline", context.DeadlineExceeded, "timeout"},
		{"a lost lease", errLost, "lease_lost"},
		{"a type within wrappers", jobs.RetryAfter(fmt.Errorf("x: %w", &net.AddrError{}), time.Second), "*net.AddrError"},
		{"a type that wraps another", &net.OpError{Op: "dial", Err: &net.AddrError{}}, "*net.OpError"},
		{"joined errors", errors.Join(errors.New("a"), errors.New("b")), "*errors.joinError"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, oteljobs.Options{})
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			if errors.Is(c.err, errLost) {
				stop(jobs.ErrLeaseLost)
			}
			err := oteljobs.Execution(r.opts)(ctx, jobs.Info{Queue: "default", Kind: "resize"}, func(context.Context) error { return c.err })
			if !errors.Is(err, c.err) {
				t.Errorf("the hook returned %v, want the handler's error", err)
			}
			attrs := processing(attribute.String("levqor.job.outcome", "failed"), attribute.String("error.type", c.want))
			if n, _ := r.histogram("messaging.process.duration", attrs...); n != 1 {
				t.Errorf("%d attempts were measured as %s, want 1", n, c.want)
			}
		})
	}
}

func TestAnAttemptThatPanicsEndsItsSpan(t *testing.T) {
	r := newRig(t, oteljobs.Options{})
	info := r.enqueue(t.Context(), &jobs.EnqueueOptions{MaxAttempts: 1})
	r.work(info.ID, func(context.Context, *jobs.Job[resize]) (string, error) { panic("boom") }, nil)
	span := r.ended(trace.SpanKindConsumer, 1)[0]
	if span.Status().Code != codes.Error {
		t.Errorf("the status is %+v", span.Status())
	}
	r.wantAttributes(span, processing(attribute.String("messaging.message.id", info.ID.String()), attribute.Int("levqor.job.attempt", 1),
		attribute.String("levqor.job.outcome", "failed"), attribute.String("error.type", "unreturned"))...)
}

func TestDurationsAndWaitsAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, oteljobs.Options{})
		info := r.enqueue(t.Context(), &jobs.EnqueueOptions{RunAt: time.Now().Add(-24 * time.Hour)})
		time.Sleep(3 * time.Second) // nobody works
		r.work(info.ID, func(context.Context, *jobs.Job[resize]) (string, error) {
			time.Sleep(2 * time.Second)
			return "", nil
		}, nil)
		if n, sum := r.histogram("levqor.job.wait.duration", processing()...); n != 1 || sum < 3 || sum > 5 {
			t.Errorf("%d waits of %v s were measured, want one of 3", n, sum)
		}
		if n, sum := r.histogram("messaging.process.duration", processing(attribute.String("levqor.job.outcome", "completed"))...); n != 1 || sum != 2 {
			t.Errorf("%d attempts of %v s were measured, want one of 2", n, sum)
		}
	})
}
