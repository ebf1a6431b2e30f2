package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
	"github.com/levqor/sdk/levqor/web"
)

var private = web.Options{AllowPrivateProviders: true}

func TestPeopleSignInAtTheProviderOfTheirTeam(t *testing.T) {
	r, p := newRig(t, private), newProvider(t)
	r.connect(p, sso.NewConnection{})
	b, carol := newBrowser(t, r.server), newBrowser(t, r.server)
	b.open("/login?return=/account/factors").submit("/login", "email", "Bob@Example.com").want("/login", 200, "Go on to 127.0.0.1", "by mail instead")
	p.says("bob@example.com", nil)
	b.open(p.authorize(b.toProvider())).want("/account/factors", 200).open("/account").want("/account", 200, "bob@example.com", "member of Engines")
	r.signInBy(p, carol, "carol@example.com", map[string]any{"name": "Carol"}).want("/account", 200, "carol@example.com", "member of Engines")
	first := session(carol)
	r.signInBy(p, carol, "carol@example.com", nil).want("/account", 200)
	if _, err := r.app.Sessions.Authenticate(t.Context(), first); err == nil || session(carol) == first {
		t.Error("the session from before goes on")
	}
	if got := r.logged(r.team.String()); got != "login.succeeded login.succeeded sso.linked member.added login.succeeded sso.linked" {
		t.Errorf("the log is %q", got)
	}
	b.submit("/logout").open("/login").submit("/login", "email", "bob@example.com").submit("/login/mail").want("/login/sent", 200)
	b.submit("/login/code", "code", r.mail().code).want("/account", 200, "bob@example.com")
	b.submit("/logout").submit("/login", "email", "dan@example.org").want("/login/sent", 200)
}

// What a page holds of one sign-in alone.
var ofOneSignIn = regexp.MustCompile(`(state|nonce|code_challenge)=[A-Za-z0-9_-]{43}|nonce="[^"]*"|value="[a-z]+@example.com"`)

func TestNobodyLearnsAtAProvidersPageWhoIsKnown(t *testing.T) {
	for _, required := range []bool{false, true} {
		r, p := newRig(t, private), newProvider(t)
		r.connect(p, sso.NewConnection{Required: required})
		eve := r.user("eve@example.com")
		if _, err := r.app.Directory.DisableUser(t.Context(), eve.ID); err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{"/login", "/login/mail"} {
			var answers []string
			for _, address := range []string{"ada@example.com", "bob@example.com", "nobody@example.com", "eve@example.com"} {
				b := newBrowser(t, r.server)
				b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				b.do(http.MethodPost, form, url.Values{"email": {address}})
				h := b.header.Clone()
				if len(h["Set-Cookie"]) != 1 || b.status >= 400 {
					t.Fatalf("%s: %d %v", address, b.status, h)
				}
				for _, varies := range []string{"Set-Cookie", "Content-Security-Policy", "Date", "Content-Length"} {
					h.Del(varies)
				}
				var all strings.Builder
				_ = h.Write(&all)
				answers = append(answers, all.String()+ofOneSignIn.ReplaceAllString(b.body, ""))
			}
			for _, a := range answers[1:] {
				if a != answers[0] {
					t.Errorf("%s: the answers differ: %q", form, answers)
				}
			}
		}
	}
}

