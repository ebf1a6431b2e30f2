package dbtest

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/uptrace/bun"
)

// EachMigrated is [Each] with databases that have been migrated. On PostgreSQL, where
// making a schema waits for the disk once for each index, it uses one again when the test
// that had it has ended, as it was after the migration.
func EachMigrated(t *testing.T, migrate func(context.Context, *bun.DB) error, fn func(t *testing.T, fresh func(testing.TB) string)) {
	t.Helper()
	migrated := func(tb testing.TB, address string) string {
		tb.Helper()
		db := Open(tb, address)
		if err := migrate(tb.Context(), db); err != nil {
			tb.Fatal(err)
		}
		return address
	}
	t.Run("SQLite", func(t *testing.T) {
		fn(t, func(tb testing.TB) string { return migrated(tb, SQLite(tb)) })
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		p := &pool{make: func() string {
			address := migrated(t, Postgres(t))
			execute(t, address, keepSeeds)
			return address
		}}
		fn(t, p.take)
	})
}

// pool keeps the schemas that no test has at present. They go with the test that made it.
type pool struct {
	mu   sync.Mutex
	free []string
	make func() string
}

func (p *pool) take(tb testing.TB) string {
	tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		p.free = append(p.free, p.make())
	}
	address := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	tb.Cleanup(func() { p.give(tb, address) })
	return address
}

// give takes a schema back, unless the server does not let it be emptied, which takes the
// right to turn triggers off.
func (p *pool) give(tb testing.TB, address string) {
	db := Open(tb, address)
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(context.Background(), restoreSeeds); err != nil {
		if !strings.Contains(err.Error(), "permission denied") {
			tb.Errorf("a schema could not be emptied: %v", err)
		}
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, address)
}

// keepSeeds copies the rows that a migration has made, and restoreSeeds leaves those and no
// others. A partition is emptied by itself and with its table.
const (
	keepSeeds = `
DO $$ DECLARE t text; filled boolean; BEGIN
	FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename NOT LIKE '%\_migrations' LOOP
		EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', t) INTO filled;
		IF filled THEN EXECUTE format('CREATE TABLE %I AS TABLE %I', 'seed_' || t, t); END IF;
	END LOOP;
END $$`
	restoreSeeds = `
DO $$ DECLARE t text; BEGIN
	SET LOCAL session_replication_role = replica;
	FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename NOT LIKE '%\_migrations' AND tablename NOT LIKE 'seed\_%' LOOP
		EXECUTE format('DELETE FROM %I', t);
	END LOOP;
	FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename LIKE 'seed\_%' LOOP
		EXECUTE format('INSERT INTO %I TABLE %I', substr(t, 6), t);
	END LOOP;
END $$`
)
