// Command customstore runs jobs on a store of its own: one JSON file, written
// anew with each change. It shows what a store has to do, not how a fast one
// does it; its test is one call of package jobstest.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/levqor/sdk/jobs"
)

// Greet is a kind of job.
type Greet struct {
	Name string `json:"name"`
}

// Kind implements [jobs.Args].
func (Greet) Kind() string { return "greet" }

func main() {
	if err := run(context.Background(), "customstore.json"); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path string) error {
	store, registry := NewFileStore(path), jobs.NewRegistry(nil)
	err := jobs.Handle(registry, func(_ context.Context, job *jobs.Job[Greet]) (string, error) {
		return "Hello, " + job.Args.Name + "!", nil
	}, nil)
	if err != nil {
		return err
	}
	worker, err := jobs.NewWorker(store, registry, &jobs.WorkerOptions{Poll: 10 * time.Millisecond})
	if err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	worked := make(chan error, 1)
	go func() { worked <- worker.Run(working) }()

	queue := jobs.New(store, registry, nil)
	info, err := queue.Enqueue(ctx, Greet{Name: "Ada"}, nil)
	if err != nil {
		return err
	}
	text, err := jobs.Await[string](ctx, queue, info.ID)
	if err != nil {
		return err
	}
	fmt.Println(text)
	stop()
	return <-worked
}