func TestHostileAnswersOfProvidersLetNobodyIn(t *testing.T) {
	r, p := newRig(t, private), newProvider(t)
	made := r.connect(p, sso.NewConnection{})
	for name, c := range map[string]struct {
		says map[string]any
		back func(path string) string
		want int
	}{
		"another nonce":                          {map[string]any{"nonce": "other"}, nil, http.StatusUnauthorized},
		"another audience":                       {map[string]any{"aud": "other"}, nil, http.StatusUnauthorized},
		"another issuer":                         {map[string]any{"iss": "https://evil.example"}, nil, http.StatusUnauthorized},
		"expired":                                {map[string]any{"exp": 1}, nil, http.StatusUnauthorized},
		"an address that is not verified":        {map[string]any{"email_verified": false}, nil, http.StatusForbidden},
		"a domain of others":                     {map[string]any{"email": "mallory@example.org"}, nil, http.StatusForbidden},
		"a domain that is claimed, not verified": {map[string]any{"email": "mallory@unproved.example"}, nil, http.StatusForbidden},
		"another state":                          {nil, func(path string) string { return strings.Replace(path, "state=", "state=x", 1) }, http.StatusUnauthorized},
		"a state twice":                          {nil, func(path string) string { return path + "&state=x" }, http.StatusUnauthorized},
		"no state":                               {nil, func(path string) string { return strings.Replace(path, "state=", "x=", 1) }, http.StatusUnauthorized},
		"no code":                                {nil, func(path string) string { return strings.Replace(path, "code=", "x=", 1) }, http.StatusUnauthorized},
		"a refusal":                              {nil, func(path string) string { return path + "&error=access_denied" }, http.StatusUnauthorized},
		"another provider's":                     {nil, func(path string) string { return path + "&iss=https%3A%2F%2Fevil.example" }, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBrowser(t, r.server)
			b.open("/login").submit("/login", "email", "mallory@example.com")
			p.says("mallory@example.com", c.says)
			path := p.authorize(b.toProvider())
			if c.back != nil {
				path = c.back(path)
			}
			b.open(path).want(done(made), c.want)
			if session(b) != "" || strings.Contains(b.body, "mallory") {
				t.Errorf("the session is %q and the page %s", session(b), b.body)
			}
			email, err := identity.ParseEmail("mallory@example.com")
			if err != nil {
				t.Fatal(err)
			}
			if user, err := r.app.Directory.FindUserByEmail(t.Context(), email); err == nil {
				t.Errorf("%+v was made", user)
			}
			b.open("/account").want("/login", 200)
		})
	}
}

func TestASignInAtAProviderBelongsToOneBrowserAndWorksOnce(t *testing.T) {
	r, p := newRig(t, private), newProvider(t)
	made := r.connect(p, sso.NewConnection{})
	b, other := newBrowser(t, r.server), newBrowser(t, r.server)
	b.open("/login").submit("/login", "email", "bob@example.com")
	p.says("bob@example.com", nil)
	path := p.authorize(b.toProvider())
	other.open(path).want(done(made), http.StatusUnauthorized) // without a cookie
	other.open("/login").submit("/login", "email", "bob@example.com")
	other.open(path).want(done(made), http.StatusUnauthorized) // with that of another sign-in
	b.do(http.MethodHead, path, nil)
	b.open(path).want("/account", 200, "bob@example.com")
	kept := session(b)
	b.open(path).want(done(made), http.StatusUnauthorized)
	if session(b) != kept || session(other) != "" {
		t.Errorf("the sessions are %q and %q, want the one of the first sign-in alone", session(b), session(other))
	}
	b.open("/login").submit("/login", "email", "bob@example.com")
	late := p.authorize(b.toProvider())
	r.advance(sso.FlowTTL)
	b.open(late).want(done(made), http.StatusUnauthorized)
}

