package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/levqor/sdk/internal/bunopen"
)

// postgres is a database of its own on the server.
type postgres struct {
	meter
	full         bool
	server, base string // the server's own database, and the name of ours
	tables       string // those to empty
	pool         *pgxpool.Pool
	ours         *engine
	river        riverQueue[pgx.Tx]
}

// create makes the database, and leaves nothing behind if it fails.
func (p *postgres) create(ctx context.Context) error {
	p.server, p.base = os.Getenv("LEVQOR_TEST_POSTGRES"), fmt.Sprintf("levqor_bench_%d", os.Getpid())
	if p.server == "" {
		p.server = "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"
	}
	u, err := url.Parse(p.server)
	if err != nil {
		return errors.New("LEVQOR_TEST_POSTGRES is not a URL")
	}
	u.Path = "/" + p.base
	if err := p.admin(ctx, "DROP DATABASE IF EXISTS "+p.base, "CREATE DATABASE "+p.base); err != nil {
		return err
	}
	if err := p.open(ctx, u.String()); err != nil {
		p.drop()
		return err
	}
	return nil
}

// open connects to the new database and makes everybody's tables.
func (p *postgres) open(ctx context.Context, address string) error {
	db, err := bunopen.Open(address)
	if err != nil {
		return err
	}
	if p.ours, err = newEngine(ctx, db); err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return err
	}
	config.MaxConns = 20
	if p.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	if p.river, err = newRiver(ctx, riverpgxv5.New(p.pool)); err != nil {
		return err
	}
	var backend int
	err = p.pool.QueryRow(ctx, `
		SELECT pg_backend_pid(), string_agg(relname, ', ') FROM pg_class
		WHERE relkind IN ('r', 'p') AND (relname LIKE 'levqor\_jobs\_%' OR relname = 'river_job')
			AND relname NOT IN ('levqor_jobs_migrations', 'levqor_jobs_recount') AND NOT relispartition`).Scan(&backend, &p.tables)
	p.meter = newMeter(backend)
	return err
}

// admin runs statements on the server's own database.
func (p *postgres) admin(ctx context.Context, statements ...string) error {
	conn, err := pgx.Connect(ctx, p.server)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// drop ends whatever still works on the database, and removes it.
func (p *postgres) drop() {
	if p.pool != nil {
		p.pool.Close()
	}
	if p.ours != nil {
		_ = p.ours.db.Close()
	}
	if err := p.admin(context.Background(), "DROP DATABASE "+p.base+" WITH (FORCE)"); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}

func (p *postgres) name() string { return "pg" }

func (p *postgres) empty(ctx context.Context) (*engine, func(), error) {
	p.ours.work = func(noop) {}
	return p.ours, func() {}, p.exec(ctx, "TRUNCATE "+p.tables,
		"UPDATE levqor_jobs_recount SET due_at = 'epoch', count_at = 'epoch', counted_at = NULL", "CHECKPOINT")
}

func (p *postgres) rest(ctx context.Context) error {
	var filled string // autovacuum does not look at empty tables either
	err := p.pool.QueryRow(ctx, `
		SELECT COALESCE(string_agg(oid::regclass::text, ', '), 'levqor_jobs_node') FROM pg_class
		WHERE relkind = 'r' AND (relname = 'levqor_jobs_live' OR relname LIKE 'levqor\_jobs\_done%' OR relname = 'river_job') AND pg_relation_size(oid) > 0`).Scan(&filled)
	if err != nil {
		return err
	}
	return p.exec(ctx, "VACUUM ANALYZE "+filled, "CHECKPOINT")
}

func (p *postgres) exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := p.pool.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (p *postgres) hold(ctx context.Context) (func(), error) {
	tx, err := p.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		return nil, err
	}
	release := func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }
	if _, err := tx.Exec(ctx, "SELECT count(*) FROM levqor_jobs_node"); err != nil { // takes the snapshot
		release()
		return nil, err
	}
	return release, nil
}

// speed tells in the whole table also what was written.
func (p *postgres) speed(ctx context.Context, work work) (figures, error) {
	if !p.full {
		n, used, err := p.span(ctx, work)
		return used.rate(n), err
	}
	wal, dead, err := p.written(ctx)
	if err != nil {
		return nil, err
	}
	n, used, err := p.span(ctx, work)
	if err != nil {
		return nil, err
	}
	walAfter, deadAfter, err := p.written(ctx)
	per := float64(max(n, 1))
	return append(append(used.rate(n), p.cpu(n, used)...),
		figure{".wal", float64(walAfter-wal) / per, "bytes/job"},
		figure{".dead", float64(deadAfter-dead) / per, "tuples/job"}), err
}

// written returns how many bytes of write-ahead log the server has written, and how many
// rows were updated or deleted in this database: each left a dead tuple, whoever has
// cleared it away since.
func (p *postgres) written(ctx context.Context) (wal, dead int64, err error) {
	err = p.pool.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn() - '0/0'").Scan(&wal)
	if err != nil {
		return 0, 0, err
	}
	if err := p.flush(ctx); err != nil {
		return 0, 0, err
	}
	err = p.pool.QueryRow(ctx, "SELECT coalesce(sum(n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_user_tables").Scan(&dead)
	return wal, dead, err
}

// flush makes the server's processes tell what they have counted, which they do when
// they end.
func (p *postgres) flush(ctx context.Context) error {
	p.ours.db.SetMaxIdleConns(0)
	p.ours.db.SetMaxIdleConns(20) // as bunopen has it
	p.pool.Reset()
	for range 500 {
		var others int
		err := p.pool.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'").Scan(&others)
		if err != nil || others == 0 {
			return err
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("connections to the database stay open")
}
