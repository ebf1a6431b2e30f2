package jobs

import (
	"context"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

var _ HealthStore = (*MemStore)(nil)

// head names the line of a queue that a job stands at the beginning of.
type head struct {
	queue string
	LineKey
}

// Health implements [HealthStore].
func (s *MemStore) Health(ctx context.Context, now time.Time) (Health, time.Time, error) {
	if err := ctx.Err(); err != nil {
		return Health{}, time.Time{}, err
	}
	defer s.lock()()
	now = timeid.Instant(now)
	var h Health
	heads := map[head]memJob{}
	for _, job := range s.jobs {
		switch job.State {
		case Ready:
			line := head{job.Queue, job.Line()}
			if first, ok := heads[line]; !ok || byTurn(job, first) < 0 {
				heads[line] = job
			}
		case Scheduled, Retryable:
			h.DueLag = max(h.DueLag, now.Sub(job.RunAt))
		case Running, Completed, Cancelled, Discarded:
		}
	}
	for _, job := range heads {
		h.Older(job.Queue, job.RunAt, now)
	}
	for _, schedule := range s.schedules {
		if !schedule.Paused && !schedule.NextAt.IsZero() {
			h.DueLag = max(h.DueLag, now.Sub(schedule.NextAt))
		}
	}
	for _, until := range s.nodes {
		if until.After(now) {
			h.Nodes++
		}
		h.LeaseLag = max(h.LeaseLag, now.Sub(until))
	}
	return h, now, nil
}