func TestWhereAProviderIsRequiredItIsTheOnlyWayButForOwners(t *testing.T) {
	r, p := newRig(t, private), newProvider(t)
	r.connect(p, sso.NewConnection{Required: true})
	bob, ada := newBrowser(t, r.server), newBrowser(t, r.server)
	r.signInBy(p, bob, "bob@example.com", nil).want("/account", 200, "bob@example.com")
	r.advance(time.Hour)
	bob.open("/account/delete").want("/login/again", 200, "the mailbox is yours").submit("/login/again").want("/login/sent", 200) // which mail does for once
	bob.submit("/login/code", "code", r.mail().code).want("/account/delete", 200)
	r.advance(time.Hour)
	again := func(asked time.Time) *browser {
		bob.open("/account/delete").want("/login/again", 200).submit("/login/again").want("/login/again", 200, "Sign in with your organisation")
		if !strings.Contains(bob.toProvider(), "max_age=300&") {
			t.Errorf("the link leads to %s, want that the provider asks anew", bob.toProvider())
		}
		p.says("bob@example.com", map[string]any{"auth_time": asked.Unix()})
		return bob.open(p.authorize(bob.toProvider()))
	}
	again(time.Now().Add(-time.Hour)).want("/login/again", 200) // which asked nobody
	again(time.Now()).want("/account/delete", 200)

	p.Close() // and nobody gets in there any more
	bob.submit("/logout").want("/login", 200).submit("/login", "email", "bob@example.com").want("/login", 200, "Owners of the team")
	bob.submit("/login/mail").want("/login/sent", 200)
	ada.open("/login").submit("/login", "email", "ada@example.com").submit("/login/mail").want("/login/sent", 200)
	ada.submit("/login/code", "code", r.mail().code).want("/account", 200, "ada@example.com", "owner of Engines")
	if len(r.box) != 0 {
		t.Error("a member has got mail")
	}
	r.enrol(ada)
	ada.open("/team/sso").want("/team/sso", 200, p.URL, "yes")
	at := ada.linkTo("/team/sso/sso_")
	ada.open(at).submit(at, "required", "no").want(at, 200)
	r.advance(time.Minute)
	r.signInByMail(bob, "bob@example.com").want("/account", 200, "bob@example.com")
}

func TestTheLevelOfASessionIsWhatTheTeamTrustsItsProviderWith(t *testing.T) {
	r, p := newRig(t, private), newProvider(t)
	made := r.connect(p, sso.NewConnection{})
	mfa := map[string]any{"amr": []string{"pwd", "mfa"}}
	b := newBrowser(t, r.server)
	r.signInBy(p, b, "ada@example.com", mfa).want("/account/factors", 200, "needs a second factor") // which nobody trusts
	b.open("/team").want("/team", http.StatusForbidden)
	if _, err := r.app.SSO.Update(t.Context(), r.team, made.ID, sso.ConnectionChange{TrustMFA: new(true)}); err != nil {
		t.Fatal(err)
	}
	r.signInBy(p, b, "ada@example.com", nil).want("/account/factors", 200, "needs a second factor") // which was not checked
	r.signInBy(p, b, "ada@example.com", mfa).want("/account", 200).open("/team").want("/team", 200, "bob@example.com")

	if _, err := r.app.Directory.CreateTenant(t.Context(), "Looms", r.ada.ID); err != nil {
		t.Fatal(err)
	}
	b.open("/account").submit("/account/tenant").want("/login/again", 200, "the mailbox is yours")
	r.proveMailbox(b).open("/account").submit("/account/tenant").want("/account", 200, "owner of Looms")
	b.open("/team").want("/team", http.StatusForbidden, "second factor") // Looms has not chosen that provider

	secret := r.enrol(b)
	b.open("/team").want("/team", 200, "Looms")
	r.signInBy(p, b, "ada@example.com", mfa).want("/login/factor", 200) // no provider waives it
	b.submit("/login/factor", "code", r.totp(secret)).want("/account", 200).open("/team").want("/team", 200, "Engines")
}

