package client

import (
	"context"
	"iter"
)

// GetTenant returns the caller's tenant and the version of what it says, for
// [Service.UpdateTenant]. It returns ErrNotFound if the service knows of none.
func (s *Service) GetTenant(ctx context.Context) (*Tenant, string, error) {
	resp, err := s.api.GetTenantWithResponse(ctx)
	if err != nil {
		return nil, "", unreachable("get tenant", err)
	}
	tenant, err := one("get tenant", resp.JSON200, resp.HTTPResponse, resp.Body)
	return tenant, resp.HTTPResponse.Header.Get("ETag"), err
}

// UpdateTenant changes the caller's tenant; only if it is still of a version, unless that
// is empty. It returns ErrInvalid, ErrNotFound, and ErrConflict for another version.
func (s *Service) UpdateTenant(ctx context.Context, version string, change TenantChange) (*Tenant, error) {
	resp, err := s.api.UpdateTenantWithResponse(ctx, &UpdateTenantParams{IfMatch: given(version)}, change)
	if err != nil {
		return nil, unreachable("update tenant", err)
	}
	return one("update tenant", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// DeleteTenant deletes the caller's tenant, whose ID must be given. It returns
// ErrInvalid for another ID, ErrNotFound, and ErrConflict for the tenant of the service's
// owner.
func (s *Service) DeleteTenant(ctx context.Context, id string) error {
	resp, err := s.api.DeleteTenantWithResponse(ctx, &DeleteTenantParams{Confirm: id})
	if err != nil {
		return unreachable("delete tenant", err)
	}
	return nothing("delete tenant", resp.HTTPResponse, resp.Body)
}

// Tenants goes through all tenants, page by page. It ends after the first error.
func (s *Service) Tenants(ctx context.Context) iter.Seq2[Tenant, error] {
	return pages(func(cursor *string) ([]Tenant, *string, error) {
		resp, err := s.api.ListTenantsWithResponse(ctx, &ListTenantsParams{Cursor: cursor})
		if err != nil {
			return nil, nil, unreachable("list tenants", err)
		}
		page, err := one("list tenants", resp.JSON200, resp.HTTPResponse, resp.Body)
		if err != nil {
			return nil, nil, err
		}
		return page.Data, page.NextCursor, nil
	})
}

// CreateTenant makes a tenant with its owner. Requests with the same idempotency key make
// one; for an empty one a random key is made. It returns ErrInvalid with the wrong fields.
func (s *Service) CreateTenant(ctx context.Context, tenant NewTenant, idempotencyKey string) (*Tenant, error) {
	resp, err := s.api.CreateTenantWithResponse(ctx, &CreateTenantParams{IdempotencyKey: keyOr(idempotencyKey)}, tenant)
	if err != nil {
		return nil, unreachable("create tenant", err)
	}
	return one("create tenant", resp.JSON201, resp.HTTPResponse, resp.Body)
}

// GetAnyTenant returns a tenant, the caller's or another, or ErrNotFound.
func (s *Service) GetAnyTenant(ctx context.Context, id string) (*Tenant, error) {
	resp, err := s.api.GetAnyTenantWithResponse(ctx, id)
	if err != nil {
		return nil, unreachable("get tenant", err)
	}
	return one("get tenant", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// DeleteAnyTenant deletes a tenant as [Service.DeleteTenant] does, the caller's or another.
func (s *Service) DeleteAnyTenant(ctx context.Context, id string) error {
	resp, err := s.api.DeleteAnyTenantWithResponse(ctx, id)
	if err != nil {
		return unreachable("delete tenant", err)
	}
	return nothing("delete tenant", resp.HTTPResponse, resp.Body)
}
