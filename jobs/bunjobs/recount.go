package bunjobs

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// How often one process sums up what has ended, and how long the others leave it to a
// process that does not come back.
const (
	recountEvery = time.Second
	recountLease = time.Minute
)

// Counting takes the part 1/countShare of a process's time, and while it is at it the
// part 1/countPace.
const (
	countShare = 50
	countPace  = 5
)

// Recount implements [jobs.CountStore].
func (s *Store) Recount(ctx context.Context, now time.Time) (time.Duration, error) {
	turn, wait, err := s.takeTurn(ctx, bundb.Clock(s.db, now))
	if err != nil || turn == nil {
		return min(wait, recountLease), bundb.Err(err)
	}
	if err := turn.run(ctx); err != nil {
		turn.giveUp(ctx)
		return 0, bundb.Err(err)
	}
	return recountEvery, nil
}

// recount is a caller's turn to count, which ends by itself after recountLease.
type recount struct {
	*Store
	at    time.Time // when it began, by the clock of the database
	begun time.Time // the same by the clock of this process
	until time.Time // the mark that the row bears as long as the turn is this caller's
	kept  time.Time // when the mark was set, by the clock of this process
	due   bool      // whether the jobs that are not over are to be counted
	found map[countKey]int
	busy  time.Duration // how long statements took
}

// takeTurn returns nil and how long to wait if it is not time or another has the turn.
func (s *Store) takeTurn(ctx context.Context, now time.Time) (*recount, time.Duration, error) {
	var rows []struct {
		Until bundb.Time `bun:"due_at"`
		Due   bool       `bun:"due"`
	}
	err := s.db.NewRaw("UPDATE levqor_jobs_recount SET due_at = ? WHERE id = 1 AND due_at <= ? RETURNING due_at, count_at <= ? AS due",
		bundb.After(s.db, now, recountLease), bundb.Now(s.db, now), bundb.Now(s.db, now)).Scan(ctx, &rows)
	if err != nil {
		return nil, 0, err
	}
	if len(rows) == 1 {
		until, begun := rows[0].Until.Time, time.Now()
		return &recount{Store: s, at: until.Add(-recountLease), begun: begun, until: until, kept: begun, due: rows[0].Due}, 0, nil
	}
	at, err := bundb.Instant(ctx, s.db, now)
	if err != nil {
		return nil, 0, err
	}
	var next bundb.Time
	err = s.db.NewRaw("SELECT due_at FROM levqor_jobs_recount WHERE id = 1").Scan(ctx, &next)
	return nil, next.Sub(at), err
}

func (r *recount) run(ctx context.Context) error {
	if err := r.fold(ctx); err != nil {
		return err
	}
	if r.due {
		if err := r.countLive(ctx); err != nil {
			return err
		}
	}
	return r.end(ctx)
}

// giveUp lets others have the turn at once, if the database can be told.
func (r *recount) giveUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = r.db.NewRaw("UPDATE levqor_jobs_recount SET due_at = ? WHERE id = 1 AND due_at = ?",
		bundb.Time{Time: r.at}, bundb.Time{Time: r.until}).Exec(ctx) // the turn ends by itself too
}

// countLive counts the jobs that are not over in ranges of their IDs, each of which
// takes as long as nobody minds.
func (r *recount) countLive(ctx context.Context) error {
	r.found = map[countKey]int{}
	after, limit := int64(-1), 1000
	for {
		n, last, took, err := r.countRange(ctx, after, limit)
		if err != nil || n < limit {
			return err
		}
		switch slice := bundb.Slice(r.db); {
		case took > slice:
			limit = max(500, limit/2)
		case took < slice/2:
			limit *= 2
		}
		after = last
		if ok, err := r.keep(ctx); err != nil || !ok {
			return err
		}
		if err := pause(ctx, took*(countPace-1)); err != nil {
			return err
		}
	}
}