// What a provider alone has said is good for its own team: whoever runs it must not set up
// what lets somebody into other teams too.
func TestASessionByAProviderAloneChangesNothingThatCountsElsewhere(t *testing.T) {
	for _, required := range []bool{false, true} {
		r, p := newRig(t, private), newProvider(t)
		r.connect(p, sso.NewConnection{Required: required})
		if _, err := r.app.Directory.CreateTenant(t.Context(), "Looms", r.bob.ID); err != nil {
			t.Fatal(err)
		}
		b, elsewhere := newBrowser(t, r.server), newBrowser(t, r.server)
		r.signInBy(p, b, "bob@example.com", nil).want("/account", 200)
		for _, path := range []string{"/account/factors/totp", "/account/email", "/account/delete", "/account/factors/codes"} {
			b.open(path).want("/login/again", 200, "the mailbox is yours")
		}
		for _, path := range []string{"/account/factors/totp", "/account/factors/totp/confirm", "/account/factors/passkeys/options", "/account/factors/passkeys", "/account/email", "/account/delete"} {
			b.do(http.MethodPost, path, url.Values{}).want("/login/again", 200)
		}
		b.open("/account").submit("/account/tenant").want("/login/again", 200, "the mailbox is yours")
		r.signInBy(p, b, "bob@example.com", nil).open("/account/delete").want("/login/again", 200) // nor if it says so again
		if held, err := r.app.Factors.Has(t.Context(), r.bob.ID); err != nil || held.Any() {
			t.Errorf("bob has %+v, %v", held, err)
		}
		b.submit("/login/again").want("/login/sent", 200)
		code := r.mail().code
		b.submit("/login/code", "code", code).want("/account/delete", 200)
		b.open("/account").submit("/account/tenant").want("/account", 200, "owner of Looms")
		r.enrol(b)
		elsewhere.do(http.MethodPost, "/login/again", url.Values{"own": {"yes"}}).want("/login", 200)
		if len(r.box) != 0 {
			t.Error("somebody who is not signed in has mail sent")
		}
	}
}

func TestTheMailboxIsShownOncePerSessionByAProvider(t *testing.T) {
	r, p := newRig(t, private), newProvider(t)
	r.connect(p, sso.NewConnection{Required: true})
	b, other := newBrowser(t, r.server), newBrowser(t, r.server)
	r.signInBy(p, b, "bob@example.com", nil).open("/account/delete").submit("/login/again").want("/login/sent", 200)
	m := r.mail()
	match := regexp.MustCompile(`\b\d\d\b`).FindString(b.text())
	other.do(http.MethodPost, m.path, url.Values{"secret": {m.secret}, "match": {match}})
	if session(other) != "" {
		t.Errorf("the proof signs another browser in:\n%s", other.body)
	}
	r.proveMailbox(b)
	b.do(http.MethodPost, "/login/again", url.Values{"own": {"yes"}}).want("/login/again", 200, "Sign in with your organisation")
	if len(r.box) != 0 {
		t.Error("who has to sign in at the provider has mail")
	}
}

func TestAProofAtTheProviderLeavesPeopleWhereTheyAreAtWork(t *testing.T) {
	r, p := newRig(t, private), newProvider(t)
	made := r.connect(p, sso.NewConnection{Required: true})
	looms, err := r.app.Directory.CreateTenant(t.Context(), "Looms", r.user("eve@example.org").ID)
	if err == nil {
		_, err = r.app.Directory.AddMember(t.Context(), looms.ID, r.bob.ID, identity.Grant{Role: identity.RoleMember})
	}
	if err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, r.server)
	r.signInBy(p, b, "bob@example.com", nil)
	r.proveMailbox(b).open("/account").submit("/account/tenant").want("/account", 200, "of Looms")
	r.advance(time.Hour)
	before := session(b)
	b.open("/account/delete").want("/login/again", 200).submit("/login/again").want("/login/again", 200)
	p.says("bob@example.com", map[string]any{"auth_time": time.Now().Unix()})
	b.open(p.authorize(b.toProvider())).want("/account/delete", 200).open("/account").want("/account", 200, "of Looms")
	if _, err := r.app.Sessions.Authenticate(t.Context(), before); err == nil || session(b) == before {
		t.Error("the token from before goes on")
	}
	r.advance(time.Hour)
	kept := session(b)
	b.open("/account/delete").submit("/login/again").want("/login/again", 200)
	p.says("carol@example.com", nil)
	b.open(p.authorize(b.toProvider())).want(done(made), http.StatusUnauthorized)
	if session(b) != kept {
		t.Error("somebody else has taken the session over")
	}
}

