package bundb

import (
	"context"
	"database/sql"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/schema"
)

// Rows writes a SELECT of given rows, such as a statement that stores or changes
// many rows joins with. What is the same in all rows is written once, and the rest
// in the form that the database reads fastest: PostgreSQL would build a tree of
// each element of a VALUES list and reads arrays 3 times as fast, measured.
type Rows struct {
	// Len is the number of rows, at least 1.
	Len int
	// Columns are those of the rows.
	Columns []Column
}

// Column is a column of [Rows]: Int or Text is set. Both say whether row i has a
// value; without one it is NULL.
type Column struct {
	Name string
	Int  func(i int) (int64, bool)
	Text func(i int) (string, bool)
}

var _ schema.QueryAppender = Rows{}

// AppendQuery writes the SELECT.
func (r Rows) AppendQuery(gen schema.QueryGen, b []byte) ([]byte, error) {
	pg := gen.Dialect().Name() == dialect.PG
	b = append(b, "SELECT "...)
	var varying []Column
	for i, c := range r.Columns {
		if i > 0 {
			b = append(b, ", "...)
		}
		if c.Constant(r.Len) {
			b = c.appendValue(b, 0)
			if pg {
				b = append(b, c.cast()...)
			}
		} else {
			varying = append(varying, c)
			b = append(b, "column"...)
			b = strconv.AppendInt(b, int64(len(varying)), 10)
		}
		b = append(b, " AS "...)
		b = append(b, c.Name...)
	}
	switch {
	case len(varying) == 0:
		return r.appendCopies(b), nil
	case pg:
		return r.appendArrays(b, varying), nil
	default:
		return r.appendTuples(b, varying), nil
	}
}

// appendCopies makes as many rows of one.
func (r Rows) appendCopies(b []byte) []byte {
	if r.Len == 1 {
		return b
	}
	return append(append(b, " FROM (VALUES (0)"...), strings.Repeat(", (0)", r.Len-1)+") AS u"...)
}

func (r Rows) appendArrays(b []byte, columns []Column) []byte {
	b = append(b, " FROM unnest("...)
	for k, c := range columns {
		if k > 0 {
			b = append(b, ", "...)
		}
		b = append(b, "'{"...)
		for i := range r.Len {
			if i > 0 {
				b = append(b, ',')
			}
			b = c.appendElement(b, i)
		}
		b = append(b, "}'"...)
		b = append(b, c.cast()...)
		b = append(b, "[]"...)
	}
	b = append(b, ") AS u ("...)
	for k := range columns {
		if k > 0 {
			b = append(b, ", "...)
		}
		b = append(b, "column"...)
		b = strconv.AppendInt(b, int64(k+1), 10)
	}
	return append(b, ')')
}

func (r Rows) appendTuples(b []byte, columns []Column) []byte {
	b = append(b, " FROM (VALUES "...)
	for i := range r.Len {
		if i > 0 {
			b = append(b, ", "...)
		}
		for k, c := range columns {
			b = append(b, "(,"[min(k, 1)])
			b = c.appendValue(b, i)
		}
		b = append(b, ')')
	}
	return append(b, ") AS u"...)
}

// Constant reports whether the first n rows have the same value.
func (c Column) Constant(n int) bool {
	if c.Int != nil {
		return same(n, c.Int)
	}
	return same(n, c.Text)
}

func same[T comparable](n int, value func(i int) (T, bool)) bool {
	first, ok := value(0)
	for i := 1; i < n; i++ {
		if v, isSet := value(i); v != first || isSet != ok {
			return false
		}
	}
	return true
}

func (c Column) cast() string {
	if c.Int != nil {
		return "::bigint"
	}
	return "::text"
}

func (c Column) appendValue(b []byte, i int) []byte {
	if c.Int != nil {
		return c.appendInt(b, i)
	}
	v, ok := c.Text(i)
	if !ok {
		return append(b, "NULL"...)
	}
	b = append(b, '\'')
	for {
		quote := strings.IndexByte(v, '\'')
		if quote < 0 {
			break
		}
		b = append(append(b, v[:quote+1]...), '\'')
		v = v[quote+1:]
	}
	return append(append(b, v...), '\'')
}

