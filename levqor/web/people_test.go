package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
	"github.com/levqor/sdk/levqor/web"
)

func TestASecondFactorIsAskedForOnceItIsThere(t *testing.T) {
	r := newRig(t, web.Options{})
	elsewhere, b := newBrowser(t, r.server), newBrowser(t, r.server)
	r.signIn(elsewhere, "ada@example.com").want("/account", 200)
	r.signIn(b, "ada@example.com").open("/team").want("/team", http.StatusForbidden, "second factor")
	before := session(b)
	r.enrol(b)
	if session(b) == before {
		t.Error("the session of before has the new factor")
	}
	b.open("/team").want("/team", 200, "Engines", "bob@example.com")
	elsewhere.open("/account").want("/login", 200)
}

func TestTheSecondFactorStepStandsBeforeEverything(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	r.signIn(b, "bob@example.com")
	secret := r.enrol(b)
	b.submit("/account/factors/codes").want("/account/factors/codes", 200, "Keep these")
	recovery := strings.Fields(b.text()[strings.Index(b.text(), "void."):])[1]
	b.submit("/logout")
	r.advance(time.Hour)

	r.signIn(b, "bob@example.com").want("/login/factor", 200, "Second factor")
	half := session(b)
	for _, page := range []string{"/account", "/team", "/account/factors", "/account/delete"} {
		b.open(page).want("/login/factor", 200)
	}
	if got := r.post("/account/name", "name=Mallory", func(req *http.Request) { req.Header.Set("Cookie", "__Host-lvq_session="+half) }); got == http.StatusOK {
		if user, err := r.app.Directory.FindUser(t.Context(), r.bob.ID); err != nil || user.Name != "" {
			t.Errorf("a half session renames: %+v, %v", user, err)
		}
	}
	code := r.totp(secret)
	b.open("/login/factor").submit("/login/factor", "code", "000000").want("/login/factor", http.StatusUnauthorized)
	b.submit("/login/factor", "code", code).want("/account", 200, "authenticator app")
	if session(b) == half {
		t.Error("the half session goes on")
	}
	b.submit("/logout")
	other := newBrowser(t, r.server)
	r.signIn(other, "bob@example.com").want("/login/factor", 200)
	other.submit("/login/factor", "code", code).want("/login/factor", http.StatusUnauthorized, "wrong or has been used")
	other.submit("/login/recovery", "recovery", recovery).want("/account", 200)
	r.advance(time.Hour)
	other.open("/account/delete").want("/login/factor", 200)
	other.submit("/login/recovery", "recovery", recovery).want("/login/recovery", http.StatusUnauthorized)
	other.submit("/login/factor", "code", r.totp(secret)).want("/account/delete", 200)
	if log := r.logged(r.team.String()); !strings.Contains(log, "recovery.used") || !strings.Contains(log, "factor.added") {
		t.Errorf("the log is %q", log)
	}
}

func TestWhoHasNoFactorProvesTheMailboxAgain(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	r.signIn(b, "bob@example.com")
	r.advance(time.Hour)
	b.open("/account/delete").want("/login/again", 200).submit("/login/again").want("/login/sent", 200)
	b.submit("/login/code", "code", r.mail().code).want("/account/delete", 200)
	b.submit("/account/delete", "confirm", "ada@example.com").want("/account/delete", http.StatusBadRequest, "nothing was deleted")
	b.open("/account/delete").submit("/account/delete", "confirm", "bob@example.com").want("/account/delete", 200, "Your account is deleted")
	b.open("/account").want("/login", 200)
	if log := r.logged(identity.OwnerTenant); !strings.Contains(log, "user.deleted") {
		t.Errorf("the log is %q", log)
	}
}

