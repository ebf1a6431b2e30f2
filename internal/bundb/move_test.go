package bundb_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
)

// result is what a test gives a row on its way.
type result struct {
	id, epoch int64
	text      string
}

func move(ctx context.Context, db *bun.DB, rows []result) (some [][2]int64, all bool, err error) {
	err = bundb.InTx(ctx, db, func(ctx context.Context, tx bun.Tx) error {
		some, all, err = bundb.Move{
			From: "a", To: "b",
			Rows: bundb.Rows{Len: len(rows), Columns: []bundb.Column{
				{Name: "id", Int: func(i int) (int64, bool) { return rows[i].id, true }},
				{Name: "epoch", Int: func(i int) (int64, bool) { return rows[i].epoch, true }},
				{Name: "result", Text: func(i int) (string, bool) { return rows[i].text, rows[i].text != "" }},
			}},
			Where: "open = 1", Columns: "id, epoch, result", Select: bun.SafeQuery("j.id, j.epoch, v.result"),
		}.Run(ctx, tx)
		return err
	})
	return some, all, err
}

// The table has the rows 1 to 40 of epoch 3, of which 20 is not open.
func TestMoveTakesTheRowsItIsGivenAndNoOthers(t *testing.T) {
	var long, broken, mixed []result
	for id := int64(5); id <= 16; id++ {
		long = append(long, result{id, 3, "same"})
		broken = append(broken, result{2*id - 4, 3, ""})
		mixed = append(mixed, result{id, 3, []string{"", "x", "it's"}[id%3]})
	}
	slices.Reverse(long)
	cases := map[string][]result{
		"one":                                {{7, 3, "x"}},
		"a span, last row first":             long,
		"ids with gaps, one row closed":      broken,
		"neighbours with other results":      mixed,
		"two spans and a row beside":         append([]result{{1, 3, ""}, {39, 3, "y"}, {40, 3, "y"}}, long...),
		"rows of another epoch":              {{5, 3, "x"}, {6, 2, "x"}, {7, 3, "x"}, {8, 4, "x"}},
		"one row under two epochs":           {{5, 2, "old"}, {5, 3, "new"}, {6, 3, "new"}},
		"rows that are not there":            {{39, 3, ""}, {40, 3, ""}, {41, 3, ""}, {42, 3, ""}},
		"nothing that is there":              {{41, 3, ""}, {20, 3, ""}},
		"a span around a row that is closed": {{18, 3, ""}, {19, 3, ""}, {20, 3, ""}, {21, 3, ""}, {22, 3, ""}},
	}
	each(t, func(t *testing.T, db *bun.DB) {
		for name, rows := range cases {
			t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) { testMove(t, db, rows) })
		}
	})
}

func testMove(t *testing.T, db *bun.DB, rows []result) {
	const first, last, closed = 1, 40, 20
	for _, text := range []string{
		"DROP TABLE IF EXISTS a", "CREATE TABLE a (id bigint PRIMARY KEY, epoch bigint NOT NULL, open integer NOT NULL)",
		"DROP TABLE IF EXISTS b", "CREATE TABLE b (id bigint PRIMARY KEY, epoch bigint NOT NULL, result text)",
	} {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	var want []result
	var stay []int64
	for id := int64(first); id <= last; id++ {
		open := id != closed
		if _, err := db.NewRaw("INSERT INTO a VALUES (?, 3, CASE WHEN ? THEN 1 ELSE 0 END)", id, open).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(rows, func(r result) bool { return r.id == id && r.epoch == 3 }); i >= 0 && open {
			want = append(want, rows[i])
		} else {
			stay = append(stay, id)
		}
	}
	some, all, err := move(t.Context(), db, rows)
	if err != nil {
		t.Fatal(err)
	}
	if all != (len(want) == len(rows)) {
		t.Errorf("all = %v for %d of %d rows", all, len(want), len(rows))
	}
	slices.SortFunc(some, func(a, b [2]int64) int { return int(a[0] - b[0]) })
	for i, moved := range some {
		if all || i >= len(want) || moved != [2]int64{want[i].id, want[i].epoch} {
			t.Errorf("the rows that moved are said to be %v, want %v", some, want)
			break
		}
	}
	if !all && len(some) != len(want) {
		t.Errorf("%d rows are said to have moved, want %d", len(some), len(want))
	}
	var got []result
	err = bundb.Each(t.Context(), db, bun.SafeQuery("SELECT id, epoch, COALESCE(result, '') FROM b ORDER BY id"), func(scan func(...any) error) error {
		var r result
		err := scan(&r.id, &r.epoch, &r.text)
		got = append(got, r)
		return err
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("moved are %v, %v; want %v", got, err, want)
	}
	var left []int64
	if err := db.NewRaw("SELECT id FROM a ORDER BY id").Scan(t.Context(), &left); err != nil || !slices.Equal(left, stay) {
		t.Errorf("%v stay, %v; want %v", left, err, stay)
	}
}
