package main

import (
	"context"
	"time"
)

// riverOn is a sample of River on tables with n of its jobs.
func (p *postgres) riverOn(n int, work work) sample {
	return func(ctx context.Context) (figures, error) {
		if _, _, err := p.empty(ctx); err != nil {
			return nil, err
		}
		if n > 0 {
			if _, err := p.river.insertMany(ctx, n, 10_000, 1); err != nil {
				return nil, err
			}
			if err := p.rest(ctx); err != nil {
				return nil, err
			}
		}
		return p.speed(ctx, work)
	}
}

func (p *postgres) riverBurnDown(n, workers int, tuned bool, window time.Duration) sample {
	return p.riverOn(n, func(ctx context.Context) (int, error) { return p.river.burnDown(ctx, n, workers, tuned, window) })
}

func (p *postgres) riverInsertMany(n, callers int) sample {
	return p.riverOn(0, func(ctx context.Context) (int, error) { return p.river.insertMany(ctx, n, 10_000, callers) })
}

func (p *postgres) riverInsert(n, callers int) sample {
	return p.riverOn(0, func(ctx context.Context) (int, error) { return p.river.insert(ctx, n, callers) })
}

// speeds are measured with -quick too.
func (p *postgres) speeds(pl plan) []measure {
	const size = 10_000
	return []measure{
		{
			name: "pg.burndown.tuned", ours: burnDown(p, burning{n: pl.jobs, size: size, worker: tuned()}),
			rivals: map[string]sample{"river.tuned": p.riverBurnDown(pl.jobs, 1000, true, time.Minute)},
		},
		{
			name: "pg.burndown.default", ours: burnDown(p, burning{n: pl.jobs, size: size}),
			rivals: map[string]sample{"river.default": p.riverBurnDown(pl.jobs/5, 100, false, pl.window)},
		},
		{
			name: "pg.insert.bulk", ours: insertMany(p, pl.bulk(), size, 1),
			rivals: map[string]sample{"river": p.riverInsertMany(pl.bulk(), 1)},
		},
		// Single insertions wait for the disk, whose pace changes within seconds: more samples.
		{
			name: "pg.insert.1", repeat: 4 * pl.repeat, ours: insert(p, pl.singles, 1),
			rivals: map[string]sample{"river": p.riverInsert(pl.singles, 1)},
		},
		{
			name: "pg.insert.16", repeat: 2 * pl.repeat, ours: insert(p, 4*pl.singles, 16),
			rivals: map[string]sample{"river": p.riverInsert(4*pl.singles, 16)},
		},
	}
}

// starts are the times from the call that enqueues a job to its start.
func (p *postgres) starts(pl plan) []measure {
	river := func(tuned bool) sample {
		return func(ctx context.Context) (figures, error) {
			if _, _, err := p.empty(ctx); err != nil {
				return nil, err
			}
			all, err := p.river.latencies(ctx, tuned, pl.latency)
			return quantiles("", all, 0.99, 0.5), err
		}
	}
	return []measure{
		{name: "pg.start", repeat: 1, ours: started(p, pl.latency)},
		{name: "pg.start.river.default", repeat: 1, ours: river(false)},
		{name: "pg.start.river.tuned", repeat: 1, ours: river(true)},
	}
}

// further are the speeds that -quick leaves out.
func (p *postgres) further(pl plan) []measure {
	const size = 10_000
	million := pl.million()
	return []measure{
		{
			name: "pg.insert.bulk.4", ours: insertMany(p, pl.bulk(), size, 4),
			rivals: map[string]sample{"river": p.riverInsertMany(pl.bulk(), 4)},
		},
		{
			name: "pg.burndown.million", repeat: 2, ours: burnDown(p, burning{n: million, size: size, worker: tuned()}),
			rivals: map[string]sample{"100k": burnDown(p, burning{n: pl.jobs, size: size, worker: tuned()})},
		},
		{
			name: "pg.burndown.million.river.tuned", repeat: 2, ours: p.riverBurnDown(million, 1000, true, 5*time.Minute),
			rivals: map[string]sample{"100k": p.riverBurnDown(pl.jobs, 1000, true, time.Minute)},
		},
	}
}