func TestPeopleLookAfterTheirAccount(t *testing.T) {
	r := newRig(t, web.Options{})
	b, phone := newBrowser(t, r.server), newBrowser(t, r.server)
	phone.agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1"
	_, err := r.app.Directory.CreateTenant(t.Context(), "Looms", r.bob.ID)
	if err != nil {
		t.Fatal(err)
	}
	r.signIn(b, "bob@example.com")
	r.signIn(phone, "bob@example.com")
	b.open("/account").want("/account", 200, "Safari on iPhone").submit("/account/name", "name", "<b>Bob</b>").want("/account", 200)
	if strings.Contains(b.body, "<b>Bob") {
		t.Error("the name is markup")
	}
	before := session(b)
	b.submit("/account/tenant").want("/account", 200, "owner of Looms")
	if session(b) == before {
		t.Error("the session is the same in another team")
	}
	b.submit("/account/sessions/end").want("/account", 200)
	phone.open("/account").want("/login", 200)
	r.advance(time.Hour)
	r.signIn(phone, "bob@example.com")
	b.open("/account").submit("/account/sessions/end-others").want("/account", 200)
	phone.open("/account").want("/login", 200)
	b.do(http.MethodPost, "/account/tenant", url.Values{"tenant": {"ten_nope"}}).want("/account/tenant", http.StatusNotFound)
}

func TestOwnersRunTheirTeam(t *testing.T) {
	r := newRig(t, web.Options{})
	b, bob := newBrowser(t, r.server), newBrowser(t, r.server)
	r.signIn(b, "ada@example.com")
	secret := r.enrol(b)
	r.signIn(bob, "bob@example.com").open("/team").want("/team", 200, "Leave")
	if strings.Contains(bob.body, "ada@example.com") {
		t.Error("a member reads who else is there, without the scope")
	}
	b.open("/team").submit("/team/name", "name", "Engines & Sons").want("/team", 200, "Engines & Sons")
	user := r.bob.ID.String()
	again := func() {
		b.open("/login/factor").submit("/login/factor", "code", r.totp(secret))
	}
	again()
	b.do(http.MethodPost, "/team/role", url.Values{"user": {user}, "role": {"viewer"}}).want("/team", 200)
	if m, err := r.app.Directory.FindMember(t.Context(), r.team, r.bob.ID); err != nil || m.Role != identity.RoleViewer {
		t.Errorf("bob is %+v, %v", m, err)
	}
	b.open("/team").want("/team", 200, "Sign out everywhere")
	bob.open("/account").want("/account", 200)
	b.do(http.MethodPost, "/team/sessions", url.Values{"user": {user}}).want("/team", 200)
	bob.open("/account").want("/login", 200)
	b.do(http.MethodPost, "/team/sessions", url.Values{"user": {r.ada.ID.String()}}).want("/team", 200) // all but the one that asks
	b.do(http.MethodPost, "/team/sessions", url.Values{"user": {"usr_00000000002"}}).want("/team/sessions", http.StatusNotFound)
	if log := r.logged(r.team.String()); strings.Count(log, "session.ended") != 2 {
		t.Errorf("the log is %q", log)
	}
	r.advance(time.Hour)
	r.signIn(bob, "bob@example.com")
	r.enrol(bob)
	again()
	b.do(http.MethodPost, "/team/factors", url.Values{"user": {user}}).want("/team", 200)
	if held, err := r.app.Factors.Has(t.Context(), r.bob.ID); err != nil || held.Any() {
		t.Errorf("bob has %+v, %v", held, err)
	}
	bob.open("/account").want("/login", 200)
	b.do(http.MethodPost, "/team/factors", url.Values{"user": {r.ada.ID.String()}}).want("/team/factors", http.StatusConflict)
	b.do(http.MethodPost, "/team/leave", url.Values{}).want("/team/leave", http.StatusConflict, "no owner")
	r.advance(time.Hour)
	r.signIn(bob, "bob@example.com").want("/account", 200)
	for _, form := range []string{"/team/role", "/team/remove", "/team/factors", "/team/sessions", "/team/invitations", "/team/name"} {
		bob.do(http.MethodPost, form, url.Values{"user": {r.ada.ID.String()}, "role": {"viewer"}, "email": {"x@example.com"}, "name": {"x"}}).want(form, http.StatusForbidden)
	}
	again()
	b.do(http.MethodPost, "/team/remove", url.Values{"user": {user}}).want("/team", 200)
	bob.open("/team").want("/team", http.StatusNotFound)
	b.open("/team").submit("/team/delete", "confirm", "Engines").want("/team/delete", http.StatusBadRequest)
	if log := r.logged(r.team.String()); !strings.Contains(log, "member.removed") || !strings.Contains(log, "member.role_changed") || !strings.Contains(log, "tenant.renamed") {
		t.Errorf("the log is %q", log)
	}
	b.open("/team").submit("/team/delete", "confirm", "Engines & Sons").want("/account", 200)
	deletions, err := r.app.SecurityLog.Entries(t.Context(), identity.OwnerTenant, guard.LogQuery{Action: guard.ActionTenantDeleted, Actor: r.ada.ID.String(), Limit: 100})
	if err != nil || len(deletions) != 1 || deletions[0].Target != r.team.String() {
		t.Errorf("the owner's log has %+v of ada, %v; want that she deleted the team", deletions, err)
	}
}

