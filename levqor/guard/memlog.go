package guard

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

// MemLogStore is a [LogStore] in memory, for one process. See [NewMemLogStore].
type MemLogStore struct {
	writing sync.Mutex // held from the first change of a transaction to its end
	mu      sync.Mutex
	logs    map[string]memLog
}

// memLog is a tenant's log. The entries behind the slice never change.
type memLog struct {
	head    LogHead
	entries []Entry
}

var _ LogStore = (*MemLogStore)(nil)

// NewMemLogStore returns an empty store.
func NewMemLogStore() *MemLogStore { return &MemLogStore{logs: map[string]memLog{}} }

// Change implements [LogStore].
func (s *MemLogStore) Change(_ context.Context, tenant string, fn LogChange, now time.Time) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.change(tenant, fn, now)
}

func (s *MemLogStore) change(tenant string, fn LogChange, now time.Time) error {
	s.mu.Lock()
	log := s.logs[tenant]
	s.mu.Unlock()
	head, entries, err := fn(log.head, timeid.Instant(now))
	if err != nil {
		return err
	}
	all := slices.Clone(log.entries)
	for _, e := range entries {
		if _, taken := slices.BinarySearchFunc(log.entries, e.Seq, func(old Entry, seq int64) int { return int(old.Seq - seq) }); taken {
			return ErrConflict
		}
		e.Detail = maps.Clone(e.Detail)
		all = append(all, e)
	}
	all = slices.DeleteFunc(all, func(e Entry) bool { return e.Seq <= head.Base })
	slices.SortFunc(all, func(a, b Entry) int { return int(a.Seq - b.Seq) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs[tenant] = memLog{head, all}
	return nil
}

// Head implements [LogStore].
func (s *MemLogStore) Head(_ context.Context, tenant string) (LogHead, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs[tenant].head, nil
}

// Entries implements [LogStore].
func (s *MemLogStore) Entries(_ context.Context, tenant string, q LogQuery) ([]Entry, error) {
	s.mu.Lock()
	all := s.logs[tenant].entries
	s.mu.Unlock()
	found := slices.DeleteFunc(slices.Clone(all), func(e Entry) bool { return !q.matches(e) })
	if !q.FirstFirst {
		slices.Reverse(found)
	}
	found = found[:min(len(found), q.Limit)]
	for i := range found {
		found[i].Detail = maps.Clone(found[i].Detail)
	}
	return found, nil
}

// Expired implements [LogStore].
func (s *MemLogStore) Expired(_ context.Context, age time.Duration, limit int, now time.Time) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var tenants []string
	for tenant, log := range s.logs {
		if len(tenants) < limit && len(log.entries) > 0 && log.entries[0].At.Before(timeid.Instant(now).Add(-age)) {
			tenants = append(tenants, tenant)
		}
	}
	return tenants, nil
}

// Erase implements [LogStore].
func (s *MemLogStore) Erase(_ context.Context, tenant string) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.erase(tenant)
	return nil
}

func (s *MemLogStore) erase(tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.logs, tenant)
}

// Begin returns the store for use within a transaction, and what ends it: others change
// nothing between the first change and the end, as on a database.
func (s *MemLogStore) Begin() (tx LogStore, end func(commit bool)) {
	t := &memLogTx{MemLogStore: s}
	return t, t.end
}

// memLogTx holds the right to write from its first change on.
type memLogTx struct {
	*MemLogStore
	before map[string]memLog // nil until then
}

// begin waits until no other transaction writes.
func (t *memLogTx) begin() {
	if t.before != nil {
		return
	}
	t.writing.Lock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.before = maps.Clone(t.logs)
}

// Change implements [LogStore].
func (t *memLogTx) Change(_ context.Context, tenant string, fn LogChange, now time.Time) error {
	t.begin()
	return t.change(tenant, fn, now)
}

// Erase implements [LogStore].
func (t *memLogTx) Erase(_ context.Context, tenant string) error {
	t.begin()
	t.erase(tenant)
	return nil
}

func (t *memLogTx) end(commit bool) {
	if t.before == nil {
		return
	}
	if !commit {
		t.mu.Lock()
		t.logs = t.before
		t.mu.Unlock()
	}
	t.writing.Unlock()
}
