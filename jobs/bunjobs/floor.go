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

// Jobs of kinds that a claim does not ask for stay where they are, and the next claim
// walks over them again: 50 ms for 100,000 on PostgreSQL, measured. Where that takes long,
// claims begin behind them for a while. What comes in before that place, such as a
// job of a better priority, waits so long; the while is floorShare times as long as the
// claim took, so no more than that part of the time goes into looking again, and minFloor
// at least, so that few claims are among those that look. When it ends, one claim looks
// from the beginning, and the others go on behind the place meanwhile.
const (
	floorShare = 20
	floorJobs  = 1000 // fewer are not worth it
	maxFloor   = 5*time.Second - lookTime
	minFloor   = 2 * time.Second
	lookTime   = time.Second      // that one claim has to look, before the next one does
	renewTime  = 10 * time.Second // after a floor has ended, in which it needs no look
	maxFloors  = 10_000
	maxLearned = 8 // lines that one claim looks behind
)

// slow reports whether a claim took longer than the jobs that it got explain, unless the
// machine is busy: it is worth a look, once in a while.
func slow(took time.Duration, claimed int) bool {
	return took > 1500*time.Microsecond+time.Duration(claimed)*20*time.Microsecond
}

// floors remembers where claims of lines begin. The zero value begins with the first
// job.
type floors struct {
	mu    sync.Mutex
	lines map[floorKey]floor
}

type floorKey struct {
	queue string
	jobs.LineKey
}

// floor is a place in a line before which no ready job is of one of some kinds.
type floor struct {
	Turn  bundb.Time `bun:"turn"` // zero for the beginning
	ID    int64      `bun:"id"`
	kinds []string
	until time.Time
	look  time.Time // when a claim began to look, after it had ended
	holds bool      // for the claim that it was given to
}

// begin returns the floor of a line for a claim, which holds unless the claim is to look
// from the beginning.
func (f *floors) begin(c *jobs.Claim, line jobs.LineKey) floor {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := floorKey{c.Queue, line}
	at, ok := f.lines[key]
	if !ok || !slices.Equal(at.kinds, c.Kinds) {
		return floor{}
	}
	now := time.Now()
	if at.holds = now.Before(at.until) || now.Before(at.look.Add(lookTime)); !at.holds {
		at.look = now
		f.lines[key] = at
	}
	return at
}

// AppendQuery restricts a claim of a line to what is worth looking at.
func (at floor) AppendQuery(gen schema.QueryGen, b []byte) ([]byte, error) {
	if !at.holds || at.Turn.IsZero() {
		return b, nil
	}
	return bun.SafeQuery("AND (turn, id) >= (?, ?)", at.Turn, at.ID).AppendQuery(gen, b)
}

// drop forgets the floors of lines in which a claim looked from the beginning and found
// nothing in its way.
func (f *floors) drop(c *jobs.Claim, shares []jobs.LineShare, begins []floor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, share := range shares {
		looked, key := begins[i], floorKey{c.Queue, share.LineKey}
		if !looked.holds && !looked.look.IsZero() && looked.look.Equal(f.lines[key].look) {
			delete(f.lines, key)
		}
	}
}

// learn looks what was in the way of a claim that took long: jobs of other kinds, or the
// index entries of jobs that are gone. Begins says where the claim of each share began.
func (f *floors) learn(ctx context.Context, tx bun.Tx, c *jobs.Claim, g *guard, shares []jobs.LineShare, begins []floor, claimed []jobs.Info, took time.Duration) error {
	first := firstOf(claimed)
	for i, share := range shares[:min(len(shares), maxLearned)] {
		before, got := begins[i], first[share.LineKey]
		if before.holds && got != nil || !before.holds && f.renew(c, share.LineKey, got, took) {
			continue
		}
		dead, err := g.passesDead(ctx, tx, firstReady(c, share.LineKey, before), 1)
		if err != nil {
			return err
		}
		if before.holds && !dead {
			continue
		}
		found, strangers, err := findFloor(ctx, tx, c, share.LineKey, before)
		switch {
		case err != nil:
			return err
		case !strangers && !dead:
			found = floor{}
		case found.Turn.IsZero():
			found = before // nothing is ready, so what comes will stand behind it
		}
		found.kinds, found.until, found.look = slices.Clone(c.Kinds), time.Now().Add(minFloor), time.Time{}
		if !found.Turn.IsZero() {
			found.until = time.Now().Add(floorTime(took))
		}
		f.keep(floorKey{c.Queue, share.LineKey}, found)
	}
	return nil
}

