package identity

import (
	"context"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

// memTenant is a tenant, and the user with whom it was deleted.
type memTenant struct {
	Tenant
	with UserID
}

// CreateTenant implements [TenantStore].
func (s *MemDirectory) CreateTenant(_ context.Context, tenant Tenant, owner UserID, now time.Time) (Tenant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.user(owner); err != nil {
		return Tenant{}, err
	}
	if _, taken := s.tenants[tenant.ID]; taken {
		return Tenant{}, ErrConflict
	}
	tenant.CreatedAt = timeid.Instant(now)
	s.tenants[tenant.ID] = memTenant{Tenant: tenant}
	s.put(Member{Tenant: tenant.ID, User: owner, Grant: Grant{Role: RoleOwner}, CreatedAt: tenant.CreatedAt})
	return tenant, nil
}

// FindTenant implements [TenantStore].
func (s *MemDirectory) FindTenant(_ context.Context, id TenantID) (Tenant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tenant(id)
}

// RenameTenant implements [TenantStore].
func (s *MemDirectory) RenameTenant(_ context.Context, id TenantID, name string) (Tenant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tenant, err := s.tenant(id)
	if err != nil {
		return Tenant{}, err
	}
	tenant.Name = name
	s.tenants[id] = memTenant{Tenant: tenant}
	return tenant, nil
}

// TenantsOf implements [TenantStore].
func (s *MemDirectory) TenantsOf(_ context.Context, user UserID, after TenantID, limit int) ([]Tenant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return page(s.tenants, limit, func(t memTenant) (Tenant, bool) {
		_, ok := s.members[memPlace{t.ID, user}]
		return t.Tenant, ok && t.ID > after
	}), nil
}

// Tenants implements [TenantStore].
func (s *MemDirectory) Tenants(_ context.Context, after TenantID, limit int) ([]Tenant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return page(s.tenants, limit, func(t memTenant) (Tenant, bool) { return t.Tenant, t.ID > after && t.DeletedAt.IsZero() }), nil
}

// HoldTenant implements [TenantStore]. Transactions in memory run one at a time.
func (s *MemDirectory) HoldTenant(ctx context.Context, id TenantID) error {
	_, err := s.FindTenant(ctx, id)
	return err
}

func (s *MemDirectory) tenant(id TenantID) (Tenant, error) {
	tenant, ok := s.tenants[id]
	if !ok || !tenant.DeletedAt.IsZero() {
		return Tenant{}, ErrNotFound
	}
	return tenant.Tenant, nil
}
