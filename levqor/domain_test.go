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
	"github.com/levqor/sdk/levqor/sso"
)

func TestAnOperatorTakesADomainFromWhoHasProvedIt(t *testing.T) {
	dns := &verified{}
	app := newApp(t, levqor.MemStores(), levqor.Options{TXT: dns})
	ada, made := connect(t, app, dns, sso.NewConnection{TrustMFA: true})
	vouched, _, err := app.FinishProviderLogin(t.Context(), sso.Login{Tenant: made.Tenant, Connection: made.ID, User: ada, MFA: true}, login.Start{})
	if err != nil {
		t.Fatal(err)
	}
	dropped := guard.Event{Tenant: identity.OwnerTenant, Action: guard.ActionSSODomainDropped, Outcome: guard.OutcomeSuccess, Actor: "key_x"}
	wrong := dropped
	wrong.Outcome = ""
	if err := app.DropDomain(t.Context(), "example.com", wrong); !errors.Is(err, guard.ErrInvalid) {
		t.Errorf("DropDomain = %v, want ErrInvalid", err)
	}
	if found, err := app.SSO.FindByDomain(t.Context(), ada.Email); err != nil || found.ID != made.ID {
		t.Errorf("FindByDomain = %+v, %v; want nothing changed that is not recorded", found, err)
	}
	for domain, want := range map[string]error{"other.example": levqor.ErrNotFound, "no domain": levqor.ErrNotFound} {
		if err := app.DropDomain(t.Context(), domain, dropped); !errors.Is(err, want) {
			t.Errorf("DropDomain of %q = %v, want %v", domain, err, want)
		}
	}
	for _, want := range []error{nil, levqor.ErrNotFound} {
		if err := app.DropDomain(t.Context(), "EXAMPLE.com", dropped); !errors.Is(err, want) {
			t.Errorf("DropDomain = %v, want %v", err, want)
		}
	}
	if found, err := app.SSO.FindByDomain(t.Context(), ada.Email); !errors.Is(err, levqor.ErrNotFound) {
		t.Errorf("FindByDomain = %+v, %v; want the domain to be nobody's", found, err)
	}
	if session, err := app.Sessions.Authenticate(t.Context(), vouched); err != nil || !session.NeedsSecondFactor {
		t.Errorf("Authenticate = %+v, %v; want that a factor is needed again", session, err)
	}
	for tenant, want := range map[string]string{
		made.Tenant.String(): "sso.domain_lost by , " + made.ID.String() + " map[by:operator domain:example.com]",
		identity.OwnerTenant: "sso.domain_dropped by key_x, " + made.ID.String() + " map[domain:example.com tenant:" + made.Tenant.String() + "]",
	} {
		entries, err := app.SecurityLog.Entries(t.Context(), tenant, guard.LogQuery{Limit: 10})
		if err != nil || len(entries) != 1 || fmt.Sprintf("%s by %s, %s %v", entries[0].Action, entries[0].Actor, entries[0].Target, entries[0].Detail) != want {
			t.Errorf("the log of %s has %+v, %v; want %s", tenant, entries, err, want)
		}
	}
	if _, err := app.SSO.Update(t.Context(), made.Tenant, made.ID, sso.ConnectionChange{Domains: &[]string{"example.com"}}); err != nil {
		t.Fatal(err)
	}
	if got, err := app.SSO.Verify(t.Context(), made.Tenant, made.ID, "example.com"); !errors.Is(err, sso.ErrDomainUnverified) {
		t.Errorf("Verify = %+v, %v; want that the record from before proves nothing", got, err)
	}
}

func TestWhoLosesADomainIsTold(t *testing.T) {
	dns := &verified{}
	app := newApp(t, levqor.MemStores(), levqor.Options{TXT: dns})
	ada, sold := connect(t, app, dns, sso.NewConnection{TrustMFA: true})
	vouched, _, err := app.FinishProviderLogin(t.Context(), sso.Login{Tenant: sold.Tenant, Connection: sold.ID, User: ada, MFA: true}, login.Start{})
	if err != nil {
		t.Fatal(err)
	}
	buyer, err := app.Directory.CreateTenant(t.Context(), "Looms", addUser(t, app, "eve@example.org").ID)
	if err != nil {
		t.Fatal(err)
	}
	by := identity.Principal{Tenant: buyer.ID.String(), KeyID: "key_x", Scopes: []string{identity.AllScopes}}
	made, err := app.SSO.Create(t.Context(), buyer.ID, sso.NewConnection{Issuer: "https://login.example.org", ClientID: "levqor", ClientSecret: "secret", Domains: []string{"example.com"}, Role: identity.RoleMember})
	if err != nil {
		t.Fatal(err)
	}
	dns.value = made.Domains[0].RecordValue()
	proven, err := app.ProveDomain(t.Context(), by, made.ID, "example.com")
	if err != nil || proven.From != sold.ID {
		t.Fatalf("ProveDomain = %+v, %v; want the domain from %v", proven, err, sold.ID)
	}
	for range 2 { // the second time there is nothing to lose
		err = app.InTx(t.Context(), func(ctx context.Context, tx levqor.Stores) error {
			_, err := app.KeepDomain(ctx, tx, by, made.ID, proven)
			return err
		})
		if err != nil {
			t.Fatalf("KeepDomain = %v", err)
		}
	}
	if found, err := app.SSO.FindByDomain(t.Context(), ada.Email); err != nil || found.ID != made.ID {
		t.Errorf("FindByDomain = %+v, %v; want %v", found, err, made.ID)
	}
	entries, err := app.SecurityLog.Entries(t.Context(), sold.Tenant.String(), guard.LogQuery{Limit: 10})
	if err != nil || len(entries) != 1 || entries[0].Action != guard.ActionSSODomainLost || entries[0].Target != sold.ID.String() || entries[0].Detail["domain"] != "example.com" || entries[0].Actor != "" {
		t.Errorf("the loser's log has %+v, %v; want that it lost the domain, and not to whom", entries, err)
	}
	if session, err := app.Sessions.Authenticate(t.Context(), vouched); err != nil || !session.NeedsSecondFactor {
		t.Errorf("Authenticate = %+v, %v; want that a factor is needed again", session, err)
	}
}
