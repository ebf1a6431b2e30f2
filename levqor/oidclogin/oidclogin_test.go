package oidclogin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/oidclogin"
	"github.com/levqor/sdk/levqor/sso"
)

const callbackURL = "https://app.example.com/login/sso/done"

// dns answers with the texts of names, or with its error.
type dns struct {
	texts map[string][]string
	err   error
}

// LookupTXT implements [sso.TXTLookup].
func (d *dns) LookupTXT(_ context.Context, name string) ([]string, error) {
	if d.err != nil {
		return nil, d.err
	}
	texts, ok := d.texts[name]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return texts, nil
}

// world is an app with a tenant that has a provider.
type world struct {
	*testing.T
	app    *levqor.App
	fake   *fake
	party  *oidclogin.RelyingParty
	owner  identity.User
	tenant identity.Tenant
	conn   sso.Connection
	names  *dns
	now    time.Time // of the relying party; the real one while it is zero
	log    bytes.Buffer
}

func newWorld(t *testing.T, opts oidclogin.Options) *world {
	t.Helper()
	w := &world{T: t, fake: newFake(t), names: &dns{texts: map[string][]string{}}}
	var err error
	if w.app, err = levqor.New(levqor.MemStores(), &levqor.Options{Secret: bytes.Repeat([]byte("s"), 32), TXT: w.names}); err != nil {
		t.Fatal(err)
	}
	w.owner = w.user("owner@acme.example")
	if w.tenant, err = w.app.Directory.CreateTenant(t.Context(), "acme", w.owner.ID); err != nil {
		t.Fatal(err)
	}
	w.conn, err = w.app.SSO.Create(t.Context(), w.tenant.ID, sso.NewConnection{
		Issuer: w.fake.URL, ClientID: clientID, ClientSecret: clientSecret, Domains: []string{"acme.example", "unproved.example"}, Role: identity.RoleMember, TrustMFA: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	proof := w.conn.Domains[0]
	w.names.texts[proof.RecordName()+"."] = []string{"v=spf1", proof.RecordValue()}
	if w.conn, err = w.app.SSO.Verify(t.Context(), w.tenant.ID, w.conn.ID, "acme.example"); err != nil {
		t.Fatal(err)
	}
	opts.AllowPrivate = true
	opts.Logger = slog.New(slog.NewTextHandler(&w.log, nil))
	opts.Now = func() time.Time {
		if w.now.IsZero() {
			return time.Now()
		}
		return w.now
	}
	if w.party, err = oidclogin.New(w.app, callbackURL, &opts); err != nil {
		t.Fatal(err)
	}
	w.fake.redirect = w.party.CallbackURL(w.conn.ID)
	return w
}

func (w *world) user(address string) identity.User {
	w.Helper()
	email, err := identity.ParseEmail(address)
	if err != nil {
		w.Fatal(err)
	}
	user, _, err := w.app.Directory.EnsureUser(w.Context(), email, "")
	if err != nil {
		w.Fatal(err)
	}
	return user
}

// begin sends a browser to the provider and returns what it comes back with.
func (w *world) begin() (secret string, back url.Values) {
	w.Helper()
	to, secret, err := w.party.Begin(w.Context(), w.conn.ID, "/jobs?state=ready")
	if err != nil {
		w.Fatalf("Begin = %v", err)
	}
	return secret, w.fake.authorize(to)
}

func (w *world) signIn() (oidclogin.Identity, error) {
	w.Helper()
	secret, back := w.begin()
	return w.party.Finish(w.Context(), secret, w.fake.callback(back))
}

func (w *world) mustSignIn() oidclogin.Identity {
	w.Helper()
	who, err := w.signIn()
	if err != nil {
		w.Fatalf("Finish = %v; the log has %s", err, w.log.String())
	}
	return who
}

// wantRefused checks an error, and that it says nothing of the provider.
func (w *world) wantRefused(err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Errorf("the error is %v, want %v; the log has %s", err, want, w.log.String())
	}
	for _, secret := range []string{"canary", "127.0.0.1", clientSecret, "ada@", "opaque"} {
		if err != nil && strings.Contains(err.Error(), secret) {
			w.Errorf("the error %q says %q", err, secret)
		}
		if secret != "127.0.0.1" && strings.Contains(w.log.String(), secret) {
			w.Errorf("the log %q says %q", w.log.String(), secret)
		}
	}
	if err != nil && w.log.Len() == 0 {
		w.Errorf("%v was not logged", err)
	}
}

func TestSomebodyComesTwice(t *testing.T) {
	for _, kid := range []string{"k1", "e1"} {
		t.Run("with a key "+kid, func(t *testing.T) {
			w := newWorld(t, oidclogin.Options{})
			w.fake.rotate(kid)
			first := w.mustSignIn()
			if !first.Created || first.Tenant != w.tenant.ID || first.User.Email.String() != "ada@acme.example" || first.User.Name != "Ada" || first.MFA || first.ReturnPath != "/jobs?state=ready" {
				t.Errorf("Finish = %+v, want a new user", first)
			}
			if m, err := w.app.Directory.FindMember(t.Context(), w.tenant.ID, first.User.ID); err != nil || m.Role != identity.RoleMember {
				t.Errorf("FindMember = %+v, %v; want a member", m, err)
			}
			again := w.mustSignIn()
			if again.Created || again.User.ID != first.User.ID {
				t.Errorf("Finish = %+v, want user %v", again, first.User.ID)
			}
			if asked := w.fake.asked; asked["/.well-known/openid-configuration"] != 1 || asked["/keys"] != 1 || asked["/token"] != 2 {
				t.Errorf("the provider was asked %v, want discovery and keys once", asked)
			}
			if w.log.Len() > 0 {
				t.Errorf("the log has %s", w.log.String())
			}
		})
	}
}

func TestAMemberStaysWhoTheyAre(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	w.fake.claims["email"] = "OWNER@ACME.example"
	who := w.mustSignIn()
	m, err := w.app.Directory.FindMember(t.Context(), w.tenant.ID, who.User.ID)
	if err != nil || who.Created || who.User.ID != w.owner.ID || m.Role != identity.RoleOwner {
		t.Errorf("Finish = %+v and the member is %+v, %v; want the owner as before", who, m, err)
	}
}

func TestLaterItIsTheSubjectThatCounts(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	ada := w.mustSignIn()
	w.fake.claims["email"] = "countess@acme.example"
	if who := w.mustSignIn(); who.User.ID != ada.User.ID || who.User.Email.String() != "ada@acme.example" {
		t.Errorf("Finish = %+v, want user %v with another address at the provider", who, ada.User.ID)
	}
	w.fake.claims["sub"], w.fake.claims["email"] = "s2", "ada@acme.example"
	_, err := w.signIn()
	w.wantRefused(err, sso.ErrOtherSubject)
	if err := w.app.SSO.Unlink(t.Context(), w.tenant.ID, ada.User.ID); err != nil {
		t.Fatal(err)
	}
	if who := w.mustSignIn(); who.User.ID != ada.User.ID {
		t.Errorf("Finish = %+v, want user %v, whom the tenant has unlinked", who, ada.User.ID)
	}
}

func TestASecondFactorCountsIfTheTenantTrustsTheProvider(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	for _, c := range []struct {
		claims map[string]any
		want   bool
	}{
		{map[string]any{"amr": []string{"pwd"}}, false},
		{map[string]any{"amr": []string{"pwd", "mfa"}}, true},
		{map[string]any{"amr": "mfa"}, true},
		{map[string]any{"amr": []string{"otp"}}, false},
		{map[string]any{"amr": "hwk"}, false},
		{map[string]any{"amr": []string{"otp", "hwk"}}, false},
		{map[string]any{"amr": []string{"pwd", "pin"}}, false},
		{map[string]any{"amr": []string{"pwd", "otp"}}, true},
		{map[string]any{"amr": []string{"hwk", "pin"}}, true},
		{map[string]any{"amr": []string{"face", "hwk"}}, true},
		{map[string]any{"amr": nil, "acr": "otp"}, false},
		{map[string]any{"amr": nil, "acr": "https://refeds.org/profile/mfa"}, true},
		{map[string]any{"amr": nil, "acr": "urn:password"}, false},
	} {
		maps.Copy(w.fake.claims, c.claims)
		if who := w.mustSignIn(); who.MFA != c.want {
			t.Errorf("MFA of %v is %v, want %v", c.claims, who.MFA, c.want)
		}
	}
	w.fake.claims["amr"] = []string{"mfa"}
	if _, err := w.app.SSO.Update(t.Context(), w.tenant.ID, w.conn.ID, sso.ConnectionChange{TrustMFA: new(false)}); err != nil {
		t.Fatal(err)
	}
	if who := w.mustSignIn(); who.MFA {
		t.Errorf("Finish = %+v, want no second factor: the tenant does not trust it", who)
	}
}

func TestTokensThatAreNotRightAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(f *fake){
		"another nonce":                  func(f *fake) { f.claims["nonce"] = "other" },
		"no nonce":                       func(f *fake) { f.claims["nonce"] = "" },
		"another issuer":                 func(f *fake) { f.claims["iss"] = "https://evil.example" },
		"another audience":               func(f *fake) { f.claims["aud"] = "other" },
		"several audiences and no party": func(f *fake) { f.claims["aud"] = []string{clientID, "other"} },
		"another party":                  func(f *fake) { f.claims["azp"] = "other" },
		"no subject":                     func(f *fake) { f.claims["sub"] = "" },
		"a long subject":                 func(f *fake) { f.claims["sub"] = strings.Repeat("s", 256) },
		"an address that is none":        func(f *fake) { f.claims["email"] = "ada@" },
		"expired":                        func(f *fake) { f.claims["exp"] = time.Now().Add(-time.Second).Unix() },
		"not valid yet":                  func(f *fake) { f.claims["nbf"] = time.Now().Add(time.Hour).Unix() },
		"no algorithm": func(f *fake) {
			f.sign = func(c map[string]any) string { return unsigned(map[string]any{"alg": "none"}, c) + "." }
		},
		"HMAC with the client's secret": func(f *fake) {
			f.sign = func(c map[string]any) string { return f.withHMAC(c, clientSecret) }
		},
		"HMAC with the public key": func(f *fake) {
			f.sign = func(c map[string]any) string { return f.withHMAC(c, fmt.Sprint(f.jwk()["n"])) }
		},
		"another key of the same name": func(f *fake) {
			other := &fake{t: f.t}
			other.rotate("k1")
			f.sign = other.signed
		},
		"claims changed after signing": func(f *fake) {
			f.sign = func(c map[string]any) string {
				parts := strings.Split(f.signed(c), ".")
				c["email"] = "owner@acme.example"
				return unsigned(map[string]any{"alg": "RS256", "kid": "k1"}, c) + "." + parts[2]
			}
		},
		"no token":      func(f *fake) { f.sign = func(map[string]any) string { return "" } },
		"not a token":   func(f *fake) { f.sign = func(map[string]any) string { return "canary" } },
		"another proof": func(f *fake) { clear(f.codes) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, oidclogin.Options{})
			secret, back := w.begin()
			spoil(w.fake)
			_, err := w.party.Finish(t.Context(), secret, w.fake.callback(back))
			w.wantRefused(err, oidclogin.ErrSignInFailed)
			w.wantNobodyNew()
		})
	}
}

