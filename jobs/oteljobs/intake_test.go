package oteljobs_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/oteljobs"
)

// origin returns the context that a job brings along.
func origin(job jobs.Info) trace.SpanContext {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier(job.Metadata))
	return trace.SpanContextFromContext(ctx)
}

func TestACallThatTakesAJobInIsAProducerSpan(t *testing.T) {
	r := newRig(t, oteljobs.Options{})
	ctx, caller := r.tracer.Start(t.Context(), "request")
	info := r.enqueue(ctx, nil)
	caller.End()
	span := r.ended(trace.SpanKindProducer, 1)[0]
	if span.Name() != "enqueue default" || span.Parent().SpanID() != caller.SpanContext().SpanID() || span.Status().Code != codes.Unset {
		t.Errorf("the span is %q below %v, %v", span.Name(), span.Parent().SpanID(), span.Status())
	}
	r.wantLinks(span)
	r.wantAttributes(span, enqueueing(attribute.String("messaging.destination.name", "default"),
		attribute.String("messaging.message.id", info.ID.String()), attribute.String("levqor.job.kind", "resize"))...)
	if got := origin(info); got.SpanID() != span.SpanContext().SpanID() || got.TraceID() != span.SpanContext().TraceID() {
		t.Errorf("the job comes from %v, want the span", got)
	}
	attrs := enqueueing(attribute.String("messaging.destination.name", "default"), attribute.String("levqor.job.kind", "resize"))
	if n, _ := r.histogram("messaging.client.operation.duration", attrs...); n != 1 {
		t.Errorf("%d durations were measured, want 1", n)
	}
	if n := r.counter("messaging.client.sent.messages", attrs...); n != 1 {
		t.Errorf("%d jobs were counted, want 1", n)
	}
}

func TestABatchIsOneSpanThatLinksToWhatCallersGave(t *testing.T) {
	r := newRig(t, oteljobs.Options{})
	_, elsewhere := r.tracer.Start(t.Context(), "elsewhere")
	given := map[string]string{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpan(t.Context(), elsewhere), propagation.MapCarrier(given))
	own := &jobs.EnqueueOptions{Queue: "slow", Metadata: map[string]string{"request": "r-1"}}
	infos, err := r.queue.EnqueueMany(t.Context(), []jobs.Entry{
		{Args: resize{}}, {Args: resize{}, Options: own}, {Args: resize{}, Options: &jobs.EnqueueOptions{Metadata: given}}, {Args: resize{}, Options: &jobs.EnqueueOptions{Metadata: given}},
	})
	if err != nil {
		t.Fatal(err)
	}
	span := r.ended(trace.SpanKindProducer, 1)[0]
	if span.Name() != "enqueue" {
		t.Errorf("the span is %q; jobs of several queues have no queue", span.Name())
	}
	r.wantAttributes(span, enqueueing(attribute.Int("messaging.batch.message_count", 4), attribute.String("levqor.job.kind", "resize"))...)
	r.wantLinks(span, elsewhere.SpanContext())
	want := []trace.SpanContext{span.SpanContext(), span.SpanContext(), elsewhere.SpanContext(), elsewhere.SpanContext()}
	for i, info := range infos {
		if origin(info).SpanID() != want[i].SpanID() {
			t.Errorf("job %d comes from %v, want %v", i, origin(info).SpanID(), want[i].SpanID())
		}
	}
	if infos[1].Metadata["request"] != "r-1" || !maps.Equal(infos[2].Metadata, given) {
		t.Errorf("the metadata are %v and %v; want those of the caller kept", infos[1].Metadata, infos[2].Metadata)
	}
	if len(own.Metadata) != 1 {
		t.Errorf("the caller's options became %v", own.Metadata)
	}
	if n := r.counter("messaging.client.sent.messages", enqueueing(attribute.String("levqor.job.kind", "resize"))...); n != 4 {
		t.Errorf("%d jobs were counted, want 4", n)
	}
}

