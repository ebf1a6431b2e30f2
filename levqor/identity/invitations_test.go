package identity_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

// lobby is a tenant that invites.
type lobby struct {
	*identity.Invitations
	people *identity.Directory
	store  *identity.MemDirectory
	tenant identity.Tenant
	now    time.Time
}

func newLobby(t *testing.T) *lobby {
	t.Helper()
	ring, err := levqor.NewKeyRing([]byte("32 bytes from a random source ..."))
	if err != nil {
		t.Fatal(err)
	}
	l := &lobby{store: identity.NewMemDirectory(identity.NewMemKeyStore()), now: time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)}
	clock := func() time.Time { return l.now }
	l.people = identity.NewDirectory(l.store, &identity.DirectoryOptions{Now: clock})
	l.Invitations = identity.NewInvitations(l.store, l.people, ring, &identity.InvitationsOptions{Now: clock})
	l.tenant = found(t, l.people, "acme", ensure(t, l.people, "ada@example.com"))
	return l
}

func (l *lobby) invite(t *testing.T, address string, grant identity.Grant) (identity.Invitation, string) {
	t.Helper()
	made, token, err := l.Invite(t.Context(), l.tenant.ID, parse(t, address), grant)
	if err != nil {
		t.Fatalf("Invite = %v", err)
	}
	return made, token
}

func parse(t *testing.T, address string) identity.Email {
	t.Helper()
	email, err := identity.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	return email
}

func TestATokenOfAnInvitationIsKeptNowhere(t *testing.T) {
	l := newLobby(t)
	made, token := l.invite(t, "eve@example.com", identity.Grant{Role: identity.RoleViewer})
	if !strings.HasPrefix(token, "lvi_") || len(token) != 53 || !strings.HasPrefix(token[4:], strings.TrimPrefix(made.ID.String(), "inv_")) {
		t.Errorf("the token of %v is %q", made.ID, token)
	}
	stored, err := l.store.FindInvitation(t.Context(), made.ID, l.now)
	if err != nil || strings.Contains(fmt.Sprintf("%+v %s", stored, stored.Hash), token[15:47]) || len(stored.Hash) < 32 {
		t.Errorf("stored is %+v, %v", stored, err)
	}
}

func TestTokensThatAreNotLiveLookAlike(t *testing.T) {
	l := newLobby(t)
	_, live := l.invite(t, "eve@example.com", identity.Grant{Role: identity.RoleViewer})
	_, replaced := l.invite(t, "bob@example.com", identity.Grant{Role: identity.RoleViewer})
	l.invite(t, "Bob@Example.com", identity.Grant{Role: identity.RoleMember})
	revoked, revokedToken := l.invite(t, "cy@example.com", identity.Grant{Role: identity.RoleViewer})
	if err := l.Revoke(t.Context(), l.tenant.ID, revoked.ID); err != nil {
		t.Fatal(err)
	}
	_, foreign := newLobby(t).invite(t, "eve@example.com", identity.Grant{Role: identity.RoleViewer})
	swapped := live[:15] + strings.Map(func(c rune) rune {
		if c == 'A' {
			return 'B'
		}
		return 'A'
	}, live[15:47]) + live[47:]
	texts := map[string]bool{}
	for what, token := range map[string]string{"empty": "", "cut": live[:52], "swapped": swapped, "replaced": replaced, "revoked": revokedToken, "foreign": foreign} {
		_, err := l.Look(t.Context(), token)
		if !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("Look at one that is %s = %v, want ErrNotFound", what, err)
		}
		texts[fmt.Sprint(err)] = true
	}
	if len(texts) != 1 {
		t.Errorf("the errors are %v, want one", texts)
	}
	for range 3 { // looking changes nothing
		if offer, err := l.Look(t.Context(), live); err != nil || offer.Tenant != "acme" || offer.Address != "e…@example.com" {
			t.Errorf("Look = %+v, %v", offer, err)
		}
	}
	l.now = l.now.Add(identity.InvitationTTL)
	if _, _, err := l.Accept(t.Context(), live, identity.Joiner{}); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("Accept after 7 days = %v, want ErrNotFound", err)
	}
}

func TestBadInvitationsAreRefusedWithTheField(t *testing.T) {
	l := newLobby(t)
	eve := parse(t, "eve@example.com")
	for field, err := range map[string]error{
		"/email":  second(l.Invite(t.Context(), l.tenant.ID, identity.Email{}, identity.Grant{Role: identity.RoleViewer})),
		"/role":   second(l.Invite(t.Context(), l.tenant.ID, eve, identity.Grant{Role: "root"})),
		"/scopes": second(l.Invite(t.Context(), l.tenant.ID, eve, identity.Grant{Role: identity.RoleViewer, Scopes: []string{"operator:people"}})),
	} {
		if all := fault.All(err); len(all) != 1 || all[0].Field != field {
			t.Errorf("Invite = %v, want ErrInvalid about %s", err, field)
		}
	}
	if _, err := l.List(t.Context(), l.tenant.ID, 0, 1001); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("List = %v, want ErrInvalid", err)
	}
}

