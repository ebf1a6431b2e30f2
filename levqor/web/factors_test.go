package web_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
	"github.com/levqor/sdk/levqor/web"
)

var keys = regexp.MustCompile(`<code>([A-Z2-7]+)</code>`)

func TestLoadingAPageAgainRepeatsNothing(t *testing.T) {
	r := newRig(t, web.Options{})
	b, elsewhere := newBrowser(t, r.server), newBrowser(t, r.server)
	r.signIn(b, "bob@example.com").open("/account/factors/totp").want("/account/factors", 200)
	b.submit("/account/factors/totp").want("/account/factors/totp", 200, "Key:")
	secret := keys.FindStringSubmatch(b.body)[1]
	for range 2 {
		if b.open("/account/factors/totp"); keys.FindStringSubmatch(b.body)[1] != secret {
			t.Fatal("loading the page again has made another secret")
		}
	}
	b.submit("/account/factors/totp/confirm", "code", r.totp(secret)).want("/account/factors", 200, "An app is set up")
	b.open("/account/factors/totp").want("/account/factors", 200)
	if strings.Contains(b.body, secret) {
		t.Error("a secret that is in use is shown")
	}

	b.submit("/account/factors/codes").want("/account/factors/codes", 200, "Keep these")
	code := strings.Fields(b.text()[strings.Index(b.text(), "void."):])[1]
	for range 2 {
		b.open("/account/factors/codes").want("/account/factors", 200, "10 codes are left")
		if strings.Contains(b.body, code) {
			t.Error("a recovery code is shown again")
		}
	}
	r.advance(time.Minute)
	r.signIn(elsewhere, "bob@example.com").submit("/login/recovery", "recovery", code).want("/account", 200)
}

// wantTold demands the next mail about second factors, which goes to somebody and says so.
func (r *rig) wantTold(to, news string) {
	r.Helper()
	select {
	case m := <-r.told:
		if m.To.String() != to || !strings.Contains(m.Text, news) {
			r.Errorf("the mail is %+v, want %q to %s", m, news, to)
		}
	case <-time.After(30 * time.Second):
		r.Fatal("no mail has come")
	}
}

func TestPeopleAreToldWhatPagesDoToTheirFactors(t *testing.T) {
	r := newRig(t, web.Options{})
	b, ada := newBrowser(t, r.server), newBrowser(t, r.server)
	r.signIn(b, "bob@example.com")
	r.enrol(b)
	r.wantTold("bob@example.com", "An authenticator app was added")
	b.submit("/account/factors/codes").want("/account/factors/codes", 200, "Keep these")
	r.wantTold("bob@example.com", "New recovery codes were made")
	code := strings.Fields(b.text()[strings.Index(b.text(), "void."):])[1]
	r.passkey("one", r.bob.ID)
	r.wantTold("bob@example.com", "A passkey was added")
	b.submit("/logout")
	r.advance(time.Minute)
	r.signIn(b, "bob@example.com").submit("/login/recovery", "recovery", code).want("/account", 200)
	r.wantTold("bob@example.com", "A recovery code of your account was used")
	form := url.Values{"passkey": {base64.RawURLEncoding.EncodeToString([]byte("one"))}}
	b.do(http.MethodPost, "/account/factors/passkeys/remove", form).want("/account/factors", 200)
	r.wantTold("bob@example.com", "A passkey was removed")
	b.open("/account/factors").submit("/account/factors/totp/remove").want("/account/factors", 200)
	r.wantTold("bob@example.com", "The authenticator app was removed")
	r.enrol(b)
	r.wantTold("bob@example.com", "An authenticator app was added")

	r.signIn(ada, "ada@example.com")
	r.enrol(ada)
	r.wantTold("ada@example.com", "An authenticator app was added")
	ada.do(http.MethodPost, "/team/factors", url.Values{"user": {r.bob.ID.String()}}).want("/team", 200)
	r.wantTold("bob@example.com", "All second factors and recovery codes were removed")
}

