package bunlevqor

import (
	"context"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
)

// deleteSome deletes up to limit rows of a table that fulfil a condition, which may end in an
// order, and returns how many. Rows that somebody else is at stay: whoever deletes what is
// over waits for nobody.
func deleteSome(ctx context.Context, db bun.IDB, table, key bun.Safe, limit int, which schema.QueryAppender) (int, error) {
	open, end := bundb.InArray(db)
	n, err := bundb.Exec(ctx, db, bun.SafeQuery("DELETE FROM ? WHERE ? ? SELECT ? FROM ? WHERE ? LIMIT ? ? ?",
		table, key, open, key, table, which, limit, bundb.SkipLocked(db), end))
	return n, bundb.Err(err)
}
