package bundb

import (
	"context"
	"database/sql"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"
)

// Fixed is a statement whose text never changes. The database gets its values apart and
// keeps the plan: reading and planning a statement takes longer than running it.
type Fixed struct {
	// SQL holds ?0, ?1 … for the values, which are numbers, texts and bytes.
	SQL string

	once           sync.Once
	dollar, marked string // with the placeholders of PostgreSQL and of SQLite
}

// Exec runs the statement and returns how many rows it changed.
func (q *Fixed) Exec(ctx context.Context, db bun.IDB, values ...any) (int, error) {
	direct := direct(db)
	if direct == nil {
		return affected(db.ExecContext(ctx, q.SQL, values...))
	}
	return affected(direct.ExecContext(unwatched(ctx, db), q.textFor(db), values...))
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
	if direct == nil {
		return db.QueryContext(ctx, q.SQL, values...)
	}
	return direct.QueryContext(unwatched(ctx, db), q.textFor(db), values...)
}

// unwatched takes the end off a context for a statement within a transaction on SQLite,
// which is over before anybody could stop it: a context that may end is watched by a
// goroutine of the driver, a third of what a statement costs, measured.
func unwatched(ctx context.Context, db bun.IDB) context.Context {
	if _, within := db.(bun.Tx); !within || postgres(db) || ctx.Err() != nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

func (q *Fixed) textFor(db bun.IDB) string {
	q.once.Do(func() { q.dollar, q.marked = numbered("$", q.SQL), numbered("?", q.SQL) })
	if postgres(db) {
		return q.dollar
	}
	return q.marked
}

// numbered writes placeholders as the drivers read them, which count from 1.
func numbered(sign, text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(s string) string {
		i, _ := strconv.Atoi(s[1:])
		return sign + strconv.Itoa(i+1)
	})
}

// FixedAt is a [Fixed] statement that reckons with the instant of the call.
type FixedAt struct {
	// SQL holds ?0, ?1 … for the values, of which there are always as many; ?now for the microseconds since 1970 of the instant;
	// ?at for the instant as columns of [Time] hold it, and ?at+0, ?at+1 … for that many
	// microseconds later.
	SQL string

	once          sync.Once
	served, filed Fixed // for PostgreSQL and for SQLite
}

// Each runs the query at [Now] and calls row for each of its rows.
func (q *FixedAt) Each(ctx context.Context, db bun.IDB, now time.Time, row func(scan func(dest ...any) error) error, values ...any) error {
	return q.on(db, len(values)).Each(ctx, db, row, append(slices.Clip(values), micros(Clock(db, now)))...)
}

// Exec runs the statement at [Now] and returns how many rows it changed.
func (q *FixedAt) Exec(ctx context.Context, db bun.IDB, now time.Time, values ...any) (int, error) {
	return q.on(db, len(values)).Exec(ctx, db, append(slices.Clip(values), micros(Clock(db, now)))...)
}

// on returns the statement for a dialect, of which the instant is value n.
func (q *FixedAt) on(db bun.IDB, n int) *Fixed {
	q.once.Do(func() {
		given := "?" + strconv.Itoa(n)
		q.filed.SQL = instants(q.SQL, given, given, func(i string) string { return "(" + given + " + " + i + ")" })
		clock := instant(n, "statement_timestamp()")
		q.served.SQL = instants(q.SQL,
			"COALESCE(CAST("+given+" AS bigint), CAST(extract(epoch FROM statement_timestamp()) * 1000000 AS bigint))", clock,
			func(i string) string { return "(" + clock + later(i) + ")" })
	})
	if postgres(db) {
		return &q.served
	}
	return &q.filed
}

var laterPlace = regexp.MustCompile(`\?at\+(\d+)`)

// instants writes those of a [FixedAt].
func instants(text, micros, at string, later func(value string) string) string {
	text = laterPlace.ReplaceAllStringFunc(text, func(s string) string { return later("?" + s[len("?at+"):]) })
	return strings.NewReplacer("?now", micros, "?at", at).Replace(text)
}
