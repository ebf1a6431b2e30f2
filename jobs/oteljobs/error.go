package oteljobs

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
)

// fail marks a span as failed and returns the attribute that says why.
func (t *telemetry) fail(ctx context.Context, span trace.Span, err error) attribute.KeyValue {
	class := errorType(ctx, err)
	span.SetAttributes(class)
	description := ""
	if t.ErrorText {
		description = err.Error()
	}
	span.SetStatus(codes.Error, description)
	return class
}

// errUnreturned stands for the error of a call that panicked or ended its goroutine.
var errUnreturned = errors.New("did not return")

// classes are the errors that have a name of their own, what is specific first.
var classes = []struct {
	err  error
	name string
}{
	{errUnreturned, "unreturned"},
	{jobs.ErrLeaseLost, "lease_lost"},
	{jobs.ErrUnknownKind, "unknown_kind"},
	{fault.ErrInvalid, "invalid"},
	{fault.ErrUnauthenticated, "unauthenticated"},
	{fault.ErrForbidden, "forbidden"},
	{fault.ErrNotFound, "not_found"},
	{fault.ErrConflict, "conflict"},
	{fault.ErrLimit, "limit"},
	{fault.ErrUnavailable, "unavailable"},
	{context.DeadlineExceeded, "timeout"},
	{context.Canceled, "canceled"},
}

// errorType returns the class of an error: that of the SDK, or its Go type.
func errorType(ctx context.Context, err error) attribute.KeyValue {
	if errors.Is(context.Cause(ctx), jobs.ErrLeaseLost) {
		err = jobs.ErrLeaseLost // whatever the handler made of it
	}
	for _, class := range classes {
		if errors.Is(err, class.err) {
			return semconv.ErrorTypeKey.String(class.name)
		}
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil || !wrappers[reflect.TypeOf(err)] {
			return semconv.ErrorType(err)
		}
		err = inner
	}
}

// wrappers are the types of errors that say nothing about what they wrap.
var wrappers = map[reflect.Type]bool{
	reflect.TypeOf(fmt.Errorf("%w", errUnreturned)):   true,
	reflect.TypeOf(jobs.Permanent(errUnreturned)):     true,
	reflect.TypeOf(jobs.RetryAfter(errUnreturned, 0)): true,
}