// wantNobodyNew checks that nothing was stored.
func (w *world) wantNobodyNew() {
	w.Helper()
	members, err := w.app.Directory.Members(w.Context(), w.tenant.ID, 0, 10)
	email, _ := identity.ParseEmail("ada@acme.example")
	_, userErr := w.app.Directory.FindUserByEmail(w.Context(), email)
	if err != nil || len(members) != 1 || !errors.Is(userErr, identity.ErrNotFound) {
		w.Errorf("the members are %v, %v, and the user %v; want the owner alone", members, err, userErr)
	}
}

func TestPeopleWhomTheProviderMayNotSpeakForAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		claim string
		value any
		want  error
	}{
		"an address that is not verified":        {"email_verified", false, sso.ErrEmailUnverified},
		"an address of which nothing is said":    {"email_verified", nil, sso.ErrEmailUnverified},
		"a domain of others":                     {"email", "ada@gmail.com", sso.ErrForeignDomain},
		"a domain below":                         {"email", "ada@evil.acme.example", sso.ErrForeignDomain},
		"a domain that is claimed, not verified": {"email", "ada@unproved.example", sso.ErrForeignDomain},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, oidclogin.Options{})
			w.fake.claims[c.claim] = c.value
			_, err := w.signIn()
			w.wantRefused(err, c.want)
			w.wantNobodyNew()
		})
	}
}

