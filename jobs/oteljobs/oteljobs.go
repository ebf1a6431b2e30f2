// Package oteljobs traces and measures jobs with OpenTelemetry, by its semantic
// conventions for messaging:
//
//	otel.SetTextMapPropagator(propagation.TraceContext{}) // and the providers, as for any other package
//	registry := jobs.NewRegistry(&jobs.RegistryOptions{
//		Intake:    []jobs.IntakeHook{oteljobs.Intake(nil)},
//		Execution: []jobs.ExecutionHook{oteljobs.Execution(nil)},
//	})
//
// # Spans
//
// A call that takes jobs in is a producer span, "enqueue QUEUE", however many jobs it
// brings. Its context travels with each job in [jobs.Info.Metadata], unless the caller
// gave the job one of its own: the span then links to that. Each attempt is a consumer
// span, "process QUEUE", which begins a trace and links to the one that the job came
// from; see [Options.Parent].
//
// Besides the attributes of the conventions spans have [KindKey], and those of attempts
// [AttemptKey] and [OutcomeKey]. A snooze is no error. Arguments, results, metadata and,
// unless an option says so, tenants and the texts of errors appear nowhere.
//
// # Metrics
//
//   - messaging.client.operation.duration: how long calls took that took jobs in.
//   - messaging.client.sent.messages: how many jobs these brought, those that were there
//     already as well.
//   - messaging.process.duration: how long attempts took.
//   - levqor.job.wait.duration: how long jobs waited for an attempt since they could have
//     had it, by the clock of the store.
//
// They are told apart by queue, by error and, where one is known, by kind. Whoever may
// name queues decides how many series there are.
//
// Schedules store their jobs without intake hooks, so these begin traces of their own.
package oteljobs

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/messagingconv"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name of the tracer and the meter.
const scope = "github.com/levqor/sdk/jobs/oteljobs"

// Attributes that the conventions do not know.
const (
	// KindKey is the kind of a job.
	KindKey = attribute.Key("levqor.job.kind")
	// AttemptKey is the number of an attempt, counted from 1.
	AttemptKey = attribute.Key("levqor.job.attempt")
	// OutcomeKey is what the handler of an attempt came to: "completed", "failed" or
	// "snoozed".
	OutcomeKey = attribute.Key("levqor.job.outcome")
	// TenantKey is the tenant of a job; see [Options].
	TenantKey = attribute.Key("levqor.tenant")
)

// Options configure the hooks. The zero value of each field means its default.
type Options struct {
	// TracerProvider makes the spans. Default: that of package otel.
	TracerProvider trace.TracerProvider
	// MeterProvider makes the metrics. Default: that of package otel.
	MeterProvider metric.MeterProvider
	// Propagator writes the context of a span into a job's metadata and reads it there,
	// baggage too if it knows any. Default: that of package otel, which does nothing
	// until the program sets one.
	Propagator propagation.TextMapPropagator
	// Parent makes the span of an attempt a child of the one that the job came from, in
	// one trace with it. A caller that gives metadata of its own then decides which
	// trace that is and whether it is sampled. Default: a trace for each attempt.
	Parent bool
	// Tenant adds [TenantKey] to spans. Default: no tenants.
	Tenant bool
	// ErrorText describes failed spans by the texts of their errors, which may repeat
	// arguments. Default: the classes of errors alone.
	ErrorText bool
}

// telemetry is what both hooks work with.
type telemetry struct {
	Options
	tracer trace.Tracer
	meter  metric.Meter
}

func newTelemetry(opts *Options) telemetry {
	var t telemetry
	if opts != nil {
		t.Options = *opts
	}
	if t.TracerProvider == nil {
		t.TracerProvider = otel.GetTracerProvider()
	}
	if t.MeterProvider == nil {
		t.MeterProvider = otel.GetMeterProvider()
	}
	if t.Propagator == nil {
		t.Propagator = otel.GetTextMapPropagator()
	}
	t.tracer = t.TracerProvider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))
	t.meter = t.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
	return t
}

// made returns an instrument. One that its provider could not make does nothing.
func made[I any](instrument I, err error) I {
	if err != nil {
		otel.Handle(err)
	}
	return instrument
}

// seconds are the bounds of histograms: those of the conventions, and more for jobs
// that take or wait for minutes.
var seconds = metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 30, 60, 300, 900, 3600)

// operation returns the attributes of spans and metrics of a sort of calls.
func operation(name string, typ attribute.KeyValue) []attribute.KeyValue {
	return []attribute.KeyValue{semconv.MessagingSystemKey.String(string(system)), semconv.MessagingOperationName(name), typ}
}

const system messagingconv.SystemAttr = "levqor"