func second(_ identity.Invitation, _ string, err error) error { return err }

func TestACallerInvitesToItsOwnTenantWithNoMoreThanItHolds(t *testing.T) {
	l := newLobby(t)
	other := found(t, l.people, "other", ensure(t, l.people, "bob@example.com"))
	admin := identity.Principal{Tenant: l.tenant.ID.String(), UserID: "usr_x", KeyID: "", Scopes: identity.RoleAdmin.Scopes()}
	by := l.ForCaller(admin)
	eve := parse(t, "eve@example.com")
	if made, _, err := by.Invite(t.Context(), l.tenant.ID, eve, identity.Grant{Role: identity.RoleAdmin}); err != nil || made.Inviter != "usr_x" {
		t.Errorf("Invite = %+v, %v", made, err)
	}
	for _, grant := range []identity.Grant{{Role: identity.RoleOwner}, {Role: identity.RoleViewer, Scopes: []string{"tenant:write"}}} {
		if err := second(by.Invite(t.Context(), l.tenant.ID, eve, grant)); !errors.Is(err, identity.ErrScopeNotHeld) {
			t.Errorf("Invite with %v = %v, want ErrScopeNotHeld", grant, err)
		}
	}
	if err := second(by.Invite(t.Context(), other.ID, eve, identity.Grant{Role: identity.RoleViewer})); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("Invite to another tenant = %v, want ErrNotFound", err)
	}
	stronger, _ := l.invite(t, "cy@example.com", identity.Grant{Role: identity.RoleOwner})
	if err := by.Revoke(t.Context(), l.tenant.ID, stronger.ID); !errors.Is(err, identity.ErrScopeNotHeld) {
		t.Errorf("Revoke of an owner's = %v, want ErrScopeNotHeld", err)
	}
	if err := by.Revoke(t.Context(), other.ID, stronger.ID); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("Revoke of another tenant's = %v, want ErrNotFound", err)
	}
}

func TestTheOwnersLinkIsMadeByWhoeverMayDoAllThatAnOwnerMay(t *testing.T) {
	l := newLobby(t)
	for scope, want := range map[string]error{identity.ScopePeople: identity.ErrScopeNotHeld, identity.AllScopes: nil} {
		by := identity.Principal{Tenant: identity.OwnerTenant, KeyID: "x", Scopes: []string{scope}}
		if err := second(l.ForCaller(by).InviteOwner(t.Context())); !errors.Is(err, want) {
			t.Errorf("InviteOwner with %s = %v, want %v", scope, err, want)
		}
	}
}

func TestACallerChangesNobodyWhoMayMore(t *testing.T) {
	l := newLobby(t)
	eve := ensure(t, l.people, "eve@example.com")
	ada := ensure(t, l.people, "ada@example.com")
	if _, err := l.people.AddMember(t.Context(), l.tenant.ID, eve.ID, identity.Grant{Role: identity.RoleViewer}); err != nil {
		t.Fatal(err)
	}
	by := l.people.ForCaller(identity.Principal{Tenant: l.tenant.ID.String(), Scopes: identity.RoleAdmin.Scopes()})
	_, raise := by.ChangeRole(t.Context(), l.tenant.ID, eve.ID, identity.Grant{Role: identity.RoleOwner})
	_, lower := by.ChangeRole(t.Context(), l.tenant.ID, ada.ID, identity.Grant{Role: identity.RoleViewer})
	_, add := by.AddMember(t.Context(), l.tenant.ID, ensure(t, l.people, "bob@example.com").ID, identity.Grant{Role: identity.RoleOwner})
	for _, err := range []error{raise, lower, add, by.RemoveMember(t.Context(), l.tenant.ID, ada.ID)} {
		if !errors.Is(err, identity.ErrScopeNotHeld) {
			t.Errorf("the error is %v, want ErrScopeNotHeld", err)
		}
	}
	if m, err := by.ChangeRole(t.Context(), l.tenant.ID, eve.ID, identity.Grant{Role: identity.RoleAdmin}); err != nil || m.Role != identity.RoleAdmin {
		t.Errorf("ChangeRole = %v, %v", m, err)
	}
}