func TestAccountsAtGoogleAreThoseThatTheOrganisationManages(t *testing.T) {
	const google = "https://accounts.google.com"
	w := newWorld(t, oidclogin.Options{})
	oidclogin.Reach(w.party, within{w.fake})
	w.fake.metadata["issuer"], w.fake.claims["iss"] = google, google
	w.conn = w.issued(google, "acme.example")
	w.fake.redirect = w.party.CallbackURL(w.conn.ID)
	w.names.texts[w.conn.Domains[0].RecordName()+"."] = []string{w.conn.Domains[0].RecordValue()}
	if _, err := w.app.SSO.Verify(t.Context(), w.tenant.ID, w.conn.ID, "acme.example"); err != nil {
		t.Fatal(err)
	}
	for _, hosted := range []any{nil, "", "gmail.com", "unproved.example", "evil.acme.example"} {
		w.fake.claims["hd"] = hosted
		_, err := w.signIn()
		w.wantRefused(err, sso.ErrForeignDomain)
		w.wantNobodyNew()
	}
	w.fake.claims["hd"] = "ACME.example"
	w.mustSignIn()
	w.fake.claims["hd"] = nil // after they have left
	_, err := w.signIn()
	w.wantRefused(err, sso.ErrForeignDomain)
}

func TestAVerifiedAddressMayBeSaidAsText(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	w.fake.claims["email_verified"] = "true"
	w.mustSignIn()
	w.fake.claims["email_verified"] = "false"
	_, err := w.signIn()
	w.wantRefused(err, sso.ErrEmailUnverified)
}

