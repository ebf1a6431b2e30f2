//go:build unix

package faults_test

import (
	"fmt"
	"math"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/levqor/sdk/jobs"
)

// gauge is a figure that is looked at again and again.
type gauge struct {
	name   string
	slack  float64 // what does not count as growth
	always bool    // samples are held to it too
	read   func(done float64) float64
	values []float64
}

// grew reports whether the last third of the values is higher than the second.
func (g *gauge) grew() bool {
	second, last := g.thirds()
	return last > 1.2*second+g.slack
}

func (g *gauge) thirds() (second, last float64) {
	n := len(g.values) / 3
	return mean(g.values[n : 2*n]), mean(g.values[2*n:])
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// paceGauge is how many jobs are done in a second. It may grow.
func paceGauge() *gauge {
	before := time.Now()
	return &gauge{name: "jobs/s", slack: math.Inf(1), read: func(done float64) float64 {
		took := time.Since(before)
		before = before.Add(took)
		return done / took.Seconds()
	}}
}

// workerGauges are those of the worker's process, and what waits for it.
func (r *rig) workerGauges() []*gauge {
	told := func(i int) float64 {
		all := r.all("sum")
		var values [2]float64
		if _, err := fmt.Sscan(all[len(all)-1].rest, &values[0], &values[1]); err != nil {
			r.Error(err)
		}
		return values[i]
	}
	return []*gauge{
		// Handlers run on goroutines that are kept, one for each of the 100 places at most.
		{name: "goroutines", slack: 110, always: true, read: func(float64) float64 { return told(0) }},
		{name: "RSS MB", slack: 16, always: true, read: func(float64) float64 { return told(1) * float64(os.Getpagesize()) / 1e6 }},
		{name: "oldest ready s", slack: 0.5, read: func(float64) float64 {
			health, err := jobs.CheckHealth(r.Context(), r.store)
			if err != nil {
				r.Error(err)
			}
			return health.OldestReady.Seconds()
		}},
	}
}

// fileGauges are those of a SQLite file.
func (r *rig) fileGauges() []*gauge {
	return []*gauge{{name: "log MB", slack: 4, read: func(float64) float64 {
		info, err := os.Stat(strings.TrimPrefix(r.url, "sqlite://") + "-wal")
		if err != nil {
			r.Error(err)
			return 0
		}
		return float64(info.Size()) / 1e6
	}}}
}

// serverGauges are those of PostgreSQL.
func (r *rig) serverGauges() []*gauge {
	written := func() float64 { return float64(r.count("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")) }
	before := written()
	return []*gauge{
		{name: "dead rows", slack: 20_000, read: func(float64) float64 {
			return float64(r.count("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'levqor_jobs_live'"))
		}},
		{name: "live MB", slack: 8, read: func(float64) float64 {
			return float64(r.count("SELECT pg_total_relation_size('levqor_jobs_live')")) / 1e6
		}},
		{name: "log B/job", slack: 100, read: func(done float64) float64 {
			now := written()
			defer func() { before = now }()
			return (now - before) / max(done, 1)
		}},
	}
}

// table prints gauges side by side, and their thirds.
func table(gauges []*gauge) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(first string, value func(g *gauge) string) {
		fmt.Fprint(w, first, "\t")
		for _, g := range gauges {
			fmt.Fprint(w, value(g), "\t")
		}
		fmt.Fprintln(w)
	}
	row("", func(g *gauge) string { return g.name })
	for i := range gauges[0].values {
		row(fmt.Sprint(i+1), func(g *gauge) string { return fmt.Sprintf("%.2f", g.values[i]) })
	}
	row("second third", func(g *gauge) string { second, _ := g.thirds(); return fmt.Sprintf("%.2f", second) })
	row("last third", func(g *gauge) string { _, last := g.thirds(); return fmt.Sprintf("%.2f", last) })
	_ = w.Flush() // into memory
	return b.String()
}