func TestWhoLeavesATeamIsGoneFromItAndInItsLog(t *testing.T) {
	r := newRig(t, web.Options{})
	bob := newBrowser(t, r.server)
	r.signIn(bob, "bob@example.com").open("/team").submit("/team/leave").want("/account", 200)
	bob.open("/team").want("/team", http.StatusNotFound)
	if log := r.logged(r.team.String()); !strings.Contains(log, "member.removed") {
		t.Errorf("the log is %q", log)
	}
}

func TestInvitationsCountAsProtected(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	r.signIn(b, "ada@example.com")
	r.enrol(b)
	for i := range 20 {
		b.open("/team").submit("/team/invitations", "email", fmt.Sprintf("x%d@example.com", i), "role", "member").want("/team", 200)
	}
	b.open("/team").submit("/team/invitations", "email", "y@example.com", "role", "member").want("/team/invitations", http.StatusTooManyRequests)
}

func TestInvitationsAndTheOwnerLinkLetPeopleJoin(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	r.signIn(b, "ada@example.com")
	r.enrol(b)
	b.open("/team").submit("/team/invitations", "email", "carol@example.com", "role", "member").want("/team", 200, "carol@example.com")
	m := r.mail()
	carol := newBrowser(t, r.server)
	carol.open(m.path).want("/join", 200).submit("/join", "token", m.secret).want("/join", 200, "Engines", "member")
	carol.submit("/join", "accept", "yes", "name", "Carol").want("/account/factors", 200)
	carol.open("/account").want("/account", 200, "member of Engines", "carol@example.com")
	carol.open("/join").submit("/join", "token", m.secret).want("/join", http.StatusGone, "over")
	b.open("/team").submit("/team/invitations", "email", "dan@example.com", "role", "viewer").want("/team", 200, "dan@example.com")
	token := r.mail().secret
	b.submit("/team/invitations/withdraw").want("/team", 200)
	carol.open("/join").submit("/join", "token", token).want("/join", http.StatusGone)

	link, _, err := r.app.OwnerLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ = strings.Cut(link, "#")
	first := newBrowser(t, r.server)
	first.open("/join").submit("/join", "token", token).want("/join", 200, "own this service")
	first.submit("/join", "accept", "yes", "email", "no address").want("/join", http.StatusBadRequest)
	first.submit("/join", "accept", "yes", "email", "eve@example.com").want("/account/factors", 200, "needs a second factor")
}

