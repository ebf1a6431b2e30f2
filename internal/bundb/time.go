package bundb

import (
	"context"
	"database/sql/driver"
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

// Value is t as the driver sends it, for statements that get their values apart.
func (t Time) Value() (driver.Value, error) {
	if t.IsZero() {
		return nil, nil
	}
	return t.UTC(), nil
}

// Columns hold instants that Go has no text for, such as PostgreSQL's infinity, if
// somebody writes them by hand. They are read as these, so that one row does not make
// others unreadable.
var (
	earliest = time.Unix(0, 0).UTC()
	latest   = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

// Scan reads a column of either dialect, in UTC.
func (t *Time) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		t.Time = time.Time{}
		return nil
	case time.Time:
		t.Time = v.UTC()
	case int64:
		t.Time = time.UnixMicro(v).UTC()
	case string:
		return t.scanInfinity(v)
	default:
		return fmt.Errorf("bundb: a time column holds a %T", src)
	}
	if y := t.Year(); y < 1 {
		t.Time = earliest
	} else if y > 9999 {
		t.Time = latest
	}
	return nil
}

func (t *Time) scanInfinity(text string) error {
	switch text {
	case "-infinity":
		t.Time = earliest
	case "infinity":
		t.Time = latest
	default:
		return fmt.Errorf("bundb: a time column holds a text")
	}
	return nil
}

// Clock fixes now where the database has no clock of its own: SQLite runs within
// the process, so the zero time becomes the process's. On PostgreSQL the zero time
// stays and stands for the server's clock, the only one that all processes share.
func Clock(db bun.IDB, now time.Time) time.Time {
	if now.IsZero() && !postgres(db) {
		now = time.Now()
	}
	return now.UTC().Truncate(time.Microsecond)
}

// Instant returns the instant that [Now] stands for, as a value.
func Instant(ctx context.Context, db bun.IDB, now time.Time) (time.Time, error) {
	now = Clock(db, now)
	if !now.IsZero() {
		return now, nil
	}
	var instant Time
	err := db.NewRaw("SELECT statement_timestamp()").Scan(ctx, &instant)
	return instant.Time, err
}

// Now returns the SQL for now, which for the zero time is the database's clock; see
// [Clock], with which a caller begins that uses it more than once. PostgreSQL's stands
// still within a statement.
func Now(db bun.IDB, now time.Time) schema.QueryAppender { return After(db, now, 0) }

// After returns the SQL for the instant d after [Now].
func After(db bun.IDB, now time.Time, d time.Duration) schema.QueryAppender {
	now = Clock(db, now)
	switch {
	case !now.IsZero():
		return Time{now.Add(d)}
	case d == 0:
		return bun.Safe("statement_timestamp()")
	default:
		return bun.SafeQuery("(statement_timestamp() + ? * interval '1 microsecond')", d.Microseconds())
	}
}

// AtColumn returns the SQL for the instant that a column of microseconds since 1970
// stands for.
func AtColumn(db bun.IDB, column bun.Ident) schema.QueryAppender {
	if postgres(db) {
		return bun.SafeQuery("('epoch'::timestamptz + ? * interval '1 microsecond')", column)
	}
	return column
}

// Day returns the SQL for the beginning of the day of UTC that [Now] falls on.
func Day(db bun.IDB, now time.Time) schema.QueryAppender {
	now = Clock(db, now)
	if now.IsZero() {
		return bun.Safe("date_trunc('day', statement_timestamp(), 'UTC')")
	}
	return Time{now.Truncate(24 * time.Hour)}
}
