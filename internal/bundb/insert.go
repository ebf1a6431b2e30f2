package bundb

import (
	"context"
	"database/sql"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// InsertOne is a statement that stores one row or none. The database gets the values
// apart from the text and keeps its plan: bun writes values into the text, and
// reading and planning that again takes longer than storing the row, measured.
type InsertOne struct {
	// SQL holds ?0, ?1 … for the values, ?now for the instant of the call, and ?due,
	// ?later, ?since and ?until for those of [Instants]. The row that it stores has a
	// column created_at.
	SQL string
	// Key is the column that no two rows have in common. A row whose key is taken is not
	// stored.
	Key string

	texts sync.Map // for PostgreSQL: from shape to texts
	once  sync.Once
	fixed Fixed // for SQLite
}

// shape is what the text for PostgreSQL depends on.
type shape struct {
	since, until time.Time
	// soon says that the server's instant is now and that the row is due at it, as most
	// are: the server then has no choice to make between instants.
	soon bool
}

type texts struct {
	alone  string // makes a transaction of its own
	joined string // within one of the caller
}

// Instants are those that an [InsertOne] writes or compares with.
type Instants struct {
	// At is when the row is due, or the zero time for Delay after now.
	At    time.Time
	Delay time.Duration
	// Later lies that long after the row is due.
	Later time.Duration
	// Since and Until are part of the text, so that the server leaves out partitions
	// when it plans and not on each call: it would lock them all. They are to be few,
	// such as the beginnings of days.
	Since, Until time.Time
}

var placeholder = regexp.MustCompile(`\?\d+`)

// Run returns whether the row was stored, and the instant that now stood for.
func (q *InsertOne) Run(ctx context.Context, db bun.IDB, now time.Time, instants Instants, values ...any) (ok bool, at time.Time, err error) {
	now = Clock(db, now)
	if !postgres(db) {
		return q.runOnFile(ctx, db, now, instants, values)
	}
	direct := direct(db)
	if direct == nil {
		return q.runWritten(ctx, db, now, instants, values)
	}
	soon := now.IsZero() && instants.At.IsZero() && instants.Delay == 0
	texts := q.textsOf(db, shape{instants.Since, instants.Until, soon}, len(values))
	text := texts.joined
	if _, alone := db.(*bun.DB); alone {
		text = texts.alone
	}
	values = append(slices.Clip(values), instants.Later.Microseconds())
	if !soon {
		values = append(values, micros(now), micros(instants.At), instants.Delay.Microseconds())
	}
	var created Time
	err = direct.QueryRowContext(ctx, text, values...).Scan(&created)
	if errors.Is(err, sql.ErrNoRows) || sqlState(err) == uniqueViolation {
		return false, now, nil
	}
	return err == nil, created.Time, err
}

// textsOf returns the texts for PostgreSQL; there are n values before those of the
// instants.
func (q *InsertOne) textsOf(db bun.IDB, shape shape, n int) texts {
	known, _ := q.texts.Load(shape)
	if t, ok := known.(texts); ok {
		return t
	}
	clock := "statement_timestamp()"
	start := clock
	if !shape.soon {
		clock = instant(n+1, clock)
		start = instant(n+2, clock+plus(n+3))
	}
	text := strings.NewReplacer("?now", clock, "?due", start, "?later", start+plus(n),
		"?since", literal(db, shape.since), "?until", literal(db, shape.until)).Replace(q.SQL)
	const returning = " RETURNING created_at"
	text = numbered("$", text)
	t := texts{alone: text + returning, joined: text + q.unlessTaken() + returning}
	q.texts.Store(shape, t)
	return t
}

// unlessTaken keeps a taken key from being an error, which would spoil a transaction of
// the caller. It is left out where there is none: the server would prepare for it on each
// call, for every unique index of the table.
func (q *InsertOne) unlessTaken() string { return " ON CONFLICT (" + q.Key + ") DO NOTHING" }

// instant reads parameter i, of microseconds since 1970, and where it is NULL
// something else.
func instant(i int, otherwise string) string {
	return "COALESCE('epoch'::timestamptz + CAST(?" + strconv.Itoa(i) + " AS bigint) * interval '1 microsecond', " + otherwise + ")"
}

// plus adds parameter i, of microseconds.
func plus(i int) string { return later("?" + strconv.Itoa(i)) }

// later adds a number of microseconds.
func later(micros string) string {
	return " + CAST(" + micros + " AS bigint) * interval '1 microsecond'"
}

// runOnFile runs the statement on SQLite, which has no partitions and no clock: all
// instants are values.
func (q *InsertOne) runOnFile(ctx context.Context, db bun.IDB, now time.Time, instants Instants, values []any) (ok bool, at time.Time, err error) {
	n := len(values)
	q.once.Do(func() {
		place := func(i int) string { return "?" + strconv.Itoa(n+i) }
		q.fixed.SQL = strings.NewReplacer("?now", place(0), "?due", place(1), "?later", place(2), "?since", place(3), "?until", place(4)).Replace(q.SQL) + q.unlessTaken()
	})
	start := instants.start(now)
	stored, err := q.fixed.Exec(ctx, db, append(slices.Clip(values), micros(now), micros(start), micros(start.Add(instants.Later)), micros(instants.Since), micros(instants.Until))...)
	return stored == 1, now, err
}

// start returns when the row is due.
func (i Instants) start(now time.Time) time.Time {
	if i.At.IsZero() {
		return now.Add(i.Delay)
	}
	return i.At
}

// runWritten writes the values into the text.
func (q *InsertOne) runWritten(ctx context.Context, db bun.IDB, now time.Time, instants Instants, values []any) (ok bool, at time.Time, err error) {
	now, err = Instant(ctx, db, now)
	if err != nil {
		return false, now, err
	}
	n := len(values)
	text := strings.NewReplacer("?now", "?"+strconv.Itoa(n), "?due", "?"+strconv.Itoa(n+1), "?later", "?"+strconv.Itoa(n+2),
		"?since", literal(db, instants.Since), "?until", literal(db, instants.Until)).Replace(q.SQL) + q.unlessTaken()
	start := instants.start(now)
	stored, err := Exec(ctx, db, bun.SafeQuery(text, append(slices.Clip(values), Time{now}, Time{start}, Time{start.Add(instants.Later)})...))
	return stored == 1, now, err
}

// literal returns an instant as SQL.
func literal(db bun.IDB, t time.Time) string {
	text, _ := Time{t}.AppendQuery(schema.NewQueryGen(db.Dialect()), nil) // never fails
	return string(text)
}

// querier runs a statement whose values the driver sends.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// direct returns what is below bun, or nil if db is something else.
func direct(db bun.IDB) querier {
	switch db := db.(type) {
	case *bun.DB:
		return db.DB
	case bun.Tx:
		return db.Tx
	case bun.Conn:
		return db.Conn
	default:
		return nil
	}
}

// micros returns an instant as microseconds since 1970, nil for the zero time.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}
