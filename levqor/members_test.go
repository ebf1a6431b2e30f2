package levqor_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

// A request is admitted before it has its turn: meanwhile its caller may have lost a role.
func TestWhoeverLostTheirRoleMeanwhileChangesNobody(t *testing.T) {
	app := newApp(t, levqor.MemStores(), levqor.Options{})
	ada, bob := addUser(t, app, "ada@example.com"), addUser(t, app, "bob@example.com")
	tenant, err := app.Directory.CreateTenant(t.Context(), "Engines", ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	member, err := app.Directory.AddMember(t.Context(), tenant.ID, bob.ID, identity.Grant{Role: identity.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	before := member.Principal()
	change := func(by identity.Principal) error {
		return app.ChangeMembers(t.Context(), by, tenant.ID, "members:write", func(ctx context.Context, _ levqor.Stores, people *identity.Directory) error {
			_, err := people.AddMember(ctx, tenant.ID, addUserIn(ctx, t, people), identity.Grant{Role: identity.RoleOwner})
			return err
		})
	}
	if _, err := app.Directory.ChangeRole(t.Context(), tenant.ID, bob.ID, identity.Grant{Role: identity.RoleOwner}); err != nil {
		t.Fatal(err)
	}
	if err := change(before); !errors.Is(err, identity.ErrScopeNotHeld) {
		t.Errorf("who has risen meanwhile gets %v, want no more than they had", err)
	}
	for _, lose := range []func() error{
		func() error {
			return second(app.Directory.ChangeRole(t.Context(), tenant.ID, bob.ID, identity.Grant{Role: identity.RoleMember}))
		},
		func() error { return app.Directory.RemoveMember(t.Context(), tenant.ID, bob.ID) },
	} {
		now, called := lose(), false
		err := app.ChangeMembers(t.Context(), before, tenant.ID, "members:write", func(context.Context, levqor.Stores, *identity.Directory) error {
			called = true
			return nil
		})
		if now != nil || called || !errors.Is(err, identity.ErrScopeNotHeld) {
			t.Errorf("who was an admin gets %v (%t, %v), want ErrScopeNotHeld", err, called, now)
		}
	}
	program := identity.Principal{Tenant: tenant.ID.String(), KeyID: "key_x", Scopes: slices.Clone(identity.RoleOwner.Scopes())}
	if err := change(program); err != nil {
		t.Errorf("a program gets %v", err)
	}
}

func second(_ identity.Member, err error) error { return err }

func addUserIn(ctx context.Context, t *testing.T, people *identity.Directory) identity.UserID {
	t.Helper()
	email, err := identity.ParseEmail("eve@example.com")
	if err != nil {
		t.Fatal(err)
	}
	eve, _, err := people.EnsureUser(ctx, email, "")
	if err != nil {
		t.Fatal(err)
	}
	return eve.ID
}
