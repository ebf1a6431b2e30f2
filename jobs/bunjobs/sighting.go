package bunjobs

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// A transaction that stays open keeps PostgreSQL from clearing away the index entries of
// jobs that were claimed. After 100,000 of them, finding lines takes 60 ms, and the first
// ready job of one 25 ms, measured. While a transaction is that old, claims that take long
// remember what they found for a while: which lines there are, here, and where each
// begins, in its floor. Claims at given instants look at everything.
const (
	oldTransaction = 5 * time.Second
	maxSighting    = 5 * time.Second
	manyPages      = 300 // for a query that finds a row or a few
)

// heldOpen reports whether what an old transaction holds is what makes a query slow: it
// looks at many pages to find next to nothing.
func (g *guard) heldOpen(ctx context.Context, tx bun.Tx, query schema.QueryAppender) (bool, error) {
	if !g.hurried || !bundb.KeepsDeadRows(tx) {
		return false, nil
	}
	if held, err := bundb.HeldOpen(ctx, tx, oldTransaction); err != nil || !held {
		return false, err
	}
	pages, err := bundb.Pages(ctx, tx, query)
	return pages > manyPages, err
}

// firstTenant is the first step of finding lines.
func firstTenant(queue string) schema.QueryAppender {
	return bun.SafeQuery("SELECT tenant FROM levqor_jobs_live WHERE state = 2 AND limit_key IS NULL AND queue = ? ORDER BY tenant LIMIT 1", queue)
}

// sightings are the lines of queues in which finding them took long. The zero value is
// ready.
type sightings struct {
	mu     sync.Mutex
	queues map[string]sighting
}

type sighting struct {
	lines []jobs.LineKey // whose turn it is first
	until time.Time
}

// of returns the lines to look at instead of finding them, none if they must be found.
func (s *sightings) of(queue string) []jobs.LineKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, ok := s.queues[queue]
	if !ok || time.Now().After(seen.until) {
		return nil
	}
	return slices.Clone(seen.lines)
}

// keep remembers lines, and those seen before, which may have jobs again.
func (s *sightings) keep(queue string, lines []jobs.LineKey, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.queues[queue]
	all := slices.Clone(lines)
	for _, line := range seen.lines {
		if len(all) < maxShares && !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	if s.queues == nil {
		s.queues = map[string]sighting{}
	}
	s.queues[queue] = sighting{all, time.Now().Add(min(maxSighting, floorShare*took))}
}

// served puts the lines that a claim took jobs of behind the others.
func (s *sightings) served(queue string, claimed []jobs.Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, ok := s.queues[queue]
	if !ok {
		return
	}
	for _, job := range claimed {
		if at := slices.Index(seen.lines, job.Line()); at >= 0 && at < len(seen.lines)-1 {
			seen.lines = append(slices.Delete(seen.lines, at, at+1), job.Line())
		}
	}
	s.queues[queue] = seen
}
