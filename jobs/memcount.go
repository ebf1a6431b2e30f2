package jobs

import (
	"context"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

var _ CountStore = (*MemStore)(nil)

// Counts implements [CountStore].
func (s *MemStore) Counts(ctx context.Context, tenant string, now time.Time) (Counts, error) {
	return s.count(ctx, now, func(job memJob) bool { return job.Tenant == tenant })
}

// CountsOfAll implements [CountStore].
func (s *MemStore) CountsOfAll(ctx context.Context, now time.Time) (Counts, error) {
	return s.count(ctx, now, func(memJob) bool { return true })
}

func (s *MemStore) count(ctx context.Context, now time.Time, match func(memJob) bool) (Counts, error) {
	if err := ctx.Err(); err != nil {
		return Counts{}, err
	}
	defer s.lock()()
	counts := Counts{CountedAt: timeid.Instant(now)}
	for _, job := range s.jobs {
		if match(job) {
			counts.Add(job.Queue, job.State, 1)
		}
	}
	return counts, nil
}

// Recount implements [CountStore]: there is nothing to do.
func (s *MemStore) Recount(ctx context.Context, _ time.Time) (time.Duration, error) {
	return time.Minute, ctx.Err()
}
