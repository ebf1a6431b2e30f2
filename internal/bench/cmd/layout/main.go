// Command layout measures two ways to lay out the table of jobs, on PostgreSQL
// and SQLite, in turns on the same machine:
//
//	one    a single table; a job that completes is updated in place
//	two    live and done; a job that completes moves from one to the other
//
// Each round stores -n jobs, claims and completes all of them in batches of 1,000
// (4 workers on PostgreSQL, 1 on SQLite), and then does the same again on top of
// the -history jobs that are over by then. The figures are medians of -rounds.
//
//	go run ./cmd/layout -n 100000 -rounds 3
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

const batch = 1000

// columns of both layouts; %s is where the dialects differ in types.
const columns = `id bigint, tenant text NOT NULL, kind text NOT NULL, queue text NOT NULL, state integer NOT NULL,
	priority integer NOT NULL, args text NOT NULL, result text, attempt integer NOT NULL, run_at bigint NOT NULL,
	created_at bigint NOT NULL, started_at bigint, finished_at bigint, epoch bigint NOT NULL, node bigint`

// layout is one way to keep jobs, as SQL.
type layout struct {
	name     string
	create   []string
	complete func(ids string) []string // statements of one transaction
	backlog  string                    // the table that claims go through
}

func layouts(postgres bool) []layout {
	one := layout{
		name: "one", backlog: "job",
		create: []string{
			"CREATE TABLE job (" + columns + ", PRIMARY KEY (id))",
			"CREATE INDEX job_ready ON job (queue, priority, run_at, id) WHERE state = 2",
			"CREATE INDEX job_node ON job (node) WHERE state = 3",
			"CREATE INDEX job_tenant ON job (tenant, id)",
		},
		complete: func(ids string) []string {
			return []string{"UPDATE job SET state = 5, result = '{\"ok\":true}', finished_at = 2, node = NULL WHERE state = 3 AND id IN (" + ids + ")"}
		},
	}
	two := layout{
		name: "two", backlog: "live",
		create: []string{
			"CREATE TABLE live (" + columns + ", PRIMARY KEY (id))",
			"CREATE INDEX live_ready ON live (queue, priority, run_at, id) WHERE state = 2",
			"CREATE INDEX live_node ON live (node) WHERE state = 3",
			"CREATE INDEX live_tenant ON live (tenant, id)",
		},
	}
	const moved = "id, tenant, kind, queue, 5, priority, args, '{\"ok\":true}', attempt, run_at, created_at, started_at, 2, epoch, node"
	if postgres {
		two.create = append(two.create,
			"CREATE TABLE done ("+columns+", PRIMARY KEY (id, finished_at)) PARTITION BY RANGE (finished_at)",
			"CREATE TABLE done_default PARTITION OF done DEFAULT",
			"CREATE INDEX done_tenant ON done (tenant, id)")
		two.complete = func(ids string) []string {
			return []string{"WITH m AS (DELETE FROM live WHERE state = 3 AND id IN (" + ids + ") RETURNING " + moved + ") INSERT INTO done SELECT * FROM m"}
		}
		return []layout{one, two}
	}
	two.create = append(two.create, "CREATE TABLE done ("+columns+", PRIMARY KEY (id))", "CREATE INDEX done_tenant ON done (tenant, id)")
	two.complete = func(ids string) []string {
		return []string{
			"INSERT INTO done SELECT " + moved + " FROM live WHERE state = 3 AND id IN (" + ids + ")",
			"DELETE FROM live WHERE id IN (" + ids + ")",
		}
	}
	return []layout{one, two}
}

// database is a place to measure on.
type database struct {
	name     string
	postgres bool
	workers  int
	open     func() (db *sql.DB, drop func(), err error)
}

func main() {
	n := flag.Int("n", 100_000, "jobs in the backlog")
	rounds := flag.Int("rounds", 3, "rounds, of which the median counts")
	history := flag.Int("history", 4, "how many backlogs are worked off before the last one, which shows the weight of history")
	dsn := flag.String("postgres", "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable", "URL of a PostgreSQL server")
	flag.Parse()
	for _, d := range []database{{"PostgreSQL", true, 4, postgresAt(*dsn)}, {"SQLite", false, 1, sqliteFile}} {
		if err := measure(context.Background(), d, *n, *rounds, *history); err != nil {
			fmt.Fprintln(os.Stderr, "error:", d.name, err)
			os.Exit(1)
		}
	}
}