func TestAnInvitationIsNoWayIntoAnAccount(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	r.signIn(b, "ada@example.com")
	r.enrol(b)
	dan := r.user("dan@example.com")
	invited := func() string {
		t.Helper()
		b.open("/team").submit("/team/invitations", "email", "DAN@example.com", "role", "viewer").want("/team", 200)
		return r.mail().secret
	}
	stranger := newBrowser(t, r.server)
	stranger.open("/join").submit("/join", "token", invited()).submit("/join", "accept", "yes", "name", "Mallory").want("/login/sent", 200, "Look into your mail")
	if member, err := r.app.Directory.FindMember(t.Context(), r.team, dan.ID); err != nil || session(stranger) != "" {
		t.Errorf("dan is %+v, %v; the stranger has the session %q", member, err, session(stranger))
	}
	stranger.submit("/login/code", "code", r.mail().code).want("/account", 200, "viewer of Engines")
	if user, err := r.app.Directory.FindUser(t.Context(), dan.ID); err != nil || user.Name != "" {
		t.Errorf("the user is %+v, %v", user, err)
	}

	if err := r.app.Directory.RemoveMember(t.Context(), r.team, dan.ID); err != nil {
		t.Fatal(err)
	}
	before := session(stranger)
	stranger.open("/join").submit("/join", "token", invited()).submit("/join", "accept", "yes").want("/account/factors", 200)
	if stranger.open("/account").want("/account", 200, "viewer of Engines"); session(stranger) == before {
		t.Error("the session is the same in another team")
	}
	if log := r.logged(r.team.String()); strings.Count(log, "member.added") != 2 {
		t.Errorf("the log is %q", log)
	}
}

func TestTheOwnerLinkAsksWhoHasAnAccountToSignInFirst(t *testing.T) {
	r := newRig(t, web.Options{})
	link, _, err := r.app.OwnerLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(link, "#")
	b := newBrowser(t, r.server)
	b.open("/join").submit("/join", "token", token)
	b.submit("/join", "accept", "yes", "email", "BOB@example.com").want("/join", http.StatusConflict, "sign in first")
	if session(b) != "" {
		t.Error("the link signs in as somebody")
	}
	r.signIn(b, "bob@example.com").want("/account", 200)
	secret := r.enrol(b)
	half := newBrowser(t, r.server)
	r.signIn(half, "bob@example.com").want("/login/factor", 200)
	half.open("/join").submit("/join", "token", token).submit("/join", "accept", "yes", "email", "bob@example.com").want("/join", http.StatusConflict)
	b.open("/login/factor").submit("/login/factor", "code", r.totp(secret))
	b.open("/join").submit("/join", "token", token).submit("/join", "accept", "yes", "email", "bob@example.com").want("/account/factors", 200)
	if member, err := r.app.Directory.FindMember(t.Context(), identity.OwnerTenantID, r.bob.ID); err != nil || member.Role != identity.RoleOwner {
		t.Errorf("bob is %+v, %v", member, err)
	}
}

func TestAWrongNameUsesNoInvitationUp(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	r.signIn(b, "ada@example.com")
	r.enrol(b)
	b.open("/team").submit("/team/invitations", "email", "carol@example.com", "role", "member").want("/team", 200)
	token := r.mail().secret
	carol := newBrowser(t, r.server)
	for _, name := range []string{strings.Repeat("x", 201), "a\nb", "\xff"} {
		carol.open("/join").submit("/join", "token", token).submit("/join", "accept", "yes", "name", name).want("/join", http.StatusBadRequest, "Name must")
	}
	if found, err := r.app.Directory.FindUserByEmail(t.Context(), identity.StoredEmail("", "carol@example.com")); err == nil {
		t.Errorf("a wrong name has made %+v", found)
	}
	carol.submit("/join", "accept", "yes", "name", " Carol ").want("/account/factors", 200)
	if found, err := r.app.Directory.FindUserByEmail(t.Context(), identity.StoredEmail("", "carol@example.com")); err != nil || found.Name != "Carol" {
		t.Errorf("the user is %+v, %v", found, err)
	}
}

func TestARemovedFactorLeavesNoSessionThatItHasRaised(t *testing.T) {
	r := newRig(t, web.Options{})
	b, other := newBrowser(t, r.server), newBrowser(t, r.server)
	r.signIn(b, "bob@example.com")
	secret := r.enrol(b)
	r.advance(time.Minute)
	r.signIn(other, "bob@example.com").submit("/login/factor", "code", r.totp(secret)).want("/account", 200)
	before := session(b)
	b.open("/account/factors").submit("/account/factors/totp/remove").want("/account/factors", 200)
	if found, err := r.app.Sessions.Authenticate(t.Context(), session(b)); err != nil || found.Session.Level != login.LevelMail || session(b) == before {
		t.Errorf("the session is %+v, %v", found.Session, err)
	}
	other.open("/account").want("/login", 200)
}

