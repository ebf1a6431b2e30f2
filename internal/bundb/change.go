package bundb

import (
	"context"
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// Change changes rows and reads them as they are then.
type Change struct {
	// Table has the alias j and a column id.
	Table bun.Ident
	// IDs is the subquery for which rows to change.
	IDs schema.QueryAppender
	// If is the condition for changing any.
	If schema.QueryAppender
	// Set are the columns to change.
	Set []Assignment
	// Read are the columns to read.
	Read []string
}

// Assignment is a column and its new value.
type Assignment struct {
	Column string
	Value  schema.QueryAppender
}

// Each changes the rows and calls row for each of them, which returns its id. Within the
// transaction nobody else changes them meanwhile.
func (c Change) Each(ctx context.Context, tx bun.Tx, row func(scan func(dest ...any) error) (id int64, err error)) error {
	if postgres(tx) {
		return Each(ctx, tx, bun.SafeQuery("UPDATE ? AS j SET ? WHERE ? AND j.id = ANY(ARRAY(?)) RETURNING ?",
			c.Table, assignments(c.Set), c.If, c.IDs, columns{c.Read, nil}),
			func(scan func(dest ...any) error) error {
				_, err := row(scan)
				return err
			})
	}
	// What RETURNING returns is written to a table of its own first and read from there,
	// which takes longer than to read and then to write.
	var ids []int64
	err := Each(ctx, tx, bun.SafeQuery("SELECT ? FROM (?) AS i CROSS JOIN ? AS j WHERE j.id = i.id AND ?", columns{c.Read, c.Set}, c.IDs, c.Table, c.If),
		func(scan func(dest ...any) error) error {
			id, err := row(scan)
			ids = append(ids, id)
			return err
		})
	if err != nil {
		return err
	}
	return bySpans(ctx, tx, spans(len(ids), func(i int) int64 { return ids[i] }, nil), bun.SafeQuery("UPDATE ? AS j SET ?", c.Table, assignments(c.Set)))
}

// assignments writes what an UPDATE sets.
type assignments []Assignment

// AppendQuery writes the assignments.
func (all assignments) AppendQuery(gen schema.QueryGen, b []byte) ([]byte, error) {
	for i, a := range all {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(append(b, a.Column...), " = "...)
		var err error
		if b, err = a.Value.AppendQuery(gen, b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// columns writes columns of j, with their new values in the place of those that are set.
type columns struct {
	names []string
	set   []Assignment
}

// AppendQuery writes the columns.
func (c columns) AppendQuery(gen schema.QueryGen, b []byte) ([]byte, error) {
	for i, name := range c.names {
		if i > 0 {
			b = append(b, ", "...)
		}
		at := slices.IndexFunc(c.set, func(a Assignment) bool { return a.Column == name })
		if at < 0 {
			b = append(append(b, "j."...), name...)
			continue
		}
		var err error
		if b, err = c.set[at].Value.AppendQuery(gen, b); err != nil {
			return nil, err
		}
	}
	return b, nil
}
