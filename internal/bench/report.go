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
}

func newReport(out io.Writer) *report {
	return &report{out: out, samples: map[string][]float64{}, units: map[string]string{}}
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

// best returns the highest of several figures and adds it under a name of its own.
func (r *report) best(name string, rivals ...string) {
	highest := 0.0
	for _, rival := range rivals {
		highest = max(highest, r.median(rival))
	}
	if highest > 0 {
		r.add(name, highest, "jobs/s")
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
