package guard

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

// MemLimitStore is a [LimitStore] in memory, for one process. See [NewMemLimitStore].
type MemLimitStore struct {
	mu       sync.Mutex
	arrivals map[string]time.Time
}

var _ LimitStore = (*MemLimitStore)(nil)

// NewMemLimitStore returns an empty store.
func NewMemLimitStore() *MemLimitStore { return &MemLimitStore{arrivals: map[string]time.Time{}} }

// Take implements [LimitStore].
func (s *MemLimitStore) Take(_ context.Context, draws []Draw, now time.Time) ([]Level, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	levels, _ := s.take(draws, timeid.Instant(now))
	return levels, nil
}

// take reports whether it took anything.
func (s *MemLimitStore) take(draws []Draw, now time.Time) (levels []Level, taken bool) {
	moved := map[string]time.Time{}
	taken = true
	for _, d := range draws {
		arrival, ok := moved[d.Key]
		if !ok {
			arrival = s.arrivals[d.Key]
		}
		level, after := d.Level(arrival, now)
		if level.Fits {
			moved[d.Key] = after
		}
		taken = taken && level.Fits
		levels = append(levels, level)
	}
	if !taken {
		return levels, false
	}
	maps.Copy(s.arrivals, moved)
	return levels, true
}

// DeleteIdle implements [LimitStore].
func (s *MemLimitStore) DeleteIdle(_ context.Context, limit int, now time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = timeid.Instant(now)
	deleted := 0
	for key, arrival := range s.arrivals {
		if deleted < limit && !arrival.After(now) {
			delete(s.arrivals, key)
			deleted++
		}
	}
	return deleted, nil
}

// Begin returns the store for use within a transaction, and what gives back that which was
// taken through it if the transaction is undone. What others take meanwhile stays taken.
func (s *MemLimitStore) Begin() (tx LimitStore, undo func()) {
	t := &memTx{MemLimitStore: s}
	return t, t.undo
}

// memTx keeps what was taken through it.
type memTx struct {
	*MemLimitStore
	taken []Draw
}

// Take implements [LimitStore].
func (t *memTx) Take(_ context.Context, draws []Draw, now time.Time) ([]Level, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	levels, taken := t.take(draws, timeid.Instant(now))
	if taken {
		t.taken = append(t.taken, draws...)
	}
	return levels, nil
}

func (t *memTx) undo() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.taken {
		if arrival, ok := t.arrivals[d.Key]; ok {
			t.arrivals[d.Key] = arrival.Add(-d.Advance)
		}
	}
}
