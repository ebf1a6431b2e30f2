package bunjobs_test

import (
	"context"
	"database/sql/driver"
	"fmt"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"modernc.org/sqlite"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// fillLines stores ready jobs of ten lines in turn: of ten tenants, or of one tenant
// with ten limit keys.
func fillLines(tb testing.TB, store jobs.QueueStore, n int, keyed bool) {
	tb.Helper()
	for begin := 0; begin < n; begin += batch {
		all := make([]jobs.Insertion, min(batch, n-begin))
		for i := range all {
			all[i] = insertion(begin + i)
			line := fmt.Sprintf("line-%d", (begin+i)%10)
			if keyed {
				all[i].LimitKey = line
			} else {
				all[i].Tenant = line
			}
		}
		if taken, err := store.Insert(tb.Context(), all, noon); err != nil || len(taken) > 0 {
			tb.Fatal(taken, err)
		}
	}
}

// pages returns how many pages of the file fn looks at, through the only connection.
func pages(tb testing.TB, db *bun.DB, fn func(ctx context.Context) error) int {
	tb.Helper()
	read := func() (sum int) {
		conn, err := db.Conn(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		defer conn.Close()
		err = conn.Raw(func(raw any) error {
			whole, ok := raw.(interface{ Unwrap() driver.Conn })
			if !ok {
				return fmt.Errorf("%T is not a connection to a file", raw)
			}
			counters, ok := whole.Unwrap().(sqlite.DBStatus)
			if !ok {
				return fmt.Errorf("%T counts nothing", whole.Unwrap())
			}
			for _, op := range []sqlite.DBStatusOp{sqlite.DBStatusCacheHit, sqlite.DBStatusCacheMiss} {
				n, _, err := counters.Status(op, true)
				if err != nil {
					return err
				}
				sum += n
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
		return sum
	}
	read() // sets the counters back
	if err := fn(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return read()
}

// Claims find lines by steps, from the beginning, the middle and the end of a round, and
// so does Health, so it makes no difference how long the lines are.
func TestALongLineIsNotWalkedThroughOnSQLite(t *testing.T) {
	for name, keyed := range map[string]bool{"lines with a limit key": true, "lines of a tenant": false} {
		t.Run(name, func(t *testing.T) {
			looked := func(n int) (all []int) {
				db := open(t, dbtest.SQLite(t))
				store := bunjobs.New(db)
				fillLines(t, store, n, keyed)
				if err := store.Join(t.Context(), jobs.Node{ID: 1}, time.Hour, noon); err != nil {
					t.Fatal(err)
				}
				for _, limit := range []int{5, 10, 10, 1, 4} {
					all = append(all, pages(t, db, func(ctx context.Context) error {
						claimed, err := store.Claim(ctx, jobs.Claim{Node: 1, Queue: "q", Kinds: []string{"k"}, Limit: limit}, noon)
						if err == nil && len(claimed) != limit {
							err = fmt.Errorf("claimed %d jobs, want %d", len(claimed), limit)
						}
						return err
					}))
				}
				return append(all, pages(t, db, func(ctx context.Context) error {
					_, _, err := store.Health(ctx, noon)
					return err
				}))
			}
			short, long := looked(1000), looked(30_000)
			for range 4 { // a claim that a busy machine makes slow looks what was in its way
				for i, n := range looked(30_000) {
					long[i] = min(long[i], n)
				}
			}
			t.Logf("pages looked at: %v and %v", short, long)
			for i := range short {
				if long[i] > 2*short[i] {
					t.Errorf("call %d looks at %d pages where lines are short, at %d where they are long", i, short[i], long[i])
				}
			}
		})
	}
}

// BenchmarkClaimOfLines claims a job of each of ten lines of ten thousand.
func BenchmarkClaimOfLines(b *testing.B) {
	for _, d := range databases {
		for name, keyed := range map[string]bool{"limit keys": true, "tenants": false} {
			b.Run(d.name+", "+name, func(b *testing.B) {
				store := bunjobs.New(open(b, d.fresh(b)))
				fillLines(b, store, 100_000, keyed)
				if err := store.Join(b.Context(), jobs.Node{ID: 1}, time.Hour, noon); err != nil {
					b.Fatal(err)
				}
				b.ResetTimer()
				for range b.N {
					if _, err := store.Claim(b.Context(), jobs.Claim{Node: 1, Queue: "q", Kinds: []string{"k"}, Limit: 10}, noon); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkHealth asks after a hundred thousand jobs in ten lines.
func BenchmarkHealth(b *testing.B) {
	for _, d := range databases {
		for name, keyed := range map[string]bool{"limit keys": true, "tenants": false} {
			b.Run(d.name+", "+name, func(b *testing.B) {
				store := bunjobs.New(open(b, d.fresh(b)))
				fillLines(b, store, 100_000, keyed)
				b.ResetTimer()
				for range b.N {
					if _, _, err := store.Health(b.Context(), noon); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
