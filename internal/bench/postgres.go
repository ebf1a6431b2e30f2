package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/levqor/sdk/internal/bunopen"
	"github.com/levqor/sdk/jobs"
)

// database is the name of the throw-away database.
const database = "levqor_bench"

// postgres is a database of its own on the server.
type postgres struct {
	server, url string
	pool        *pgxpool.Pool
	ours        *levqor
	river       riverQueue[pgx.Tx]
}

func newPostgres(ctx context.Context) (*postgres, error) {
	p := &postgres{server: os.Getenv("LEVQOR_TEST_POSTGRES")}
	if p.server == "" {
		p.server = "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"
	}
	u, err := url.Parse(p.server)
	if err != nil {
		return nil, fmt.Errorf("LEVQOR_TEST_POSTGRES is not a URL")
	}
	u.Path = "/" + database
	p.url = u.String()
	if err := p.admin(ctx, "DROP DATABASE IF EXISTS "+database, "CREATE DATABASE "+database); err != nil {
		return nil, err
	}
	db, err := bunopen.Open(p.url)
	if err != nil {
		return nil, err
	}
	if p.ours, err = newLevqor(ctx, db); err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(p.url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 20
	if p.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	p.river, err = newRiver(ctx, riverpgxv5.New(p.pool))
	return p, err
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

func (p *postgres) drop() {
	_ = p.ours.db.Close()
	p.pool.Close()
	if err := p.admin(context.Background(), "DROP DATABASE "+database); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}

// fresh empties all tables, fills one queue and lets the server rest.
func (p *postgres) fresh(ctx context.Context, fill func(context.Context, int, int) (float64, error), n int) error {
	if _, err := p.pool.Exec(ctx, "TRUNCATE levqor_jobs_live, levqor_jobs_done, river_job"); err != nil {
		return err
	}
	if n > 0 {
		if _, err := fill(ctx, n, 10_000); err != nil {
			return err
		}
		if _, err := p.pool.Exec(ctx, "VACUUM ANALYZE levqor_jobs_live, river_job"); err != nil {
			return err
		}
	}
	_, err := p.pool.Exec(ctx, "CHECKPOINT")
	return err
}

type sample = func(context.Context) (float64, error)

// ourBurnDown and riverBurnDown are samples of a burn-down.
func (p *postgres) ourBurnDown(n int, opts *jobs.WorkerOptions) sample {
	return func(ctx context.Context) (float64, error) {
		if err := p.fresh(ctx, p.ours.insertMany, n); err != nil {
			return 0, err
		}
		return p.ours.burnDown(ctx, n, opts)
	}
}

func (p *postgres) riverBurnDown(n, workers int, tuned bool, window time.Duration) sample {
	return func(ctx context.Context) (float64, error) {
		if err := p.fresh(ctx, p.river.insertMany, n); err != nil {
			return 0, err
		}
		return p.river.burnDown(ctx, n, workers, tuned, window)
	}
}

// into is a sample of an insertion into empty tables.
func (p *postgres) into(fn func(context.Context, int, int) (float64, error), n, size int) sample {
	return func(ctx context.Context) (float64, error) {
		if err := p.fresh(ctx, nil, 0); err != nil {
			return 0, err
		}
		return fn(ctx, n, size)
	}
}

// tuned are the options for many short jobs.
func tuned() *jobs.WorkerOptions {
	return &jobs.WorkerOptions{Queues: map[string]int{jobs.DefaultQueue: 1000}}
}

func (p *postgres) measures(pl plan) []measure {
	all := []measure{
		{
			name: "pg.burndown.tuned", ours: p.ourBurnDown(pl.jobs, tuned()),
			rivals: map[string]sample{"river.tuned": p.riverBurnDown(pl.jobs, 1000, true, time.Minute)},
		},
		{
			name: "pg.burndown.default", ours: p.ourBurnDown(pl.jobs, nil),
			rivals: map[string]sample{"river.default": p.riverBurnDown(pl.jobs/5, 100, false, pl.window)},
		},
		{
			name: "pg.insert.bulk", ours: p.into(p.ours.insertMany, pl.jobs, 10_000),
			rivals: map[string]sample{"river": p.into(p.river.insertMany, pl.jobs, 10_000)},
		},
		{
			name: "pg.insert.1", ours: p.into(p.ours.insert, pl.singles, 1),
			rivals: map[string]sample{"river": p.into(p.river.insert, pl.singles, 1)},
		},
		{
			name: "pg.insert.16", ours: p.into(p.ours.insert, 4*pl.singles, 16),
			rivals: map[string]sample{"river": p.into(p.river.insert, 4*pl.singles, 16)},
		},
	}
	if pl.full {
		all = append(all, measure{
			name: "pg.burndown.million", once: true, ours: p.ourBurnDown(1_000_000, tuned()),
			rivals: map[string]sample{"river.tuned": p.riverBurnDown(1_000_000, 1000, true, 5*time.Minute)},
		})
	}
	for i := range all {
		all[i].unit = "jobs/s"
	}
	return append(all, p.waiting(pl)...)
}

// waiting are the times from the call that enqueues a job to its start.
func (p *postgres) waiting(pl plan) []measure {
	var all []measure
	for name, fn := range map[string]func(context.Context) ([]time.Duration, error){
		"pg.start":               func(ctx context.Context) ([]time.Duration, error) { return p.ours.latencies(ctx, pl.latency) },
		"pg.start.river.default": func(ctx context.Context) ([]time.Duration, error) { return p.river.latencies(ctx, false, pl.latency) },
		"pg.start.river.tuned":   func(ctx context.Context) ([]time.Duration, error) { return p.river.latencies(ctx, true, pl.latency) },
	} {
		var last []time.Duration
		all = append(all,
			measure{name: name + ".p99", unit: "ms", once: true, ours: func(ctx context.Context) (_ float64, err error) {
				if err = p.fresh(ctx, nil, 0); err != nil {
					return 0, err
				}
				last, err = fn(ctx)
				return quantile(last, 0.99), err
			}},
			measure{name: strings.TrimSuffix(name, ".") + ".p50", unit: "ms", once: true, ours: func(context.Context) (float64, error) {
				return quantile(last, 0.5), nil
			}})
	}
	return all
}
