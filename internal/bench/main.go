// Command bench measures Levqor's queue against others, in turn, in one run and on
// one machine, with the same durability settings, and prints
//
//	version MODULE VERSION
//	figure NAME VALUE UNIT
//	ratio NAME/RIVAL VALUE
//
// so that a program can check them: behind ratio A/B stand the figures A and A.B.
// With -quick it takes less than three minutes; without, it repeats more often and
// adds what takes long. It needs the PostgreSQL server at LEVQOR_TEST_POSTGRES or on
// loopback, on which it makes a database of its own and drops it again.
//
// Every job is a no-op with two integers as arguments. Databases keep their default
// settings; SQLite files have a write-ahead log and synchronous=NORMAL, one
// connection and the same driver for all. A burn-down lasts from before the workers
// start until after they have stopped, so that every completion is stored, which is
// counted afterwards.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"strings"
	"time"
)

// plan says how much to measure.
type plan struct {
	repeat     int
	jobs       int           // of a burn-down and of a bulk insertion
	singles    int           // of the insertions one by one
	sqliteJobs int           // of what is slow on SQLite
	window     time.Duration // of a burn-down that would take minutes
	latency    time.Duration
	full       bool
}

func main() {
	quick := flag.Bool("quick", false, "take less than three minutes")
	only := flag.String("only", "", "measure only what has this in its name")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	flag.Parse()
	if *profile != "" {
		defer startProfile(*profile)()
	}
	p := plan{repeat: 5, jobs: 100_000, singles: 4000, sqliteJobs: 20_000, window: 10 * time.Second, latency: 20 * time.Second, full: true}
	if *quick {
		p = plan{repeat: 3, jobs: 100_000, singles: 2000, sqliteJobs: 10_000, window: 3 * time.Second, latency: 4 * time.Second}
	}
	if err := run(context.Background(), p, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// measure is one thing to measure, for Levqor and for each rival by name.
type measure struct {
	name string
	unit string
	ours func(ctx context.Context) (float64, error)
	// rivals are measured in turn with ours, so that what else the machine does
	// falls on both.
	rivals map[string]func(ctx context.Context) (float64, error)
	// once is for what takes long.
	once bool
}

func run(ctx context.Context, p plan, only string) error {
	rep := newReport(os.Stdout)
	rep.versions()
	pg, err := newPostgres(ctx)
	if err != nil {
		return err
	}
	defer pg.drop()
	lite, err := newSQLite(p)
	if err != nil {
		return err
	}
	defer lite.drop()
	for _, m := range append(pg.measures(p), lite.measures()...) {
		if !strings.Contains(m.name, only) {
			continue
		}
		if err := m.run(ctx, rep, p); err != nil {
			return err
		}
	}
	rep.best("sqlite.burndown.best.rival", "sqlite.burndown.river", "sqlite.burndown.goqite", "sqlite.burndown.backlite")
	rep.best("sqlite.insert.bulk.best.rival", "sqlite.insert.bulk.river", "sqlite.insert.bulk.goqite", "sqlite.insert.bulk.backlite")
	rep.figures()
	for _, pair := range [][2]string{
		{"pg.burndown.tuned", "river.tuned"},
		{"pg.burndown.default", "river.default"},
		{"pg.insert.bulk", "river"},
		{"pg.insert.1", "river"},
		{"pg.insert.16", "river"},
		{"sqlite.burndown", "best.rival"},
		{"sqlite.insert.bulk", "best.rival"},
	} {
		rep.ratio(pair[0], pair[1])
	}
	return nil
}

func (m measure) run(ctx context.Context, rep *report, p plan) error {
	repeat := p.repeat
	if m.once {
		repeat = 1
	}
	for range repeat {
		begun := time.Now()
		if m.ours != nil {
			if err := m.add(ctx, rep, m.name, m.ours); err != nil {
				return err
			}
		}
		for rival, fn := range m.rivals {
			if err := m.add(ctx, rep, m.name+"."+rival, fn); err != nil {
				return err
			}
		}
		fmt.Fprintf(os.Stderr, "%s: %.1f s\n", m.name, time.Since(begun).Seconds())
	}
	return nil
}

func (m measure) add(ctx context.Context, rep *report, name string, fn func(context.Context) (float64, error)) error {
	value, err := fn(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	rep.add(name, value, m.unit)
	return nil
}

// startProfile returns what ends the profile.
func startProfile(path string) (stop func()) {
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
