package levqor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
	"github.com/levqor/sdk/levqor/sso"
)

type verified struct{ value string }

func (v *verified) LookupTXT(context.Context, string) ([]string, error) {
	return []string{v.value}, nil
}

// connect gives a tenant of ada's a provider for example.com, and returns it.
func connect(t *testing.T, app *levqor.App, dns *verified, n sso.NewConnection) (identity.User, sso.Connection) {
	t.Helper()
	ada := addUser(t, app, "ada@example.com")
	tenant, err := app.Directory.CreateTenant(t.Context(), "Engines", ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	n.Issuer, n.ClientID, n.ClientSecret, n.Domains, n.Role = "https://login.example.com", "levqor", "secret", []string{"example.com"}, identity.RoleMember
	made, err := app.SSO.Create(t.Context(), tenant.ID, n)
	if err != nil {
		t.Fatal(err)
	}
	dns.value = made.Domains[0].RecordValue()
	if made, err = app.SSO.Verify(t.Context(), tenant.ID, made.ID, "example.com"); err != nil {
		t.Fatal(err)
	}
	return ada, made
}

// enrolFactor gives a user an authenticator app.
func enrolFactor(t *testing.T, app *levqor.App, user identity.User) {
	t.Helper()
	enrolment, err := app.Factors.BeginTOTP(t.Context(), user.ID, user.Email.String(), "Engines")
	if err != nil {
		t.Fatal(err)
	}
	code, err := factor.TOTPCode(enrolment.Secret, time.Now())
	if err == nil {
		err = app.Factors.ConfirmTOTP(t.Context(), user.ID, code)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhereAProviderIsRequiredNobodySignsInByMail(t *testing.T) {
	for _, required := range []bool{true, false} {
		dns := &verified{}
		app := newApp(t, levqor.MemStores(), levqor.Options{SignUp: true, Mailer: &outbox{}, PublicURL: "https://app.example.com", TXT: dns})
		_, made := connect(t, app, dns, sso.NewConnection{Required: required})
		bob := addUser(t, app, "bob@example.com")
		if _, err := app.Directory.AddMember(t.Context(), made.Tenant, bob.ID, identity.Grant{Role: identity.RoleAdmin}); err != nil {
			t.Fatal(err)
		}
		if _, err := app.BeginLogin(t.Context(), "Bob@Example.com", laptop); required != errors.Is(err, levqor.ErrProviderRequired) {
			t.Errorf("required %v: BeginLogin = %v", required, err)
		}
		for _, address := range []string{"bob@example.com", "new@example.com"} {
			email, err := identity.ParseEmail(address)
			if err != nil {
				t.Fatal(err)
			}
			token, _, err := app.FinishLogin(t.Context(), email, login.Start{})
			if required != errors.Is(err, levqor.ErrProviderRequired) || required != (token == "") {
				t.Errorf("required %v: FinishLogin of %s = %q, %v", required, address, token, err)
			}
			if _, err := app.Directory.FindUserByEmail(t.Context(), email); required && address == "new@example.com" && !errors.Is(err, levqor.ErrNotFound) {
				t.Errorf("FindUserByEmail = %v, want nobody made", err)
			}
		}
		if _, session, err := app.FinishProviderLogin(t.Context(), sso.Login{Tenant: made.Tenant, Connection: made.ID, User: bob}, login.Start{}); err != nil || session.User != bob.ID || session.Tenant != made.Tenant {
			t.Errorf("required %v: FinishProviderLogin = %+v, %v", required, session, err)
		}
		if _, err := app.BeginLogin(t.Context(), "ada@example.org", laptop); err != nil {
			t.Errorf("required %v: BeginLogin of another domain = %v", required, err)
		}
	}
}

// The way back in where the provider is out of order: of all who ask, owners alone get mail.
func TestOwnersComeBackByMailWhereTheirProviderIsRequired(t *testing.T) {
	dns := &verified{}
	signIn(t, levqor.Options{SignUp: true, TXT: dns}, func(t *testing.T, app *levqor.App, box *outbox) {
		ada, made := connect(t, app, dns, sso.NewConnection{Required: true})
		bob, eve := addUser(t, app, "bob@example.com"), addUser(t, app, "eve@example.com")
		op, gone := addUser(t, app, "op@example.com"), addUser(t, app, "gone@example.com")
		if _, err := app.Directory.AddMember(t.Context(), made.Tenant, bob.ID, identity.Grant{Role: identity.RoleAdmin}); err != nil {
			t.Fatal(err)
		}
		for _, user := range []identity.User{eve, gone} { // who own something else
			if _, err := app.Directory.CreateTenant(t.Context(), "Looms", user.ID); err != nil {
				t.Fatal(err)
			}
		}
		for tenant, users := range map[identity.TenantID][]identity.User{made.Tenant: {op, eve, gone}, identity.OwnerTenantID: {op}} {
			for _, user := range users {
				grant := identity.Grant{Role: identity.RoleMember}
				if tenant == identity.OwnerTenantID {
					grant.Role = identity.RoleOwner
				}
				if _, err := app.Directory.AddMember(t.Context(), tenant, user.ID, grant); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := app.Directory.RemoveMember(t.Context(), made.Tenant, gone.ID); err != nil {
			t.Fatal(err)
		}
		for _, address := range []string{"bob@example.com", "eve@example.com", "new@example.com", "ADA@example.com", "op@example.com", "gone@example.com"} {
			flow, err := app.BeginOwnerLogin(t.Context(), address, laptop)
			if err != nil || flow.ID == "" || flow.Cookie == "" || flow.Secret != "" {
				t.Errorf("BeginOwnerLogin(%s) = %+v, %v", address, flow, err)
			}
			synctest.Wait()
		}
		var got []string
		for _, mail := range box.sent() {
			got = append(got, mail.To.String())
		}
		if want := "[ada@example.com op@example.com gone@example.com]"; fmt.Sprint(got) != want {
			t.Errorf("mail went to %v, want %s: owners of the tenant and of the service, and who has left the tenant for another", got, want)
		}
		for _, user := range []identity.User{ada, op, gone} {
			if _, session, err := app.FinishLogin(t.Context(), user.Email, login.Start{}); err != nil || session.User != user.ID || session.Level != login.LevelMail {
				t.Errorf("FinishLogin = %+v, %v; want %s", session, err, user.Email)
			}
		}
		for _, user := range []identity.User{bob, eve} {
			if _, _, err := app.FinishLogin(t.Context(), user.Email, login.Start{}); !errors.Is(err, levqor.ErrProviderRequired) {
				t.Errorf("FinishLogin of %s = %v, want ErrProviderRequired", user.Email, err)
			}
		}
	})
}

func TestWhatAProviderVouchesForCountsInItsTenantAlone(t *testing.T) {
	dns := &verified{}
	app := newApp(t, levqor.MemStores(), levqor.Options{TXT: dns})
	ada, made := connect(t, app, dns, sso.NewConnection{TrustMFA: true})
	other, err := app.Directory.CreateTenant(t.Context(), "Looms", ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	needs := func(token string, want bool) {
		t.Helper()
		found, err := app.Sessions.Authenticate(t.Context(), token)
		if err != nil || found.NeedsSecondFactor != want {
			t.Errorf("Authenticate = %+v, %v; want that it needs a second factor: %v", found, err, want)
		}
	}
	for _, mfa := range []bool{false, true} {
		token, session, err := app.FinishProviderLogin(t.Context(), sso.Login{Tenant: made.Tenant, Connection: made.ID, User: ada, MFA: mfa}, login.Start{Level: login.LevelSecondFactor, Vouched: true})
		if err != nil || session.Tenant != made.Tenant || session.Level != login.LevelMail || session.Provider != made.Tenant {
			t.Fatalf("FinishProviderLogin = %+v, %v", session, err)
		}
		needs(token, !mfa)
		if _, _, err := app.Sessions.Switch(t.Context(), token, other.ID); !errors.Is(err, login.ErrReproveRequired) {
			t.Errorf("Switch = %v, want ErrReproveRequired", err)
		}
		if token, session, err = app.Sessions.Reprove(t.Context(), token); err != nil || session.Provider != 0 {
			t.Fatalf("Reprove = %+v, %v", session, err)
		}
		if token, _, err = app.Sessions.Switch(t.Context(), token, other.ID); err != nil {
			t.Fatal(err)
		}
		needs(token, true)
		if token, _, err = app.Sessions.Switch(t.Context(), token, made.Tenant); err != nil {
			t.Fatal(err)
		}
		needs(token, !mfa)
		err = app.InTx(t.Context(), func(ctx context.Context, tx levqor.Stores) error {
			by := identity.Principal{Tenant: made.Tenant.String(), KeyID: "key_x", Scopes: []string{identity.AllScopes}}
			agree := func(sso.Connection) error { return nil }
			if _, err := app.ChangeConnection(ctx, tx, by, made.ID, agree, sso.ConnectionChange{TrustMFA: new(false)}); err != nil {
				return err
			}
			needs(token, true)
			_, err := app.ChangeConnection(ctx, tx, by, made.ID, agree, sso.ConnectionChange{TrustMFA: new(true)})
			return err
		})
		if err != nil {
			t.Error(err)
		}
		needs(token, true)
	}
	untrusted := sso.Login{Tenant: made.Tenant, Connection: made.ID, User: ada, MFA: true} // when they began
	if _, err := app.SSO.Update(t.Context(), made.Tenant, made.ID, sso.ConnectionChange{TrustMFA: new(false)}); err != nil {
		t.Fatal(err)
	}
	token, _, err := app.FinishProviderLogin(t.Context(), untrusted, login.Start{})
	if err != nil {
		t.Fatal(err)
	}
	needs(token, true)
	if err := app.SSO.Delete(t.Context(), made.Tenant, made.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := app.FinishProviderLogin(t.Context(), untrusted, login.Start{}); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("FinishProviderLogin at a connection that is gone = %v, want ErrUnauthenticated", err)
	}
}

func TestAProviderWaivesNobodysOwnSecondFactor(t *testing.T) {
	dns := &verified{}
	app := newApp(t, levqor.MemStores(), levqor.Options{TXT: dns})
	ada, made := connect(t, app, dns, sso.NewConnection{TrustMFA: true})
	enrolFactor(t, app, ada)
	token, session, err := app.FinishProviderLogin(t.Context(), sso.Login{Tenant: made.Tenant, Connection: made.ID, User: ada, MFA: true}, login.Start{})
	if err != nil || session.Level != login.LevelHalf || session.HasSecondFactor() {
		t.Fatalf("FinishProviderLogin = %+v, %v; want a half session", session, err)
	}
	if found, err := app.Sessions.Authenticate(t.Context(), token); err != nil || !found.NeedsSecondFactor {
		t.Errorf("Authenticate = %+v, %v; want that the factor is asked for", found, err)
	}
	if _, err := app.Directory.DisableUser(t.Context(), ada.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := app.FinishProviderLogin(t.Context(), sso.Login{Tenant: made.Tenant, Connection: made.ID, User: ada, MFA: true}, login.Start{}); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("FinishProviderLogin of a disabled user = %v, want ErrUnauthenticated", err)
	}
}

func TestNobodyIsSignedInWhoWasRemovedSinceTheProviderSentThem(t *testing.T) {
	dns := &verified{}
	app := newApp(t, levqor.MemStores(), levqor.Options{TXT: dns})
	_, made := connect(t, app, dns, sso.NewConnection{})
	bob, err := app.SSO.SignIn(t.Context(), app.Directory, made.ID, sso.Claims{Subject: "bob", Email: "bob@example.com", EmailVerified: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := app.FinishProviderLogin(t.Context(), bob, login.Start{}); err != nil {
		t.Errorf("FinishProviderLogin = %v", err)
	}
	if err := app.Directory.RemoveMember(t.Context(), made.Tenant, bob.User.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := app.FinishProviderLogin(t.Context(), bob, login.Start{}); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("FinishProviderLogin = %v, want ErrUnauthenticated", err)
	}
}

func TestConnectionsAreChangedByThoseWhoMayAndInTheirTenant(t *testing.T) {
	dns := &verified{}
	app := newApp(t, levqor.MemStores(), levqor.Options{TXT: dns})
	_, made := connect(t, app, dns, sso.NewConnection{})
	other, err := app.Directory.CreateTenant(t.Context(), "Looms", addUser(t, app, "eve@example.org").ID)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{identity.AllScopes}
	for name, c := range map[string]struct {
		by   identity.Principal
		want error
	}{
		"another tenant's":      {identity.Principal{Tenant: other.ID.String(), KeyID: "key_x", Scopes: all}, levqor.ErrNotFound},
		"without the scope":     {identity.Principal{Tenant: made.Tenant.String(), KeyID: "key_x", Scopes: []string{"jobs:read", "jobs:write", "sso:read"}}, identity.ErrScopeNotHeld},
		"less than the role":    {identity.Principal{Tenant: made.Tenant.String(), KeyID: "key_x", Scopes: []string{"sso:write"}}, identity.ErrScopeNotHeld},
		"no member any more":    {identity.Principal{Tenant: made.Tenant.String(), UserID: "usr_00000000009", Scopes: all}, identity.ErrScopeNotHeld},
		"a tenant that is none": {identity.Principal{Tenant: "acme", KeyID: "key_x", Scopes: all}, levqor.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			agreed := false
			for op, do := range map[string]func(ctx context.Context, tx levqor.Stores) error{
				"change": func(ctx context.Context, tx levqor.Stores) error {
					_, err := app.ChangeConnection(ctx, tx, c.by, made.ID, func(sso.Connection) error { agreed = true; return nil }, sso.ConnectionChange{Required: new(true)})
					return err
				},
				"remove": func(ctx context.Context, tx levqor.Stores) error { return app.RemoveConnection(ctx, tx, c.by, made.ID) },
				"keep": func(ctx context.Context, tx levqor.Stores) error {
					_, err := app.KeepDomain(ctx, tx, c.by, made.ID, sso.Proof{Domain: made.Domains[0]})
					return err
				},
			} {
				if err := app.InTx(t.Context(), do); !errors.Is(err, c.want) {
					t.Errorf("%s = %v, want %v", op, err, c.want)
				}
			}
			if got, err := app.SSO.Get(t.Context(), made.Tenant, made.ID); agreed || err != nil || fmt.Sprint(got) != fmt.Sprint(made) {
				t.Errorf("the connection is %+v, %v; want it as it was", got, err)
			}
		})
	}
}

func TestWhatAProviderGaveEndsWithWhatGaveIt(t *testing.T) {
	dns := &verified{}
	app := newApp(t, levqor.MemStores(), levqor.Options{TXT: dns})
	_, made := connect(t, app, dns, sso.NewConnection{TrustMFA: true})
	by := identity.Principal{Tenant: made.Tenant.String(), KeyID: "key_x", Scopes: []string{identity.AllScopes}}
	var bob sso.Login
	err := app.InTx(t.Context(), func(ctx context.Context, tx levqor.Stores) (err error) {
		bob, err = app.SSO.With(tx.SSO).SignIn(ctx, app.Directory.With(tx.Directory), made.ID, sso.Claims{Subject: "bob", Email: "bob@example.com", EmailVerified: true, MFA: true})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	begin := func() string {
		t.Helper()
		token, session, err := app.FinishProviderLogin(t.Context(), bob, login.Start{})
		if err != nil || session.Vouched != made.Tenant {
			t.Fatalf("FinishProviderLogin = %+v, %v", session, err)
		}
		return token
	}
	change := func(do func(ctx context.Context, tx levqor.Stores) error) {
		t.Helper()
		if err := app.InTx(t.Context(), do); err != nil {
			t.Fatal(err)
		}
	}
	token, kept := begin(), begin()
	if kept, _, err = app.Sessions.Reprove(t.Context(), kept); err != nil { // by mail
		t.Fatal(err)
	}
	change(func(ctx context.Context, tx levqor.Stores) error { return app.UnlinkMember(ctx, tx, by, bob.User.ID) })
	if _, err := app.Sessions.Authenticate(t.Context(), token); !errors.Is(err, login.ErrUnauthenticated) {
		t.Errorf("Authenticate = %v, want that the session of who was unlinked has ended", err)
	}
	if found, err := app.Sessions.Authenticate(t.Context(), kept); err != nil || found.Session.Vouched != 0 {
		t.Errorf("Authenticate = %+v, %v; want a session for which nobody vouches", found, err)
	}
	token = begin()
	for _, c := range []struct {
		domains []string
		want    identity.TenantID
	}{{[]string{"example.com", "other.example"}, made.Tenant}, {[]string{"example.com"}, made.Tenant}, {nil, 0}} {
		change(func(ctx context.Context, tx levqor.Stores) error {
			_, err := app.ChangeConnection(ctx, tx, by, made.ID, func(sso.Connection) error { return nil }, sso.ConnectionChange{Domains: &c.domains})
			return err
		})
		if found, err := app.Sessions.Authenticate(t.Context(), token); err != nil || found.Session.Vouched != c.want {
			t.Errorf("with the domains %v: Authenticate = %+v, %v; want it vouched for in %v", c.domains, found, err, c.want)
		}
	}
}

func TestTheLogTellsWhatOfAConnectionWasChanged(t *testing.T) {
	domains := func(names ...string) (all []sso.Domain) {
		for _, name := range names {
			all = append(all, sso.Domain{Name: name})
		}
		return all
	}
	before := sso.Connection{ID: 1, Issuer: "https://a.example", ClientID: "a", ClientSecret: "hunter1", Domains: domains("a.example", "b.example"), Role: identity.RoleMember}
	after := before
	after.ClientID, after.ClientSecret, after.Domains, after.Required = "b", "hunter2", domains("b.example", "c.example"), true
	long := sso.Connection{ID: 2, Issuer: "https://" + strings.Repeat("é", 200), Role: identity.RoleViewer}
	for name, c := range map[string]struct {
		before, after sso.Connection
		want          string
	}{
		"made":      {sso.Connection{}, before, "map[domains_added:a.example b.example issuer:https://a.example required:false role:member trust_email:false trust_mfa:false]"},
		"unchanged": {before, before, "map[issuer:https://a.example required:false role:member trust_email:false trust_mfa:false]"},
		"changed":   {before, after, "map[client_changed:true domains_added:c.example domains_removed:a.example issuer:https://a.example required:true role:member secret_changed:true trust_email:false trust_mfa:false]"},
		"too long":  {long, long, "map[issuer:https://" + strings.Repeat("é", 122) + "... required:false role:viewer trust_email:false trust_mfa:false]"},
	} {
		if got := levqor.ConnectionChangeDetail(c.before, c.after); fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}
