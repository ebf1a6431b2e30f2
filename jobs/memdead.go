package jobs

import (
	"cmp"
	"context"
	"slices"
)

var _ DeadLetterStore = (*MemStore)(nil)

// ListDead implements [DeadLetterStore].
func (s *MemStore) ListDead(ctx context.Context, tenant string, limit int) ([]DeadLetter, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer s.lock()()
	var dead []DeadLetter
	for _, job := range s.jobs {
		if job.Tenant != tenant || job.State != Discarded {
			continue
		}
		letter := DeadLetter{ID: job.ID, Kind: job.Kind, Queue: job.Queue, FinishedAt: job.FinishedAt}
		if n := len(job.Attempts); n > 0 {
			letter.Error = beginning(job.Attempts[n-1].Error, DeadLetterText)
		}
		dead = append(dead, letter)
	}
	slices.SortFunc(dead, func(a, b DeadLetter) int { return cmp.Compare(b.ID, a.ID) })
	return dead[:min(len(dead), limit)], nil
}

// beginning returns the first n characters of a text.
func beginning(text string, n int) string {
	for i := range text {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}
