package bundb

import (
	"context"
	"encoding/json"

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