// advance moves floors on to the first jobs that a claim took of their lines: what stood
// before them was gone, or in the hands of others.
func (f *floors) advance(c *jobs.Claim, claimed []jobs.Info) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.lines) == 0 {
		return
	}
	for line, job := range firstOf(claimed) {
		at, ok := f.lines[floorKey{c.Queue, line}]
		if turn := job.Turn(); ok && !at.Turn.IsZero() && slices.Equal(at.kinds, c.Kinds) && at.Turn.Before(turn) {
			at.Turn, at.ID = bundb.Time{Time: turn}, int64(job.ID)
			f.lines[floorKey{c.Queue, line}] = at
		}
	}
}

// renew lets a floor that has ended go on with the first job of its line that a claim
// took, and reports whether it could: what stood before it was in the way a moment ago.
func (f *floors) renew(c *jobs.Claim, line jobs.LineKey, first *jobs.Info, took time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := floorKey{c.Queue, line}
	at, ok := f.lines[key]
	if !ok || first == nil || at.Turn.IsZero() || !slices.Equal(at.kinds, c.Kinds) {
		return false
	}
	if ended := time.Since(at.until); ended < 0 || ended > renewTime {
		return false
	}
	at.Turn, at.ID, at.until, at.look = bundb.Time{Time: first.Turn()}, int64(first.ID), time.Now().Add(floorTime(took)), time.Time{}
	f.lines[key] = at
	return true
}

func floorTime(took time.Duration) time.Duration {
	return min(max(minFloor, floorShare*took), maxFloor)
}

// firstOf returns the first job of each line.
func firstOf(claimed []jobs.Info) map[jobs.LineKey]*jobs.Info {
	first := map[jobs.LineKey]*jobs.Info{}
	for i := range claimed {
		job := &claimed[i]
		if other := first[job.Line()]; other == nil || precedes(job, other) {
			first[job.Line()] = job
		}
	}
	return first
}

// precedes reports whether a job has its turn before another of its line.
func precedes(a, b *jobs.Info) bool {
	if n := a.Turn().Compare(b.Turn()); n != 0 {
		return n < 0
	}
	return a.ID < b.ID
}

func (f *floors) keep(key floorKey, found floor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.lines) == 0 || len(f.lines) > maxFloors {
		f.lines = map[floorKey]floor{}
	}
	f.lines[key] = found
}

// firstReady is the query for the first ready job of a line, of the claim's kinds, from
// where the claim began.
func firstReady(c *jobs.Claim, line jobs.LineKey, from floor) schema.QueryAppender {
	return bun.SafeQuery("SELECT id FROM levqor_jobs_live WHERE state = 2 AND queue = ? AND tenant = ? AND limit_key ? ? AND kind IN (?) ORDER BY turn, id LIMIT 1",
		c.Queue, line.Tenant, keyed(line), from, bun.List(c.Kinds))
}

// findFloor returns the first ready job of the claim's kinds from where the claim began, or
// where there is none the last job of the line, and whether many others stand before it.
func findFloor(ctx context.Context, tx bun.Tx, c *jobs.Claim, line jobs.LineKey, from floor) (at floor, strangers bool, err error) {
	ready := bun.SafeQuery("state = 2 AND queue = ? AND tenant = ? AND limit_key ? ?", c.Queue, line.Tenant, keyed(line), from)
	first := func(query string, args ...any) (floor, error) {
		var found []floor
		err := tx.NewRaw("SELECT turn, id FROM levqor_jobs_live WHERE ? "+query, append([]any{ready}, args...)...).Scan(ctx, &found)
		if err != nil || len(found) == 0 {
			return floor{}, err
		}
		return found[0], nil
	}
	at, err = first("AND kind IN (?) ORDER BY turn, id LIMIT 1", bun.List(c.Kinds))
	if err == nil && at.Turn.IsZero() {
		at, err = first("ORDER BY turn DESC, id DESC LIMIT 1")
	}
	if err != nil || at.Turn.IsZero() {
		return floor{}, false, err
	}
	stranger, err := first("AND (turn, id) < (?, ?) ORDER BY turn, id LIMIT 1 OFFSET ?", at.Turn, at.ID, floorJobs-1)
	return at, !stranger.Turn.IsZero(), err
}

// keyed is the condition on the limit key of a line's jobs.
func keyed(line jobs.LineKey) schema.QueryAppender {
	if line.Key == "" {
		return bun.Safe("IS NULL")
	}
	return bun.SafeQuery("= ?", line.Key)
}