func TestAnAddressOfWhichNothingIsSaidCountsWhereTheTenantSaysSo(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	trust := func(trust bool) {
		t.Helper()
		if _, err := w.app.SSO.Update(t.Context(), w.tenant.ID, w.conn.ID, sso.ConnectionChange{TrustEmail: &trust}); err != nil {
			t.Fatal(err)
		}
	}
	trust(true)
	inToken, inUserInfo := maps.Clone(w.fake.claims), maps.Clone(w.fake.claims)
	delete(inUserInfo, "email")
	for _, c := range []struct {
		name, email string
		verified    any
		want        error
	}{
		{"nothing is said", "ada@acme.example", nothing, nil},
		{"a domain that is claimed, not verified", "ada@unproved.example", nothing, sso.ErrForeignDomain},
		{"a domain of others", "ada@gmail.com", nothing, sso.ErrForeignDomain},
		{"it is not verified", "ada@acme.example", false, sso.ErrEmailUnverified},
		{"it is not verified, as text", "ada@acme.example", "false", sso.ErrEmailUnverified},
		{"what is said cannot be read", "ada@acme.example", "", sso.ErrEmailUnverified},
		{"neither one nor the other", "ada@acme.example", 1, sso.ErrEmailUnverified},
	} {
		said := map[string]any{"email": c.email, "email_verified": c.verified}
		if c.verified == nothing {
			delete(said, "email_verified")
		}
		delete(inToken, "email_verified")
		w.fake.claims = inToken
		maps.Copy(w.fake.claims, said)
		if _, err := w.signIn(); !errors.Is(err, c.want) {
			t.Errorf("%s: Finish = %v, want %v", c.name, err, c.want)
		}
		if c.verified == "" || c.verified == 1 {
			continue // package oidc reads no such user info
		}
		w.fake.claims = inUserInfo
		w.fake.userInfo = map[string]any{"sub": "s1"}
		maps.Copy(w.fake.userInfo, said)
		if _, err := w.signIn(); !errors.Is(err, c.want) {
			t.Errorf("%s in the user info: Finish = %v, want %v", c.name, err, c.want)
		}
	}
	trust(false)
	delete(inToken, "email_verified")
	inToken["email"] = "ada@acme.example"
	w.fake.claims = inToken
	_, err := w.signIn()
	w.wantRefused(err, sso.ErrEmailUnverified)
}

// nothing is a claim that is not there.
const nothing = "nothing"

func TestAnAddressMayComeFromUserInfo(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	delete(w.fake.claims, "email")
	w.fake.userInfo = map[string]any{"sub": "s2", "email": "ada@acme.example", "email_verified": true}
	_, err := w.signIn()
	w.wantRefused(err, oidclogin.ErrSignInFailed)
	w.fake.userInfo["sub"] = "s1"
	if who := w.mustSignIn(); who.User.Email.String() != "ada@acme.example" {
		t.Errorf("Finish = %+v", who)
	}
}

func TestUsersWithoutAccessAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		before bool // they have signed in before
		stop   func(w *world, user identity.User) error
		want   error
	}{
		"disabled before they came": {false, func(w *world, u identity.User) error {
			_, err := w.app.Directory.DisableUser(w.Context(), u.ID)
			return err
		}, sso.ErrNoAccess},
		"disabled": {true, func(w *world, u identity.User) error {
			_, err := w.app.Directory.DisableUser(w.Context(), u.ID)
			return err
		}, sso.ErrNoAccess},
		"removed from the tenant": {true, func(w *world, u identity.User) error {
			return w.app.Directory.RemoveMember(w.Context(), w.tenant.ID, u.ID)
		}, sso.ErrRemoved},
		"removed before they came": {false, func(w *world, u identity.User) error {
			_, err := w.app.Directory.AddMember(w.Context(), w.tenant.ID, u.ID, identity.Grant{Role: identity.RoleViewer})
			return errors.Join(err, w.app.Directory.RemoveMember(w.Context(), w.tenant.ID, u.ID))
		}, sso.ErrRemoved},
		"they left before they came": {false, func(w *world, u identity.User) error {
			_, err := w.app.Directory.AddMember(w.Context(), w.tenant.ID, u.ID, identity.Grant{Role: identity.RoleViewer})
			return errors.Join(err, w.app.Directory.Leave(w.Context(), w.tenant.ID, u.ID))
		}, sso.ErrRemoved},
		"of a domain that was given up": {true, func(w *world, _ identity.User) error {
			_, err := w.app.SSO.Update(w.Context(), w.tenant.ID, w.conn.ID, sso.ConnectionChange{Domains: &[]string{"other.example"}})
			return err
		}, sso.ErrForeignDomain},
		"of a connection that was deleted": {true, func(w *world, _ identity.User) error {
			return w.app.SSO.Delete(w.Context(), w.tenant.ID, w.conn.ID)
		}, oidclogin.ErrSignInFailed},
		"of a tenant that was deleted": {true, func(w *world, _ identity.User) error {
			return w.app.Directory.DeleteTenant(w.Context(), w.tenant.ID)
		}, oidclogin.ErrSignInFailed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, oidclogin.Options{})
			user := w.user("ada@acme.example")
			if c.before {
				w.mustSignIn()
			}
			secret, back := w.begin()
			if err := c.stop(w, user); err != nil {
				t.Fatal(err)
			}
			_, err := w.party.Finish(t.Context(), secret, w.fake.callback(back))
			w.wantRefused(err, c.want)
		})
	}
}

func TestADeletedUserComesBackAsAnother(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	ada := w.mustSignIn()
	if err := w.app.Directory.DeleteUser(t.Context(), ada.User.ID); err != nil {
		t.Fatal(err)
	}
	if who := w.mustSignIn(); !who.Created || who.User.ID == ada.User.ID {
		t.Errorf("Finish = %+v, want a new user", who)
	}
}

func TestAUserWhoLeftTheDomainIsNotTheTenantsToSignIn(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	private := w.user("ada@private.example")
	link := sso.Link{Issuer: w.fake.URL, Subject: "s1", User: private.ID, Tenant: w.tenant.ID}
	if err := w.app.InTx(t.Context(), func(ctx context.Context, tx levqor.Stores) error {
		_, err := tx.SSO.InsertLink(ctx, link, time.Time{})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.app.Directory.AddMember(t.Context(), w.tenant.ID, private.ID, identity.Grant{Role: identity.RoleMember}); err != nil {
		t.Fatal(err)
	}
	_, err := w.signIn()
	w.wantRefused(err, sso.ErrForeignDomain)
}

func TestAFlowBelongsToOneBrowserOnce(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	secret, back := w.begin()
	other, otherBack := w.begin()
	for name, c := range map[string]struct {
		secret string
		change func(url.Values)
	}{
		"no cookie":               {"", func(url.Values) {}},
		"another browser":         {other, func(url.Values) {}},
		"no state":                {secret, func(q url.Values) { q.Del("state") }},
		"another state":           {secret, func(q url.Values) { q.Set("state", otherBack.Get("state")) }},
		"a cookie made up":        {"made-up", func(url.Values) {}},
		"a flow that never began": {strings.Repeat("A", 43), func(url.Values) {}},
	} {
		t.Run(name, func(t *testing.T) {
			q, _ := url.ParseQuery(back.Encode())
			c.change(q)
			_, err := w.party.Finish(t.Context(), c.secret, w.fake.callback(q))
			w.wantRefused(err, oidclogin.ErrSignInFailed)
		})
	}
	if _, err := w.party.Finish(t.Context(), secret, w.fake.callback(back)); err != nil {
		t.Fatalf("Finish = %v, want the flow to have outlived callbacks that are not its own", err)
	}
	_, err := w.party.Finish(t.Context(), secret, w.fake.callback(back))
	w.wantRefused(err, oidclogin.ErrSignInFailed)
	otherBack.Set("code", back.Get("code")) // a code that was used, in a flow that was not
	_, err = w.party.Finish(t.Context(), other, w.fake.callback(otherBack))
	w.wantRefused(err, oidclogin.ErrSignInFailed)
}

func TestACodeOfAnotherFlowIsRefused(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	_, stolen := w.begin()
	secret, back := w.begin()
	back.Set("code", stolen.Get("code"))
	_, err := w.party.Finish(t.Context(), secret, w.fake.callback(back))
	w.wantRefused(err, oidclogin.ErrSignInFailed)
	w.wantNobodyNew()
}

func TestProvidersAreNotMixedUp(t *testing.T) {
	for name, c := range map[string]struct {
		names  any
		issuer string
		want   error
	}{
		"its own name":           {true, "own", nil},
		"another name":           {false, "https://evil.example", oidclogin.ErrSignInFailed},
		"no name at its own URL": {false, "", nil},
		"no name but a promise":  {true, "", oidclogin.ErrSignInFailed},
		"a name with a slash on": {true, "own/", oidclogin.ErrSignInFailed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, oidclogin.Options{})
			w.fake.metadata["authorization_response_iss_parameter_supported"] = c.names
			secret, back := w.begin()
			if c.issuer != "" {
				back.Set("iss", strings.Replace(c.issuer, "own", w.fake.URL, 1))
			}
			_, err := w.party.Finish(t.Context(), secret, w.fake.callback(back))
			if c.want == nil && err != nil || !errors.Is(err, c.want) {
				t.Errorf("Finish = %v, want %v", err, c.want)
			}
			if asked := w.fake.asked["/token"]; c.want != nil && asked > 0 {
				t.Errorf("the code was sent %d times", asked)
			}
		})
	}
}

