// Package bundb holds what the bun stores of all rooms share: the few places
// where PostgreSQL and SQLite differ, each a function with a name; the mapping
// of driver errors to the kinds of package fault; and the migration runner.
//
// No other package asks which dialect it talks to. The package imports no
// driver, so a host brings its own.
package bundb

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/schema"
)

// postgres reports whether db is PostgreSQL; it is SQLite otherwise.
func postgres(db bun.IDB) bool { return db.Dialect().Name() == dialect.PG }

// SingleWriter reports whether whoever writes waits for all others that do, as on
// SQLite.
func SingleWriter(db bun.IDB) bool { return !postgres(db) }

// SkipLocked returns the clause that locks the rows a SELECT finds and passes
// over those that others hold. SQLite has a single writer and needs none.
func SkipLocked(db bun.IDB) bun.Safe { return clause(db, "FOR UPDATE SKIP LOCKED") }

// KeepsDeadRows reports whether rows that are gone stay in the indexes for as long as
// some transaction is open. SQLite's never do.
func KeepsDeadRows(db bun.IDB) bool { return postgres(db) }

// ForUpdate returns the clause that locks the rows a SELECT finds and waits for
// those that others hold. SQLite has a single writer and needs none.
func ForUpdate(db bun.IDB) bun.Safe { return clause(db, "FOR UPDATE") }

// ForKeyShare returns the clause that keeps the rows a SELECT finds from being
// deleted until the transaction ends, and lets others update them. SQLite has a
// single writer and needs none.
func ForKeyShare(db bun.IDB) bun.Safe { return clause(db, "FOR KEY SHARE") }

func clause(db bun.IDB, sql bun.Safe) bun.Safe {
	if postgres(db) {
		return sql
	}
	return ""
}

// InArray returns the condition that a column is among the results of a
// subquery: "? IN (?)" with the words that make the planner evaluate the
// subquery once. PostgreSQL may run an IN (SELECT … LIMIT … FOR UPDATE) once per
// row and lock more than the limit.
func InArray(db bun.IDB) (open, end bun.Safe) {
	if postgres(db) {
		return "= ANY(ARRAY(", "))"
	}
	return "IN (", ")"
}

// ByIndex makes the planner read rows through an index for the rest of the
// transaction. A queue's statistics are those of its emptiest moment, so
// PostgreSQL takes a backlog for a few rows and sorts all of it for each claim:
// 6 times slower at 100,000 rows, measured. What it forbids costs a fortune in the
// planner's books, which would have it compile the query first. A prepared statement is
// planned once and not for each of its first five runs on a connection, which took as long
// as they. SQLite follows the index by itself.
func ByIndex(ctx context.Context, tx bun.Tx) error {
	if !postgres(tx) {
		return nil
	}
	_, err := tx.ExecContext(ctx, `SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off; SET LOCAL jit = off;
		SET LOCAL plan_cache_mode = force_generic_plan`)
	return err
}

// InTx runs fn in a transaction, or within a savepoint where db is a transaction
// already. A transaction of its own that fails because another one was in its
// way is run again, a few times.
func InTx(ctx context.Context, db bun.IDB, fn func(ctx context.Context, tx bun.Tx) error) error {
	if _, nested := db.(bun.Tx); nested { // of which bun gives fn the context, maybe another caller's
		return db.RunInTx(ctx, nil, func(_ context.Context, tx bun.Tx) error { return fn(ctx, tx) })
	}
	var err error
	for range 5 {
		if err = db.RunInTx(ctx, nil, fn); !mayRepeat(err) {
			break
		}
	}
	return err
}

// InDurableTx is [InTx] with a transaction that is on disk when it returns nil, whatever
// the database is set up to do. Within the caller's own transaction that is up to the
// caller.
func InDurableTx(ctx context.Context, db bun.IDB, fn func(ctx context.Context, tx bun.Tx) error) error {
	whole, ok := db.(*bun.DB)
	if !ok {
		return InTx(ctx, db, fn)
	}
	if postgres(db) {
		return InTx(ctx, db, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.ExecContext(ctx, "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'")
			if err != nil {
				return err
			}
			return fn(ctx, tx)
		})
	}
	return withFullSync(ctx, whole, func(conn bun.Conn) error { return InTx(ctx, conn, fn) })
}

// withFullSync calls fn with a connection of SQLite that waits for the disk at each
// commit. A transaction that has begun cannot be changed so any more.
func withFullSync(ctx context.Context, db *bun.DB, fn func(conn bun.Conn) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // goes back to the pool
	var before int
	if err := conn.NewRaw("PRAGMA synchronous").Scan(ctx, &before); err != nil {
		return err
	}
	const full = 2
	if before >= full {
		return fn(conn)
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA synchronous = FULL"); err != nil {
		return err
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = ?", before) //nolint:errcheck // at worst slower from then on
	return fn(conn)
}

// Pages runs a query and returns how many pages of the database it looked at, 0 where the
// database does not tell.
func Pages(ctx context.Context, db bun.IDB, query schema.QueryAppender) (int, error) {
	if !postgres(db) {
		return 0, nil
	}
	var text string
	if err := db.NewRaw("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) ?", query).Scan(ctx, &text); err != nil {
		return 0, err
	}
	var plans []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	if err := json.Unmarshal([]byte(text), &plans); err != nil || len(plans) == 0 {
		return 0, err
	}
	return plans[0].Plan.Hit + plans[0].Plan.Read, nil
}

// OldestTransaction returns the age of the oldest transaction that keeps dead rows of
// the database from being cleared away; 0 on SQLite, which has no such. A role that may
// not see the others' sessions sees its own.
func OldestTransaction(ctx context.Context, db bun.IDB) (time.Duration, error) {
	if !postgres(db) {
		return 0, nil
	}
	var us int64
	err := db.NewRaw(`
		SELECT COALESCE(max(extract(epoch FROM clock_timestamp() - xact_start)) * 1000000, 0)::bigint
		FROM pg_stat_activity
		WHERE backend_xmin IS NOT NULL AND xact_start IS NOT NULL AND (datname IS NULL OR datname = current_database())`).Scan(ctx, &us)
	return max(0, time.Duration(us)*time.Microsecond), err
}

// Slice returns how long a statement that goes through many rows may take. All calls of
// a process wait for it on SQLite; on PostgreSQL it keeps dead rows from being cleared
// away.
func Slice(db bun.IDB) time.Duration {
	if postgres(db) {
		return 250 * time.Millisecond
	}
	return 3 * time.Millisecond
}

// LastText returns the SQL for a text in the last element of an array of objects, which a
// column holds as JSON text; NULL where there is none.
func LastText(db bun.IDB, column bun.Ident, field string) schema.QueryAppender {
	if postgres(db) {
		return bun.SafeQuery("(?::json -> -1 ->> ?)", column, field)
	}
	return bun.SafeQuery("json_extract(?, ?)", column, "$[#-1]."+field)
}
