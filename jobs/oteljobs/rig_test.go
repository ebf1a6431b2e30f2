package oteljobs_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/jobstest"
	"github.com/levqor/sdk/jobs/oteljobs"
)

// resize is a job whose argument must not appear in telemetry.
type resize struct {
	Image string `json:"image"`
}

func (resize) Kind() string { return "resize" }

// rig records what two processes with one store send: one takes jobs in, the other
// works them off.
type rig struct {
	*testing.T
	spans  *tracetest.SpanRecorder
	reader *sdkmetric.ManualReader
	tracer trace.Tracer
	opts   *oteljobs.Options

	store *jobs.MemStore
	queue *jobs.Queue
}

func newRig(t *testing.T, opts oteljobs.Options) *rig {
	t.Helper()
	r := &rig{T: t, spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader(), store: jobs.NewMemStore(), opts: &opts}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.spans))
	r.tracer = provider.Tracer("test")
	opts.TracerProvider, opts.MeterProvider = provider, sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader))
	if opts.Propagator == nil {
		opts.Propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	}
	registry := jobs.NewRegistry(&jobs.RegistryOptions{Intake: []jobs.IntakeHook{oteljobs.Intake(&opts)}})
	r.queue = jobs.New(r.store, registry, nil)
	return r
}

func (r *rig) enqueue(ctx context.Context, opts *jobs.EnqueueOptions) jobs.Info {
	r.Helper()
	info, err := r.queue.Enqueue(ctx, resize{Image: "ada@example.com"}, opts)
	if err != nil {
		r.Fatalf("Enqueue = %v", err)
	}
	return info
}

// work runs a worker with a registry of its own until a job is over.
func (r *rig) work(id jobs.ID, handler jobs.Func[resize, string], kind *jobs.KindOptions) {
	r.Helper()
	registry := jobs.NewRegistry(&jobs.RegistryOptions{Execution: []jobs.ExecutionHook{oteljobs.Execution(r.opts)}})
	if err := jobs.Handle(registry, handler, kind); err != nil {
		r.Fatal(err)
	}
	info, err := r.queue.Get(r.Context(), id)
	if err != nil {
		r.Fatal(err)
	}
	defer jobstest.Work(r, r.store, registry, info.Queue)()
	if _, err := jobs.Await[string](r.Context(), r.queue, id); err != nil && !errors.Is(err, jobs.ErrDiscarded) {
		r.Fatalf("Await = %v", err)
	}
}

// ended returns the spans of a kind, in the order in which they ended.
func (r *rig) ended(kind trace.SpanKind, want int) []sdktrace.ReadOnlySpan {
	r.Helper()
	all := slices.DeleteFunc(r.spans.Ended(), func(s sdktrace.ReadOnlySpan) bool { return s.SpanKind() != kind })
	if len(all) != want {
		r.Fatalf("%d %s spans ended, want %d", len(all), kind, want)
	}
	return all
}

// wantAttributes wants a span to have exactly these.
func (r *rig) wantAttributes(span sdktrace.ReadOnlySpan, want ...attribute.KeyValue) {
	r.Helper()
	got, all := attribute.NewSet(span.Attributes()...), attribute.NewSet(want...)
	if !got.Equals(&all) {
		r.Errorf("the attributes of %q are\n%v, want\n%v", span.Name(), got.Encoded(attribute.DefaultEncoder()), all.Encoded(attribute.DefaultEncoder()))
	}
}

func (r *rig) wantLinks(span sdktrace.ReadOnlySpan, want ...trace.SpanContext) {
	r.Helper()
	links := span.Links()
	if len(links) != len(want) {
		r.Fatalf("%q has %d links, want %d", span.Name(), len(links), len(want))
	}
	for i, link := range links {
		if link.SpanContext.SpanID() != want[i].SpanID() || link.SpanContext.TraceID() != want[i].TraceID() {
			r.Errorf("link %d of %q leads to %v, want %v", i, span.Name(), link.SpanContext.SpanID(), want[i].SpanID())
		}
	}
}

// metrics returns what was measured, by name.
func (r *rig) metrics() map[string]metricdata.Aggregation {
	r.Helper()
	var all metricdata.ResourceMetrics
	if err := r.reader.Collect(r.Context(), &all); err != nil {
		r.Fatal(err)
	}
	byName := map[string]metricdata.Aggregation{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			byName[m.Name] = m.Data
		}
	}
	return byName
}

// histogram returns the number and the sum of the values with exactly these attributes.
func (r *rig) histogram(name string, attrs ...attribute.KeyValue) (count uint64, sum float64) {
	r.Helper()
	want := attribute.NewSet(attrs...)
	data, ok := r.metrics()[name].(metricdata.Histogram[float64])
	if !ok {
		r.Fatalf("%s was not measured", name)
	}
	for _, point := range data.DataPoints {
		if point.Attributes.Equals(&want) {
			return point.Count, point.Sum
		}
	}
	return 0, 0
}

// counter returns the sum with exactly these attributes.
func (r *rig) counter(name string, attrs ...attribute.KeyValue) int64 {
	r.Helper()
	want := attribute.NewSet(attrs...)
	data, ok := r.metrics()[name].(metricdata.Sum[int64])
	if !ok {
		r.Fatalf("%s was not measured", name)
	}
	for _, point := range data.DataPoints {
		if point.Attributes.Equals(&want) {
			return point.Value
		}
	}
	return 0
}

// The attributes that all spans and metrics of an operation have, by the names of the
// conventions.
func enqueueing(more ...attribute.KeyValue) []attribute.KeyValue {
	return append(more, attribute.String("messaging.system", "levqor"),
		attribute.String("messaging.operation.name", "enqueue"), attribute.String("messaging.operation.type", "send"))
}

func processing(more ...attribute.KeyValue) []attribute.KeyValue {
	return append(more, attribute.String("messaging.system", "levqor"),
		attribute.String("messaging.operation.name", "process"), attribute.String("messaging.operation.type", "process"),
		attribute.String("messaging.destination.name", "default"), attribute.String("levqor.job.kind", "resize"))
}

func returns(result string, err error) jobs.Func[resize, string] {
	return func(context.Context, *jobs.Job[resize]) (string, error) { return result, err }
}