// A provider that a browser came to first may send it on to another one, with the state of
// the first, to learn a code that the other one gives.
func TestAProviderLearnsNoCodeOfAnother(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	evil := newFake(t)
	mallory := w.user("mallory@evil.example")
	team, err := w.app.Directory.CreateTenant(t.Context(), "evil", mallory.ID)
	if err != nil {
		t.Fatal(err)
	}
	bad, err := w.app.SSO.Create(t.Context(), team.ID, sso.NewConnection{Issuer: evil.URL, ClientID: clientID, ClientSecret: "x", Role: identity.RoleViewer})
	if err != nil {
		t.Fatal(err)
	}
	if w.party.CallbackURL(bad.ID) == w.fake.redirect {
		t.Errorf("both providers send browsers to %q", w.fake.redirect)
	}
	for name, connection := range map[string]sso.ConnectionID{"of the honest one": w.conn.ID, "of nobody": 0} {
		t.Run(name, func(t *testing.T) {
			to, secret, err := w.party.Begin(t.Context(), bad.ID, "/")
			if err != nil {
				t.Fatal(err)
			}
			evilURL, err := url.Parse(to)
			if err != nil {
				t.Fatal(err)
			}
			_, back := w.begin() // with mallory's challenge and nonce
			_, err = w.party.Finish(t.Context(), secret, oidclogin.Callback{Connection: connection, Code: back.Get("code"), State: evilURL.Query().Get("state")})
			w.wantRefused(err, oidclogin.ErrSignInFailed)
			if evil.asked["/token"] > 0 {
				t.Error("the evil provider has got the code")
			}
		})
	}
}

func TestACallbackTellsWhatItSaysOnce(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want oidclogin.Callback
	}{
		{"/sdk/done/" + sso.ConnectionID(7).String() + "?code=c&state=s&iss=i", oidclogin.Callback{Connection: 7, Code: "c", State: "s", Issuer: "i"}},
		{"/done?code=c&code=d&state=s&error=e", oidclogin.Callback{State: "s", Error: "e"}},
		{"/done/sso_x?code=c", oidclogin.Callback{Code: "c"}},
	} {
		u, err := url.Parse(c.raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := oidclogin.ReadCallback(u); got != c.want {
			t.Errorf("ReadCallback(%q) = %+v, want %+v", c.raw, got, c.want)
		}
	}
}

func TestWhatAProviderRefusesIsLoggedAlone(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	secret, back := w.begin()
	_, err := w.party.Finish(t.Context(), secret, oidclogin.Callback{Connection: w.conn.ID, State: back.Get("state"), Error: "access_denied"})
	if !errors.Is(err, oidclogin.ErrSignInFailed) || strings.Contains(err.Error(), "access_denied") || !strings.Contains(w.log.String(), "access_denied") {
		t.Errorf("Finish = %v and the log has %s", err, w.log.String())
	}
}

