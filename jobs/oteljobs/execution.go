package oteljobs

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/messagingconv"
	"go.opentelemetry.io/otel/trace"

	"github.com/levqor/sdk/jobs"
)

// Execution returns the hook that traces and measures attempts. Options may be nil. Put
// it first, so that what other hooks do is within the span.
//
// It sees what the handler returns and no more: whether another attempt follows, and
// whether the store took the outcome, is decided later.
func Execution(opts *Options) jobs.ExecutionHook {
	t := newTelemetry(opts)
	e := &execution{
		telemetry: t,
		duration:  made(messagingconv.NewProcessDuration(t.meter, seconds)),
		wait: made(t.meter.Float64Histogram("levqor.job.wait.duration", seconds, metric.WithUnit("s"),
			metric.WithDescription("Time that a job waited for an attempt since it could have had it."))),
	}
	return e.hook
}

type execution struct {
	telemetry
	duration messagingconv.ProcessDuration
	wait     metric.Float64Histogram
}

func (e *execution) hook(ctx context.Context, job jobs.Info, next func(context.Context) error) (err error) {
	begin := time.Now() //nolint:forbidigo // measures, and orders nothing
	attrs := append(operation("process", semconv.MessagingOperationTypeProcess),
		semconv.MessagingDestinationName(job.Queue), KindKey.String(job.Kind))
	ctx, span := e.start(ctx, &job, attrs)
	defer span.End()
	e.wait.Record(ctx, waited(&job).Seconds(), metric.WithAttributes(attrs...))
	err = errUnreturned
	defer func() {
		set := attribute.NewSet(append(attrs, e.outcome(ctx, span, err)...)...)
		e.duration.RecordSet(ctx, time.Since(begin).Seconds(), set) //nolint:forbidigo // see begin
	}()
	return next(ctx)
}

// start starts the span of an attempt.
func (e *execution) start(ctx context.Context, job *jobs.Info, attrs []attribute.KeyValue) (context.Context, trace.Span) {
	around := trace.SpanContextFromContext(ctx) // such as that of the whole worker
	ctx = e.Propagator.Extract(trace.ContextWithSpanContext(ctx, trace.SpanContext{}), propagation.MapCarrier(job.Metadata))
	origin := trace.SpanContextFromContext(ctx)
	opts := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attrs...),
		trace.WithAttributes(semconv.MessagingMessageID(job.ID.String()), AttemptKey.Int(job.Attempt)),
	}
	for _, other := range []trace.SpanContext{origin, around} {
		if other.IsValid() {
			opts = append(opts, trace.WithLinks(trace.Link{SpanContext: other}))
		}
	}
	if !e.Parent {
		opts = append(opts, trace.WithNewRoot())
	}
	if e.Tenant {
		opts = append(opts, trace.WithAttributes(TenantKey.String(job.Tenant)))
	}
	return e.tracer.Start(ctx, "process "+job.Queue, opts...)
}

// outcome says what an attempt has come to, and returns how it is counted.
func (e *execution) outcome(ctx context.Context, span trace.Span, err error) []attribute.KeyValue {
	outcome := OutcomeKey.String("completed")
	var class []attribute.KeyValue
	if _, ok := jobs.Snoozed(err); ok {
		outcome = OutcomeKey.String("snoozed")
	} else if err != nil {
		outcome = OutcomeKey.String("failed")
		class = append(class, e.fail(ctx, span, err))
	}
	span.SetAttributes(outcome)
	return append(class, outcome)
}

// waited returns how long a job waited for its attempt. RunAt may be any time in the
// past.
func waited(job *jobs.Info) time.Duration {
	since := job.RunAt
	if since.Before(job.CreatedAt) {
		since = job.CreatedAt
	}
	return max(job.StartedAt.Sub(since), 0)
}
