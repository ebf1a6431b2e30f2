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

// The index entries of jobs that were claimed or cancelled stand at the beginning of their
// line until PostgreSQL clears them away: for a minute, or while some transaction stays
// open. After 100,000 of them, finding lines takes 5 to 60 ms, and the first ready job of
// one 2 to 25 ms, measured. Claims that take long for that reason remember what they found
// for a while: which lines there are, here, and where each begins, in its floor. Claims at
// given instants look at everything.
const (
	minSighting = 750 * time.Millisecond
	maxSighting = 5*time.Second - lookTime
	manyPages   = 300 // for a query that finds nothing
	pagesPerRow = 10  // and for each row that it finds
)

// passesDead reports whether a query is slow because of entries of jobs that are gone: it
// looks at many pages to find n rows.
func (g *guard) passesDead(ctx context.Context, tx bun.Tx, query schema.QueryAppender, n int) (bool, error) {
	if !g.hurried || !bundb.KeepsDeadRows(tx) {
		return false, nil
	}
	pages, err := bundb.Pages(ctx, tx, query)
	return pages > manyPages+n*pagesPerRow, err
}

// sight looks at why finding lines took long, and remembers them if it is because of
// jobs that are gone.
func (s *Store) sight(ctx context.Context, tx bun.Tx, queue string, g *guard, last turn, took time.Duration) error {
	if !g.hurried || !bundb.KeepsDeadRows(tx) || !s.seen.mayLook(queue) {
		return nil
	}
	seen, _, err := readyLines(ctx, tx, queue, last, maxShares)
	if err != nil {
		return err
	}
	query := bun.SafeQuery(linesSQL.SQL, queue, last.tenant, last.line.Tenant, last.line.Key, maxShares)
	dead, err := g.passesDead(ctx, tx, query, len(seen))
	if dead {
		s.seen.keep(queue, seen, took)
	}
	return err
}

// sightings are the lines of queues in which finding them took long. The zero value is
// ready.
type sightings struct {
	mu     sync.Mutex
	queues map[string]sighting
}

type sighting struct {
	lines  []jobs.LineKey // whose turn it is first
	until  time.Time
	looked time.Time // when a claim looked why it took long
	look   time.Time // when one began to find them again, after they had ended
}

// mayLook reports whether it is time to look again at why finding lines takes long.
func (s *sightings) mayLook(queue string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.queues[queue]
	if time.Since(seen.looked) < minSighting {
		return false
	}
	seen.looked = time.Now()
	s.put(queue, seen)
	return true
}

func (s *sightings) put(queue string, seen sighting) {
	if s.queues == nil {
		s.queues = map[string]sighting{}
	}
	s.queues[queue] = seen
}

// of returns the lines to look at instead of finding them, none if they must be found.
// When they end, one claim finds them again, and the others go on meanwhile.
func (s *sightings) of(queue string) []jobs.LineKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, ok := s.queues[queue]
	if !ok {
		return nil
	}
	if now := time.Now(); now.After(seen.until) && now.After(seen.look.Add(lookTime)) {
		seen.look = now
		s.put(queue, seen)
		return nil
	}
	return slices.Clone(seen.lines)
}

// lately reports whether a sighting has ended a moment ago, so that the next needs no look
// at why finding lines takes long.
func (s *sightings) lately(queue string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, ok := s.queues[queue]
	return ok && len(seen.lines) > 0 && time.Since(seen.until) < renewTime
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
	seen.lines, seen.until = all, time.Now().Add(min(max(minSighting, floorShare*took), maxSighting))
	s.put(queue, seen)
}

// drop forgets the lines of a queue in which finding them took no time.
func (s *sightings) drop(queue string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seen, ok := s.queues[queue]; ok && len(seen.lines) > 0 {
		s.queues[queue] = sighting{looked: seen.looked}
	}
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
	s.put(queue, seen)
}
