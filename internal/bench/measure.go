package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// measure is one thing to measure, for Levqor and for each rival by name.
type measure struct {
	name string
	ours sample
	// rivals are measured in turn with ours, so that what else the machine does
	// falls on both.
	rivals map[string]sample
	// repeat is how often it is measured, 0 for as often as the plan says.
	repeat int
}

// sample measures once.
type sample func(ctx context.Context) (figures, error)

// figures are what one sample gives.
type figures []figure

// figure is a number of a sample. Its name is that of the measure, the suffix, and a dot
// with the rival's name if it is a rival's.
type figure struct {
	suffix string // empty for the figure that the measure is named for
	value  float64
	unit   string
}

// choose returns the measures that have a text in their name. If none has, the text may
// be the name of a figure that one of them gives.
func choose(all []measure, only string) ([]measure, error) {
	var named, giving []measure
	for _, m := range all {
		if strings.Contains(m.name, only) {
			named = append(named, m)
		}
		if strings.HasPrefix(only, m.name+".") && (giving == nil || len(m.name) > len(giving[0].name)) {
			giving = []measure{m}
		}
	}
	if len(named) > 0 {
		return named, nil
	}
	if giving == nil {
		return nil, fmt.Errorf("nothing has %q in its name; -list prints the names", only)
	}
	return giving, nil
}

func (m measure) run(ctx context.Context, rep *report, p plan, meter meter) error {
	repeat := p.repeat
	if m.repeat > 0 {
		repeat = m.repeat
	}
	for range repeat {
		before := meter.read()
		if err := m.once(ctx, rep, "", m.ours, p, meter); err != nil {
			return err
		}
		for _, rival := range slices.Sorted(maps.Keys(m.rivals)) {
			if err := m.once(ctx, rep, "."+rival, m.rivals[rival], p, meter); err != nil {
				return err
			}
		}
		used := meter.read().minus(before)
		fmt.Fprintf(os.Stderr, "%s: %.1f s, foreign %.2f cores\n", m.name, used.wall.Seconds(), used.foreign())
	}
	return nil
}

// once takes one sample of ours or of a rival.
func (m measure) once(ctx context.Context, rep *report, rival string, fn sample, p plan, meter meter) error {
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	before := meter.read()
	all, err := fn(ctx)
	if err != nil {
		return fmt.Errorf("%s%s: %w", m.name, rival, err)
	}
	for _, f := range all {
		rep.add(m.name+f.suffix+rival, f.value, f.unit)
	}
	rep.foreign(m.name+rival, meter.read().minus(before).foreign())
	return nil
}

// quantiles are figures of how long something took, in milliseconds.
func quantiles(prefix string, all []time.Duration, qs ...float64) figures {
	var fs figures
	for _, q := range qs {
		suffix := fmt.Sprintf("%s.p%g", prefix, 100*q)
		if q == 1 {
			suffix = prefix + ".max"
		}
		fs = append(fs, figure{suffix, quantile(all, q), "ms"})
	}
	return fs
}

// quantile returns milliseconds.
func quantile(all []time.Duration, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	return all[int(q*float64(len(all)-1))].Seconds() * 1000
}