func (c Column) appendInt(b []byte, i int) []byte {
	v, ok := c.Int(i)
	if !ok {
		return append(b, "NULL"...)
	}
	return strconv.AppendInt(b, v, 10)
}

// appendElement writes an element of an array within the quotes of a literal; see
// PostgreSQL's manual, section 8.15.6.
func (c Column) appendElement(b []byte, i int) []byte {
	if c.Int != nil {
		return c.appendInt(b, i)
	}
	v, ok := c.Text(i)
	if !ok {
		return append(b, "NULL"...)
	}
	b = append(b, '"')
	for {
		special := strings.IndexAny(v, `"\'`)
		if special < 0 {
			break
		}
		b = append(b, v[:special]...)
		if v[special] == '\'' {
			b = append(b, "''"...)
		} else {
			b = append(b, '\\', v[special])
		}
		v = v[special+1:]
	}
	return append(append(b, v...), '"')
}

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

// Move takes rows from one table to another, each once, whoever else tries.
type Move struct {
	// From and To are the tables; From has the alias j.
	From, To bun.Ident
	// Rows say which rows to move, with the alias v. The first column is the id in
	// From, the second the epoch that it must have.
	Rows Rows
	// Where is a further condition on j.
	Where bun.Safe
	// Columns are those to write in To, and Select is what to write, in terms of
	// j and v.
	Columns bun.Safe
	Select  schema.QueryAppender
}

// Run moves the rows within a transaction. It returns the ids and epochs of those that
// it moved, or nil if it moved all: that is the rule and saves reading them.
func (m Move) Run(ctx context.Context, tx bun.Tx) (some [][2]int64, all bool, err error) {
	if postgres(tx) {
		return m.runNested(ctx, tx)
	}
	ids := make([]int64, m.Rows.Len)
	for i := range ids {
		ids[i], _ = m.Rows.Columns[0].Int(i)
	}
	n, err := Exec(ctx, tx, bun.SafeQuery("WITH v AS (?) INSERT INTO ? (?) SELECT ? FROM v CROSS JOIN ? AS j WHERE j.id = v.id AND j.epoch = v.epoch AND ?",
		m.Rows, m.To, m.Columns, m.Select, m.From, m.Where))
	if err != nil {
		return nil, false, err
	}
	if all = n == len(ids); !all {
		ids = ids[:0]
		err = Each(ctx, tx, bun.SafeQuery("WITH v AS (?) SELECT j.id, j.epoch FROM v CROSS JOIN ? AS j WHERE j.id = v.id AND j.epoch = v.epoch AND ?", m.Rows, m.From, m.Where),
			func(scan func(...any) error) error {
				var moved [2]int64
				err := scan(&moved[0], &moved[1])
				some, ids = append(some, moved), append(ids, moved[0])
				return err
			})
		if err != nil || len(some) == 0 {
			return some, false, err
		}
	}
	_, err = tx.NewRaw("DELETE FROM ? WHERE id IN (?)", m.From, bun.List(ids)).Exec(ctx)
	return some, all, err
}

// runNested does it in one statement.
func (m Move) runNested(ctx context.Context, tx bun.Tx) (some [][2]int64, all bool, err error) {
	var found string
	err = tx.NewRaw(`
		WITH v AS (?), moved AS (
			DELETE FROM ? AS j USING v WHERE j.id = v.id AND j.epoch = v.epoch AND ? RETURNING ?
		), kept AS (INSERT INTO ? (?) SELECT * FROM moved RETURNING id, epoch)
		SELECT CASE WHEN count(*) = ? THEN '' ELSE '[' || COALESCE(string_agg('[' || id || ',' || epoch || ']', ','), '') || ']' END FROM kept`,
		m.Rows, m.From, m.Where, m.Select, m.To, m.Columns, m.Rows.Len).Scan(ctx, &found)
	if err != nil || found == "" {
		return nil, err == nil, err
	}
	return some, false, json.Unmarshal([]byte(found), &some)
}
