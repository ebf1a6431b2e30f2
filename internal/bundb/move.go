package bundb

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// Move takes rows from one table to another, each once, whoever else tries.
type Move struct {
	// From and To are the tables; From has the alias j.
	From, To bun.Ident
	// Rows say which rows to move, with the alias v. The first column is the id in
	// From, the second the epoch that it must have.
	Rows Rows
	// Where is a further condition on j, which may leave out the alias where v has no
	// such column.
	Where bun.Safe
	// Columns are those to write in To, and Select is what to write, in terms of
	// j and what v has beside the id.
	Columns bun.Safe
	Select  schema.QueryAppender
}

// Run moves the rows within a transaction. It returns the ids and epochs of those that
// it moved, or nil if it moved all: that is the rule and saves reading them.
func (m Move) Run(ctx context.Context, tx bun.Tx) (some [][2]int64, all bool, err error) {
	if postgres(tx) {
		return m.runNested(ctx, tx)
	}
	id := func(i int) int64 { v, _ := m.Rows.Columns[0].Int(i); return v }
	found := spans(m.Rows.Len, id, m.alike)
	n, err := Exec(ctx, tx, bun.SafeQuery("WITH v AS (?) INSERT INTO ? (?) SELECT ? FROM v CROSS JOIN ? AS j WHERE ?",
		m.ofSpans(found), m.To, m.Columns, m.Select, m.From, m.match()))
	if err != nil {
		return nil, false, err
	}
	if n == m.Rows.Len {
		return nil, true, m.remove(ctx, tx, spans(n, id, nil))
	}
	err = Each(ctx, tx, bun.SafeQuery("WITH v AS (?) SELECT j.id, j.epoch FROM v CROSS JOIN ? AS j WHERE ?", m.ofSpans(found), m.From, m.match()),
		func(scan func(...any) error) error {
			var moved [2]int64
			err := scan(&moved[0], &moved[1])
			some = append(some, moved)
			return err
		})
	if err != nil {
		return nil, false, err
	}
	return some, false, m.remove(ctx, tx, spans(len(some), func(i int) int64 { return some[i][0] }, nil))
}

// match says which rows of From belong to which span.
func (m Move) match() schema.QueryAppender {
	return bun.SafeQuery("j.id BETWEEN v.first AND v.last AND j.epoch = v.epoch AND ?", m.Where)
}

// alike reports whether two rows have all but their ids in common.
func (m Move) alike(a, b int) bool {
	return !slices.ContainsFunc(m.Rows.Columns[1:], func(c Column) bool { return !c.alike(a, b) })
}

// ofSpans returns the rows with a row for each span, which has its first and its last id.
func (m Move) ofSpans(all []span) Rows {
	columns := []Column{
		{Name: "first", Int: func(i int) (int64, bool) { return all[i].first, true }},
		{Name: "last", Int: func(i int) (int64, bool) { return all[i].last, true }},
	}
	for _, c := range m.Rows.Columns[1:] {
		columns = append(columns, c.at(func(i int) int { return all[i].row }))
	}
	return Rows{Len: len(all), Columns: columns}
}

// remove deletes rows from From.
func (m Move) remove(ctx context.Context, tx bun.Tx, all []span) error {
	return bySpans(ctx, tx, all, bun.SafeQuery("DELETE FROM ?", m.From))
}

// runNested does it in one statement. The planner takes an array that it cannot see for ten
// elements, so it finds them by their index whatever the statistics say.
func (m Move) runNested(ctx context.Context, tx bun.Tx) (some [][2]int64, all bool, err error) {
	var found string
	err = tx.NewRaw(`
		WITH v AS (?), moved AS (
			DELETE FROM ? AS j USING v WHERE j.id = v.id AND j.id = ANY(ARRAY(SELECT id FROM v)) AND j.epoch = v.epoch AND ? RETURNING ?
		), kept AS (INSERT INTO ? (?) SELECT * FROM moved RETURNING id, epoch)
		SELECT CASE WHEN count(*) = ? THEN '' ELSE '[' || COALESCE(string_agg('[' || id || ',' || epoch || ']', ','), '') || ']' END FROM kept`,
		m.Rows, m.From, m.Where, m.Select, m.To, m.Columns, m.Rows.Len).Scan(ctx, &found)
	if err != nil || found == "" {
		return nil, err == nil, err
	}
	return some, false, json.Unmarshal([]byte(found), &some)
}