func TestNewRecoveryCodesAreReadInTheirSessionAlone(t *testing.T) {
	r := newRig(t, web.Options{})
	bob, ada := newBrowser(t, r.server), newBrowser(t, r.server)
	r.signIn(bob, "bob@example.com")
	r.enrol(bob)
	r.signIn(ada, "ada@example.com")
	bob.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	bob.do(http.MethodPost, "/account/factors/codes", url.Values{})
	at, _ := url.Parse(r.server.URL)
	for _, c := range bob.client.Jar.Cookies(at) {
		if strings.HasSuffix(c.Name, "lvq_codes") {
			c.Secure, c.Path = true, "/"
			ada.client.Jar.SetCookies(at, []*http.Cookie{c})
		}
	}
	ada.open("/account/factors/codes").want("/account/factors", 200)
	bob.do(http.MethodHead, "/account/factors/codes", nil)
	bob.open("/account/factors/codes").want("/account/factors/codes", 200, "Keep these")
}

func TestNewRecoveryCodesAreShownForAMinute(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	r.signIn(b, "bob@example.com")
	r.enrol(b)
	follow := b.client.CheckRedirect
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	b.do(http.MethodPost, "/account/factors/codes", url.Values{})
	b.client.CheckRedirect = follow
	at, _ := url.Parse(r.server.URL)
	all := b.client.Jar.Cookies(at)
	i := slices.IndexFunc(all, func(c *http.Cookie) bool { return strings.HasSuffix(c.Name, "lvq_codes") })
	if i < 0 {
		t.Fatalf("the cookies are %v", all)
	}
	kept := &http.Cookie{Name: all[i].Name, Value: all[i].Value, Path: "/", Secure: true} // which a browser may keep for longer
	r.advance(time.Minute - time.Millisecond)
	b.open("/account/factors/codes").want("/account/factors/codes", 200, "Keep these")
	b.client.Jar.SetCookies(at, []*http.Cookie{kept})
	r.advance(time.Millisecond)
	b.open("/account/factors/codes").want("/account/factors", 200)
}

func (r *rig) passkey(id string, user identity.UserID) {
	r.Helper()
	if _, err := r.app.Factors.AddPasskey(r.Context(), factor.Passkey{ID: []byte(id), User: user, Name: "key " + id, PublicKey: []byte("key")}); err != nil {
		r.Fatal(err)
	}
}

func TestPasskeysAreRemovedByWhoseTheyAre(t *testing.T) {
	r := newRig(t, web.Options{})
	b, other := newBrowser(t, r.server), newBrowser(t, r.server)
	r.signIn(b, "bob@example.com")
	secret := r.enrol(b)
	r.advance(time.Minute)
	r.signIn(other, "bob@example.com").submit("/login/factor", "code", r.totp(secret)).want("/account", 200)
	r.passkey("one", r.bob.ID)
	r.passkey("two", r.bob.ID)
	r.passkey("hers", r.ada.ID)
	remove := func(id string) url.Values {
		return url.Values{"passkey": {base64.RawURLEncoding.EncodeToString([]byte(id))}}
	}
	for _, form := range []url.Values{remove("hers"), remove("none"), {"passkey": {"!"}}, {}} {
		b.do(http.MethodPost, "/account/factors/passkeys/remove", form).want("/account/factors/passkeys/remove", http.StatusNotFound)
	}
	if held, err := r.app.Factors.Passkeys(t.Context(), r.ada.ID); err != nil || len(held) != 1 {
		t.Errorf("another's passkeys are %v, %v; want the one", held, err)
	}
	b.open("/account/factors").want("/account/factors", 200, "key one", "key two")
	b.do(http.MethodPost, "/account/factors/passkeys/remove", remove("one")).want("/account/factors", 200, "key two")
	if strings.Contains(b.body, "key one") {
		t.Error("the passkey is listed though it was removed")
	}
	if log := r.logged(r.team.String()); strings.Count(log, "factor.removed") != 1 {
		t.Errorf("the log is %q, want the removal once", log)
	}
	other.open("/account").want("/login", 200)
	b.submit("/account/factors/totp/remove").want("/account/factors", 200)
	before := session(b)
	b.do(http.MethodPost, "/account/factors/passkeys/remove", remove("two")).want("/account/factors", 200)
	if found, err := r.app.Sessions.Authenticate(t.Context(), session(b)); err != nil || found.Session.Level != login.LevelMail || session(b) == before {
		t.Errorf("the session without factors is %+v, %v; want it lowered", found.Session, err)
	}
}