// deafened returns stores whose sessions do not end together, within a transaction or not.
func deafened() levqor.Stores {
	stores := levqor.MemStores()
	stores.Sessions = deaf{stores.Sessions}
	whole := stores.Tx
	stores.Tx = func(ctx context.Context, fn func(context.Context, levqor.Stores) error) error {
		return whole(ctx, func(ctx context.Context, tx levqor.Stores) error {
			tx.Sessions = deaf{tx.Sessions}
			return fn(ctx, tx)
		})
	}
	return stores
}

// deaf are sessions that do not end together.
type deaf struct{ login.SessionStore }

func (deaf) EndAllSessions(context.Context, identity.UserID, login.SessionID) error {
	return login.ErrUnavailable
}

func TestChangesOfFactorsAreRecordedWhateverComesAfter(t *testing.T) {
	r := newRigOn(t, deafened(), web.Options{})
	b, bob := newBrowser(t, r.server), newBrowser(t, r.server)
	r.signIn(bob, "bob@example.com").open("/account/factors").submit("/account/factors/totp")
	secret := regexp.MustCompile(`<code>([A-Z2-7]+)</code>`).FindStringSubmatch(bob.body)[1]
	bob.submit("/account/factors/totp/confirm", "code", r.totp(secret)).want("/account/factors/totp/confirm", http.StatusServiceUnavailable)
	if log := r.logged(r.team.String()); strings.Count(log, "factor.added") != 1 {
		t.Errorf("the log is %q", log)
	}
	bob.open("/account/factors").submit("/account/factors/totp/remove").want("/account/factors/totp/remove", http.StatusServiceUnavailable)
	if found, err := r.app.Sessions.Authenticate(t.Context(), session(bob)); err != nil || found.Session.Level != login.LevelMail {
		t.Errorf("the session is %+v, %v", found.Session, err)
	}
	if log := r.logged(r.team.String()); strings.Count(log, "factor.removed") != 1 {
		t.Errorf("the log is %q", log)
	}
	bob.open("/account/factors").submit("/account/factors/totp")
	secret = regexp.MustCompile(`<code>([A-Z2-7]+)</code>`).FindStringSubmatch(bob.body)[1]
	bob.submit("/account/factors/totp/confirm", "code", r.totp(secret))
	r.signIn(b, "ada@example.com").open("/account/factors").submit("/account/factors/totp")
	secret = regexp.MustCompile(`<code>([A-Z2-7]+)</code>`).FindStringSubmatch(b.body)[1]
	b.submit("/account/factors/totp/confirm", "code", r.totp(secret))
	b.do(http.MethodPost, "/team/factors", url.Values{"user": {r.bob.ID.String()}}).want("/team/factors", http.StatusServiceUnavailable)
	if held, err := r.app.Factors.Has(t.Context(), r.bob.ID); err != nil || !held.TOTP {
		t.Errorf("bob has %+v, %v; want all undone", held, err)
	}
	if log := r.logged(r.team.String()); strings.Count(log, "factor.removed") != 1 {
		t.Errorf("the log is %q; want no removal that was undone", log)
	}
}

func TestADisabledUsersSessionIsOver(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	r.signIn(b, "bob@example.com").want("/account", 200)
	if _, err := r.app.Directory.DisableUser(t.Context(), r.bob.ID); err != nil {
		t.Fatal(err)
	}
	b.open("/account").want("/login", 200)
}

