// Command layout measures ways to lay out the table of jobs, on PostgreSQL and
// SQLite, in turns on the same machine:
//
//	one    a single table; a job that completes is updated in place
//	two    live and done; a job that completes moves from one to the other
//
// and variants of the second. In each round a backlog of -n jobs is stored, and
// claimed and completed in batches of 1,000 (4 workers on PostgreSQL, 1 on
// SQLite); then the same again, -history times, on top of the jobs that are over
// by then. Completions are fenced and each has a result of its own. The figures
// are medians of -rounds; those "late" are of the last backlog.
//
//	go run ./cmd/layout -n 200000 -rounds 3
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

const batch = 1000

func main() {
	n := flag.Int("n", 200_000, "jobs in a backlog, a multiple of 1,000")
	rounds := flag.Int("rounds", 3, "rounds, of which the median counts")
	history := flag.Int("history", 4, "how many backlogs are worked off before the last one, which shows the weight of history")
	dsn := flag.String("postgres", "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable", "URL of a PostgreSQL server")
	flag.Parse()
	for _, d := range []database{postgresAt(*dsn), sqlite()} {
		if err := measure(context.Background(), d, *n, *rounds, *history); err != nil {
			fmt.Fprintln(os.Stderr, "error:", d.name, err)
			os.Exit(1)
		}
	}
}

// figures of one layout, one of each per round.
type figures struct {
	insert, burn, lateBurn []float64 // jobs a second
	claim, lateClaim       []float64 // milliseconds for 1,000 jobs
	weight                 string
}

// measure prints the figures of one database.
func measure(ctx context.Context, d database, n, rounds, history int) error {
	all := make([]figures, len(d.layouts))
	for range rounds {
		for i, l := range d.layouts { // in turns, so disturbances hit all
			if err := round(ctx, d, l, n, history, &all[i]); err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
		}
	}
	db, drop, err := d.open()
	if err != nil {
		return err
	}
	defer drop()
	fmt.Printf("%s (%s), %d jobs, %d workers, medians of %d rounds\n", d.name, ask(ctx, db, d.conditions), n, d.workers, rounds)
	fmt.Printf("  %-26s %9s %9s %9s %9s %9s  %s\n", "layout", "insert/s", "burn/s", "late/s", "claim ms", "late ms", "tables of the backlog afterwards")
	for i, f := range all {
		fmt.Printf("  %-26s %9.0f %9.0f %9.0f %9.1f %9.1f  %s\n", d.layouts[i].name,
			median(f.insert), median(f.burn), median(f.lateBurn), median(f.claim), median(f.lateClaim), f.weight)
	}
	return nil
}

// round measures one layout once, in an empty database.
func round(ctx context.Context, d database, l layout, n, history int, f *figures) error {
	db, drop, err := d.open()
	if err != nil {
		return err
	}
	defer drop()
	for _, stmt := range l.create {
		if _, err := db.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	for i := range history + 1 {
		insert, err := fill(ctx, db, l, n, i*n)
		if err != nil {
			return err
		}
		burn, claim, err := burnDown(ctx, db, d, l, n)
		if err != nil {
			return err
		}
		if i == 0 {
			f.insert, f.burn, f.claim = append(f.insert, insert), append(f.burn, burn), append(f.claim, claim)
		}
		if i == history {
			f.lateBurn, f.lateClaim = append(f.lateBurn, burn), append(f.lateClaim, claim)
		}
	}
	f.weight = d.weigh(ctx, db, l)
	return nil
}

// fill stores n jobs and returns how many a second.
func fill(ctx context.Context, db *sql.DB, l layout, n, first int) (float64, error) {
	begun := time.Now()
	for i := 0; i < n; i += batch {
		if err := inTx(ctx, db, func(tx *sql.Tx) error { return run(ctx, tx, l.insert(first+i)) }); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(begun).Seconds(), nil
}

// burnDown works off the n jobs that wait. It returns how many a second, and the
// median time of a claim in milliseconds.
func burnDown(ctx context.Context, db *sql.DB, d database, l layout, n int) (rate, claim float64, err error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var claims []float64
	var settled int
	begun := time.Now()
	for range d.workers {
		wg.Go(func() {
			times, count, failure := workOff(ctx, db, d, l)
			mu.Lock()
			defer mu.Unlock()
			claims, settled = append(claims, times...), settled+count
			if failure != nil {
				err = failure
			}
		})
	}
	wg.Wait()
	rate = float64(n) / time.Since(begun).Seconds()
	if err == nil && settled != n {
		err = fmt.Errorf("%d of %d jobs were completed", settled, n)
	}
	return rate, median(claims), err
}

func workOff(ctx context.Context, db *sql.DB, d database, l layout) (claims []float64, settled int, err error) {
	for {
		begun := time.Now()
		leases, err := claim(ctx, db, d, l)
		if err != nil || len(leases) == 0 {
			return claims, settled, err
		}
		claims = append(claims, time.Since(begun).Seconds()*1000)
		err = inTx(ctx, db, func(tx *sql.Tx) error {
			for _, stmt := range l.complete(leases) {
				res, err := tx.ExecContext(ctx, stmt)
				if err != nil {
					return err
				}
				if rows, _ := res.RowsAffected(); rows != int64(len(leases)) {
					return fmt.Errorf("%d of %d jobs were settled", rows, len(leases))
				}
			}
			return nil
		})
		if err != nil {
			return claims, settled, err
		}
		settled += len(leases)
	}
}

func claim(ctx context.Context, db *sql.DB, d database, l layout) (leases []lease, err error) {
	err = inTx(ctx, db, func(tx *sql.Tx) error {
		if d.steer != "" {
			if err := run(ctx, tx, []string{d.steer}); err != nil {
				return err
			}
		}
		rows, err := tx.QueryContext(ctx, l.claim)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var le lease
			var attempt int64
			var tenant, kind, queue, args string
			if err := rows.Scan(&le.id, &le.epoch, &tenant, &kind, &queue, &args, &attempt); err != nil {
				return err
			}
			leases = append(leases, le)
		}
		return rows.Err()
	})
	return leases, err
}

func inTx(ctx context.Context, db *sql.DB, fn func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

func run(ctx context.Context, tx *sql.Tx, statements []string) error {
	for _, stmt := range statements {
		if _, err := tx.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	return nil
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}
