package main

import (
	"fmt"
	"strings"
)

// goal is a row of the table: what a figure has to be, by itself or in relation to
// another.
type goal struct {
	what   string
	figure string // of both databases where it begins with "*"
	rival  string // the figure to compare with; empty for none
	bound
}

// bound is what makes a goal met. The zero bound is a figure without a goal.
type bound struct {
	least, most           float64 // of the figure
	leastTimes, mostTimes float64 // of the rival's figure
	zero                  bool    // the figure is to be 0
}

var goals = []goal{
	{"burn-down, 1,000 places", "pg.burndown.tuned", ".river.tuned", bound{leastTimes: 2}},
	{"CPU of it, client and server", "pg.burndown.tuned.cpu", ".river.tuned", bound{most: 30}},
	{"write-ahead log of it", "pg.burndown.tuned.wal", ".river.tuned", bound{}},
	{"dead tuples of it", "pg.burndown.tuned.dead", ".river.tuned", bound{}},
	{"burn-down, default options, 20 times River's default", "pg.burndown.default", ".river.default", bound{leastTimes: 20}},
	{"burn-down, default options, against River's tuned", "pg.burndown.default", "pg.burndown.tuned.river.tuned", bound{leastTimes: 1}},
	{"CPU of it", "pg.burndown.default.cpu", ".river.default", bound{most: 30}},
	{"burn-down of a million", "pg.burndown.million", ".river.tuned", bound{leastTimes: 2}},
	{"burn-down of a million, against 100,000", "pg.burndown.million", ".100k", bound{leastTimes: 0.9}},
	{"the same, River", "pg.burndown.million.river.tuned", ".100k", bound{}},
	{"bulk insertion, 10,000 a call", "pg.insert.bulk", ".river", bound{leastTimes: 2}},
	{"CPU of it", "pg.insert.bulk.cpu", ".river", bound{}},
	{"write-ahead log of it", "pg.insert.bulk.wal", ".river", bound{}},
	{"bulk insertion, 4 callers", "pg.insert.bulk.4", ".river", bound{}},
	{"single insertion", "pg.insert.1", ".river", bound{leastTimes: 1.8}},
	{"CPU of it", "pg.insert.1.cpu", ".river", bound{}},
	{"write-ahead log of it", "pg.insert.1.wal", ".river", bound{}},
	{"single insertion, 16 callers", "pg.insert.16", ".river", bound{leastTimes: 1.8}},
	{"CPU of it", "pg.insert.16.cpu", ".river", bound{}},
	{"enqueue to start, p50, River tuned", "pg.start.p50", "pg.start.river.tuned.p50", bound{}},
	{"enqueue to start, p99, River tuned", "pg.start.p99", "pg.start.river.tuned.p99", bound{most: 5}},
	{"enqueue to start, p99, River default", "pg.start.p99", "pg.start.river.default.p99", bound{most: 5}},
	{"burn-down, 1,000 places", "sqlite.burndown", ".best.rival", bound{least: 60_000, leastTimes: 3}},
	{"CPU of it", "sqlite.burndown.cpu", ".backlite", bound{}},
	{"burn-down of a million, against 100,000", "sqlite.burndown.million", ".100k", bound{least: 60_000, leastTimes: 0.9}},
	{"burn-down, synchronous=FULL", "sqlite.burndown.full", "", bound{least: 40_000}},
	{"bulk insertion, 1,000 a call", "sqlite.insert.bulk", ".best.rival", bound{least: 200_000}},
	{"bulk insertion, 4 callers", "sqlite.insert.bulk.4", "", bound{}},
	{"bulk insertion, synchronous=FULL", "sqlite.insert.bulk.full", "", bound{}},
	{"single insertion", "sqlite.insert.1", ".best.rival", bound{}},
	{"single insertion, 16 callers", "sqlite.insert.16", ".best.rival", bound{}},
	{"enqueue to start, p50", "sqlite.start.p50", "", bound{}},
	{"enqueue to start, p99", "sqlite.start.p99", "", bound{most: 5}},
	{"SQLITE_BUSY, 64 goroutines of one program", "sqlite.busy.1", "", bound{zero: true}},
	{"SQLITE_BUSY, 64 goroutines of four programs", "sqlite.busy.4", "", bound{zero: true}},
	{"claim of 1, p99, deep in ready jobs, against empty", "*.claim.ready.1.p99", "*.claim.empty.1.p99", bound{mostTimes: 1.5}},
	{"claim of 100, p99, deep in ready jobs, against empty", "*.claim.ready.100.p99", "*.claim.empty.100.p99", bound{mostTimes: 1.5}},
	{"claim of 1, p99, deep in scheduled jobs, against empty", "*.claim.scheduled.1.p99", "*.claim.empty.1.p99", bound{mostTimes: 1.5}},
	{"claim of 100, p99, deep in scheduled jobs, against empty", "*.claim.scheduled.100.p99", "*.claim.empty.100.p99", bound{mostTimes: 1.5}},
	{"claim of 1, p99, deep in history, against empty", "*.claim.done.1.p99", "*.claim.empty.1.p99", bound{mostTimes: 1.5}},
	{"claim of 100, p99, deep in history, against empty", "*.claim.done.100.p99", "*.claim.empty.100.p99", bound{mostTimes: 1.5}},
	{"counts, p99, deep in ready jobs", "*.claim.ready.counts.p99", "*.claim.empty.counts.p99", bound{most: 5}},
	{"counts of all tenants, p99, deep in ready jobs", "*.claim.ready.counts.all.p99", "*.claim.empty.counts.all.p99", bound{most: 5}},
	{"counts, p99, deep in history", "*.claim.done.counts.p99", "*.claim.empty.counts.p99", bound{most: 5}},
	{"health, p99, deep in ready jobs", "*.claim.ready.health.p99", "*.claim.empty.health.p99", bound{}},
	{"800 jobs/s with a transaction held open, against without", "*.held", ".none", bound{leastTimes: 0.9}},
	{"claim of it, p99", "*.held.claim.p99", ".none", bound{most: 20}},
	{"claim of it, p99 of the last tenth", "*.held.claim.late.p99", ".none", bound{most: 20}},
	{"single job beside another tenant's million, p99 to start", "*.fair.p99", "", bound{most: 1000}},
	{"the slowest of them", "*.fair.max", "", bound{most: 1000}},
	{"burn-down with limits, against none", "*.burndown.limits", ".none", bound{leastTimes: 0.85}},
	{"CPU of it", "*.burndown.limits.cpu", ".none", bound{}},
	{"burn-down with a limit per key too, against none", "*.burndown.keys", ".none", bound{leastTimes: 0.85}},
	{"CPU of it", "*.burndown.keys.cpu", ".none", bound{}},
	{"burn-down with a rate per key too, against none", "*.burndown.rates", ".none", bound{leastTimes: 0.85}},
	{"CPU of it", "*.burndown.rates.cpu", ".none", bound{}},
	{"claim while a million jobs are cancelled, p99, against before", "*.cancel.claim.p99", "*.cancel.claim.before.p99", bound{mostTimes: 1.5}},
	{"bulk cancel", "*.cancel.rate", "", bound{}},
	{"job created over HTTP, 16 connections", "http.create", ".pocketbase", bound{leastTimes: 1.5}},
	{"CPU of it, server", "http.create.cpu", ".pocketbase", bound{}},
}

