package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
)

// events returns a tenant's security events, the first first.
func (s *service) events(tenant string) []guard.Entry {
	s.Helper()
	if err := s.app.SecurityLog.Flush(context.Background()); err != nil {
		s.Fatal(err)
	}
	all, err := s.app.SecurityLog.Entries(context.Background(), tenant, guard.LogQuery{FirstFirst: true, Limit: 1000})
	if err != nil {
		s.Fatal(err)
	}
	return all
}

// say returns what matters of events in a line each.
func say(all []guard.Entry) (lines []string) {
	for _, e := range all {
		lines = append(lines, fmt.Sprintf("%s %s by %s on %s, %d %v", e.Action, e.Outcome, e.Actor, e.Target, e.Count, e.Detail))
	}
	return lines
}

func TestWhatIsDoneWithKeysIsRecorded(t *testing.T) {
	s := newService(t)
	owner := s.key("acme", "*")
	me := "key_" + owner[9:31]
	made := decode[client.APIKey](t, s.createKey(owner, "k", `{"name":"ci","scopes":["jobs:read"]}`))
	s.createKey(owner, "k", `{"name":"ci","scopes":["jobs:read"]}`) // the same again
	path := "/api/v1/api-keys/" + made.ID
	for _, r := range []request{
		{"PATCH", path, owner, "", "application/json", `{"name":"cd"}`},
		{"POST", path + "/rotate", owner, "", "application/json", `{}`},
		{"POST", path + "/rotate", owner, "", "application/json", `{}`}, // a conflict
		{"GET", "/api/v1/jobs", *made.Token, "", "", ""},
		{"GET", "/api/v1/jobs", *made.Token, "", "", ""},
		{"DELETE", path, owner, "", "", ""},
		{"DELETE", "/api/v1/api-keys/key_nope", owner, "", "", ""},
	} {
		s.do(r)
	}
	all := s.events("acme")
	want := []string{
		"key.created success by " + me + " on " + made.ID + ", 1 map[]",
		"key.changed success by " + me + " on " + made.ID + ", 1 map[]",
		"key.rotated success by " + me + " on " + made.ID + ", 1 map[]",
		"key.revoked success by " + me + " on " + made.ID + ", 1 map[]",
		"key.used_retiring success by " + made.ID + " on " + made.ID + ", 2 map[]",
	}
	if got := say(all); !slices.Equal(got, want) {
		t.Errorf("the log is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, e := range all {
		if !strings.HasPrefix(e.Address, "pii:") || !strings.HasPrefix(e.RequestID, "req_") {
			t.Errorf("the event is %+v", e)
		}
	}
}

func TestWhatIsDoneWithPeopleAndTenantsIsRecorded(t *testing.T) {
	s := newService(t)
	operator := s.key(identity.OwnerTenant, "*")
	send := func(method, path, token, body string) *http.Response {
		r := request{method: method, path: path, token: token, idempotency: path}
		if body != "" {
			r.contentType, r.body = "application/json", body
		}
		resp := s.do(r)
		if resp.StatusCode >= 300 {
			t.Errorf("%s %s gave %d", method, path, resp.StatusCode)
		}
		return resp
	}
	tenant := decode[client.Tenant](t, send("POST", "/api/v1/tenants", operator, `{"name":"Engines","owner_email":"ada@example.com"}`))
	link := send("POST", "/api/v1/owner-link", operator, "")
	link.Body.Close()
	id, err := identity.ParseTenantID(tenant.ID)
	if err != nil {
		t.Fatal(err)
	}
	eve := s.member(identity.Tenant{ID: id}, "eve@example.com", identity.RoleViewer).ID.String()
	owner := s.key(tenant.ID, identity.RoleOwner.Scopes()...)
	send("PATCH", "/api/v1/tenant", owner, `{"name":"Analytical Engines"}`)
	send("PATCH", "/api/v1/members/"+eve, owner, `{"role":"admin"}`)
	send("DELETE", "/api/v1/members/"+eve, owner, "")
	bob := decode[client.Invitation](t, send("POST", "/api/v1/invitations", owner, `{"email":"bob@example.com","role":"member"}`))
	send("POST", "/api/v1/invitations", owner, `{"email":"bob@example.com","role":"member"}`) // the same again
	send("DELETE", "/api/v1/invitations/"+bob.ID, owner, "")
	theirs := say(s.events(tenant.ID))
	send("POST", "/api/v1/users/"+eve+"/disable", operator, "")
	send("POST", "/api/v1/users/"+eve+"/enable", operator, "")
	send("DELETE", "/api/v1/users/"+eve, operator, "")
	send("DELETE", "/api/v1/tenant?confirm="+tenant.ID, owner, "")

	me := "key_" + owner[9:31]
	wantLines(t, theirs, []string{
		"tenant.renamed success by " + me + " on " + tenant.ID + ", 1 map[]",
		"member.role_changed success by " + me + " on " + eve + ", 1 map[role:admin]",
		"member.removed success by " + me + " on " + eve + ", 1 map[]",
		"invitation.sent success by " + me + " on " + bob.ID + ", 1 map[role:member]",
		"invitation.revoked success by " + me + " on " + bob.ID + ", 1 map[]",
	})
	all := s.events(identity.OwnerTenant)
	op := "key_" + operator[9:31]
	wantLines(t, say(all), []string{
		"tenant.created success by " + op + " on " + tenant.ID + ", 1 map[]",
		"owner_link.created success by " + op + " on " + all[1].Target + ", 1 map[]",
		"user.disabled success by " + op + " on " + eve + ", 1 map[]",
		"user.enabled success by " + op + " on " + eve + ", 1 map[]",
		"user.deleted success by " + op + " on " + eve + ", 1 map[]",
		"tenant.deleted success by " + me + " on " + tenant.ID + ", 1 map[]",
		"tenant.deleted success by  on " + tenant.ID + ", 1 map[step:log_erased]",
	})
	for _, e := range all[:len(all)-1] {
		if !strings.HasPrefix(e.Address, "pii:") || !strings.HasPrefix(e.RequestID, "req_") {
			t.Errorf("the event is %+v", e)
		}
	}
}

func wantLines(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("the log is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWhoIsRefusedIsRecorded(t *testing.T) {
	s := newService(t)
	reader := s.key("acme", "jobs:read", "keys:write")
	me := "key_" + reader[9:31]
	for range 3 {
		s.do(request{"GET", "/api/v1/queues", reader, "", "", ""})
		s.do(request{"GET", "/api/v1/jobs/job_1", "lvq_live_nope", "", "", ""})
	}
	s.createKey(reader, "k", `{"name":"x","scopes":["*"]}`)
	want := []string{
		"access.denied denied by " + me + " on , 3 map[operation:GET /api/v1/queues reason:forbidden scope:operator:jobs]",
		"access.denied denied by " + me + " on , 1 map[operation:POST /api/v1/api-keys reason:scope_not_held]",
	}
	if got := say(s.events("acme")); !slices.Equal(got, want) {
		t.Errorf("the log is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	failed := s.events(identity.OwnerTenant)
	want = []string{"access.denied failed by  on , 3 map[operation:GET /api/v1/jobs/{id} reason:invalid_api_key]"}
	if got := say(failed); !slices.Equal(got, want) {
		t.Errorf("the owner's log is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if text := fmt.Sprintf("%+v", failed); strings.Contains(text, "192.0.2.1") || strings.Contains(text, "nope") {
		t.Errorf("the log holds what is personal or secret: %s", text)
	}
}

// brokenLog is a log that cannot be reached.
type brokenLog struct{ guard.LogStore }

func (brokenLog) Change(context.Context, string, guard.LogChange, time.Time) error {
	return guard.ErrUnavailable
}

// unrecorded returns stores whose transactions can record nothing.
func unrecorded() levqor.Stores {
	stores := levqor.MemStores()
	inTx := stores.Tx
	stores.Tx = func(ctx context.Context, fn func(context.Context, levqor.Stores) error) error {
		return inTx(ctx, func(ctx context.Context, tx levqor.Stores) error {
			tx.SecurityLog = brokenLog{tx.SecurityLog}
			return fn(ctx, tx)
		})
	}
	return stores
}

func TestNoPersonIsChangedUnrecorded(t *testing.T) {
	s := newServiceOn(t, unrecorded())
	acme := s.tenant("Acme", "ada@example.com")
	eve := s.member(acme, "eve@example.com", identity.RoleViewer)
	owner, operator := s.key(acme.ID.String(), identity.RoleOwner.Scopes()...), s.key(identity.OwnerTenant, "*")
	for _, r := range []request{
		{"PATCH", "/api/v1/tenant", owner, "", "application/json", `{"name":"x"}`},
		{"PATCH", "/api/v1/members/" + eve.ID.String(), owner, "", "application/json", `{"role":"admin"}`},
		{"DELETE", "/api/v1/members/" + eve.ID.String(), owner, "", "", ""},
		{"POST", "/api/v1/invitations", owner, "k", "application/json", `{"email":"bob@example.com","role":"member"}`},
		{"POST", "/api/v1/tenants", operator, "k", "application/json", `{"name":"x","owner_email":"ada@example.com"}`},
		{"POST", "/api/v1/owner-link", operator, "k", "", ""},
		{"POST", "/api/v1/users/" + eve.ID.String() + "/disable", operator, "", "", ""},
		{"DELETE", "/api/v1/users/" + eve.ID.String(), operator, "", "", ""},
		{"DELETE", "/api/v1/tenants/" + acme.ID.String(), operator, "", "", ""},
	} {
		if resp := s.do(r); resp.StatusCode != 503 {
			t.Errorf("%s %s gave %d, want 503", r.method, r.path, resp.StatusCode)
		}
	}
	profile, err := s.app.Directory.FindProfile(t.Context(), acme.ID, eve.ID)
	if err != nil || profile.Role != identity.RoleViewer || !profile.DisabledAt.IsZero() {
		t.Errorf("the member is %+v, %v; want it as it was", profile, err)
	}
	if tenant, err := s.app.Directory.FindTenant(t.Context(), acme.ID); err != nil || tenant.Name != "Acme" {
		t.Errorf("the tenant is %+v, %v; want it as it was", tenant, err)
	}
}

func TestNoKeyIsMadeOrChangedThatIsNotRecorded(t *testing.T) {
	s := newServiceOn(t, unrecorded())
	owner, other := s.key("acme", "*"), s.key("acme", "jobs:read")
	path := "/api/v1/api-keys/key_" + other[9:31]
	for _, r := range []request{
		{"POST", "/api/v1/api-keys", owner, "k", "application/json", `{"name":"x","scopes":["*"]}`},
		{"PATCH", path, owner, "", "application/json", `{"name":"other"}`},
		{"POST", path + "/rotate", owner, "", "application/json", `{}`},
		{"DELETE", path, owner, "", "", ""},
	} {
		if resp := s.do(r); resp.StatusCode != 503 {
			t.Errorf("%s %s gave %d, want 503", r.method, r.path, resp.StatusCode)
		}
	}
	page := decode[client.APIKeyPage](t, s.do(request{method: "GET", path: "/api/v1/api-keys?include_revoked=true", token: owner}))
	if len(page.Data) != 2 {
		t.Errorf("the keys are %+v", page.Data)
	}
	for _, key := range page.Data {
		if key.RevokedAt != nil || key.RotatedAt != nil || key.Name != "test" {
			t.Errorf("the key is %+v", key)
		}
	}
}

func TestAnotherTenantsSecurityEventsAreNotSeen(t *testing.T) {
	s := newService(t)
	mine, theirs := s.key("acme", "security:read"), s.key("other", "*")
	s.createKey(theirs, "k", `{"name":"theirs","scopes":["jobs:read"]}`)
	for _, path := range []string{"", "?limit=1", "/export", "/verification"} {
		raw, _ := io.ReadAll(s.do(request{method: "GET", path: "/api/v1/security-events" + path, token: mine}).Body)
		if bytes.Contains(raw, []byte("key.created")) || bytes.Contains(raw, []byte(theirs[9:31])) || path == "/verification" && !bytes.Contains(raw, []byte(`"last":1`)) {
			t.Errorf("%s gives %s", path, raw)
		}
	}
	s.wantProblem(s.do(request{method: "GET", path: "/api/v1/security-events", token: s.key("acme", "jobs:read", "keys:write")}), 403, client.ProblemCodeInsufficientScope, "")
	for range 3 {
		s.do(request{method: "GET", path: "/api/v1/security-events/export", token: theirs})
	}
	cursor := decode[client.SecurityEventPage](t, s.do(request{method: "GET", path: "/api/v1/security-events?limit=1&outcome=success", token: theirs})).NextCursor
	s.wantProblem(s.do(request{method: "GET", path: "/api/v1/security-events?limit=1&outcome=success&cursor=" + *cursor, token: mine}), 400, client.ProblemCodeInvalidCursor, "")
	s.wantProblem(s.do(request{method: "GET", path: "/api/v1/security-events?limit=1&cursor=" + *cursor, token: theirs}), 400, client.ProblemCodeInvalidCursor, "")
}

func TestAVerificationTellsWhatIsBroken(t *testing.T) {
	s := newService(t)
	owner := s.key("acme", "*")
	s.do(request{method: "GET", path: "/api/v1/security-events/export", token: owner})
	err := s.stores.SecurityLog.Change(t.Context(), "acme", func(head guard.LogHead, _ time.Time) (guard.LogHead, []guard.Entry, error) {
		head.Last++
		return head, nil, nil
	}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	report := decode[client.SecurityReport](t, s.do(request{method: "GET", path: "/api/v1/security-events/verification", token: owner}))
	if report.Whole || report.Flaw == nil || *report.Flaw != client.SecurityReportFlawHead || report.Broken != nil {
		t.Errorf("the report is %+v", report)
	}
}

// torn is a log that breaks off in the middle of an export.
type torn struct{ guard.LogStore }

func (l torn) Entries(ctx context.Context, tenant string, q guard.LogQuery) ([]guard.Entry, error) {
	if q.After > 0 {
		return nil, guard.ErrUnavailable
	}
	return l.LogStore.Entries(ctx, tenant, q)
}

func TestAnExportThatIsCutOffIsAnError(t *testing.T) {
	stores := levqor.MemStores()
	stores.SecurityLog = torn{stores.SecurityLog}
	s := newServiceOn(t, stores)
	event := guard.Event{Tenant: "acme", Action: guard.ActionLoginFailed, Outcome: guard.OutcomeFailed}
	if err := s.app.SecurityLog.Record(t.Context(), slices.Repeat([]guard.Event{event}, 600)...); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.handler)
	defer server.Close()
	c, err := client.New(server.URL, &client.Options{Key: s.key("acme", "*")})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err = range c.ExportSecurityEvents(t.Context(), 0) {
		n++
	}
	if !errors.Is(err, client.ErrUnavailable) || n > 501 {
		t.Errorf("the export gave %d and %v, want ErrUnavailable", n, err)
	}
	for _, err = range c.ExportSecurityEvents(t.Context(), -1) {
	}
	if !errors.Is(err, client.ErrInvalid) {
		t.Errorf("an export after -1 gave %v, want ErrInvalid", err)
	}
}

func TestTheActionsAreThoseOfTheContract(t *testing.T) {
	var inContract []string
	for _, v := range loadContract(t).doc.Components.Schemas["SecurityAction"].Value.Enum {
		inContract = append(inContract, fmt.Sprint(v))
	}
	var known []string
	for _, a := range guard.Actions() {
		known = append(known, string(a))
	}
	slices.Sort(known)
	slices.Sort(inContract)
	if !slices.Equal(known, inContract) {
		t.Errorf("the contract has %v, and the log %v", inContract, known)
	}
}
