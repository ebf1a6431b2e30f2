package bundb

import (
	"strconv"
	"strings"

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
	for i := 1; i < n; i++ {
		if !c.alike(0, i) {
			return false
		}
	}
	return true
}

// alike reports whether two rows have the same value.
func (c Column) alike(i, j int) bool {
	if c.Int != nil {
		return equal(c.Int, i, j)
	}
	return equal(c.Text, i, j)
}

func equal[T comparable](value func(i int) (T, bool), i, j int) bool {
	a, isSet := value(i)
	b, alsoSet := value(j)
	return a == b && isSet == alsoSet
}

// at returns the column of rows that are picked from its own.
func (c Column) at(pick func(i int) int) Column {
	picked := Column{Name: c.Name}
	if c.Int != nil {
		picked.Int = func(i int) (int64, bool) { return c.Int(pick(i)) }
	} else {
		picked.Text = func(i int) (string, bool) { return c.Text(pick(i)) }
	}
	return picked
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
