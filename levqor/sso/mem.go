package sso

import (
	"context"
	"crypto/hmac"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/levqor/sdk/internal/timeid"
	"github.com/levqor/sdk/levqor/identity"
)

// MemStore is a [Store] in memory, for tests. See [NewMemStore].
type MemStore struct {
	people *identity.MemDirectory

	mu          sync.Mutex
	connections map[ConnectionID]Connection
	links       map[memSubject]Link
	flows       map[string]memFlow
}

type memSubject struct {
	tenant          identity.TenantID
	issuer, subject string
}

type memFlow struct {
	Flow
	expires time.Time
}

var _ Store = (*MemStore)(nil)

// NewMemStore returns an empty store for the tenants of a directory.
func NewMemStore(people *identity.MemDirectory) *MemStore {
	return &MemStore{people: people, connections: map[ConnectionID]Connection{}, links: map[memSubject]Link{}, flows: map[string]memFlow{}}
}

// CreateConnection implements [ConnectionStore].
func (s *MemStore) CreateConnection(ctx context.Context, c Connection, now time.Time) (Connection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.people.FindTenant(ctx, c.Tenant); err != nil {
		return Connection{}, err
	}
	if len(s.of(c.Tenant)) >= MaxConnections {
		return Connection{}, ErrTooManyConnections
	}
	if _, taken := s.connections[c.ID]; taken {
		return Connection{}, ErrConflict
	}
	c = c.clone()
	c.CreatedAt = timeid.Instant(now)
	for i := range c.Domains {
		c.Domains[i].VerifiedAt = time.Time{}
	}
	s.connections[c.ID] = c
	return c.clone(), nil
}

// FindConnection implements [ConnectionStore].
func (s *MemStore) FindConnection(_ context.Context, id ConnectionID) (Connection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.connections[id]
	if !ok {
		return Connection{}, ErrNotFound
	}
	return c.clone(), nil
}

// FindByDomain implements [ConnectionStore].
func (s *MemStore) FindByDomain(_ context.Context, domain string) (Connection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.connections {
		if c.Speaks(domain) {
			return c.clone(), nil
		}
	}
	return Connection{}, ErrNotFound
}

// ListConnections implements [ConnectionStore].
func (s *MemStore) ListConnections(_ context.Context, tenant identity.TenantID) ([]Connection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of(tenant), nil
}

// UpdateConnection implements [ConnectionStore].
func (s *MemStore) UpdateConnection(_ context.Context, tenant identity.TenantID, id ConnectionID, change Change) (Connection, error) {
	return s.change(tenant, id, func(c *Connection) error {
		if change.ClientID != nil && *change.ClientID != c.ClientID {
			maps.DeleteFunc(s.links, func(_ memSubject, l Link) bool { return l.Tenant == tenant && l.Issuer == c.Issuer })
		}
		set(&c.ClientID, change.ClientID)
		set(&c.ClientSecret, change.ClientSecret)
		set(&c.Role, change.Role)
		set(&c.Required, change.Required)
		set(&c.TrustMFA, change.TrustMFA)
		set(&c.TrustEmail, change.TrustEmail)
		if change.Domains == nil {
			return nil
		}
		before := *c
		c.Domains = slices.Clone(*change.Domains)
		for i, d := range c.Domains {
			c.Domains[i].VerifiedAt = time.Time{}
			if there, err := before.domain(d.Name); err == nil {
				c.Domains[i] = there
			}
		}
		return nil
	})
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// DeleteConnection implements [ConnectionStore].
func (s *MemStore) DeleteConnection(_ context.Context, tenant identity.TenantID, id ConnectionID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.connections[id]; !ok || c.Tenant != tenant {
		return ErrNotFound
	}
	delete(s.connections, id)
	return nil
}

// VerifyDomain implements [ConnectionStore].
func (s *MemStore) VerifyDomain(_ context.Context, tenant identity.TenantID, id ConnectionID, proof Proof, now time.Time) (Connection, error) {
	return s.change(tenant, id, func(c *Connection) error {
		i := slices.IndexFunc(c.Domains, func(d Domain) bool {
			return d.Name == proof.Name && hmac.Equal([]byte(d.Token), []byte(proof.Token))
		})
		if i < 0 {
			return ErrNotFound
		}
		for _, other := range s.connections {
			if other.ID != id && other.ID != proof.From && other.Speaks(proof.Name) {
				return ErrDomainTaken
			}
		}
		if from, ok := s.connections[proof.From]; ok && from.ID != id {
			s.connections[from.ID] = from.without(proof.Name)
		}
		if c.Domains[i].VerifiedAt.IsZero() {
			c.Domains[i].VerifiedAt = timeid.Instant(now)
		}
		return nil
	})
}

// EraseTenant implements [ConnectionStore].
func (s *MemStore) EraseTenant(_ context.Context, tenant identity.TenantID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.connections, func(_ ConnectionID, c Connection) bool { return c.Tenant == tenant })
	maps.DeleteFunc(s.links, func(_ memSubject, l Link) bool { return l.Tenant == tenant })
	return nil
}

