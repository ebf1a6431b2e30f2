package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
	"github.com/levqor/sdk/levqor/identity"
)

// GetTenant implements the operation.
func (s *server) GetTenant(ctx context.Context, _ oas.GetTenantRequestObject) (oas.GetTenantResponseObject, error) {
	wire, err := s.tenant(ctx, caller(ctx).Tenant)
	return oas.GetTenant200JSONResponse{Body: wire, Headers: oas.GetTenant200ResponseHeaders{ETag: etag(wire)}}, err
}

// UpdateTenant implements the operation. Whoever else changes the tenant waits, so it is
// still as If-Match says when it changes.
func (s *server) UpdateTenant(ctx context.Context, req oas.UpdateTenantRequestObject) (oas.UpdateTenantResponseObject, error) {
	id, err := identity.ParseTenantID(caller(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	var changed identity.Tenant
	err = s.app.ChangeMembers(ctx, caller(ctx), id, "tenant:write", func(ctx context.Context, tx levqor.Stores, people *identity.Directory) error {
		before, err := people.FindTenant(ctx, id)
		if err == nil {
			err = unchanged(req.Params.IfMatch, wireTenant(before))
		}
		if err == nil {
			changed, err = people.RenameTenant(ctx, id, req.Body.Name)
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, guard.ActionTenantRenamed, id.String())
	})
	if errors.Is(err, identity.ErrScopeNotHeld) {
		err = &scopeError{"tenant:write"}
	}
	wire := wireTenant(changed)
	return oas.UpdateTenant200JSONResponse{Body: wire, Headers: oas.UpdateTenant200ResponseHeaders{ETag: etag(wire)}}, err
}

// DeleteTenant implements the operation.
func (s *server) DeleteTenant(ctx context.Context, req oas.DeleteTenantRequestObject) (oas.DeleteTenantResponseObject, error) {
	if req.Params.Confirm != caller(ctx).Tenant {
		return nil, fault.Invalid(parameterField("query", "confirm"), "contradictory", "must be the ID of the tenant that the key opens")
	}
	return oas.DeleteTenant204Response{}, s.deleteTenant(ctx, caller(ctx).Tenant)
}

// ListTenants implements the operation.
func (s *server) ListTenants(ctx context.Context, req oas.ListTenantsRequestObject) (oas.ListTenantsResponseObject, error) {
	limit := limitOf(req.Params.Limit)
	after, err := s.lastID(ctx, "tenants", req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	all, err := s.app.Directory.Tenants(ctx, identity.TenantID(after), limit+1)
	if err != nil {
		return nil, err
	}
	var page client.TenantPage
	page.Data, page.HasMore = wirePage(all, limit, wireTenant)
	if page.HasMore {
		page.NextCursor = s.idCursor(ctx, "tenants", int64(all[limit-1].ID))
	}
	return oas.ListTenants200JSONResponse{Body: page}, nil
}

// CreateTenant implements the operation. The tenant, its owner and the answer to a
// repetition commit together.
func (s *server) CreateTenant(ctx context.Context, req oas.CreateTenantRequestObject) (oas.CreateTenantResponseObject, error) {
	email, err := parseEmail(req.Body.OwnerEmail, "/owner_email")
	if err != nil {
		return nil, err
	}
	scope := scopeOf(ctx, "POST /api/v1/tenants", req.Params.IdempotencyKey)
	answer, replayed, err := s.app.Idempotency.Do(ctx, scope, fingerprint(body(ctx)), func(ctx context.Context, tx levqor.Stores) (levqor.Answer, error) {
		people := s.app.Directory.With(tx.Directory)
		owner, _, err := people.EnsureUser(ctx, email, "")
		if err != nil {
			return levqor.Answer{}, err
		}
		tenant, err := people.CreateTenant(ctx, req.Body.Name, owner.ID)
		if err == nil {
			err = s.record(ctx, tx, guard.ActionTenantCreated, tenant.ID.String())
		}
		if err != nil {
			return levqor.Answer{}, err
		}
		return answerCreated(wireTenant(tenant), "/api/v1/tenants/"+tenant.ID.String())
	})
	return created{answer, replayed}, err
}

// GetAnyTenant implements the operation.
func (s *server) GetAnyTenant(ctx context.Context, req oas.GetAnyTenantRequestObject) (oas.GetAnyTenantResponseObject, error) {
	wire, err := s.tenant(ctx, req.TenantID)
	return oas.GetAnyTenant200JSONResponse{Body: wire, Headers: oas.GetAnyTenant200ResponseHeaders{ETag: etag(wire)}}, err
}

// DeleteAnyTenant implements the operation.
func (s *server) DeleteAnyTenant(ctx context.Context, req oas.DeleteAnyTenantRequestObject) (oas.DeleteAnyTenantResponseObject, error) {
	return oas.DeleteAnyTenant204Response{}, s.deleteTenant(ctx, req.TenantID)
}

func (s *server) tenant(ctx context.Context, text string) (client.Tenant, error) {
	id, err := identity.ParseTenantID(text)
	if err != nil {
		return client.Tenant{}, err
	}
	tenant, err := s.app.Directory.FindTenant(ctx, id)
	return wireTenant(tenant), err
}

// deleteTenant records in the owner's log who wanted it: the tenant's own goes with it.
func (s *server) deleteTenant(ctx context.Context, text string) error {
	id, err := identity.ParseTenantID(text)
	if err != nil {
		return err
	}
	e := s.event(ctx, guard.ActionTenantDeleted, id.String())
	e.Tenant = identity.OwnerTenant
	return s.app.DeleteTenant(ctx, id, e)
}

func answerCreated(wire any, location string) (levqor.Answer, error) {
	body, err := json.Marshal(wire)
	answer := levqor.Answer{Status: http.StatusCreated, Body: body}
	if location != "" {
		answer.Header = map[string]string{"Location": location}
	}
	return answer, err
}

// VisitCreateTenantResponse implements the generated interface.
func (c created) VisitCreateTenantResponse(w http.ResponseWriter) error { return c.write(w) }

func wireTenant(t identity.Tenant) client.Tenant {
	return client.Tenant{ID: t.ID.String(), Name: t.Name, CreatedAt: t.CreatedAt}
}
