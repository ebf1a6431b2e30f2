// Command jobsonly adds a queue to a program that has a database of its own: an
// order and the job that sends its receipt commit together.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the driver named "sqlite"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// SendReceipt is a kind of job.
type SendReceipt struct {
	Order int64 `json:"order"`
}

// Kind implements [jobs.Args].
func (SendReceipt) Kind() string { return "receipt.send" }

func main() {
	if err := run(context.Background(), "file:orders.db?_txlock=immediate&_pragma=busy_timeout(15000)&_pragma=journal_mode(WAL)"); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dsn string) error {
	// The program's own database.
	conn, err := sql.Open("sqlite", dsn)
	if err != nil {
		return err
	}
	conn.SetMaxOpenConns(1)
	db := bun.NewDB(conn, sqlitedialect.New())
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS orders (id integer PRIMARY KEY, item text NOT NULL)"); err != nil {
		return err
	}

	// What it takes to have jobs.
	if err := bunjobs.Migrate(ctx, db); err != nil {
		return err
	}
	store, registry := bunjobs.New(db), jobs.NewRegistry(nil)
	queue := jobs.New(store, registry, nil)
	worker, err := jobs.NewWorker(store, registry, nil)
	if err != nil {
		return err
	}
	err = jobs.Handle(registry, func(_ context.Context, job *jobs.Job[SendReceipt]) (string, error) {
		return fmt.Sprintf("receipt for order %d", job.Args.Order), nil
	}, nil)
	if err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	worked := make(chan error, 1)
	go func() { worked <- worker.Run(working) }()

	// An order: with its receipt, or not at all.
	var info jobs.Info
	err = db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		var order int64
		if err := tx.NewRaw("INSERT INTO orders (item) VALUES (?) RETURNING id", "a chair").Scan(ctx, &order); err != nil {
			return err
		}
		info, err = queue.With(bunjobs.New(tx)).Enqueue(ctx, SendReceipt{Order: order}, nil)
		return err
	})
	if err == nil {
		var sent string
		sent, err = jobs.Await[string](ctx, queue, info.ID)
		fmt.Println("sent:", sent)
	}
	stop()
	if drained := <-worked; err == nil {
		err = drained
	}
	return err
}
