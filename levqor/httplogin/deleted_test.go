package httplogin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpapi"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// bob returns a member of a team, with the cookie of his session there.
func (r *rig) bob(team identity.TenantID) (identity.UserID, *http.Cookie) {
	r.Helper()
	email, err := identity.ParseEmail("bob@example.com")
	if err != nil {
		r.Fatal(err)
	}
	bob, _, err := r.app.Directory.EnsureUser(r.Context(), email, "Bob")
	if err != nil {
		r.Fatal(err)
	}
	if _, err := r.app.Directory.AddMember(r.Context(), team, bob.ID, identity.Grant{Role: identity.RoleMember}); err != nil {
		r.Fatal(err)
	}
	token, session, err := r.app.Sessions.Start(r.Context(), login.Start{User: bob.ID, Tenant: team, Level: login.LevelMail})
	if err != nil {
		r.Fatal(err)
	}
	w := httptest.NewRecorder()
	r.sessions.Put(w, token, session)
	return bob.ID, w.Result().Cookies()[0]
}

// The session of whoever is out of a tenant, or gone, is refused as no session is, and that
// is recorded.
func TestTheAPIRefusesTheSessionOfADeletedMember(t *testing.T) {
	r := newRig(t, nil)
	api, err := httpapi.New(r.app, &httpapi.Options{Authenticator: httpapi.FirstOf(httpapi.SameOrigin(r.sessions), httpapi.APIKeys(r.app, nil))})
	if err != nil {
		t.Fatal(err)
	}
	team := r.team()
	bob, cookie := r.bob(team)
	read := func(cookies ...*http.Cookie) (int, string) {
		req := request(cookies...)
		req.URL.Path = "/api/v1/jobs"
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		w := httptest.NewRecorder()
		api.ServeHTTP(w, req)
		return w.Code, strings.ReplaceAll(w.Body.String(), w.Header().Get("Request-Id"), "")
	}
	if status, body := read(cookie); status != http.StatusOK {
		t.Fatalf("a member's session has status %d: %s", status, body)
	}
	_, nobody := read()
	gone := guard.Event{Tenant: identity.OwnerTenant, Action: guard.ActionUserDeleted, Outcome: guard.OutcomeSuccess}
	for _, leave := range []func() error{
		func() error { return r.app.Directory.RemoveMember(t.Context(), team, bob) },
		func() error { return r.app.DeleteUser(t.Context(), bob, gone) },
	} {
		if err := leave(); err != nil {
			t.Fatal(err)
		}
		if status, body := read(cookie); status != http.StatusUnauthorized || body != nobody {
			t.Errorf("status %d: %s, want %s", status, body, nobody)
		}
	}
	if err := r.app.SecurityLog.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused, err := r.app.SecurityLog.Entries(t.Context(), identity.OwnerTenant, guard.LogQuery{Action: guard.ActionAccessDenied, Limit: 10})
	count := 0
	for _, e := range refused {
		if count += e.Count; e.Outcome != guard.OutcomeFailed || strings.Contains(fmt.Sprintf("%+v", e), cookie.Value) {
			t.Errorf("the log has %+v", e)
		}
	}
	if err != nil || count != 3 {
		t.Errorf("the log has %+v, %v, want three refusals", refused, err)
	}
}