func TestNobodyOutsideTheOwnersTenantHasTheScopeForAllPeople(t *testing.T) {
	for tenant, want := range map[string]bool{identity.OwnerTenant: true, "ten_00000000002": false, "": false} {
		for _, scope := range []string{identity.AllScopes, identity.ScopePeople} {
			if got := (identity.Principal{Tenant: tenant, Scopes: []string{scope}}).Allows(identity.ScopePeople); got != want {
				t.Errorf("%s in %q allows it: %v, want %v", scope, tenant, got, want)
			}
		}
	}
	keys, _ := newKeys(t)
	_, _, err := keys.Create(t.Context(), identity.NewKey{Tenant: "acme", Name: "x", Scopes: []string{"jobs:read", identity.ScopePeople}})
	if all := fault.All(err); len(all) != 1 || all[0].Field != "/scopes" {
		t.Errorf("Create = %v, want ErrInvalid about /scopes", err)
	}
}

func TestTheOwnersTokenIsMadeOnce(t *testing.T) {
	l := newLobby(t)
	token, created, err := l.EnsureOwner(t.Context())
	if err != nil || !created {
		t.Fatalf("EnsureOwner = %q, %v, %v", token, created, err)
	}
	if again, created, err := l.EnsureOwner(t.Context()); err != nil || created || again != "" {
		t.Errorf("EnsureOwner again = %q, %v, %v", again, created, err)
	}
	_, other, err := l.InviteOwner(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Accept(t.Context(), token, identity.Joiner{Email: parse(t, "eve@example.com")}); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("Accept of the replaced one = %v, want ErrNotFound", err)
	}
	member, _, err := l.Accept(t.Context(), other, identity.Joiner{Email: parse(t, "eve@example.com")})
	if err != nil || member.Tenant != identity.OwnerTenantID || member.Role != identity.RoleOwner {
		t.Errorf("Accept = %v, %v; want the owner", member, err)
	}
	if _, _, err := l.InviteOwner(t.Context()); !errors.Is(err, identity.ErrHasOwner) {
		t.Errorf("InviteOwner = %v, want ErrHasOwner", err)
	}
}

func TestIDsOfInvitationsAreReadAsTheyAreWritten(t *testing.T) {
	if id, err := identity.ParseInvitationID(identity.InvitationID(7).String()); err != nil || id != 7 {
		t.Errorf("ParseInvitationID = %v, %v", id, err)
	}
	if _, err := identity.ParseInvitationID("usr_00000000002"); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("ParseInvitationID = %v, want ErrNotFound", err)
	}
}

func TestAProfileIsOfAMemberAlone(t *testing.T) {
	l := newLobby(t)
	ada, eve := ensure(t, l.people, "ada@example.com"), ensure(t, l.people, "eve@example.com")
	if p, err := l.people.FindProfile(t.Context(), l.tenant.ID, ada.ID); err != nil || p.Email.String() != "ada@example.com" || p.Role != identity.RoleOwner {
		t.Errorf("FindProfile = %+v, %v", p, err)
	}
	for _, id := range []identity.UserID{ada.ID - 1, ada.ID + 1, eve.ID} {
		if _, err := l.people.FindProfile(t.Context(), l.tenant.ID, id); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("FindProfile(%v) = %v, want ErrNotFound", id, err)
		}
	}
	_, tenants := l.people.Tenants(t.Context(), 0, 0)
	_, profiles := l.people.Profiles(t.Context(), l.tenant.ID, 0, 1001)
	if slices.Contains([]bool{errors.Is(tenants, identity.ErrInvalid), errors.Is(profiles, identity.ErrInvalid)}, false) {
		t.Errorf("pages out of range: %v and %v, want ErrInvalid", tenants, profiles)
	}
}

func ExampleNewInvitations() {
	ring, err := levqor.NewKeyRing([]byte("32 bytes from a random source ..."))
	if err != nil {
		fmt.Println(err)
		return
	}
	store := identity.NewMemDirectory(identity.NewMemKeyStore())
	invitations := identity.NewInvitations(store, identity.NewDirectory(store, nil), ring, nil)
	token, created, err := invitations.EnsureOwner(context.Background())
	fmt.Println(token[:4], created, err)
	offer, err := invitations.Look(context.Background(), token)
	fmt.Println(offer.Tenant, offer.Role, err)
	ada, err := identity.ParseEmail("ada@example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	member, created, err := invitations.Accept(context.Background(), token, identity.Joiner{Email: ada, Name: "Ada"})
	fmt.Println(member.Role, created, err)
	// Output:
	// lvi_ true <nil>
	// default owner <nil>
	// owner true <nil>
}
