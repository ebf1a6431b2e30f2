// Command quickstart indexes documents as durable jobs on a SQLite file: the
// title, the number of words, and what it would cost to have a language model
// read them.
//
//	go run ./examples/quickstart [file …]
//
// Without arguments it takes the Markdown files below the working directory.
// Stop it with Ctrl-C, or kill it, and start it again: it goes on where it was,
// and what is done is not done again.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
	"github.com/levqor/sdk/levqor/bunlevqor"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, paths []string) error {
	paths, err := documents(paths)
	if err != nil {
		return err
	}
	db, err := bunlevqor.Open("sqlite://levqor-quickstart.db")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := bunjobs.Migrate(ctx, db); err != nil {
		return err
	}
	store, registry := bunjobs.New(db), jobs.NewRegistry(nil)
	if err := jobs.Handle(registry, index, nil); err != nil {
		return err
	}
	// After a kill, the jobs that ran wait for the lease of the dead process.
	worker, err := jobs.NewWorker(store, registry, &jobs.WorkerOptions{Lease: 3 * time.Second, Poll: 20 * time.Millisecond})
	if err != nil {
		return err
	}
	queue := jobs.New(store, registry, nil)
	ids, err := enqueue(ctx, db, queue, paths)
	if err != nil {
		return err
	}
	over := map[jobs.ID]jobs.Info{}
	if err := collect(ctx, queue, ids, over); err != nil {
		return err
	}
	reused := len(over)

	working, stop := context.WithCancel(ctx)
	defer stop()
	worked := make(chan error, 1)
	go func() { worked <- worker.Run(working) }()
	err = follow(ctx, queue, ids, over)
	stop()
	if err := errors.Join(err, <-worked); err != nil {
		return err
	}
	return report(over, reused)
}
