package jobs

import (
	"context"
	"time"
)

var _ HistoryStore = (*MemStore)(nil)

// Forget implements [HistoryStore].
func (s *MemStore) Forget(ctx context.Context, keep Retention, limit int, now time.Time) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	defer s.lock()()
	now = instant(now)
	forgotten := 0
	for id, job := range s.jobs {
		if !keep.Over(job.Info, now) {
			continue
		}
		if forgotten == limit {
			return false, nil
		}
		remove(s.memState, s.jobs, id)
		remove(s.memState, s.logs, id)
		forgotten++
	}
	return true, nil
}
