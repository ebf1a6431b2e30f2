package levqortest

import (
	"context"
	"slices"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

var tenantCases = map[string]func(*env){
	"the owner's tenant is there from the beginning": func(e *env) {
		if got, err := e.Directory.FindTenant(e.ctx, identity.OwnerTenantID); err != nil || got.Name != identity.OwnerTenant || got.CreatedAt.IsZero() {
			e.Errorf("FindTenant = %+v, %v", got, err)
		}
		e.wantMembers(identity.OwnerTenantID)
	},
	"a tenant begins with its owner alone": func(e *env) {
		e.user(7)
		got, err := e.Directory.CreateTenant(e.ctx, identity.Tenant{ID: 20, Name: "it's ?"}, 7, t0)
		want := identity.Tenant{ID: 20, Name: "it's ?", CreatedAt: t0}
		if err != nil || got != want {
			e.Fatalf("CreateTenant = %+v, %v; want %+v", got, err, want)
		}
		if got, err := e.Directory.FindTenant(e.ctx, 20); err != nil || got != want {
			e.Errorf("FindTenant = %+v, %v; want %+v", got, err, want)
		}
		if m, err := e.Directory.FindMember(e.ctx, 20, 7); err != nil || m.Role != identity.RoleOwner || !m.CreatedAt.Equal(t0) {
			e.Errorf("FindMember = %+v, %v; want the owner", m, err)
		}
		e.wantMembers(20, 7)
	},
	"a tenant needs a user and an ID of its own": func(e *env) {
		_, err := e.Directory.CreateTenant(e.ctx, identity.Tenant{ID: 20, Name: "x"}, 7, t0)
		e.wantErr(err, identity.ErrNotFound, "there is no such user")
		_, err = e.Directory.FindTenant(e.ctx, 20)
		e.wantErr(err, identity.ErrNotFound, "no tenant was made")
		e.tenant(20, 7)
		e.user(8)
		_, err = e.Directory.CreateTenant(e.ctx, identity.Tenant{ID: 20, Name: "x"}, 8, t0)
		e.wantErr(err, identity.ErrConflict, "the ID is taken")
		e.wantMembers(20, 7)
	},
	"a new name is kept": func(e *env) {
		e.tenant(20, 7)
		if got, err := e.Directory.RenameTenant(e.ctx, 20, "new"); err != nil || got.Name != "new" {
			e.Errorf("RenameTenant = %+v, %v", got, err)
		}
		if got, err := e.Directory.FindTenant(e.ctx, 20); err != nil || got.Name != "new" {
			e.Errorf("FindTenant = %+v, %v; want the new name", got, err)
		}
		_, err := e.Directory.RenameTenant(e.ctx, 21, "new")
		e.wantErr(err, identity.ErrNotFound, "there is none")
	},
	"all tenants come page by page, without those whose deletion has begun": func(e *env) {
		for _, id := range []identity.TenantID{22, 20, 21, 23} {
			e.tenant(id, 7)
		}
		if _, err := e.Directory.DeleteTenant(e.ctx, 21, t0); err != nil {
			e.Fatal(err)
		}
		var got []identity.TenantID
		for after := identity.TenantID(0); len(got) < 10; {
			tenants, err := e.Directory.Tenants(e.ctx, after, 2)
			if err != nil {
				e.Fatalf("Tenants = %v", err)
			}
			if len(tenants) == 0 {
				break
			}
			for _, t := range tenants {
				got, after = append(got, t.ID), t.ID
			}
		}
		if want := []identity.TenantID{identity.OwnerTenantID, 20, 22, 23}; !slices.Equal(got, want) {
			e.Errorf("Tenants = %v, want %v", got, want)
		}
	},
	"a tenant that is held is not changed meanwhile": func(e *env) {
		e.tenant(20, 7)
		e.wantErr(e.Directory.HoldTenant(e.ctx, 21), identity.ErrNotFound, "there is none")
		var late arrival
		e.inTx(func(ctx context.Context, tx levqor.Stores) error {
			if err := tx.Directory.HoldTenant(ctx, 20); err != nil {
				e.Errorf("HoldTenant = %v", err)
			}
			late.comes(e, func(ctx context.Context, tx levqor.Stores) error {
				_, err := tx.Directory.ChangeMember(ctx, 20, 7, identity.Grant{Role: identity.RoleOwner, Scopes: []string{"x:y"}})
				return err
			})
			if m, err := tx.Directory.FindMember(ctx, 20, 7); err != nil || len(m.Scopes) > 0 {
				e.Errorf("FindMember = %v, %v; want the member unchanged while the tenant is held", m, err)
			}
			return nil
		})
		late.ended()
		if m, err := e.Directory.FindMember(e.ctx, 20, 7); err != nil || len(m.Scopes) != 1 {
			e.Errorf("FindMember = %v, %v; want the change after the transaction", m, err)
		}
	},
	"tenants of a user come page by page, and nobody else's": func(e *env) {
		for _, id := range []identity.TenantID{22, 20, 21} {
			e.tenant(id, 7)
		}
		e.tenant(23, 8)
		var got []identity.TenantID
		for after := identity.TenantID(0); len(got) < 10; {
			tenants, err := e.Directory.TenantsOf(e.ctx, 7, after, 2)
			if err != nil {
				e.Fatalf("TenantsOf = %v", err)
			}
			if len(tenants) == 0 {
				break
			}
			for _, t := range tenants {
				got, after = append(got, t.ID), t.ID
			}
		}
		if want := []identity.TenantID{20, 21, 22}; !slices.Equal(got, want) {
			e.Errorf("TenantsOf = %v, want %v", got, want)
		}
	},
}

// tenant stores a tenant and its owner.
func (e *env) tenant(id identity.TenantID, owner identity.UserID) {
	e.Helper()
	e.user(owner)
	if _, err := e.Directory.CreateTenant(e.ctx, identity.Tenant{ID: id, Name: "t"}, owner, t0); err != nil {
		e.Fatalf("CreateTenant = %v", err)
	}
}
