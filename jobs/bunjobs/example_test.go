package bunjobs_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// SendReceipt is a kind of job.
type SendReceipt struct {
	Order int `json:"order"`
}

// Kind implements [jobs.Args].
func (SendReceipt) Kind() string { return "receipt.send" }

// The job commits with the host's own rows, or vanishes with them.
func ExampleNew() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "bunjobs")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	conn, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(dir, "host.db"))+"?_txlock=immediate&_pragma=busy_timeout(15000)")
	if err != nil {
		fmt.Println(err)
		return
	}
	conn.SetMaxOpenConns(1)
	db := bun.NewDB(conn, sqlitedialect.New())
	defer func() { _ = db.Close() }()
	if err := bunjobs.Migrate(ctx, db); err != nil {
		fmt.Println(err)
		return
	}
	queue := jobs.New(bunjobs.New(db), jobs.NewRegistry(nil), nil)

	err = db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		// … the host's own rows …
		_, err := queue.With(bunjobs.New(tx)).Enqueue(ctx, SendReceipt{Order: 7}, nil)
		return err
	})
	all, listErr := queue.List(ctx, jobs.ListQuery{Limit: 10})
	fmt.Println(len(all), all[0].State, string(all[0].Args), err, listErr)
	// Output: 1 ready {"order":7} <nil> <nil>
}
