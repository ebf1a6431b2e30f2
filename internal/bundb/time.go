package bundb

import (
	"fmt"
	"strconv"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/schema"
)

// Time is a point in time in a column: timestamptz on PostgreSQL, integer
// microseconds since 1970 on SQLite, whose own date functions work on texts. The
// zero time is NULL.
type Time struct{ time.Time } //nolint:recvcheck // Scan writes, and bun calls AppendQuery on values

var _ schema.QueryAppender = Time{}

// AppendQuery writes t as a literal of the dialect.
func (t Time) AppendQuery(gen schema.QueryGen, b []byte) ([]byte, error) {
	if t.IsZero() {
		return append(b, "NULL"...), nil
	}
	if gen.Dialect().Name() != dialect.PG {
		return strconv.AppendInt(b, t.UnixMicro(), 10), nil
	}
	b = append(b, '\'')
	b = t.UTC().AppendFormat(b, "2006-01-02 15:04:05.999999")
	return append(b, "+00'::timestamptz"...), nil
}

// Scan reads a column of either dialect, in UTC.
func (t *Time) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		t.Time = time.Time{}
	case time.Time:
		t.Time = v.UTC()
	case int64:
		t.Time = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("bundb: a time column holds a %T", src)
	}
	return nil
}

// Now returns the SQL for now, which for the zero time is the database's clock:
// the only one that all processes share. It stands still within a statement.
func Now(db bun.IDB, now time.Time) schema.QueryAppender { return After(db, now, 0) }

// After returns the SQL for the instant d after [Now].
func After(db bun.IDB, now time.Time, d time.Duration) schema.QueryAppender {
	if !now.IsZero() {
		return Time{now.Add(d)}
	}
	if postgres(db) {
		return bun.SafeQuery("(statement_timestamp() + ? * interval '1 microsecond')", d.Microseconds())
	}
	return bun.SafeQuery("(CAST(unixepoch('subsec') * 1000000 AS INTEGER) + ?)", d.Microseconds())
}