func TestEveryRouteIsGuardedAndPagesHoldNothingInline(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	r.signIn(b, "ada@example.com")
	r.enrol(b)
	for _, rt := range web.Routes() {
		method, path, _ := strings.Cut(rt.Pattern, " ")
		path = strings.NewReplacer("{flow}", strings.Repeat("a", 22), "{$}", "").Replace(path)
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		b.do(method, path, nil)
		policy := b.header.Get("Content-Security-Policy")
		want := map[httpguard.Class]string{httpguard.Page: "strict-origin-when-cross-origin", httpguard.Secret: "no-referrer"}[rt.Class]
		if !strings.Contains(policy, "'nonce-") || b.header.Get("Referrer-Policy") != want || b.header.Get("Cache-Control") != "no-store" || b.header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s has the headers %v", rt.Pattern, b.header)
		}
		for _, inline := range []string{" style=", " onclick=", " onload=", " onsubmit=", "<style", "javascript:", "http://"} {
			if strings.Contains(strings.ReplaceAll(b.body, "http://www.w3.org/2000/svg", ""), inline) {
				t.Errorf("%s holds %q", rt.Pattern, inline)
			}
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/", r.server.Config.Handler)
	if open := httpguard.Unguarded(mux, "GET /login", "POST /login", "GET /nowhere"); len(open) != 0 {
		t.Errorf("nobody guards %v", open)
	}
	b.open("/assets/levqor.css").want("/assets/levqor.css", 200)
	b.open("/nowhere").want("/nowhere", http.StatusNotFound)
}

// state is what forms could have changed.
func (r *rig) state() string {
	r.Helper()
	ctx := r.Context()
	tenant, tenantErr := r.app.Directory.FindTenant(ctx, r.team)
	people, peopleErr := r.app.Directory.Profiles(ctx, r.team, 0, 100)
	invitations, invitationErr := r.app.Invitations.List(ctx, r.team, 0, 100)
	held, heldErr := r.app.Factors.Has(ctx, r.ada.ID)
	sessions, sessionErr := r.app.Sessions.List(ctx, r.ada.ID)
	if err := errors.Join(tenantErr, peopleErr, invitationErr, heldErr, sessionErr); err != nil {
		r.Fatal(err)
	}
	all := fmt.Sprint(tenant, people, invitations, held, r.logged(r.team.String()), r.logged(identity.OwnerTenant), len(r.box))
	for _, s := range sessions {
		all += fmt.Sprintf(" %v %x %v %v", s.ID, s.Hash, s.Tenant, s.Level)
	}
	return all
}

func TestNobodyPassesTheGateOfARoute(t *testing.T) {
	r := newRig(t, web.Options{})
	stale, half, nobody := newBrowser(t, r.server), newBrowser(t, r.server), newBrowser(t, r.server)
	r.signIn(stale, "ada@example.com")
	r.enrol(stale)
	r.advance(time.Hour)
	r.signIn(half, "ada@example.com").want("/login/factor", 200)
	form := url.Values{
		"user": {r.bob.ID.String()}, "role": {"viewer"}, "email": {"x@example.com"}, "name": {"Mallory"}, "tenant": {r.team.String()}, "confirm": {"Engines"},
		"code": {"000000"},
	}
	before, walked := r.state(), 0
	for _, rt := range web.Routes() {
		method, path, _ := strings.Cut(rt.Pattern, " ")
		path = strings.Replace(path, "{$}", "", 1)
		for gate, c := range map[string]struct {
			b      *browser
			to     string
			closed bool
		}{
			"nobody":    {nobody, "/login", rt.Access != "open"},
			"half":      {half, "/login/factor", rt.Access == "signed" || rt.Access == "proven" || rt.Access == "own"},
			"not fresh": {stale, "/login/again", rt.Access == "proven" || rt.Access == "own"},
		} {
			if !c.closed {
				continue
			}
			walked++
			c.b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			if method == http.MethodGet {
				c.b.do(method, path, nil)
			} else {
				c.b.do(method, path, form)
			}
			to, _, _ := strings.Cut(c.b.header.Get("Location"), "?")
			if c.b.status != http.StatusSeeOther || to != c.to {
				t.Errorf("%s, %s: status %d to %s, want %s", rt.Pattern, gate, c.b.status, to, c.to)
			}
			if after := r.state(); after != before {
				t.Fatalf("%s, %s: something has changed:\n%s\n%s", rt.Pattern, gate, before, after)
			}
		}
	}
	if walked < 50 {
		t.Errorf("%d gates were tried", walked)
	}
}

func TestWhatIsCostlyToUndoAsksForAFreshProof(t *testing.T) {
	fresh := map[string]bool{
		"POST /account/factors/totp": true, "GET /account/factors/totp": true, "GET /account/factors/codes": true, "POST /account/factors/totp/confirm": true, "POST /account/factors/totp/remove": true, "POST /account/factors/codes": true,
		"POST /account/factors/passkeys/options": true, "POST /account/factors/passkeys": true, "POST /account/factors/passkeys/remove": true,
		"GET /account/delete": true, "POST /account/delete": true, "GET /account/email": true, "POST /account/email": true,
		"POST /team/role": true, "POST /team/remove": true, "POST /team/factors": true, "POST /team/sessions": true, "POST /team/invitations": true, "POST /team/delete": true,
		"POST /team/sso": true, "POST /team/sso/{id}": true, "POST /team/sso/{id}/verify": true, "POST /team/sso/{id}/remove": true, "POST /team/unlink": true,
	}
	for _, rt := range web.Routes() {
		if got := rt.Access == "proven" || rt.Access == "own"; got != fresh[rt.Pattern] {
			t.Errorf("%s asks for a fresh proof: %v", rt.Pattern, got)
		}
		if got := rt.Access == "own"; got != (fresh[rt.Pattern] && strings.Contains(rt.Pattern, " /account/")) {
			t.Errorf("%s lets a provider alone suffice: %v", rt.Pattern, !got)
		}
	}
}

func TestReadingChangesNothing(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	r.signIn(b, "ada@example.com")
	r.enrol(b)
	before, log := session(b), r.logged(r.team.String())
	for _, rt := range web.Routes() {
		method, path, _ := strings.Cut(rt.Pattern, " ")
		if method != http.MethodGet {
			continue
		}
		path = strings.NewReplacer("{flow}", strings.Repeat("a", 22), "{$}", "").Replace(path)
		for range 3 {
			b.open(path)
			b.do(http.MethodHead, path, nil)
		}
	}
	if session(b) != before || r.logged(r.team.String()) != log || len(r.box) != 0 {
		t.Error("reading pages has changed something")
	}
	b.open("/account").want("/account", 200, "ada@example.com")
}

func TestPasskeysAreOfferedWhereBrowsersMakeThem(t *testing.T) {
	for at, want := range map[string]bool{"https://app.example.com": true, "http://localhost:8080": true, "https://192.0.2.1": false, "http://app.example.com": false} {
		r := newRig(t, web.Options{})
		app, err := levqor.New(levqor.MemStores(), &levqor.Options{Secret: []byte(strings.Repeat("s", 32)), PublicURL: at})
		if err != nil {
			t.Fatal(err)
		}
		pages, err := web.New(app, nil)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewTLSServer(pages)
		t.Cleanup(server.Close)
		link, _, err := app.OwnerLink(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, token, _ := strings.Cut(link, "#")
		b := newBrowser(r.T, server)
		b.open("/join").submit("/join", "token", token).submit("/join", "accept", "yes", "email", "eve@example.com").want("/account/factors", 200)
		if got := strings.Contains(b.body, "Add a passkey"); got != want {
			t.Errorf("at %s passkeys are offered: %v", at, got)
		}
		b.do(http.MethodPost, "/account/factors/passkeys/options", url.Values{})
		if offered := b.status == http.StatusOK && strings.Contains(b.body, "challenge"); offered != want {
			t.Errorf("at %s the options have status %d: %.100s", at, b.status, b.body)
		}
		b.do(http.MethodPost, "/account/factors/passkeys", url.Values{"answer": {"{}"}, "name": {"x"}})
		if b.status < 400 || b.status >= 500 {
			t.Errorf("at %s an answer that is none has status %d", at, b.status)
		}
	}
}
