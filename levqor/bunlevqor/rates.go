package bunlevqor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor/guard"
)

type rateStore struct {
	db   bun.IDB
	gate *bundb.Gate
}

var _ guard.LimitStore = (*rateStore)(nil)

// takeSQL is [guard.Draw.Level] in one statement, which returns how far the arrival time lay
// ahead and no row if the draw does not fit. Of ?0, the key, ?1, the advance, ?2, the room
// that there must be before it, and ?3, the horizon, EXCLUDED.arrival holds ?now + ?1.
var takeSQL = bundb.FixedAt{SQL: `
	INSERT INTO levqor_guard_rate AS r (key, arrival) VALUES (?0, ?now + ?1)
	ON CONFLICT (key) DO UPDATE SET arrival = CASE
		WHEN r.arrival + ?1 BETWEEN EXCLUDED.arrival AND EXCLUDED.arrival + ?3 THEN r.arrival + ?1
		ELSE EXCLUDED.arrival END
	WHERE r.arrival + ?1 <= EXCLUDED.arrival + ?2 OR r.arrival + ?1 > EXCLUDED.arrival + ?3
	RETURNING arrival - ?1 - ?now`}

// lookSQL returns how far the arrival time of a key lies ahead.
var lookSQL = bundb.FixedAt{SQL: "SELECT arrival - ?now FROM levqor_guard_rate WHERE key = ?0"}

// errRefused undoes what other draws of the same call took.
var errRefused = errors.New("refused")

// Take implements [guard.LimitStore].
func (s *rateStore) Take(ctx context.Context, draws []guard.Draw, now time.Time) ([]guard.Level, error) {
	if len(draws) == 1 {
		level, err := s.takeOne(ctx, draws[0], now)
		return []guard.Level{level}, bundb.Err(err)
	}
	var levels []guard.Level
	err := s.gate.InTx(ctx, func(ctx context.Context, tx bun.Tx) (err error) {
		levels, err = (&rateStore{tx, bundb.NewGate(tx)}).takeAll(ctx, draws, now)
		return err
	})
	if errors.Is(err, errRefused) {
		return levels, nil
	}
	return levels, bundb.Err(err)
}

// takeAll takes draws in the order of their keys, so that no two calls wait for each other.
// It returns errRefused if one does not fit.
func (s *rateStore) takeAll(ctx context.Context, draws []guard.Draw, now time.Time) ([]guard.Level, error) {
	order := make([]int, len(draws))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(draws[a].Key, draws[b].Key) })
	levels := make([]guard.Level, len(draws))
	var refused error
	for _, i := range order {
		var err error
		if levels[i], err = s.takeOne(ctx, draws[i], now); err != nil {
			return nil, err
		}
		if !levels[i].Fits {
			refused = errRefused
		}
	}
	return levels, refused
}

// takeOne takes a draw if it fits, and looks how far it is from that if it does not.
func (s *rateStore) takeOne(ctx context.Context, d guard.Draw, now time.Time) (level guard.Level, err error) {
	var ahead int64
	scan := func(fits bool) func(func(...any) error) error {
		return func(scan func(...any) error) error {
			level.Fits = fits
			return scan(&ahead)
		}
	}
	now = bundb.Clock(s.db, now)
	err = s.gate.Run(ctx, func(ctx context.Context, db bun.IDB) error {
		err := takeSQL.Each(ctx, db, now, scan(true), d.Key, d.Advance.Microseconds(), (d.Depth - d.Advance).Microseconds(), d.Horizon().Microseconds())
		if err == nil && !level.Fits {
			err = lookSQL.Each(ctx, db, now, scan(false), d.Key)
		}
		return err
	})
	level.Ahead = time.Duration(max(0, ahead)) * time.Microsecond
	return level, err
}

// DeleteIdle implements [guard.LimitStore].
func (s *rateStore) DeleteIdle(ctx context.Context, limit int, now time.Time) (int, error) {
	now, err := bundb.Instant(ctx, s.db, now)
	if err != nil {
		return 0, bundb.Err(err)
	}
	return deleteSome(ctx, s.db, "levqor_guard_rate", "key", limit, bun.SafeQuery("arrival <= ?", now.UnixMicro()))
}
