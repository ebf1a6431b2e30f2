package bunlevqor_test

import (
	"bytes"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/guard"
)

// Each request writes a row: no log may be waited for, and no index but that of the keys have
// an entry for each version.
func TestRateLimitsCostPostgreSQLNoLog(t *testing.T) {
	db := dbtest.Open(t, dbtest.Postgres(t))
	if err := bunlevqor.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	var table struct {
		Persistence string `bun:"persistence"`
		Indexes     int    `bun:"indexes"`
	}
	err := db.NewRaw(`
		SELECT relpersistence AS persistence, (SELECT count(*) FROM pg_index WHERE indrelid = c.oid) AS indexes
		FROM pg_class AS c WHERE c.oid = 'levqor_guard_rate'::regclass`).Scan(t.Context(), &table)
	if err != nil || table.Persistence != "u" || table.Indexes != 1 {
		t.Errorf("the table is %+v, %v; want it unlogged, with one index", table, err)
	}
}

// A call that takes one of the quota of one of a hundred keys, by one caller and by as many
// as there are processors.
func BenchmarkLimiter(b *testing.B) {
	for _, database := range []struct {
		name  string
		fresh func(testing.TB) string
	}{{"SQLite", dbtest.SQLite}, {"PostgreSQL", dbtest.Postgres}} {
		b.Run(database.name, func(b *testing.B) {
			db := dbtest.Open(b, database.fresh(b))
			if err := bunlevqor.Migrate(b.Context(), db); err != nil {
				b.Fatal(err)
			}
			ring, err := levqor.NewKeyRing(bytes.Repeat([]byte("s"), levqor.MinSecret))
			if err != nil {
				b.Fatal(err)
			}
			limiter := guard.NewLimiter(bunlevqor.Stores(db).Rates, ring, nil)
			policy := guard.Policy{Name: "bench", Limit: 1_000_000, Window: time.Hour}
			var calls atomic.Int64
			take := func(b *testing.B) {
				b.Helper()
				key := strconv.FormatInt(calls.Add(1)%100, 10)
				if _, err := limiter.Take(b.Context(), guard.Charge{Policy: policy, Key: key}); err != nil {
					b.Error(err)
				}
			}
			b.Run("alone", func(b *testing.B) {
				for b.Loop() {
					take(b)
				}
			})
			b.Run("at once", func(b *testing.B) {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						take(b)
					}
				})
			})
		})
	}
}
