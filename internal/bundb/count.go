package bundb

import (
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// Day returns the SQL for the beginning of the day of UTC that [Now] falls on.
func Day(db bun.IDB, now time.Time) schema.QueryAppender {
	now = Clock(db, now)
	if now.IsZero() {
		return bun.Safe("date_trunc('day', statement_timestamp(), 'UTC')")
	}
	return Time{now.Truncate(24 * time.Hour)}
}

// Slice returns how long a statement that goes through many rows may take. All calls of
// a process wait for it on SQLite; on PostgreSQL it keeps dead rows from being cleared
// away.
func Slice(db bun.IDB) time.Duration {
	if postgres(db) {
		return 250 * time.Millisecond
	}
	return 3 * time.Millisecond
}

// LastText returns the SQL for a text in the last element of an array of objects, which a
// column holds as JSON text; NULL where there is none.
func LastText(db bun.IDB, column bun.Ident, field string) schema.QueryAppender {
	if postgres(db) {
		return bun.SafeQuery("(?::json -> -1 ->> ?)", column, field)
	}
	return bun.SafeQuery("json_extract(?, ?)", column, "$[#-1]."+field)
}