// countRange counts up to limit jobs behind an ID and returns how many there are, the
// last ID, and how long the database took.
func (r *recount) countRange(ctx context.Context, after int64, limit int) (n int, last int64, took time.Duration, err error) {
	var groups []struct {
		row
		N    int   `bun:"n"`
		Last int64 `bun:"last"`
	}
	err = bundb.InTx(ctx, r.db, func(ctx context.Context, tx bun.Tx) error {
		begun := time.Now() // the process's only connection may have been in use before
		if err := bundb.ByIndex(ctx, tx); err != nil {
			return err
		}
		err := tx.NewRaw(`SELECT tenant, queue, state, count(*) AS n, max(id) AS last
			FROM (SELECT id, tenant, queue, state FROM levqor_jobs_live WHERE id > ? ORDER BY id LIMIT ?) AS part
			GROUP BY tenant, queue, state`, after, limit).Scan(ctx, &groups)
		took = time.Since(begun)
		return err
	})
	r.busy += took
	for _, g := range groups {
		n += g.N
		last = max(last, g.Last)
		r.found[countKey{g.Tenant, g.Queue, jobs.State(g.State)}] += g.N
	}
	return n, last, took, err
}

// keep does in time what others would else do in the place of this caller. It reports
// whether the turn is still its own.
func (r *recount) keep(ctx context.Context) (bool, error) {
	since := time.Since(r.kept)
	if since < recountEvery {
		return true, nil
	}
	until := r.until.Add(since.Truncate(time.Microsecond))
	res, err := r.db.NewRaw("UPDATE levqor_jobs_recount SET due_at = ? WHERE id = 1 AND due_at = ?",
		bundb.Time{Time: until}, bundb.Time{Time: r.until}).Exec(ctx)
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	r.until, r.kept = until, r.kept.Add(since)
	return true, r.fold(ctx)
}

// end keeps what was found, if the turn is still this caller's, and gives it up.
func (r *recount) end(ctx context.Context) error {
	now := r.at.Add(time.Since(r.begun).Truncate(time.Microsecond))
	return bundb.InTx(ctx, r.db, func(ctx context.Context, tx bun.Tx) error {
		set := bun.SafeQuery("due_at = ?", bundb.Time{Time: now.Add(recountEvery)})
		if r.due {
			next := now.Add(max(recountEvery, countShare*r.busy.Truncate(time.Microsecond)))
			set = bun.SafeQuery("due_at = ?, count_at = ?, counted_at = ?",
				bundb.Time{Time: now.Add(recountEvery)}, bundb.Time{Time: next}, bundb.Time{Time: r.at})
		}
		res, err := tx.NewRaw("UPDATE levqor_jobs_recount SET ? WHERE id = 1 AND due_at = ?", set, bundb.Time{Time: r.until}).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 || !r.due {
			return err
		}
		return saveCounts(ctx, tx, r.found)
	})
}

// countRow counts jobs that are not over.
type countRow struct {
	bun.BaseModel `bun:"table:levqor_jobs_count"`

	Level  int    `bun:"level"`
	Tenant string `bun:"tenant"`
	Queue  string `bun:"queue"`
	State  uint8  `bun:"state"`
	N      int    `bun:"n"`
}

// saveCounts writes the counts that are others than they were.
func saveCounts(ctx context.Context, tx bun.Tx, found map[countKey]int) error {
	now := map[countRow]int{} // by rows without their number
	for key, n := range found {
		now[countRow{Level: levelTenant, Tenant: key.tenant, Queue: key.queue, State: uint8(key.state)}] = n
		now[countRow{Level: levelAll, Queue: key.queue, State: uint8(key.state)}] += n
	}
	var before, changed []countRow
	if err := tx.NewSelect().Model(&before).Scan(ctx); err != nil {
		return err
	}
	for _, r := range before {
		n := r.N
		r.N = 0
		if now[r] == n {
			delete(now, r)
		} else if now[r] == 0 {
			changed = append(changed, r)
		}
	}
	for r, n := range now {
		r.N = n
		changed = append(changed, r)
	}
	for batch := range slices.Chunk(changed, foldBatch) {
		if _, err := tx.NewInsert().Model(&batch).On("CONFLICT (level, tenant, queue, state) DO UPDATE").Set("n = EXCLUDED.n").Exec(ctx); err != nil {
			return err
		}
	}
	_, err := tx.NewRaw("DELETE FROM levqor_jobs_count WHERE n = 0").Exec(ctx)
	return err
}

// pause waits, or returns why the context has ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(cmp.Or(d, time.Microsecond))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
