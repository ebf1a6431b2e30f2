package jobs

import (
	"context"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

var _ HistoryStore = (*MemStore)(nil)

// Forget implements [HistoryStore].
func (s *MemStore) Forget(ctx context.Context, keep Retention, limit int, now time.Time) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	defer s.lock()()
	now = timeid.Instant(now)
	return s.forget(limit, func(job Info) bool { return keep.Over(job, now) }), nil
}

// ForgetTenant implements [HistoryStore].
func (s *MemStore) ForgetTenant(ctx context.Context, tenant string, limit int) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	defer s.lock()()
	return s.forget(limit, func(job Info) bool { return job.Tenant == tenant && job.State.Final() }), nil
}

// forget deletes up to limit jobs that match, with their logs, and reports whether none is
// left.
func (s *MemStore) forget(limit int, match func(Info) bool) bool {
	for id, job := range s.jobs {
		if !match(job.Info) {
			continue
		}
		if limit == 0 {
			return false
		}
		remove(s.memState, s.jobs, id)
		remove(s.memState, s.logs, id)
		limit--
	}
	return true
}
