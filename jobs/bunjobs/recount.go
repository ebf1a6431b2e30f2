package bunjobs

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
)

// How often one process sums up what has ended, and how long the others leave it to a
// process that does not come back.
const (
	recountEvery = time.Second
	recountLease = time.Minute
)

// Recount implements [jobs.CountStore].
func (s *Store) Recount(ctx context.Context, now time.Time) (time.Duration, error) {
	turn, wait, err := s.takeTurn(ctx, bundb.Clock(s.db, now))
	if err != nil || turn == nil {
		return max(0, min(wait, recountLease)), bundb.Err(err)
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