func TestAPasskeyIsRemovedByNoForgedOrStaleRequest(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	r.signIn(b, "bob@example.com")
	r.enrol(b)
	r.passkey("one", r.bob.ID)
	form := url.Values{"passkey": {base64.RawURLEncoding.EncodeToString([]byte("one"))}}
	forged := r.post("/account/factors/passkeys/remove", form.Encode(), func(req *http.Request) {
		req.Header.Set("Cookie", "__Host-lvq_session="+session(b))
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		req.Header.Set("Origin", "https://evil.example")
	})
	if forged != http.StatusForbidden {
		t.Errorf("a request from elsewhere gives %d, want 403", forged)
	}
	r.advance(time.Hour)
	b.do(http.MethodPost, "/account/factors/passkeys/remove", form).want("/login/factor", 200)
	if held, err := r.app.Factors.Passkeys(t.Context(), r.bob.ID); err != nil || len(held) != 1 {
		t.Errorf("the passkeys are %v, %v; want the one", held, err)
	}
}

// fickle are stores of which some are away at times.
type fickle struct {
	login.SessionStore
	guard.LogStore
	sessionsAway, logAway *atomic.Bool
}

func (f fickle) InsertSession(ctx context.Context, s login.Session, old []byte, age time.Duration, now time.Time) (login.Session, error) {
	if f.sessionsAway.Load() {
		return login.Session{}, login.ErrUnavailable
	}
	return f.SessionStore.InsertSession(ctx, s, old, age, now)
}

func (f fickle) Change(ctx context.Context, tenant string, change guard.LogChange, now time.Time) error {
	if f.logAway.Load() {
		return guard.ErrUnavailable
	}
	return f.LogStore.Change(ctx, tenant, change, now)
}

func newFickle(stores levqor.Stores) (levqor.Stores, fickle) {
	f := fickle{SessionStore: stores.Sessions, LogStore: stores.SecurityLog, sessionsAway: &atomic.Bool{}, logAway: &atomic.Bool{}}
	inTx := stores.Tx
	stores.Sessions, stores.SecurityLog = f, f
	stores.Tx = func(ctx context.Context, fn func(context.Context, levqor.Stores) error) error {
		return inTx(ctx, func(ctx context.Context, tx levqor.Stores) error {
			bound := fickle{tx.Sessions, tx.SecurityLog, f.sessionsAway, f.logAway}
			tx.Sessions, tx.SecurityLog = bound, bound
			return fn(ctx, tx)
		})
	}
	return stores, f
}

func TestAStoreThatIsAwayIsNobodysFailure(t *testing.T) {
	stores, away := newFickle(levqor.MemStores())
	r := newRigOn(t, stores, web.Options{})
	b := newBrowser(t, r.server)
	b.open("/login").submit("/login", "email", "bob@example.com").want("/login/sent", 200)
	code := r.mail().code
	away.sessionsAway.Store(true)
	b.submit("/login/code", "code", code).want("/login/code", http.StatusServiceUnavailable)
	away.sessionsAway.Store(false)
	if err := r.app.SecurityLog.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if log := r.logged(identity.OwnerTenant); strings.Contains(log, "login.failed") {
		t.Errorf("the log is %q, want no failure of the person", log)
	}
	r.signIn(b, "bob@example.com").want("/account", 200)
}

func TestAFailureIsRecordedWhenTheLogComesBack(t *testing.T) {
	stores, away := newFickle(levqor.MemStores())
	r := newRigOn(t, stores, web.Options{})
	b := newBrowser(t, r.server)
	b.open("/login").submit("/login", "email", "bob@example.com").want("/login/sent", 200)
	code := r.mail().code
	away.logAway.Store(true)
	b.submit("/login/code", "code", "0000-0000").want("/login/code", http.StatusUnauthorized, "The code is wrong")
	if err := r.app.SecurityLog.Flush(t.Context()); err == nil {
		t.Error("Flush = nil while the log is away")
	}
	b.submit("/login/code", "code", code).want("/account", 200)
	away.logAway.Store(false)
	if err := r.app.SecurityLog.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if log := r.logged(identity.OwnerTenant); strings.Count(log, "login.failed") != 1 {
		t.Errorf("the log is %q, want the failure once", log)
	}
}