func TestAnswersOfAProviderStayOutOfTheLog(t *testing.T) {
	personal := func(status int) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(status)
			fmt.Fprint(rw, `{"error": "canary of ada@acme.example", "issuer": "canary", "sub": 7, "id_token": "opaque", "access_token": "opaque", "keys": "canary", "token_type": "canary"}`)
		}
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/token", "/keys", "/userinfo"} {
		for _, status := range []int{http.StatusOK, http.StatusForbidden} {
			t.Run(fmt.Sprint(strings.Trim(path, "/"), " with ", status), func(t *testing.T) {
				w := newWorld(t, oidclogin.Options{})
				delete(w.fake.claims, "email")
				w.fake.answer[path] = personal(status)
				to, secret, err := w.party.Begin(t.Context(), w.conn.ID, "/")
				if err == nil {
					_, err = w.party.Finish(t.Context(), secret, w.fake.callback(w.fake.authorize(to)))
				}
				if err == nil || !strings.Contains(w.log.String(), "reason=\"") {
					t.Errorf("the error is %v and the log has %s, want a reason", err, w.log.String())
				}
				w.wantRefused(err, err)
			})
		}
	}
	for name, claims := range map[string]map[string]any{
		"audience": {"aud": "canary"}, "issuer": {"iss": "https://canary.example"}, "address": {"email": "canary"}, "subject": {"sub": "canary\n"}, "times": {"exp": "canary"},
	} {
		t.Run("an ID token with another "+name, func(t *testing.T) {
			w := newWorld(t, oidclogin.Options{})
			maps.Copy(w.fake.claims, claims)
			_, err := w.signIn()
			w.wantRefused(err, oidclogin.ErrSignInFailed)
		})
	}
	t.Run("an error in the callback", func(t *testing.T) {
		w := newWorld(t, oidclogin.Options{})
		secret, back := w.begin()
		_, err := w.party.Finish(t.Context(), secret, w.fake.callback(url.Values{"state": back["state"], "error": {"no canary here"}}))
		w.wantRefused(err, oidclogin.ErrSignInFailed)
	})
}

func TestAProviderMayRotateItsKeys(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	w.mustSignIn()
	for _, kid := range []string{"k2", "e3"} {
		w.fake.rotate(kid)
		// go-oidc gives keys that it has just read to whoever asks before it has put them away.
		for range 10 {
			if _, err := w.signIn(); err == nil {
				break
			}
			runtime.Gosched()
		}
		w.mustSignIn()
	}
}

func TestAProviderIsAskedAgainAfterAnHour(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	start := time.Now()
	for i, want := range []int{1, 1, 2} {
		w.now = start.Add(time.Duration(i) * 59 * time.Minute)
		w.fake.claims["exp"] = w.now.Add(time.Minute).Unix()
		w.begin()
		if got := w.fake.asked["/.well-known/openid-configuration"]; got != want {
			t.Errorf("after %v discovery was asked %d times, want %d", w.now.Sub(start), got, want)
		}
	}
}

func TestSomebodyMustHaveSignedInLately(t *testing.T) {
	w := newWorld(t, oidclogin.Options{MaxAge: 10 * time.Minute})
	for _, c := range []struct {
		authTime any
		want     error
	}{
		{time.Now().Add(-9 * time.Minute).Unix(), nil},
		{time.Now().Add(-12 * time.Minute).Unix(), oidclogin.ErrSignInFailed},
		{nil, oidclogin.ErrSignInFailed},
	} {
		w.fake.claims["auth_time"] = c.authTime
		to, secret, err := w.party.Begin(t.Context(), w.conn.ID, "/")
		if err != nil || !strings.Contains(to, "max_age=600") {
			t.Fatalf("Begin = %q, %v", to, err)
		}
		_, err = w.party.Finish(t.Context(), secret, w.fake.callback(w.fake.authorize(to)))
		if c.want == nil && err != nil || !errors.Is(err, c.want) {
			t.Errorf("Finish with %v = %v, want %v", c.authTime, err, c.want)
		}
	}
}

func TestAProofIsAsOldAsTheProviderSays(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	ago := func(age time.Duration) int64 { return time.Now().Add(-age).Unix() }
	for name, c := range map[string]struct {
		maxAge          time.Duration
		authTime        any
		atLeast, atMost time.Duration
	}{
		"nothing was asked and is said":       {0, nil, 0, 0},
		"nothing was asked, an hour is said":  {0, ago(time.Hour), time.Hour, time.Hour + time.Minute},
		"it was to ask anew and did":          {5 * time.Minute, ago(time.Second), 0, time.Minute},
		"it was to ask anew and did not":      {5 * time.Minute, ago(time.Hour), time.Hour, time.Hour + time.Minute},
		"it was to ask anew and says nothing": {5 * time.Minute, nil, 24 * time.Hour, 1000 * 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			w.fake.claims["auth_time"] = c.authTime
			to, secret, err := w.party.BeginAgain(t.Context(), w.conn.ID, "/", c.maxAge)
			if err != nil {
				t.Fatal(err)
			}
			who, err := w.party.Finish(t.Context(), secret, w.fake.callback(w.fake.authorize(to)))
			if err != nil || who.Age < c.atLeast || who.Age > c.atMost {
				t.Errorf("Finish = age %v, %v; want %v to %v", who.Age, err, c.atLeast, c.atMost)
			}
		})
	}
}

