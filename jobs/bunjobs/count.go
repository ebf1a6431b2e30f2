package bunjobs

import (
	"context"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

var _ jobs.CountStore = (*Store)(nil)

// countsSQL adds up what recounts found and what has ended since, in one statement, so
// that rows which are summed up meanwhile count once. The condition level > 0 is that of
// an index.
const countsSQL = `
	SELECT r.counted_at, c.queue, c.state, c.n FROM levqor_jobs_recount AS r LEFT JOIN (
		SELECT queue, state, CAST(sum(n) AS bigint) AS n FROM (
			SELECT queue, state, n FROM levqor_jobs_count WHERE level = ?0 AND tenant = ?1
			UNION ALL
			SELECT queue, state, n FROM levqor_jobs_tally WHERE level = ?0 AND level > 0 AND tenant = ?1
			UNION ALL
			SELECT queue, state, n FROM levqor_jobs_tally WHERE level = 0 AND ?2
		) AS parts GROUP BY queue, state HAVING sum(n) > 0
	) AS c ON 1 = 1`

// Counts implements [jobs.CountStore].
func (s *Store) Counts(ctx context.Context, tenant string, _ time.Time) (jobs.Counts, error) {
	return s.counts(ctx, levelTenant, tenant, bun.SafeQuery("tenant = ?", tenant))
}

// CountsOfAll implements [jobs.CountStore].
func (s *Store) CountsOfAll(ctx context.Context, _ time.Time) (jobs.Counts, error) {
	return s.counts(ctx, levelAll, "", bun.Safe("1 = 1"))
}

func (s *Store) counts(ctx context.Context, level int, tenant string, fresh schema.QueryAppender) (jobs.Counts, error) {
	var rows []struct {
		CountedAt bundb.Time `bun:"counted_at"`
		Queue     *string    `bun:"queue"`
		State     uint8      `bun:"state"`
		N         int        `bun:"n"`
	}
	if err := s.db.NewRaw(countsSQL, level, tenant, fresh).Scan(ctx, &rows); err != nil {
		return jobs.Counts{}, bundb.Err(err)
	}
	var counts jobs.Counts
	for _, r := range rows {
		counts.CountedAt = r.CountedAt.Time
		if r.Queue != nil {
			counts.Add(*r.Queue, jobs.State(r.State), r.N)
		}
	}
	return counts, nil
}
