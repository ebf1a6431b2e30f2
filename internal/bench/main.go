// Command bench measures Levqor's queue against others, in turn, in one run and on
// one machine, with the same durability settings, and prints
//
//	version MODULE VERSION
//	figure NAME VALUE UNIT
//	ratio NAME/RIVAL VALUE
//
// so that a program can check them: behind ratio A/B stand the figures A and A.B.
// With -quick it takes less than three minutes. Without, it repeats more often,
// measures the whole table and prints besides, for each sample's highest,
//
//	foreign NAME CORES cores
//
// how much of the machine something else has used meanwhile, which explains figures
// that are off, and in the end a Markdown table of the goals. The whole table takes
// hours: -only chooses, -rows and -hold make it shorter.
//
// It needs the PostgreSQL server at LEVQOR_TEST_POSTGRES or on loopback, on which it
// makes a database of its own and drops it again. CPU of the server can be told only
// on the same Linux machine, where it counts whoever else uses the server; so do bytes
// of the write-ahead log.
//
// Every job is a no-op with two integers as arguments. Databases keep their default
// settings; SQLite files have a write-ahead log and synchronous=NORMAL unless a name
// says otherwise, one connection and the same driver for all. A burn-down lasts from
// before the workers start until after they have stopped, so that every completion is
// stored, which is counted afterwards.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"time"
)

// plan says how much to measure.
type plan struct {
	repeat     int
	jobs       int           // of a burn-down: what names call 100k
	singles    int           // of the insertions one by one
	sqliteJobs int           // of what is slow on SQLite
	window     time.Duration // of a burn-down that would take minutes, and of requests
	latency    time.Duration
	limit      time.Duration // of one sample, for when something hangs
	// The rest is for the whole table.
	full   bool
	rows   int           // of a deep table
	hold   time.Duration // of a transaction that stays open
	claims int           // of each sort that are timed
}

// bulk is how many jobs a bulk insertion into empty tables stores. The first calls pay for
// plans and for the first pages of tables, whoever makes them: they are not to be all.
func (p plan) bulk() int { return 3 * p.jobs }

// million is the size of what is called a million.
func (p plan) million() int { return min(p.rows, 1_000_000) }

func main() {
	quick := flag.Bool("quick", false, "take less than three minutes")
	only := flag.String("only", "", "measure only what has this in its name, or gives the figure of this name")
	list := flag.Bool("list", false, "print the names of what can be measured, and measure nothing")
	repeat := flag.Int("repeat", 0, "how often to measure what does not take long (default 5, or 3 with -quick; single insertions more often)")
	rows := flag.Int("rows", 10_000_000, "rows of a deep table; what is called a million or 100k has no more either")
	claims := flag.Int("claims", 2000, "claims that are timed of each sort")
	hold := flag.Duration("hold", 10*time.Minute, "how long a transaction is held open")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	flag.Parse()
	p := plan{
		repeat: 5, jobs: min(100_000, max(*rows, 1000)), singles: 4000, sqliteJobs: 20_000, window: 10 * time.Second, latency: 20 * time.Second,
		limit: 30*time.Minute + 3**hold, full: true, rows: max(*rows, 1000), hold: *hold, claims: *claims,
	}
	if *quick {
		p = plan{repeat: 3, jobs: 100_000, singles: 2000, sqliteJobs: 10_000, window: 3 * time.Second, latency: 4 * time.Second, limit: 2 * time.Minute}
	}
	if *repeat > 0 {
		p.repeat = *repeat
	}
	stop := startProfile(*profile)
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, p, *only, *list)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, p plan, only string, list bool) error {
	pg, lite := &postgres{full: p.full}, &sqlite{plan: p}
	chosen, err := choose(measures(pg, lite, p), only)
	if err != nil {
		return err
	}
	if list {
		for _, m := range chosen {
			fmt.Println(m.name)
		}
		return nil
	}
	rep := newReport(os.Stdout)
	rep.versions()
	if err := pg.create(ctx); err != nil {
		return err
	}
	defer pg.drop()
	if err := lite.create(); err != nil {
		return err
	}
	defer lite.drop()
	for _, m := range chosen {
		if err := m.run(ctx, rep, p, pg.meter); err != nil {
			return err
		}
	}
	rep.print(p)
	return nil
}

// measures are all that the plan wants, one theme after the other.
func measures(pg *postgres, lite *sqlite, p plan) []measure {
	all := append(pg.speeds(p), pg.starts(p)...)
	all = append(all, lite.speeds()...)
	if !p.full {
		return all
	}
	all = append(all, pg.further(p)...)
	all = append(all, lite.further()...)
	all = append(all, httpCreate(lite, p.window))
	for _, db := range []database{pg, lite} {
		all = append(all, limits(db, p)...)
		all = append(all, fair(db, p), bulkCancel(db, p))
		all = append(all, deep(db, p)...)
		all = append(all, held(db, p))
	}
	return all
}

// startProfile returns what ends the profile. Without a path there is none.
func startProfile(path string) (stop func()) {
	if path == "" {
		return func() {}
	}
	f, err := os.Create(path)
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return func() {}
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}
}