func TestAProviderThatIsOutOfOrderIsUnavailable(t *testing.T) {
	huge := func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(rw, `{"a": "%s"}`, strings.Repeat("a", 2<<20))
	}
	slow := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not see that nobody waits any more
		<-r.Context().Done()
	}
	down := func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "canary", http.StatusBadGateway) }
	lead := func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, "/other", http.StatusFound) }
	junk := func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "canary") }
	for name, answer := range map[string]http.HandlerFunc{"huge": huge, "slow": slow, "down": down, "elsewhere": lead, "junk": junk} {
		for _, path := range []string{"/.well-known/openid-configuration", "/token", "/keys"} {
			if path != "/.well-known/openid-configuration" && (name == "elsewhere" || name == "junk") {
				continue // an answer of its own, and a wrong one
			}
			t.Run(name+" at "+path, func(t *testing.T) {
				w := newWorld(t, oidclogin.Options{Timeout: 200 * time.Millisecond})
				w.fake.answer[path] = answer
				to, secret, err := w.party.Begin(t.Context(), w.conn.ID, "/")
				if err == nil {
					_, err = w.party.Finish(t.Context(), secret, w.fake.callback(w.fake.authorize(to)))
				}
				w.wantRefused(err, oidclogin.ErrProviderUnavailable)
				w.wantNobodyNew()
			})
		}
	}
	t.Run("gone", func(t *testing.T) {
		w := newWorld(t, oidclogin.Options{})
		w.fake.Close()
		_, _, err := w.party.Begin(t.Context(), w.conn.ID, "/")
		w.wantRefused(err, fault.ErrUnavailable)
	})
}

func TestMetadataThatIsNotRightIsRefused(t *testing.T) {
	for name, value := range map[string]any{"issuer": "https://evil.example", "authorization_endpoint": "javascript:alert(1)", "token_endpoint": "file:///etc/passwd", "jwks_uri": ""} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, oidclogin.Options{})
			w.fake.metadata[name] = value
			_, _, err := w.party.Begin(t.Context(), w.conn.ID, "/")
			w.wantRefused(err, oidclogin.ErrProviderUnavailable)
		})
	}
}

func TestReturnPathsStayWithinTheOrigin(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	to, secret, err := w.party.Begin(t.Context(), w.conn.ID, "//evil.example")
	if err != nil {
		t.Fatal(err)
	}
	if who, err := w.party.Finish(t.Context(), secret, w.fake.callback(w.fake.authorize(to))); err != nil || who.ReturnPath != "/" {
		t.Errorf("Finish = %+v, %v; want /", who, err)
	}
}

func TestASecretMayTravelInTheBody(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	w.fake.metadata["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
	w.mustSignIn()
}

func TestUnknownConnectionsAreNotFound(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	if _, _, err := w.party.Begin(t.Context(), 1, "/"); !errors.Is(err, sso.ErrNotFound) {
		t.Errorf("Begin = %v, want ErrNotFound", err)
	}
}

func TestTheCookieStaysWithTheBrowser(t *testing.T) {
	c := oidclogin.Cookie("x")
	if c.Name != oidclogin.CookieName || c.Value != "x" || c.Path != "/" || c.Domain != "" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 600 {
		t.Errorf("Cookie = %+v", c)
	}
}

func TestNewNeedsACallbackURL(t *testing.T) {
	for _, raw := range []string{"", "/login", "http://app.example.com/", "https://", "https://u@app.example.com/", "https://app.example.com/#a", "https://app.example.com/?a=b", "javascript:alert(1)"} {
		if _, err := oidclogin.New(nil, raw, nil); !errors.Is(err, fault.ErrInvalid) {
			t.Errorf("New(%q) = %v, want ErrInvalid", raw, err)
		}
	}
	if _, err := oidclogin.New(nil, "http://localhost:8080/done", nil); err != nil {
		t.Errorf("New = %v", err)
	}
}

func TestTokensOfTheProviderStayOnTheServer(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	secret, back := w.begin()
	who, err := w.party.Finish(t.Context(), secret, w.fake.callback(back))
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"the identity": fmt.Sprintf("%+v", who), "the cookie": secret, "the log": w.log.String()} {
		if strings.Contains(text, "opaque") || strings.Contains(text, "eyJ") || strings.Contains(text, clientSecret) { // each JWT begins so
			t.Errorf("%s holds a token or the client's secret: %s", what, text)
		}
	}
}
