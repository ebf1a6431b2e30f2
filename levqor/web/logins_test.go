package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/web"
)

// tally returns how often something was recorded, in the team's log and in the owner's.
func (r *rig) tally(action guard.Action) int {
	r.Helper()
	n := 0
	for _, tenant := range []string{r.team.String(), identity.OwnerTenant} {
		for _, e := range r.entries(tenant, action) {
			n += e.Count
		}
	}
	return n
}

// wantLogged demands how many logins, failed and not, an action has added to the logs.
func (r *rig) wantLogged(what string, succeeded, failed int, act func()) {
	r.Helper()
	before, beforeFailed := r.tally(guard.ActionLoginSucceeded), r.tally(guard.ActionLoginFailed)
	act()
	if got := fmt.Sprint(r.tally(guard.ActionLoginSucceeded)-before, r.tally(guard.ActionLoginFailed)-beforeFailed); got != fmt.Sprint(succeeded, failed) {
		r.Errorf("%s: %s logins and failures are recorded, want %d %d", what, got, succeeded, failed)
	}
}

// ask asks for a mail when the quotas of mails have room again.
func (r *rig) ask(b *browser) letter {
	r.Helper()
	r.advance(25 * time.Minute)
	b.open("/login").submit("/login", "email", "bob@example.com").want("/login/sent", http.StatusOK)
	return r.mail()
}

// Passkeys are in internal/e2e/people, with a browser that has them.
func TestEachLoginAndEachFailedOneIsRecorded(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	m := r.ask(b)
	r.wantLogged("wrong codes", 0, 2, func() {
		b.submit("/login/code", "code", "0000-0000").submit("/login/code", "code", "nope").want("/login/code", http.StatusUnauthorized)
	})
	r.wantLogged("a code", 1, 0, func() { b.submit("/login/code", "code", m.code).want("/account", http.StatusOK) })
	r.wantLogged("a code that was used", 0, 1, func() {
		b.do(http.MethodPost, "/login/code", url.Values{"code": {m.code}})
	})
	m = r.ask(b)
	b.open(m.path)
	r.wantLogged("a wrong link", 0, 1, func() { b.submit(m.path, "secret", strings.Repeat("A", 43)).want(m.path, http.StatusUnauthorized) })
	r.wantLogged("a link", 1, 0, func() { b.submit(m.path, "secret", m.secret).want("/account", http.StatusOK) })
	r.wantLogged("a link that was used", 0, 1, func() { b.do(http.MethodPost, m.path, url.Values{"secret": {m.secret}}) })

	var secret string
	r.wantLogged("a factor that is set up", 1, 0, func() { secret = r.enrol(b) })
	b.submit("/account/factors/codes").want("/account/factors/codes", http.StatusOK)
	recovery := strings.Fields(b.text()[strings.Index(b.text(), "void."):])[1]
	m = r.ask(b)
	r.wantLogged("a code, with a factor still to be shown", 0, 0, func() { b.submit("/login/code", "code", m.code).want("/login/factor", http.StatusOK) })
	r.wantLogged("wrong factors", 0, 2, func() {
		b.submit("/login/factor", "code", "000000").submit("/login/recovery", "recovery", "nope").want("/login/recovery", http.StatusUnauthorized)
	})
	r.wantLogged("a code of an app", 1, 0, func() { b.submit("/login/factor", "code", r.totp(secret)).want("/account", http.StatusOK) })
	m = r.ask(b)
	b.submit("/login/code", "code", m.code).want("/login/factor", http.StatusOK)
	r.wantLogged("a recovery code", 1, 0, func() { b.submit("/login/recovery", "recovery", recovery).want("/account", http.StatusOK) })
	if used := r.tally(guard.ActionRecoveryUsed); used != 1 {
		t.Errorf("%d recovery codes are recorded as used", used)
	}
	r.wantLogged("an address that is nobody's", 0, 1, func() { r.proveUnknown(newBrowser(t, r.server)) })
}

// proveUnknown shows a link of an address that is nobody's, as only its user who was deleted
// meanwhile can.
func (r *rig) proveUnknown(b *browser) {
	r.Helper()
	gone := r.user("gone@example.com")
	b.open("/login").submit("/login", "email", "gone@example.com").want("/login/sent", http.StatusOK)
	m := r.mail()
	if err := r.app.DeleteUser(r.Context(), gone.ID, guard.Event{Tenant: identity.OwnerTenant, Action: guard.ActionUserDeleted, Outcome: guard.OutcomeSuccess}); err != nil {
		r.Fatal(err)
	}
	b.submit("/login/code", "code", m.code).want("/login/code", http.StatusUnauthorized)
}