// measure prints the figures of one database.
func measure(ctx context.Context, d database, n, rounds, history int) error {
	type figures struct{ insert, burn, late []float64 }
	all := map[string]*figures{}
	sizes := map[string]string{}
	for range rounds {
		for _, l := range layouts(d.postgres) { // in turns, so disturbances hit both
			db, drop, err := d.open()
			if err != nil {
				return err
			}
			f := all[l.name]
			if f == nil {
				f = &figures{}
				all[l.name] = f
			}
			for i := range history + 1 {
				insert, burn, err := cycle(ctx, db, d, l, n, i)
				if err != nil {
					return err
				}
				if i == 0 {
					f.insert, f.burn = append(f.insert, insert), append(f.burn, burn)
				}
				if i == history {
					f.late = append(f.late, burn)
				}
			}
			sizes[l.name] = size(ctx, db, d, l)
			drop()
		}
	}
	fmt.Printf("%s, %d jobs, %d workers, medians of %d rounds\n", d.name, n, d.workers, rounds)
	fmt.Printf("  %-7s %12s %12s %22s %s\n", "layout", "insert/s", "burn-down/s", "burn-down/s with history", "backlog's table afterwards")
	for _, name := range []string{"one", "two"} {
		f := all[name]
		fmt.Printf("  %-7s %12.0f %12.0f %24.0f %s\n", name, median(f.insert), median(f.burn), median(f.late), sizes[name])
	}
	return nil
}

// cycle stores a backlog and works it off; both figures are jobs per second.
func cycle(ctx context.Context, db *sql.DB, d database, l layout, n, round int) (insert, burn float64, err error) {
	if round == 0 {
		for _, stmt := range l.create {
			if _, err := db.ExecContext(ctx, stmt); err != nil {
				return 0, 0, err
			}
		}
	}
	begun := time.Now()
	for i := 0; i < n; i += batch {
		if _, err := db.ExecContext(ctx, insertSQL(l, round*n+i)); err != nil {
			return 0, 0, err
		}
	}
	insert = float64(n) / time.Since(begun).Seconds()
	begun = time.Now()
	var wg sync.WaitGroup
	failures := make(chan error, d.workers)
	for range d.workers {
		wg.Go(func() {
			if err := workOff(ctx, db, d, l); err != nil {
				failures <- err
			}
		})
	}
	wg.Wait()
	burn = float64(n) / time.Since(begun).Seconds()
	select {
	case err = <-failures:
	default:
	}
	return insert, burn, err
}

func insertSQL(l layout, first int) string {
	rows := make([]string, batch)
	for i := range rows {
		rows[i] = fmt.Sprintf("(%d, 'a', 'k', 'q', 2, 5, '{\"document\":\"reports/2031/05/quarterly-figures.pdf\",\"language\":\"en\",\"pages\":12,\"summary\":true}', 0, 1, 1, 0)", first+i)
	}
	return "INSERT INTO " + l.backlog + " (id, tenant, kind, queue, state, priority, args, attempt, run_at, created_at, epoch) VALUES " + strings.Join(rows, ", ")
}

func workOff(ctx context.Context, db *sql.DB, d database, l layout) error {
	for {
		ids, err := claim(ctx, db, d, l)
		if err != nil || ids == "" {
			return err
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		for _, stmt := range l.complete(ids) {
			if _, err := tx.ExecContext(ctx, stmt); err != nil {
				return err
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
}

func claim(ctx context.Context, db *sql.DB, d database, l layout) (string, error) {
	open, lock, end := "IN (", "", ")"
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = tx.Rollback() }()
	if d.postgres {
		open, lock, end = "= ANY(ARRAY(", "FOR UPDATE SKIP LOCKED", "))"
		if _, err := tx.ExecContext(ctx, "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off"); err != nil {
			return "", err
		}
	}
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(`UPDATE %[1]s SET state = 3, node = 1, attempt = attempt + 1, epoch = epoch + 1, started_at = 1
		WHERE id %[2]s SELECT id FROM %[1]s WHERE state = 2 AND queue = 'q' AND kind IN ('k') ORDER BY priority, run_at, id LIMIT %[3]d %[4]s %[5]s
		RETURNING id, tenant, kind, queue, args, attempt, epoch`, l.backlog, open, batch, lock, end))
	if err != nil {
		return "", err
	}
	var ids []string
	for rows.Next() {
		var id, attempt, epoch int64
		var tenant, kind, queue, args string
		if err := rows.Scan(&id, &tenant, &kind, &queue, &args, &attempt, &epoch); err != nil {
			return "", err
		}
		ids = append(ids, fmt.Sprint(id))
	}
	if err := rows.Err(); err != nil {
		return "", err
	}
	return strings.Join(ids, ", "), tx.Commit()
}

// size describes what claims have to go through when nothing is left to do.
func size(ctx context.Context, db *sql.DB, d database, l layout) string {
	if !d.postgres {
		return ""
	}
	var total string
	var dead int64
	err := db.QueryRowContext(ctx, `SELECT pg_size_pretty(pg_total_relation_size(oid)), pg_stat_get_dead_tuples(oid)
		FROM pg_class WHERE oid = $1::text::regclass`, l.backlog).Scan(&total, &dead)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s, %d dead rows", total, dead)
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

func postgresAt(dsn string) func() (*sql.DB, func(), error) {
	return func() (*sql.DB, func(), error) {
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
}

func sqliteFile() (*sql.DB, func(), error) {
	dir, err := os.MkdirTemp("", "levqor-layout")
	if err != nil {
		return nil, nil, err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(dir, "x.db"))+
		"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(15000)")
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(1)
	return db, func() { _ = db.Close(); _ = os.RemoveAll(dir) }, nil
}
