package bundb

import (
	"cmp"
	"context"
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// span stands for rows with ids that follow each other, of which one is row.
type span struct {
	first, last int64
	row         int
}

// spans splits rows into spans: of rows that are alike unless alike is nil. Rows that were
// stored together have ids that follow each other, and SQLite takes a third less time
// for a range than for its ids one by one.
func spans(n int, id func(i int) int64, alike func(a, b int) bool) []span {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(id(a), id(b)) })
	var all []span
	for _, i := range order {
		if k := len(all) - 1; k >= 0 && id(i) == all[k].last+1 && (alike == nil || alike(i, all[k].row)) {
			all[k].last++
			continue
		}
		all = append(all, span{first: id(i), last: id(i), row: i})
	}
	return all
}

// A span of this length gets a statement of its own, which takes as long as to name as
// many rows in a list.
const longSpan = 8

// bySpans runs a statement, which is a DELETE or an UPDATE without its condition, for rows.
func bySpans(ctx context.Context, tx bun.Tx, all []span, statement schema.QueryAppender) error {
	var rest []int64
	for _, s := range all {
		if s.last-s.first+1 < longSpan {
			for id := s.first; id <= s.last; id++ {
				rest = append(rest, id)
			}
			continue
		}
		if _, err := tx.NewRaw("? WHERE id BETWEEN ? AND ?", statement, s.first, s.last).Exec(ctx); err != nil {
			return err
		}
	}
	if len(rest) == 0 {
		return nil
	}
	_, err := tx.NewRaw("? WHERE id IN (?)", statement, bun.List(rest)).Exec(ctx)
	return err
}
