package main

import (
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
)

// report collects the samples of a run and prints what programs read.
type report struct {
	out     io.Writer
	samples map[string][]float64
	units   map[string]string
	order   []string
	others  map[string]float64 // cores that something else used, by figure
}

func newReport(out io.Writer) *report {
	return &report{out: out, samples: map[string][]float64{}, units: map[string]string{}, others: map[string]float64{}}
}

// compared are the figures with rivals to print the ratio of.
var compared = [][2]string{
	{"pg.burndown.tuned", "river.tuned"},
	{"pg.burndown.default", "river.default"},
	{"pg.insert.bulk", "river"},
	{"pg.insert.1", "river"},
	{"pg.insert.16", "river"},
	{"sqlite.burndown", "best.rival"},
	{"sqlite.insert.bulk", "best.rival"},
	// Those below are not measured with -quick.
	{"sqlite.insert.1", "best.rival"},
	{"sqlite.insert.16", "best.rival"},
	{"pg.insert.bulk.4", "river"},
	{"pg.burndown.million", "river.tuned"},
	{"pg.burndown.million", "100k"},
	{"pg.burndown.million.river.tuned", "100k"},
	{"sqlite.burndown.million", "100k"},
	{"pg.burndown.limits", "none"},
	{"pg.burndown.keys", "none"},
	{"pg.burndown.rates", "none"},
	{"sqlite.burndown.limits", "none"},
	{"sqlite.burndown.keys", "none"},
	{"sqlite.burndown.rates", "none"},
	{"pg.held", "none"},
	{"sqlite.held", "none"},
	{"http.create", "pocketbase"},
}

// print prints all that was measured.
func (r *report) print(p plan) {
	for _, pair := range compared {
		if pair[1] == "best.rival" {
			r.best(pair[0])
		}
	}
	r.figures()
	for _, pair := range compared {
		r.ratio(pair[0], pair[1])
	}
	if p.full {
		r.foreigners()
		r.table()
	}
}

// add notes one repetition of a figure.
func (r *report) add(name string, value float64, unit string) {
	if _, known := r.units[name]; !known {
		r.order = append(r.order, name)
		r.units[name] = unit
	}
	r.samples[name] = append(r.samples[name], value)
}

// median returns the middle of a figure's samples, 0 without any.
func (r *report) median(name string) float64 {
	all := slices.Sorted(slices.Values(r.samples[name]))
	if len(all) == 0 {
		return 0
	}
	return all[len(all)/2]
}

// best adds the highest figure of the rivals on SQLite under a name of its own.
func (r *report) best(name string) {
	highest := 0.0
	for _, rival := range []string{"river", "goqite", "backlite"} {
		highest = max(highest, r.median(name+"."+rival))
	}
	if highest > 0 {
		r.add(name+".best.rival", highest, "jobs/s")
	}
}

// foreign notes what something else used during a sample.
func (r *report) foreign(name string, cores float64) { r.others[name] = max(r.others[name], cores) }

// foreigners prints it.
func (r *report) foreigners() {
	for _, name := range slices.Sorted(maps.Keys(r.others)) {
		_, _ = fmt.Fprintf(r.out, "foreign %s %.2f cores\n", name, r.others[name])
	}
}

// figures prints the median of each figure, and how far its samples spread.
func (r *report) figures() {
	for _, name := range r.order {
		all := slices.Sorted(slices.Values(r.samples[name]))
		_, _ = fmt.Fprintf(r.out, "figure %s %s %s\n", name, number(r.median(name)), r.units[name])
		if len(all) > 1 {
			_, _ = fmt.Fprintf(r.out, "spread %s %s to %s\n", name, number(all[0]), number(all[len(all)-1]))
		}
	}
}

// ratio prints how a figure compares with a rival's.
func (r *report) ratio(ours, rival string) {
	if theirs := r.median(ours + "." + rival); theirs > 0 {
		_, _ = fmt.Fprintf(r.out, "ratio %s/%s %.2f\n", ours, rival, r.median(ours)/theirs)
	}
}

func number(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// versions prints which rivals were measured.
func (r *report) versions() {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	found := map[string]string{}
	for _, dep := range info.Deps {
		for _, rival := range []string{"riverqueue/river", "maragu.dev/goqite", "mikestefanello/backlite"} {
			if strings.Contains(dep.Path, rival) {
				found[dep.Path] = dep.Version
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(found)) {
		_, _ = fmt.Fprintf(r.out, "version %s %s\n", path, found[path])
	}
}
