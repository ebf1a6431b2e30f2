package bundb

import (
	"context"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// Tuples writes "(a, b), (c, d), …", the rows after VALUES.
type Tuples struct {
	// Len is the number of rows, at least 1.
	Len int
	// Values returns the values of one row, always the same number.
	Values func(i int) []any
}

var _ schema.QueryAppender = Tuples{}

// AppendQuery writes the rows.
func (t Tuples) AppendQuery(gen schema.QueryGen, b []byte) ([]byte, error) {
	for i := range t.Len {
		if i > 0 {
			b = append(b, ", "...)
		}
		for j, v := range t.Values(i) {
			b = append(b, "(,"[min(j, 1)])
			b = gen.Append(b, v)
		}
		b = append(b, ')')
	}
	return b, nil
}

// Move takes rows from one table to another and returns the keys of those that
// it moved. Each row is moved once, whoever else tries.
type Move struct {
	// From and To are the tables; From has the alias j.
	From, To bun.Ident
	// Values are tuples that say which rows to move, with the alias v and the
	// columns Names, the first of which is the id in From.
	Values Tuples
	Names  bun.Safe
	// Where is a further condition on j and v.
	Where bun.Safe
	// Columns are those to write in To, and Select is what to write, in terms of
	// j and v.
	Columns bun.Safe
	Select  schema.QueryAppender
}

// MovedKey is the id and epoch of a row that was moved.
type MovedKey struct {
	ID    int64 `bun:"id"`
	Epoch int64 `bun:"epoch"`
}

// Run moves the rows within a transaction. PostgreSQL does it in one statement;
// SQLite, which cannot nest a DELETE and needs no row locks, in two.
func (m Move) Run(ctx context.Context, tx bun.Tx) ([]MovedKey, error) {
	var moved []MovedKey
	if postgres(tx) {
		err := tx.NewRaw(`
			WITH v (?) AS (VALUES ?), moved AS (
				DELETE FROM ? AS j USING v WHERE j.id = v.id AND ? RETURNING ?
			)
			INSERT INTO ? (?) SELECT * FROM moved RETURNING id, epoch`,
			m.Names, m.Values, m.From, m.Where, m.Select, m.To, m.Columns).Scan(ctx, &moved)
		return moved, err
	}
	err := tx.NewRaw(`
		WITH v (?) AS (VALUES ?)
		INSERT INTO ? (?) SELECT ? FROM v JOIN ? AS j ON j.id = v.id WHERE ? RETURNING id, epoch`,
		m.Names, m.Values, m.To, m.Columns, m.Select, m.From, m.Where).Scan(ctx, &moved)
	if err != nil || len(moved) == 0 {
		return nil, err
	}
	ids := make([]int64, len(moved))
	for i, k := range moved {
		ids[i] = k.ID
	}
	_, err = tx.NewRaw("DELETE FROM ? WHERE id IN (?)", m.From, bun.List(ids)).Exec(ctx)
	return moved, err
}
