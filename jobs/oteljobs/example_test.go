package oteljobs_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/oteljobs"
)

// Greet is a kind of job.
type Greet struct{ Name string }

// Kind implements [jobs.Args].
func (Greet) Kind() string { return "greet" }

// A program that has set the global providers and propagator of package otel needs no
// options.
func Example() {
	spans := tracetest.NewSpanRecorder()
	opts := &oteljobs.Options{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
		Propagator:     propagation.TraceContext{},
	}
	registry := jobs.NewRegistry(&jobs.RegistryOptions{
		Intake:    []jobs.IntakeHook{oteljobs.Intake(opts)},
		Execution: []jobs.ExecutionHook{oteljobs.Execution(opts)},
	})
	err := jobs.Handle(registry, func(_ context.Context, job *jobs.Job[Greet]) (string, error) {
		return "Hello, " + job.Args.Name + "!", nil
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	store := jobs.NewMemStore()
	worker, err := jobs.NewWorker(store, registry, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error)
	go func() { done <- worker.Run(ctx) }()

	queue := jobs.New(store, registry, nil)
	info, err := queue.Enqueue(ctx, Greet{Name: "Ada"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := jobs.Await[string](ctx, queue, info.ID)
	fmt.Println(text, err)
	stop()
	fmt.Println(<-done)

	for _, span := range spans.Ended() {
		fmt.Println(span.SpanKind(), span.Name(), len(span.Links()))
	}
	// Unordered output:
	// Hello, Ada! <nil>
	// <nil>
	// producer enqueue default 0
	// consumer process default 1
}
