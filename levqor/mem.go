package levqor

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/levqor/sdk/internal/timeid"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
	"github.com/levqor/sdk/levqor/sso"
)

// MemStores returns empty stores in memory, for tests and for programs that may
// forget. Transactions run one at a time.
func MemStores() Stores {
	m := &memory{
		jobs: jobs.NewMemStore(), keys: identity.NewMemKeyStore(), rates: guard.NewMemLimitStore(), log: guard.NewMemLogStore(),
		records: &memIdempotency{records: map[IdempotencyScope]memRecord{}},
	}
	m.people = identity.NewMemDirectory(m.keys)
	m.sso = sso.NewMemStore(m.people)
	m.factors = factor.NewMemStore(m.people)
	m.links, m.sessions = login.NewMemLinkStore(), login.NewMemSessionStore(m.people)
	m.people.OnForget(m.links.ForgetUser)
	return m.stores(m.jobs, m.rates, m.log, m.inTx)
}

// memory is a database of its own kind: a lock, and what undoes a transaction.
type memory struct {
	tx       sync.Mutex
	jobs     *jobs.MemStore
	keys     *identity.MemKeyStore
	people   *identity.MemDirectory
	links    *login.MemLinkStore
	sessions *login.MemSessionStore
	factors  *factor.MemStore
	sso      *sso.MemStore
	rates    *guard.MemLimitStore
	log      *guard.MemLogStore
	records  *memIdempotency
}

func (m *memory) stores(js *jobs.MemStore, rates guard.LimitStore, log guard.LogStore, tx func(context.Context, func(context.Context, Stores) error) error) Stores {
	return Stores{
		Jobs: js, Schedules: js, Limits: js, Health: js, Sealed: js, Keys: m.keys, Directory: m.people, Invitations: m.people, Links: m.links, Sessions: m.sessions,
		Factors: m.factors, SSO: m.sso, Rates: rates, SecurityLog: log, Idempotency: m.records, Tx: tx, Check: func(context.Context) error { return nil },
	}
}

func (m *memory) inTx(ctx context.Context, fn func(context.Context, Stores) error) error {
	m.tx.Lock()
	defer m.tx.Unlock()
	rates, undoRates := m.rates.Begin()
	log, endLog := m.log.Begin()
	done := false
	defer func() { endLog(done) }()
	undo := []func(){m.keys.Snapshot(), m.people.Snapshot(), m.links.Snapshot(), m.sessions.Snapshot(), m.factors.Snapshot(), m.sso.Snapshot(), m.records.snapshot(), undoRates}
	err := m.jobs.Atomically(func(tx *jobs.MemStore) error {
		var bound Stores
		bound = m.stores(tx, rates, log, func(ctx context.Context, fn func(context.Context, Stores) error) error { return fn(ctx, bound) })
		return fn(ctx, bound)
	})
	if err != nil {
		for _, restore := range undo {
			restore()
		}
	}
	done = err == nil
	return err
}

type memIdempotency struct {
	mu      sync.Mutex
	records map[IdempotencyScope]memRecord
}

type memRecord struct {
	IdempotencyRecord
	expires time.Time
}

var _ IdempotencyStore = (*memIdempotency)(nil)

// Begin implements [IdempotencyStore]. Transactions run one at a time, so
// there is nobody to wait for.
func (s *memIdempotency) Begin(_ context.Context, record IdempotencyRecord, ttl time.Duration, now time.Time) (IdempotencyRecord, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = timeid.Instant(now)
	if before, ok := s.records[record.Scope]; ok && before.expires.After(now) {
		return before.IdempotencyRecord, true, nil
	}
	s.records[record.Scope] = memRecord{record, now.Add(ttl)}
	return IdempotencyRecord{}, false, nil
}

// Finish implements [IdempotencyStore].
func (s *memIdempotency) Finish(_ context.Context, scope IdempotencyScope, answer Answer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	record, ok := s.records[scope]
	if !ok {
		return ErrNotFound
	}
	record.Answer = answer
	s.records[scope] = record
	return nil
}

// DeleteExpired implements [IdempotencyStore].
func (s *memIdempotency) DeleteExpired(_ context.Context, limit int, now time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = timeid.Instant(now)
	deleted := 0
	for scope, record := range s.records {
		if deleted < limit && !record.expires.After(now) {
			delete(s.records, scope)
			deleted++
		}
	}
	return deleted, nil
}

// DeleteTenant implements [IdempotencyStore].
func (s *memIdempotency) DeleteTenant(_ context.Context, tenant string, limit int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	deleted := 0
	for scope := range s.records {
		if deleted < limit && scope.Tenant == tenant {
			delete(s.records, scope)
			deleted++
		}
	}
	return deleted, nil
}

func (s *memIdempotency) snapshot() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records := maps.Clone(s.records)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.records = records
	}
}
