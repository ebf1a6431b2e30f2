package bundb

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// Exec runs a statement that changes rows, and returns how many it changed.
func Exec(ctx context.Context, db bun.IDB, statement schema.QueryAppender) (int, error) {
	return affected(db.NewRaw("?", statement).Exec(ctx))
}

// ExecAll runs statements that change rows one after the other, and returns how many
// rows they changed. While the database works on one, the text of the next is written.
func ExecAll(ctx context.Context, tx bun.Tx, statements []schema.QueryAppender) (changed int, err error) {
	if len(statements) == 1 {
		return Exec(ctx, tx, statements[0])
	}
	type written struct {
		text string
		err  error
	}
	texts := make(chan written, len(statements)) // the writer never waits
	go func() {
		gen := schema.NewQueryGen(tx.Dialect())
		var text []byte
		for _, s := range statements {
			var err error
			text, err = s.AppendQuery(gen, text[:0])
			texts <- written{string(text), err}
		}
	}()
	for range statements {
		w := <-texts
		if err == nil {
			err = w.err
		}
		if err != nil {
			continue // until the writer is done
		}
		var n int
		n, err = affected(tx.Tx.ExecContext(ctx, w.text))
		changed += n
	}
	return changed, err
}

func affected(res sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// Each runs a query and calls row for each of its rows: for many rows, since bun's own
// models cost as much again as the driver's reading, measured.
func Each(ctx context.Context, db bun.IDB, query schema.QueryAppender, row func(scan func(dest ...any) error) error) error {
	rows, err := db.QueryContext(ctx, "?", query)
	if err != nil {
		return err
	}
	return eachRow(rows, row)
}