// table prints the goals whose figures were measured, in Markdown.
func (r *report) table() {
	_, _ = fmt.Fprint(r.out, "\n| Figure | Name | Ours | Rival | Goal | Met |\n| --- | --- | ---: | ---: | --- | --- |\n")
	for _, db := range []string{"pg", "sqlite", "http"} {
		for _, g := range goals {
			g.figure = strings.Replace(g.figure, "*", db, 1)
			g.rival = strings.Replace(g.rival, "*", db, 1)
			if strings.HasPrefix(g.rival, ".") {
				g.rival = g.figure + g.rival
			}
			if _, known := r.units[g.figure]; known && strings.HasPrefix(g.figure, db+".") {
				_, _ = fmt.Fprintln(r.out, r.row(g))
			}
		}
	}
}

func (r *report) row(g goal) string {
	ours, rival := r.median(g.figure), r.median(g.rival)
	theirs, times := "", 0.0
	if rival > 0 {
		times = ours / rival
		theirs = fmt.Sprintf("%s (%.2f times)", number(rival), times)
	}
	text, met := g.judge(ours, times)
	return fmt.Sprintf("| %s | `%s` | %s %s | %s | %s | %s |", g.what, g.figure, number(ours), r.units[g.figure], theirs, text, met)
}

// judge returns a goal in words and whether it is met.
func (b bound) judge(ours, times float64) (text, met string) {
	var parts []string
	var missed, unknown bool
	check := func(form string, bound float64, ok, known bool) {
		if bound != 0 {
			parts = append(parts, fmt.Sprintf(form, number(bound)))
			missed = missed || known && !ok
			unknown = unknown || !known
		}
	}
	check("at least %s", b.least, ours >= b.least, true)
	check("at most %s", b.most, ours <= b.most, true)
	check("at least %s times", b.leastTimes, times >= b.leastTimes, times > 0)
	check("at most %s times", b.mostTimes, times <= b.mostTimes, times > 0)
	if b.zero {
		parts, missed = append(parts, "0"), ours != 0
	}
	switch {
	case missed:
		met = "no"
	case unknown:
		met = "not measured"
	case len(parts) > 0:
		met = "yes"
	}
	return strings.Join(parts, ", "), met
}
