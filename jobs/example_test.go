package jobs_test

import (
	"context"
	"fmt"

	"github.com/levqor/sdk/jobs"
)

// Greet is a kind of job.
type Greet struct {
	Name string `json:"name"`
}

// Kind implements [jobs.Args].
func (Greet) Kind() string { return "greet" }

func greet(_ context.Context, job *jobs.Job[Greet]) (string, error) {
	return "Hello, " + job.Args.Name + "!", nil
}

// A job is a value of a Go type. Its handler may run in this process or in
// another one on the same database.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	registry := jobs.NewRegistry(nil)
	if err := jobs.Handle(registry, greet, nil); err != nil {
		fmt.Println(err)
		return
	}
	store := jobs.NewMemStore()
	queue := jobs.New(store, registry, nil)
	worker, err := jobs.NewWorker(store, registry, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error)
	go func() { done <- worker.Run(ctx) }()

	info, err := queue.Enqueue(ctx, Greet{Name: "Ada"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := jobs.Await[string](ctx, queue, info.ID)
	fmt.Println(text, err)

	stop()
	fmt.Println(<-done)
	// Output:
	// Hello, Ada! <nil>
	// <nil>
}

func ExampleNew() {
	queue := jobs.New(jobs.NewMemStore(), jobs.NewRegistry(nil), nil)
	info, err := queue.ForTenant("acme").Enqueue(context.Background(), Greet{Name: "Ada"}, &jobs.EnqueueOptions{Priority: 1})
	fmt.Println(info.State, info.Tenant, info.Priority, string(info.Args), err)
	// Output: ready acme 1 {"name":"Ada"} <nil>
}

func ExampleNewMemStore() {
	store := jobs.NewMemStore()
	err := store.Atomically(func(tx *jobs.MemStore) error {
		queue := jobs.New(tx, jobs.NewRegistry(nil), nil)
		if _, err := queue.Enqueue(context.Background(), Greet{Name: "Ada"}, nil); err != nil {
			return err
		}
		return fmt.Errorf("changed my mind")
	})
	all, _ := store.List(context.Background(), jobs.ListQuery{Limit: 10})
	fmt.Println(len(all), err)
	// Output: 0 changed my mind
}

func ExampleNewRegistry() {
	registry := jobs.NewRegistry(nil)
	fmt.Println(jobs.Handle(registry, greet, &jobs.KindOptions{Queue: "mail", MaxAttempts: 3}))
	for _, kind := range registry.Kinds() {
		fmt.Println(kind.Name, kind.Options.Queue, kind.Options.MaxAttempts, kind.Options.Timeout)
	}
	// Output:
	// <nil>
	// greet mail 3 10m0s
}

func ExampleNewWorker() {
	_, err := jobs.NewWorker(jobs.NewMemStore(), jobs.NewRegistry(nil), &jobs.WorkerOptions{Queues: map[string]int{"mail": 0}})
	fmt.Println(err)
	// Output: jobs: new worker: /queues/mail: must be at least 1: invalid
}