func TestACallWithoutJobsIsNoSpan(t *testing.T) {
	r := newRig(t, oteljobs.Options{})
	if _, err := r.queue.EnqueueMany(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	r.ended(trace.SpanKindProducer, 0)
}

func TestWithoutASpanThereAreNoMetadata(t *testing.T) {
	for name, opts := range map[string]*oteljobs.Options{
		"no provider":   {TracerProvider: noop.NewTracerProvider(), Propagator: propagation.TraceContext{}},
		"no propagator": nil,
	} {
		t.Run(name, func(t *testing.T) {
			registry := jobs.NewRegistry(&jobs.RegistryOptions{Intake: []jobs.IntakeHook{oteljobs.Intake(opts)}})
			queue := jobs.New(jobs.NewMemStore(), registry, nil)
			info, err := queue.Enqueue(t.Context(), resize{}, nil)
			if err != nil || info.Metadata != nil {
				t.Errorf("Enqueue = %v, %v; want no metadata", info.Metadata, err)
			}
		})
	}
}

// A trace is worth less than the job.
func TestWhatDoesNotFitIntoTheMetadataIsLeftOut(t *testing.T) {
	r := newRig(t, oteljobs.Options{})
	full := map[string]string{}
	for i := range jobs.MaxMetadata {
		full[fmt.Sprint("n", i)] = ""
	}
	if info := r.enqueue(t.Context(), &jobs.EnqueueOptions{Metadata: full}); !maps.Equal(info.Metadata, full) {
		t.Errorf("the metadata are %v, want those of the caller", info.Metadata)
	}
	member, err := baggage.NewMember("long", strings.Repeat("x", jobs.MaxMetadataValue))
	if err != nil {
		t.Fatal(err)
	}
	bag, err := baggage.New(member)
	if err != nil {
		t.Fatal(err)
	}
	info := r.enqueue(baggage.ContextWithBaggage(t.Context(), bag), nil)
	if !origin(info).IsValid() || len(info.Metadata) != 1 {
		t.Errorf("the metadata are %v, want the trace alone", info.Metadata)
	}
}

func TestARefusedJobIsAnErrorWithoutItsText(t *testing.T) {
	r := newRig(t, oteljobs.Options{})
	_, err := r.queue.Enqueue(t.Context(), resize{}, &jobs.EnqueueOptions{Priority: 77})
	if !errors.Is(err, jobs.ErrInvalid) {
		t.Fatalf("Enqueue = %v, want ErrInvalid", err)
	}
	span := r.ended(trace.SpanKindProducer, 1)[0]
	if span.Status().Code != codes.Error || span.Status().Description != "" || len(span.Events()) > 0 {
		t.Errorf("the status is %+v with %d events", span.Status(), len(span.Events()))
	}
	r.wantAttributes(span, enqueueing(attribute.String("error.type", "invalid"))...)
	if n := r.counter("messaging.client.sent.messages", enqueueing(attribute.String("error.type", "invalid"))...); n != 1 {
		t.Errorf("%d refused jobs were counted, want 1", n)
	}
}

func TestASpanEndsAlsoIfAHookPanics(t *testing.T) {
	r := newRig(t, oteljobs.Options{})
	registry := jobs.NewRegistry(&jobs.RegistryOptions{Intake: []jobs.IntakeHook{
		oteljobs.Intake(r.opts),
		func(context.Context, []jobs.Entry, func(context.Context, []jobs.Entry) ([]jobs.Info, error)) ([]jobs.Info, error) {
			panic("boom")
		},
	}})
	func() {
		defer func() {
			if recover() != "boom" {
				t.Error("the panic did not reach the caller")
			}
		}()
		_, _ = jobs.New(r.store, registry, nil).Enqueue(t.Context(), resize{}, nil)
	}()
	span := r.ended(trace.SpanKindProducer, 1)[0]
	r.wantAttributes(span, enqueueing(attribute.String("error.type", "unreturned"))...)
}
