package bunjobs

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

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
)

// heldOpen reports whether an old transaction may be what makes a claim slow.
func (g *guard) heldOpen(ctx context.Context, tx bun.Tx) bool {
	if !g.hurried || !bundb.KeepsDeadRows(tx) {
		return false
	}
	age, err := bundb.OldestTransaction(ctx, tx)
	return err == nil && age >= oldTransaction
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
