package bunjobs

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

var _ jobs.HealthStore = (*Store)(nil)

// headsSQL finds the first ready job of each line by steps in an index, of up to a
// thousand lines of each sort. See lineAfter for why it does not compare all columns
// at once.
const headsSQL = `
	WITH RECURSIVE a (queue, tenant, run_at, n) AS (
		SELECT * FROM (SELECT queue, tenant, run_at, 1 FROM levqor_jobs_live WHERE state = 2 AND limit_key IS NULL ORDER BY queue, tenant, turn, id LIMIT 1) AS f
		UNION ALL
		SELECT j.queue, j.tenant, j.run_at, n + 1 FROM a JOIN levqor_jobs_live AS j ON j.id = COALESCE((
			SELECT id FROM levqor_jobs_live AS k WHERE state = 2 AND limit_key IS NULL AND k.queue = a.queue AND k.tenant > a.tenant
			ORDER BY k.tenant, k.turn, k.id LIMIT 1), (
			SELECT id FROM levqor_jobs_live AS k WHERE state = 2 AND limit_key IS NULL AND k.queue > a.queue
			ORDER BY k.queue, k.tenant, k.turn, k.id LIMIT 1))
		WHERE n < 1000
	), b (queue, tenant, limit_key, run_at, n) AS (
		SELECT * FROM (SELECT queue, tenant, limit_key, run_at, 1 FROM levqor_jobs_live WHERE state = 2 AND limit_key IS NOT NULL ORDER BY queue, tenant, limit_key, turn, id LIMIT 1) AS f
		UNION ALL
		SELECT j.queue, j.tenant, j.limit_key, j.run_at, n + 1 FROM b JOIN levqor_jobs_live AS j ON j.id = COALESCE((
			SELECT id FROM levqor_jobs_live AS k WHERE state = 2 AND limit_key IS NOT NULL AND k.queue = b.queue AND k.tenant = b.tenant AND k.limit_key > b.limit_key
			ORDER BY k.limit_key, k.turn, k.id LIMIT 1), (
			SELECT id FROM levqor_jobs_live AS k WHERE state = 2 AND limit_key IS NOT NULL AND k.queue = b.queue AND k.tenant > b.tenant
			ORDER BY k.tenant, k.limit_key, k.turn, k.id LIMIT 1), (
			SELECT id FROM levqor_jobs_live AS k WHERE state = 2 AND limit_key IS NOT NULL AND k.queue > b.queue
			ORDER BY k.queue, k.tenant, k.limit_key, k.turn, k.id LIMIT 1))
		WHERE n < 1000
	)
	SELECT queue, run_at FROM (SELECT queue, run_at FROM a UNION ALL SELECT queue, run_at FROM b) AS heads ORDER BY run_at LIMIT 1`

// Health implements [jobs.HealthStore].
func (s *Store) Health(ctx context.Context, now time.Time) (jobs.Health, time.Time, error) {
	var h jobs.Health
	var at time.Time
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) (err error) {
		h = jobs.Health{}
		if at, err = bundb.Instant(ctx, tx, now); err != nil {
			return err
		}
		if err := bundb.ByIndex(ctx, tx); err != nil {
			return err
		}
		var heads []struct {
			Queue string     `bun:"queue"`
			RunAt bundb.Time `bun:"run_at"`
		}
		if err := tx.NewRaw(headsSQL).Scan(ctx, &heads); err != nil {
			return err
		}
		for _, head := range heads {
			h.Older(head.Queue, head.RunAt.Time, at)
		}
		return lags(ctx, tx, at, &h)
	})
	if err != nil {
		return jobs.Health{}, time.Time{}, bundb.Err(err)
	}
	h.OldestTransaction, err = bundb.OldestTransaction(ctx, s.db)
	return h, at, bundb.Err(err)
}

// lags reads how late workers and schedules are.
func lags(ctx context.Context, tx bun.Tx, at time.Time, h *jobs.Health) error {
	var lease, due, fire bundb.Time
	err := tx.NewRaw(`SELECT (SELECT min(lease_until) FROM levqor_jobs_node),
			(SELECT min(run_at) FROM levqor_jobs_live WHERE state IN (1, 4)),
			(SELECT min(next_at) FROM levqor_jobs_schedule WHERE NOT paused),
			(SELECT count(*) FROM levqor_jobs_node WHERE lease_until > ?)`, bundb.Time{Time: at}).
		Scan(ctx, &lease, &due, &fire, &h.Nodes)
	for _, lag := range []struct {
		to    *time.Duration
		since bundb.Time
	}{{&h.LeaseLag, lease}, {&h.DueLag, due}, {&h.DueLag, fire}} {
		if !lag.since.IsZero() {
			*lag.to = max(*lag.to, at.Sub(lag.since.Time))
		}
	}
	return err
}
