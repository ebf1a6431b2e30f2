package main

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/riverqueue/river/riverdriver/riversqlite"
)

// riverOn is a sample of River on a new file with n jobs.
func (s *sqlite) riverOn(n int, work func(context.Context, riverQueue[*sql.Tx]) (int, error)) sample {
	return s.opened(func(ctx context.Context, db *sql.DB) (figures, error) {
		q, err := newRiver(ctx, riversqlite.New(db))
		if err != nil {
			return nil, err
		}
		if _, err := q.insertMany(ctx, n, 1000, 1); err != nil {
			return nil, err
		}
		return s.speed(ctx, func(ctx context.Context) (int, error) { return work(ctx, q) })
	})
}

func (s *sqlite) riverBurnDown() sample {
	return s.riverOn(s.sqliteJobs, func(ctx context.Context, q riverQueue[*sql.Tx]) (int, error) {
		return q.burnDown(ctx, s.sqliteJobs, 1000, true, s.window)
	})
}

func (s *sqlite) riverInsertMany() sample {
	return s.riverOn(0, func(ctx context.Context, q riverQueue[*sql.Tx]) (int, error) {
		return q.insertMany(ctx, s.sqliteJobs, 1000, 1)
	})
}

func (s *sqlite) riverInsert(n, callers int) sample {
	return s.riverOn(0, func(ctx context.Context, q riverQueue[*sql.Tx]) (int, error) { return q.insert(ctx, n, callers) })
}

// speeds are measured with -quick too.
func (s *sqlite) speeds() []measure {
	return []measure{
		{
			name: "sqlite.burndown", ours: burnDown(s, burning{n: s.jobs, size: 1000, worker: tuned()}),
			rivals: map[string]sample{"river": s.riverBurnDown(), "goqite": s.goqiteBurnDown(), "backlite": s.backliteBurnDown()},
		},
		{
			name: "sqlite.insert.bulk", ours: insertMany(s, s.jobs, 1000, 1),
			rivals: map[string]sample{"river": s.riverInsertMany(), "goqite": s.goqiteInsertMany(), "backlite": s.backliteInsertMany()},
		},
	}
}

// further are the speeds that -quick leaves out.
func (s *sqlite) further() []measure {
	full := durable{s}
	all := []measure{
		{name: "sqlite.insert.bulk.4", ours: insertMany(s, s.jobs, 1000, 4)},
		{
			name: "sqlite.burndown.million", repeat: 2, ours: burnDown(s, burning{n: s.million(), size: 1000, worker: tuned()}),
			rivals: map[string]sample{"100k": burnDown(s, burning{n: s.jobs, size: 1000, worker: tuned()})},
		},
		{name: "sqlite.burndown.full", ours: burnDown(full, burning{n: s.jobs, size: 1000, worker: tuned()})},
		{name: "sqlite.insert.bulk.full", ours: insertMany(full, s.jobs, 1000, 1)},
		{name: "sqlite.start", repeat: 1, ours: started(s, s.latency)},
		busy(s, 1), busy(s, 4),
	}
	for _, callers := range []int{1, 16} {
		n := 2 * s.singles
		all = append(all, measure{
			name: fmt.Sprintf("sqlite.insert.%d", callers), ours: insert(s, n, callers),
			rivals: map[string]sample{"river": s.riverInsert(n, callers), "goqite": s.goqiteInsert(n, callers), "backlite": s.backliteInsert(n, callers)},
		})
	}
	return all
}
