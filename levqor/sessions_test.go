package levqor_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

var ended = guard.Event{Tenant: identity.OwnerTenant, Action: guard.ActionSessionEnded, Outcome: guard.OutcomeSuccess}

// signedIn begins a session of a user in a tenant, 0 for none.
func signedIn(t *testing.T, app *levqor.App, user identity.UserID, tenant identity.TenantID) (string, login.SessionID) {
	t.Helper()
	token, session, err := app.Sessions.Start(t.Context(), login.Start{User: user, Tenant: tenant, Level: login.LevelMail})
	if err != nil {
		t.Fatal(err)
	}
	return token, session.ID
}

func wantSignedIn(t *testing.T, app *levqor.App, what, token string, want bool) {
	t.Helper()
	_, err := app.Sessions.Authenticate(t.Context(), token)
	if (err == nil) != want || err != nil && !errors.Is(err, login.ErrUnauthenticated) {
		t.Errorf("%s: Authenticate = %v, want a session: %v", what, err, want)
	}
}

func TestEverybodysSessionsEndInBatchesThatAreRecorded(t *testing.T) {
	app := newApp(t, levqor.MemStores(), levqor.Options{})
	var last string
	for i := range 12 {
		user := addUser(t, app, fmt.Sprintf("user%d@example.com", i))
		for range 90 {
			last, _ = signedIn(t, app, user.ID, 0)
		}
	}
	if n, err := app.EndAllSessions(t.Context(), ended); err != nil || n != 1080 {
		t.Errorf("EndAllSessions = %d, %v; want 1080", n, err)
	}
	wantSignedIn(t, app, "everybody", last, false)
	if n, err := app.EndAllSessions(t.Context(), ended); err != nil || n != 0 {
		t.Errorf("EndAllSessions = %d, %v; want none", n, err)
	}
	var sessions []string
	for _, e := range securityEvents(t, app, identity.OwnerTenant) {
		if e.Action == guard.ActionSessionEnded && e.Detail["of"] == "everybody" {
			sessions = append(sessions, e.Detail["sessions"])
		}
	}
	if fmt.Sprint(sessions) != "[1000 80 0]" {
		t.Errorf("the log tells of %v sessions", sessions)
	}
}