func TestNoPageStopsTheSignInsOfItsVisitorsNetwork(t *testing.T) {
	r, p := newRig(t, web.Options{AllowPrivateProviders: true, Logins: guard.Policy{Limit: 5}}), newProvider(t)
	made := r.connect(p, sso.NewConnection{})
	b := newBrowser(t, r.server)
	b.open("/login").submit("/login", "email", "bob@example.com")
	p.says("bob@example.com", nil)
	at, right := done(made), p.authorize(b.toProvider())
	image := func(path string) int {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Sec-Fetch-Site", "cross-site")
		q.Header.Set("Sec-Fetch-Dest", "image")
		answer, err := b.client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	stranger := newBrowser(t, r.server)
	for range 20 {
		stranger.open(at).want(at, http.StatusUnauthorized)
		stranger.open(at+"?code=x&state=x").want(at, http.StatusUnauthorized)
		for _, path := range []string{at, right} {
			if got := image(path); got != http.StatusUnauthorized {
				t.Fatalf("an image of %s has status %d", path, got)
			}
		}
	}
	if err := r.app.SecurityLog.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if log := r.logged(identity.OwnerTenant) + r.logged(r.team.String()); strings.Contains(log, "login.failed") {
		t.Errorf("the log is %q", log)
	}
	b.open(right).want("/account", 200, "bob@example.com")
	b.submit("/logout").submit("/login", "email", "bob@example.com")
	spoilt := strings.Replace(p.authorize(b.toProvider()), "code=", "code=x", 1)
	for range 4 {
		b.open(spoilt).want(at, http.StatusUnauthorized)
	}
	b.open(spoilt).want(at, http.StatusTooManyRequests) // as whoever tries secrets
}

func TestTheLogOfATeamTellsWhoCameByItsProviderAndWhoDidNot(t *testing.T) {
	r, p := newRig(t, private), newProvider(t)
	made := r.connect(p, sso.NewConnection{})
	b, carol := newBrowser(t, r.server), newBrowser(t, r.server)
	r.signInBy(p, b, "bob@example.com", nil).want("/account", 200)
	r.signInBy(p, carol, "carol@example.com", nil).want("/account", 200)
	r.signInBy(p, newBrowser(t, r.server), "mallory@example.com", map[string]any{"email": "mallory@example.org"}).want(done(made), http.StatusForbidden)
	r.signInByMail(b, "bob@example.com").want("/account", 200)
	var got []string
	entries := func() []guard.Entry {
		entries, err := r.app.SecurityLog.Entries(t.Context(), r.team.String(), guard.LogQuery{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	if err := r.app.SecurityLog.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries() {
		if e.Address == "" || e.Detail["connection"] != "" && e.Detail["connection"] != made.ID.String() {
			t.Errorf("%+v names no network or another connection", e)
		}
		got = append(got, string(e.Action)+" "+e.Detail["by"]+" "+e.Detail["code"])
	}
	slices.Sort(got)
	want := []string{"login.failed provider foreign_domain", "login.succeeded mail ", "login.succeeded provider ", "login.succeeded provider ", "member.added  ", "sso.linked  ", "sso.linked  "}
	if !slices.Equal(got, want) {
		t.Errorf("the log has %q, want %q", got, want)
	}
}

// Without https there can be no callback: whoever set a provider up gets in to mend that.
func TestOwnersComeBackByMailWhereNobodyCanBeSentToAProvider(t *testing.T) {
	box, dns := make(chan levqor.Mail, 9), &records{}
	app, err := levqor.New(levqor.MemStores(), &levqor.Options{Secret: []byte(strings.Repeat("s", 32)), Mailer: mailer{box, box}, PublicURL: "http://app.example.com", TXT: dns})
	if err != nil {
		t.Fatal(err)
	}
	email, err := identity.ParseEmail("ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	ada, _, err := app.Directory.EnsureUser(t.Context(), email, "")
	if err != nil {
		t.Fatal(err)
	}
	team, err := app.Directory.CreateTenant(t.Context(), "Engines", ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	made, err := app.SSO.Create(t.Context(), team.ID, sso.NewConnection{Issuer: "https://login.example.com", ClientID: "c", ClientSecret: "s", Domains: []string{"example.com"}, Role: identity.RoleMember, Required: true})
	if err != nil {
		t.Fatal(err)
	}
	*dns = records{made.Domains[0].RecordValue()}
	if _, err := app.SSO.Verify(t.Context(), team.ID, made.ID, "example.com"); err != nil {
		t.Fatal(err)
	}
	pages, err := web.New(app, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(pages)
	t.Cleanup(server.Close)
	b := newBrowser(t, server)
	b.open("/login").submit("/login", "email", "ada@example.com").want("/login", 200, "Owners of the team").submit("/login/mail").want("/login/sent", 200)
}

// proveMailbox shows the mailbox of somebody who is signed in by a provider.
func (r *rig) proveMailbox(b *browser) *browser {
	r.Helper()
	r.advance(time.Minute)
	b.open("/account/delete").want("/login/again", 200).submit("/login/again").want("/login/sent", 200)
	return b.submit("/login/code", "code", r.mail().code).want("/account/delete", 200)
}

// signInByMail signs somebody in by mail who was offered a provider.
func (r *rig) signInByMail(b *browser, address string) *browser {
	r.Helper()
	b.open("/login").submit("/login", "email", address).submit("/login/mail").want("/login/sent", 200)
	r.advance(time.Minute)
	return b.submit("/login/code", "code", r.mail().code)
}

// done is where the provider of a connection sends browsers back to.
func done(c sso.Connection) string { return "/login/sso/done/" + c.ID.String() }

// linkTo returns the link of a page that begins so.
func (b *browser) linkTo(prefix string) string {
	b.Helper()
	link := b.find(func(n *html.Node) bool { return n.Data == "a" && strings.HasPrefix(attr(n, "href"), prefix) })
	if link == nil {
		b.Fatalf("%s has no link to %s:\n%s", b.at, prefix, b.body)
	}
	return attr(link, "href")
}

func TestOwnersLookAfterTheProvidersOfTheirTeam(t *testing.T) {
	r, p := newRig(t, private), newProvider(t)
	b := newBrowser(t, r.server)
	r.signIn(b, "ada@example.com")
	secret := r.enrol(b)
	b.open("/team").open(b.linkTo("/team/sso")).want("/team/sso", 200, "https://app.example.com/login/sso/done/")
	b.submit("/team/sso", "issuer", "ftp://nowhere", "client_id", "levqor", "client_secret", "hunter2", "domains", "EXAMPLE.com", "role", "member")
	b.want("/team/sso", http.StatusBadRequest, "Issuer must be")
	b.submit("/team/sso", "issuer", p.URL, "client_secret", "hunter2", "role", "member")
	at := b.at.Path
	b.want(at, 200, "https://app.example.com/login/sso/done/"+strings.TrimPrefix(at, "/team/sso/"), "_levqor.example.com", "levqor-domain-verification=")
	b.submit(at+"/verify").want(at+"/verify", http.StatusConflict, "was not found")
	id, err := sso.ParseConnectionID(strings.TrimPrefix(at, "/team/sso/"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := r.app.SSO.Get(t.Context(), r.team, id)
	if err != nil {
		t.Fatal(err)
	}
	r.records = records{made.Domains[0].RecordValue()}
	b.submit(at+"/verify").want(at, 200)
	b.submit(at+"/test").want(at+"/test", 200, "Go on to 127.0.0.1")
	p.says("ada@example.com", nil)
	b.open(p.authorize(b.toProvider())).want("/login/factor", 200).submit("/login/factor", "code", r.totp(secret)).want(at, 200, p.URL)
	b.submit(at, "domains", "example.com, other.example", "role", "viewer", "required", "yes", "trust_mfa", "yes", "trust_email", "yes").want(at, 200, "other.example")
	changed, err := r.app.SSO.Get(t.Context(), r.team, id)
	if err != nil || !changed.Required || !changed.TrustMFA || !changed.TrustEmail || changed.Role != identity.RoleViewer || len(changed.Domains) != 2 || !changed.Speaks("example.com") || changed.ClientSecret != made.ClientSecret {
		t.Errorf("the connection is %+v, %v", changed, err)
	}
	if strings.Contains(b.body, "hunter2") || strings.Contains(b.body, made.ClientSecret) {
		t.Error("the page has the secret")
	}
	b.submit(at+"/remove").want("/team/sso", 200)
	b.open(at).want(at, http.StatusNotFound)
	entries, err := r.app.SecurityLog.Entries(t.Context(), r.team.String(), guard.LogQuery{Actor: r.ada.ID.String(), Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		if strings.HasPrefix(string(e.Action), "sso.") && e.Target == id.String() {
			got = append(got, string(e.Action))
		}
	}
	if want := "sso.deleted sso.changed sso.verified sso.created"; strings.Join(got, " ") != want {
		t.Errorf("the log has %q, want %q", got, want)
	}
}

func TestProvidersAreSeenAndChangedByTheirTeamAlone(t *testing.T) {
	r, p := newRig(t, private), newProvider(t)
	made := r.connect(p, sso.NewConnection{})
	eve := r.user("eve@example.org")
	if _, err := r.app.Directory.CreateTenant(t.Context(), "Looms", eve.ID); err != nil {
		t.Fatal(err)
	}
	member, rival := newBrowser(t, r.server), newBrowser(t, r.server)
	r.signInByMail(member, "bob@example.com").want("/account", 200)
	r.signIn(rival, "eve@example.org").want("/account", 200)
	r.enrol(rival)
	at := "/team/sso/" + made.ID.String()
	form := url.Values{"required": {"yes"}, "domain": {"unproved.example"}, "issuer": {p.URL}, "client_id": {"x"}, "client_secret": {"x"}, "role": {"viewer"}}
	for _, path := range []string{at, at + "/verify", at + "/test", at + "/remove"} {
		member.do(http.MethodPost, path, form).want(path, http.StatusForbidden)
		rival.do(http.MethodPost, path, form).want(path, http.StatusNotFound)
	}
	member.do(http.MethodPost, "/team/sso", form).want("/team/sso", http.StatusForbidden)
	for _, path := range []string{"/team/sso", at} {
		member.open(path).want(path, http.StatusForbidden)
	}
	rival.open(at).want(at, http.StatusNotFound)
	if rival.open("/team/sso").want("/team/sso", 200); strings.Contains(rival.body, p.URL) {
		t.Error("another team sees the provider")
	}
	if got, err := r.app.SSO.Get(t.Context(), r.team, made.ID); err != nil || got.Required || got.Speaks("unproved.example") {
		t.Errorf("the connection is %+v, %v; want it as it was", got, err)
	}
}

func TestProvidersInPrivateNetworksAreNotReachedUnlessAllowed(t *testing.T) {
	r, p := newRig(t, web.Options{}), newProvider(t)
	r.connect(p, sso.NewConnection{})
	b := newBrowser(t, r.server)
	b.open("/login").submit("/login", "email", "bob@example.com").want("/login", http.StatusServiceUnavailable, "does not answer")
	b.submit("/login/mail").want("/login/sent", 200)
}

func TestWhatAProviderDoesToALoginIsRecordedAsAFailureOfTheirsAlone(t *testing.T) {
	r, p := newRig(t, private), newProvider(t)
	late := newBrowser(t, r.server)
	m := r.ask(late) // before anybody demands the provider
	made := r.connect(p, sso.NewConnection{Required: true})
	r.wantLogged("a proven address that signs in elsewhere", 0, 1, func() {
		late.submit("/login/code", "code", m.code).want("/login/code", 200, "Sign in with your organisation")
	})
	b := newBrowser(t, r.server)
	again := func() string {
		b.open("/login").submit("/login", "email", "bob@example.com").want("/login", 200)
		return p.authorize(b.toProvider())
	}
	r.wantLogged("a provider that refuses", 0, 1, func() { b.open(again()+"&error=access_denied").want(done(made), http.StatusUnauthorized) })
	r.wantLogged("a provider of another domain", 0, 1, func() {
		p.says("bob@example.org", nil)
		b.open(again()).want(done(made), http.StatusForbidden)
	})
	at := again()
	p.Close()
	r.wantLogged("a provider that is away", 0, 0, func() { b.open(at).want(done(made), http.StatusServiceUnavailable) })
}

func TestATeamForgetsWhoAMemberIsAtTheProvider(t *testing.T) {
	r, p := newRig(t, private), newProvider(t)
	made := r.connect(p, sso.NewConnection{})
	ada, bob, rival := newBrowser(t, r.server), newBrowser(t, r.server), newBrowser(t, r.server)
	r.signInBy(p, bob, "bob@example.com", nil).want("/account", 200)
	moved := map[string]any{"sub": "another one"}
	r.signInBy(p, bob, "bob@example.com", moved).want(done(made), http.StatusForbidden, "another identity")
	form := url.Values{"user": {r.bob.ID.String()}}
	eve := r.user("eve@example.org")
	if _, err := r.app.Directory.CreateTenant(t.Context(), "Looms", eve.ID); err != nil {
		t.Fatal(err)
	}
	r.signIn(rival, "eve@example.org")
	r.enrol(rival)
	rival.do(http.MethodPost, "/team/unlink", form).want("/team/unlink", http.StatusNotFound)
	bob.open("/account").do(http.MethodPost, "/team/unlink", form).want("/team/unlink", http.StatusForbidden)
	r.signInByMail(ada, "ada@example.com").want("/account", 200)
	r.enrol(ada)
	ada.open("/team").do(http.MethodPost, "/team/unlink", form).want("/team", 200)
	ada.do(http.MethodPost, "/team/unlink", form).want("/team/unlink", http.StatusNotFound)
	r.signInBy(p, bob, "bob@example.com", moved).want("/account", 200, "bob@example.com")
	if log := r.logged(r.team.String()); !strings.Contains(log, "sso.unlinked") {
		t.Errorf("the log is %q", log)
	}
}

func TestWhoWasRemovedFromATeamIsNotLetInAgainByItsProvider(t *testing.T) {
	r, p := newRig(t, private), newProvider(t)
	made := r.connect(p, sso.NewConnection{})
	ada, bob := newBrowser(t, r.server), newBrowser(t, r.server)
	r.signInByMail(ada, "ada@example.com").want("/account", 200)
	r.enrol(ada)
	ada.open("/team").do(http.MethodPost, "/team/remove", url.Values{"user": {r.bob.ID.String()}}).want("/team", 200)
	r.signInBy(p, bob, "bob@example.com", nil).want(done(made), http.StatusForbidden, "was removed from the team", "ask for an invitation")
	if log := r.logged(r.team.String()); strings.Contains(log, "sso.linked") {
		t.Errorf("the log is %q, want nobody linked", log)
	}
	ada.open("/team").submit("/team/invitations", "email", "bob@example.com", "role", "member").want("/team", 200)
	invited := r.mail()
	r.signInBy(p, bob, "bob@example.com", nil).want(done(made), http.StatusForbidden, "was removed from the team")
	r.signInByMail(bob, "bob@example.com").open(invited.path).submit("/join", "token", invited.secret).submit("/join", "accept", "yes").want("/account/factors", 200)
	bob.submit("/logout")
	r.signInBy(p, bob, "bob@example.com", nil).want("/account", 200, "bob@example.com", "member of Engines")
}

func TestProvidersSendPeopleBackToWhereThePagesAre(t *testing.T) {
	r, p := newRig(t, web.Options{AllowPrivateProviders: true, Base: "/people"}), newProvider(t)
	r.connect(p, sso.NewConnection{})
	b := newBrowser(t, r.server)
	b.open("/people/login?return=/account/factors").submit("/people/login", "email", "bob@example.com").want("/people/login", 200)
	p.says("bob@example.com", nil)
	b.open(p.authorize(b.toProvider())).want("/people/account/factors", 200)
}
