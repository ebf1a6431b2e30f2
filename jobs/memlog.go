package jobs

import (
	"context"
	"slices"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

var _ LogStore = (*MemStore)(nil)

// AppendLog implements [LogStore].
func (s *MemStore) AppendLog(ctx context.Context, lease Lease, text string, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer s.lock()()
	job, ok := s.leased(lease)
	if !ok {
		return ErrLeaseLost
	}
	lines := slices.Clone(s.logs[job.ID])
	next := LogLine{Line: 1, Attempt: job.Attempt, At: timeid.Instant(now), Text: text}
	if len(lines) > 0 {
		next.Line = lines[len(lines)-1].Line + 1
	}
	lines = append(lines, next)
	set(s.memState, s.logs, job.ID, lines[max(0, len(lines)-KeptLogLines):])
	return nil
}

// ListLog implements [LogStore].
func (s *MemStore) ListLog(ctx context.Context, tenant string, id ID, after, limit int) ([]LogLine, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer s.lock()()
	if _, err := s.find(tenant, id); err != nil {
		return nil, err
	}
	var page []LogLine
	for _, line := range s.logs[id] {
		if line.Line > after && len(page) < limit {
			page = append(page, line)
		}
	}
	return page, nil
}
