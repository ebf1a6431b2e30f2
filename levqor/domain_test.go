package levqor_test

import (
	"context"
	"testing"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
	"github.com/levqor/sdk/levqor/sso"
)

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
