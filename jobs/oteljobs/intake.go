package oteljobs

import (
	"context"
	"maps"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/messagingconv"
	"go.opentelemetry.io/otel/trace"

	"github.com/levqor/sdk/jobs"
)

// Intake returns the hook that traces and counts what takes jobs in. Options may be nil.
// Put it first, so that what other hooks do is within the span.
func Intake(opts *Options) jobs.IntakeHook {
	t := newTelemetry(opts)
	i := &intake{
		telemetry: t,
		duration:  made(messagingconv.NewClientOperationDuration(t.meter, seconds)),
		sent:      made(messagingconv.NewClientSentMessages(t.meter)),
	}
	return i.hook
}

type intake struct {
	telemetry
	duration messagingconv.ClientOperationDuration
	sent     messagingconv.ClientSentMessages
}

func (i *intake) hook(ctx context.Context, entries []jobs.Entry, next func(context.Context, []jobs.Entry) ([]jobs.Info, error)) (infos []jobs.Info, err error) {
	if len(entries) == 0 {
		return next(ctx, entries)
	}
	begin := time.Now() //nolint:forbidigo // measures, and orders nothing
	given := i.given(entries)
	attrs := operation("enqueue", semconv.MessagingOperationTypeSend)
	if len(entries) > 1 {
		attrs = append(attrs, semconv.MessagingBatchMessageCount(len(entries)))
	}
	ctx, span := i.tracer.Start(ctx, "enqueue", trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(attrs...), trace.WithLinks(links(given)...))
	defer span.End()
	err = errUnreturned
	defer func() { i.end(ctx, span, begin, len(entries), infos, err) }()
	return next(ctx, i.stamped(ctx, entries, given))
}

// end says what a call has come to.
func (i *intake) end(ctx context.Context, span trace.Span, begin time.Time, entries int, infos []jobs.Info, err error) {
	attrs := operation("enqueue", semconv.MessagingOperationTypeSend)
	if err != nil {
		attrs = append(attrs, i.fail(ctx, span, err))
	} else {
		common := i.common(infos)
		attrs = append(attrs, common...)
		i.describe(span, infos, common)
	}
	set := attribute.NewSet(attrs...)
	i.duration.RecordSet(ctx, time.Since(begin).Seconds(), set) //nolint:forbidigo // see begin
	i.sent.AddSet(ctx, int64(entries), set)
}

// common returns the queue and the kind of jobs, each if they have the same.
func (i *intake) common(infos []jobs.Info) []attribute.KeyValue {
	var attrs []attribute.KeyValue
	if queue, ok := same(infos, func(job *jobs.Info) string { return job.Queue }); ok {
		attrs = append(attrs, semconv.MessagingDestinationName(queue))
	}
	if kind, ok := same(infos, func(job *jobs.Info) string { return job.Kind }); ok {
		attrs = append(attrs, KindKey.String(kind))
	}
	return attrs
}

// describe adds to a span what is known once the jobs are stored.
func (i *intake) describe(span trace.Span, infos []jobs.Info, common []attribute.KeyValue) {
	span.SetAttributes(common...)
	if queue, ok := same(infos, func(job *jobs.Info) string { return job.Queue }); ok {
		span.SetName("enqueue " + queue)
	}
	if len(infos) == 1 {
		span.SetAttributes(semconv.MessagingMessageID(infos[0].ID.String()))
	}
	if tenant, ok := same(infos, func(job *jobs.Info) string { return job.Tenant }); ok && i.Tenant {
		span.SetAttributes(TenantKey.String(tenant))
	}
}

// same returns what all jobs have the same.
func same(infos []jobs.Info, value func(*jobs.Info) string) (all string, ok bool) {
	for i := range infos {
		v := value(&infos[i])
		if i > 0 && v != all {
			return "", false
		}
		all = v
	}
	return all, len(infos) > 0
}

// given returns the contexts that callers gave jobs themselves, one for each entry, or
// nil if there are none.
func (i *intake) given(entries []jobs.Entry) []trace.SpanContext {
	var given []trace.SpanContext
	for n, e := range entries {
		if e.Options == nil || len(e.Options.Metadata) == 0 {
			continue
		}
		from := i.Propagator.Extract(context.Background(), propagation.MapCarrier(e.Options.Metadata))
		if origin := trace.SpanContextFromContext(from); origin.IsValid() {
			if given == nil {
				given = make([]trace.SpanContext, len(entries))
			}
			given[n] = origin
		}
	}
	return given
}

// links returns a link to each of the contexts.
func links(given []trace.SpanContext) []trace.Link {
	seen := map[trace.SpanID]bool{}
	var all []trace.Link
	for _, origin := range given {
		if origin.IsValid() && !seen[origin.SpanID()] {
			seen[origin.SpanID()] = true
			all = append(all, trace.Link{SpanContext: origin})
		}
	}
	return all
}

// stamped returns the entries with the context of the span in the metadata of those
// that have none.
func (i *intake) stamped(ctx context.Context, entries []jobs.Entry, given []trace.SpanContext) []jobs.Entry {
	labels := propagation.MapCarrier{}
	i.Propagator.Inject(ctx, labels)
	maps.DeleteFunc(labels, func(_, value string) bool { return len(value) > jobs.MaxMetadataValue })
	if len(labels) == 0 {
		return entries
	}
	all := make([]jobs.Entry, len(entries))
	for n, e := range entries {
		all[n] = e
		if given == nil || !given[n].IsValid() {
			all[n].Options = labelled(e.Options, labels)
		}
	}
	return all
}

// labelled returns options with more metadata, or as they are if that does not fit: no
// job is refused for the sake of its trace.
func labelled(opts *jobs.EnqueueOptions, labels map[string]string) *jobs.EnqueueOptions {
	var own jobs.EnqueueOptions
	if opts != nil {
		own = *opts
	}
	metadata := make(map[string]string, len(own.Metadata)+len(labels))
	maps.Copy(metadata, own.Metadata)
	maps.Copy(metadata, labels)
	if len(metadata) > jobs.MaxMetadata {
		return opts
	}
	own.Metadata = metadata
	return &own
}