func TestAUsersSessionsEndInAllTenants(t *testing.T) {
	app := newApp(t, levqor.MemStores(), levqor.Options{})
	ada, bob := addUser(t, app, "ada@example.com"), addUser(t, app, "bob@example.com")
	team, err := app.Directory.CreateTenant(t.Context(), "Engines", ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	there, _ := signedIn(t, app, ada.ID, team.ID)
	nowhere, _ := signedIn(t, app, ada.ID, 0)
	other, _ := signedIn(t, app, bob.ID, 0)
	if err := app.EndUserSessions(t.Context(), 12345, ended); !errors.Is(err, levqor.ErrNotFound) {
		t.Errorf("EndUserSessions of nobody = %v, want ErrNotFound", err)
	}
	if err := app.EndUserSessions(t.Context(), ada.ID, ended); err != nil {
		t.Errorf("EndUserSessions = %v", err)
	}
	wantSignedIn(t, app, "in a tenant", there, false)
	wantSignedIn(t, app, "in none", nowhere, false)
	wantSignedIn(t, app, "another user", other, true)
	if n := len(securityEvents(t, app, identity.OwnerTenant)); n != 1 {
		t.Errorf("the log has %d entries, want that of the effect alone", n)
	}
}

// What is not recorded has not been done.
func TestNoSessionEndsWithoutARecord(t *testing.T) {
	app := newApp(t, levqor.MemStores(), levqor.Options{})
	ada := addUser(t, app, "ada@example.com")
	team, err := app.Directory.CreateTenant(t.Context(), "Engines", ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	owner := identity.Principal{Tenant: team.ID.String(), KeyID: "key_x", Scopes: identity.RoleOwner.Scopes()}
	token, _ := signedIn(t, app, ada.ID, team.ID)
	wrong := guard.Event{Tenant: identity.OwnerTenant, Action: "no such action", Outcome: guard.OutcomeSuccess}
	for what, end := range map[string]func() error{
		"everybody's": func() error { _, err := app.EndAllSessions(t.Context(), wrong); return err },
		"a user's":    func() error { return app.EndUserSessions(t.Context(), ada.ID, wrong) },
		"a member's":  func() error { return app.EndMemberSessions(t.Context(), owner, team.ID, ada.ID, 0, wrong) },
	} {
		if err := end(); !errors.Is(err, levqor.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
		wantSignedIn(t, app, what, token, true)
	}
}

func TestAMembersSessionsEndAsFarAsTheTenantReaches(t *testing.T) {
	app := newApp(t, levqor.MemStores(), levqor.Options{})
	ada, bob, eve := addUser(t, app, "ada@example.com"), addUser(t, app, "bob@example.com"), addUser(t, app, "eve@example.com")
	teams := map[string]identity.TenantID{}
	for name, owner := range map[string]identity.UserID{"Engines": ada.ID, "Looms": bob.ID} {
		made, err := app.Directory.CreateTenant(t.Context(), name, owner)
		if err != nil {
			t.Fatal(err)
		}
		teams[name] = made.ID
	}
	engines := teams["Engines"]
	for _, user := range []identity.UserID{bob.ID, eve.ID} { // bob is in both
		if _, err := app.Directory.AddMember(t.Context(), engines, user, identity.Grant{Role: identity.RoleAdmin}); err != nil {
			t.Fatal(err)
		}
	}
	end := func(ctx context.Context, role identity.Role, tenant identity.TenantID, user identity.UserID, except login.SessionID) error {
		by := identity.Principal{Tenant: tenant.String(), KeyID: "key_x", Scopes: role.Scopes()}
		return app.EndMemberSessions(ctx, by, tenant, user, except, ended)
	}
	bobHere, _ := signedIn(t, app, bob.ID, engines)
	bobThere, _ := signedIn(t, app, bob.ID, teams["Looms"])
	eveHere, _ := signedIn(t, app, eve.ID, engines)
	eveNowhere, _ := signedIn(t, app, eve.ID, 0)
	adaHere, kept := signedIn(t, app, ada.ID, engines)
	adaElse, _ := signedIn(t, app, ada.ID, engines)

	if err := end(t.Context(), identity.RoleMember, engines, eve.ID, 0); !errors.Is(err, identity.ErrScopeNotHeld) {
		t.Errorf("a member gets %v, want ErrScopeNotHeld", err)
	}
	if err := end(t.Context(), identity.RoleAdmin, engines, ada.ID, 0); !errors.Is(err, identity.ErrScopeNotHeld) {
		t.Errorf("an admin gets %v about an owner, want ErrScopeNotHeld", err)
	}
	if err := end(t.Context(), identity.RoleOwner, teams["Looms"], eve.ID, 0); !errors.Is(err, levqor.ErrNotFound) {
		t.Errorf("the owner of another tenant gets %v, want ErrNotFound", err)
	}
	wantSignedIn(t, app, "after what was refused", eveHere, true)
	for _, user := range []identity.UserID{bob.ID, eve.ID} {
		if err := end(t.Context(), identity.RoleAdmin, engines, user, 0); err != nil {
			t.Errorf("EndMemberSessions = %v", err)
		}
	}
	if err := end(t.Context(), identity.RoleOwner, engines, ada.ID, kept); err != nil {
		t.Errorf("EndMemberSessions = %v", err)
	}
	wantSignedIn(t, app, "of who is in two tenants, here", bobHere, false)
	wantSignedIn(t, app, "of who is in two tenants, there", bobThere, true)
	wantSignedIn(t, app, "of who is here alone", eveHere, false)
	wantSignedIn(t, app, "of who is here alone, in no tenant", eveNowhere, false)
	wantSignedIn(t, app, "the one that was to stay", adaHere, true)
	wantSignedIn(t, app, "the others", adaElse, false)
}
