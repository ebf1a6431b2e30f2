package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

// database is a place to measure on.
type database struct {
	name    string
	workers int
	layouts []layout
	open    func() (db *sql.DB, drop func(), err error)

	// steer is sent before each claim, within its transaction.
	steer string
	// conditions and weight are queries whose answers are printed: what the
	// figures were measured under, and what %s, a list of tables, has grown to.
	conditions, weight string
}

func postgresAt(dsn string) database {
	return database{
		name: "PostgreSQL", workers: 4, layouts: layoutsOf(true),
		steer: "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off",
		conditions: `SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings
			WHERE name IN ('server_version', 'autovacuum', 'fsync', 'synchronous_commit', 'shared_buffers')`,
		weight: `SELECT pg_size_pretty(sum(pg_total_relation_size(oid))) || ', ' || sum(pg_stat_get_dead_tuples(oid)) || ' dead rows'
			FROM pg_class WHERE oid = ANY('{%s}'::regclass[])`,
		open: func() (*sql.DB, func(), error) { return schemaAt(dsn) },
	}
}

// schemaAt opens an empty schema, which goes when drop is called.
func schemaAt(dsn string) (*sql.DB, func(), error) {
	admin, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, nil, err
	}
	schema := fmt.Sprintf("levqor_layout_%d", time.Now().UnixNano())
	if _, err := admin.Exec("CREATE SCHEMA " + schema); err != nil {
		return nil, nil, err
	}
	db, err := sql.Open("pgx", dsn+"&search_path="+schema+"&default_query_exec_mode=exec")
	return db, func() {
		_ = db.Close()
		_, _ = admin.Exec("DROP SCHEMA " + schema + " CASCADE")
		_ = admin.Close()
	}, err
}

func sqlite() database {
	return database{
		name: "SQLite", workers: 1, layouts: layoutsOf(false),
		conditions: `SELECT 'version=' || sqlite_version() || ' journal_mode=' || journal_mode || ' synchronous=' || synchronous
			FROM pragma_journal_mode, pragma_synchronous`,
		weight: `SELECT (page_count - freelist_count) * page_size / 1000000 || ' MB in the file' FROM pragma_page_count, pragma_freelist_count, pragma_page_size WHERE '%s' <> ''`,
		open:   newFile,
	}
}

func newFile() (*sql.DB, func(), error) {
	dir, err := os.MkdirTemp("", "levqor-layout")
	if err != nil {
		return nil, nil, err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(dir, "x.db"))+
		"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(15000)&_pragma=temp_store(MEMORY)")
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(1)
	return db, func() { _ = db.Close(); _ = os.RemoveAll(dir) }, nil
}

// ask returns the answer to a query of one text, or why there is none.
func ask(ctx context.Context, db *sql.DB, query string) string {
	var answer string
	if err := db.QueryRowContext(ctx, query).Scan(&answer); err != nil {
		return err.Error()
	}
	return answer
}

// weigh says how heavy the tables are that claims of a layout go through.
func (d database) weigh(ctx context.Context, db *sql.DB, l layout) string {
	return ask(ctx, db, fmt.Sprintf(d.weight, strings.Join(l.tables, ",")))
}
