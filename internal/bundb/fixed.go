package bundb

import (
	"context"
	"database/sql"
	"strconv"
	"sync"

	"github.com/uptrace/bun"
)

// Fixed is a query whose text never changes. PostgreSQL gets its values apart and
// keeps the plan: for a query of many parts planning takes longer than running it.
type Fixed struct {
	// SQL holds ?0, ?1 … for the values.
	SQL string

	once sync.Once
	text string
}

// Each runs the query and calls row for each of its rows.
func (q *Fixed) Each(ctx context.Context, db bun.IDB, row func(scan func(dest ...any) error) error, values ...any) error {
	rows, err := q.query(ctx, db, values)
	if err != nil {
		return err
	}
	return eachRow(rows, row)
}

func eachRow(rows *sql.Rows, row func(scan func(dest ...any) error) error) error {
	defer rows.Close() //nolint:errcheck // Err says it
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (q *Fixed) query(ctx context.Context, db bun.IDB, values []any) (*sql.Rows, error) {
	direct := direct(db)
	if !postgres(db) || direct == nil {
		return db.QueryContext(ctx, q.SQL, values...)
	}
	q.once.Do(func() { q.text = numbered(q.SQL) })
	return direct.QueryContext(ctx, q.text, values...)
}

// numbered writes placeholders as PostgreSQL does, which counts from 1.
func numbered(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(s string) string {
		i, _ := strconv.Atoi(s[1:])
		return "$" + strconv.Itoa(i+1)
	})
}