// FindLink implements [LinkStore].
func (s *MemStore) FindLink(_ context.Context, tenant identity.TenantID, issuer, subject string) (Link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	link, ok := s.links[memSubject{tenant, issuer, subject}]
	if !ok {
		return Link{}, ErrNotFound
	}
	return link, nil
}

// InsertLink implements [LinkStore].
func (s *MemStore) InsertLink(_ context.Context, link Link, now time.Time) (Link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.links {
		if l.Tenant == link.Tenant && l.Issuer == link.Issuer && (l.Subject == link.Subject || l.User == link.User) {
			return Link{}, ErrConflict
		}
	}
	link.CreatedAt = timeid.Instant(now)
	s.links[memSubject{link.Tenant, link.Issuer, link.Subject}] = link
	return link, nil
}

// Unlink implements [LinkStore].
func (s *MemStore) Unlink(_ context.Context, tenant identity.TenantID, user identity.UserID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.links)
	maps.DeleteFunc(s.links, func(_ memSubject, l Link) bool { return l.Tenant == tenant && l.User == user })
	if len(s.links) == before {
		return ErrNotFound
	}
	return nil
}

// UnlinkSince implements [LinkStore].
func (s *MemStore) UnlinkSince(_ context.Context, user identity.UserID, since time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.links, func(_ memSubject, l Link) bool { return l.User == user && !l.CreatedAt.Before(since) })
	return nil
}

// EraseUser implements [LinkStore].
func (s *MemStore) EraseUser(_ context.Context, user identity.UserID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.links, func(_ memSubject, l Link) bool { return l.User == user })
	return nil
}

// BeginFlow implements [FlowStore].
func (s *MemStore) BeginFlow(_ context.Context, flow Flow, ttl time.Duration, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.flows[string(flow.Hash)]; taken {
		return ErrConflict
	}
	flow.Hash = slices.Clone(flow.Hash)
	s.flows[string(flow.Hash)] = memFlow{flow, timeid.Instant(now).Add(ttl)}
	return nil
}

// TakeFlow implements [FlowStore].
func (s *MemStore) TakeFlow(_ context.Context, hash []byte, now time.Time) (Flow, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	flow, ok := s.flows[string(hash)]
	if !ok || !flow.expires.After(timeid.Instant(now)) {
		return Flow{}, ErrNotFound
	}
	delete(s.flows, string(hash))
	return flow.Flow, nil
}

// DeleteExpiredFlows implements [FlowStore].
func (s *MemStore) DeleteExpiredFlows(_ context.Context, limit int, now time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	deleted := 0
	for hash, flow := range s.flows {
		if deleted < limit && !flow.expires.After(timeid.Instant(now)) {
			delete(s.flows, hash)
			deleted++
		}
	}
	return deleted, nil
}

// Snapshot returns what puts the store back into its present state: how a transaction in
// memory is rolled back.
func (s *MemStore) Snapshot() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	connections, links, flows := maps.Clone(s.connections), maps.Clone(s.links), maps.Clone(s.flows)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.connections, s.links, s.flows = connections, links, flows
	}
}

// of returns a tenant's connections in the order of their IDs.
func (s *MemStore) of(tenant identity.TenantID) []Connection {
	var all []Connection
	for _, id := range slices.Sorted(maps.Keys(s.connections)) {
		if c := s.connections[id]; c.Tenant == tenant {
			all = append(all, c.clone())
		}
	}
	return all
}

// change changes a tenant's connection unless do returns an error.
func (s *MemStore) change(tenant identity.TenantID, id ConnectionID, do func(*Connection) error) (Connection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.connections[id]
	if !ok || c.Tenant != tenant {
		return Connection{}, ErrNotFound
	}
	c = c.clone()
	if err := do(&c); err != nil {
		return Connection{}, err
	}
	s.connections[id] = c
	return c.clone(), nil
}

// without returns a connection that has not verified a domain.
func (c Connection) without(domain string) Connection {
	c = c.clone()
	for i, d := range c.Domains {
		if d.Name == domain {
			c.Domains[i].VerifiedAt = time.Time{}
		}
	}
	return c
}

func (c Connection) clone() Connection {
	c.Domains = slices.Clone(c.Domains)
	return c
}
