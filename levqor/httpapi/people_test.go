package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// mailbox keeps what is sent, as long as there is room.
type mailbox chan levqor.Mail

func (m mailbox) SendMail(_ context.Context, mail levqor.Mail) error {
	select {
	case m <- mail:
	default:
	}
	return nil
}

// user returns a user with an address.
func (s *service) user(address string) identity.User {
	s.Helper()
	email, err := identity.ParseEmail(address)
	if err != nil {
		s.Fatal(err)
	}
	user, _, err := s.app.Directory.EnsureUser(context.Background(), email, "")
	if err != nil {
		s.Fatal(err)
	}
	return user
}

// tenant returns a tenant with an owner of its own.
func (s *service) tenant(name, owner string) identity.Tenant {
	s.Helper()
	tenant, err := s.app.Directory.CreateTenant(context.Background(), name, s.user(owner).ID)
	if err != nil {
		s.Fatal(err)
	}
	return tenant
}

func (s *service) member(tenant identity.Tenant, address string, role identity.Role) identity.User {
	s.Helper()
	user := s.user(address)
	if _, err := s.app.Directory.AddMember(context.Background(), tenant.ID, user.ID, identity.Grant{Role: role}); err != nil {
		s.Fatal(err)
	}
	return user
}

// calledPeople calls the operations on people and tenants.
func calledPeople(t *testing.T, s *service, newClient func(key string) *client.Service) {
	t.Helper()
	ctx := t.Context()
	op := newClient(s.key(identity.OwnerTenant, "*"))
	made, err := op.CreateTenant(ctx, client.NewTenant{Name: "Engines", OwnerEmail: "Ada@Example.com"}, "")
	if err != nil {
		t.Fatalf("CreateTenant = %v", err)
	}
	if got, err := op.GetAnyTenant(ctx, made.ID); err != nil || got.Name != "Engines" {
		t.Errorf("GetAnyTenant = %+v, %v", got, err)
	}
	ada, err := op.FindUser(ctx, "ADA@example.com")
	if err != nil || ada == nil || ada.Email != "Ada@Example.com" {
		t.Fatalf("FindUser = %+v, %v", ada, err)
	}
	if nobody, err := op.FindUser(ctx, "nobody@example.com"); err != nil || nobody != nil {
		t.Errorf("FindUser = %+v, %v; want none", nobody, err)
	}
	c := newClient(s.key(made.ID, identity.RoleOwner.Scopes()...))
	ownTenant(t, c, made.ID)
	members(t, s, c, op, *made, ada.ID)
	invitations(t, c)
	ssoConnections(t, s, c, op)
	var names []string
	for tenant, err := range op.Tenants(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, tenant.Name)
	}
	if !slices.Equal(names, []string{"default", "Analytical Engines"}) {
		t.Errorf("Tenants gave %q", names)
	}
	if err := c.DeleteTenant(ctx, "default"); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("DeleteTenant without its ID = %v, want ErrInvalid", err)
	}
	if err := c.DeleteTenant(ctx, made.ID); err != nil {
		t.Errorf("DeleteTenant = %v", err)
	}
	if err := op.DeleteAnyTenant(ctx, made.ID); err != nil {
		t.Errorf("DeleteAnyTenant = %v, want it erased again while its deletion is not over", err)
	}
	if err := op.DeleteAnyTenant(ctx, identity.TenantID(77).String()); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("DeleteAnyTenant = %v, want ErrNotFound", err)
	}
	if err := op.DeleteTenant(ctx, "default"); !errors.Is(err, client.ErrConflict) {
		t.Errorf("DeleteTenant of the owner's = %v, want ErrConflict", err)
	}
	endings(t, s, op, ada.ID)
	if err := op.DeleteUser(ctx, ada.ID); err != nil {
		t.Errorf("DeleteUser = %v", err)
	}
	if _, err := op.GetUser(ctx, ada.ID); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("GetUser = %v, want ErrNotFound", err)
	}
	first, err := op.CreateOwnerLink(ctx, "k")
	if err != nil || first.URL == nil || !strings.HasPrefix(*first.URL, "https://app.example.com/join#lvi_") {
		t.Errorf("CreateOwnerLink = %+v, %v", first, err)
	}
	if again, err := op.CreateOwnerLink(ctx, "k"); err != nil || again.URL != nil {
		t.Errorf("CreateOwnerLink again = %+v, %v; want no link", again, err)
	}
}

// endings ends sessions of one user and of everybody, which the log tells.
func endings(t *testing.T, s *service, op *client.Service, ada string) {
	t.Helper()
	id, err := identity.ParseUserID(ada)
	if err != nil {
		t.Fatal(err)
	}
	eve := s.user("eve.twice@example.com").ID
	begin := func(user identity.UserID) string {
		token, _, err := s.app.Sessions.Start(t.Context(), login.Start{User: user, Level: login.LevelMail})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	first, second := begin(id), begin(eve)
	want := func(token string, there bool) {
		t.Helper()
		if _, err := s.app.Sessions.Authenticate(t.Context(), token); (err == nil) != there {
			t.Errorf("Authenticate = %v, want a session: %v", err, there)
		}
	}
	if err := op.EndUserSessions(t.Context(), ada); err != nil {
		t.Errorf("EndUserSessions = %v", err)
	}
	want(first, false)
	want(second, true)
	if err := op.EndUserSessions(t.Context(), "usr_00000000002"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("EndUserSessions of nobody = %v, want ErrNotFound", err)
	}
	if err := op.EndAllSessions(t.Context()); err != nil {
		t.Errorf("EndAllSessions = %v", err)
	}
	want(second, false)
	var told []string
	for _, e := range s.events(identity.OwnerTenant) {
		if e.Action == guard.ActionSessionEnded && e.Actor != "" && e.RequestID != "" {
			told = append(told, e.Target+e.Detail["of"]+e.Detail["sessions"])
		}
	}
	slices.Sort(told)
	if want := []string{"everybody1", ada}; !slices.Equal(told, want) {
		t.Errorf("the log tells of endings of %q, want %q", told, want)
	}
}

func ownTenant(t *testing.T, c *client.Service, id string) {
	t.Helper()
	tenant, version, err := c.GetTenant(t.Context())
	if err != nil || tenant.ID != id || version == "" {
		t.Fatalf("GetTenant = %+v, %q, %v", tenant, version, err)
	}
	if got, err := c.UpdateTenant(t.Context(), version, client.TenantChange{Name: "Analytical Engines"}); err != nil || got.Name != "Analytical Engines" {
		t.Errorf("UpdateTenant = %+v, %v", got, err)
	}
	_, err = c.UpdateTenant(t.Context(), version, client.TenantChange{Name: "x"})
	wantOldVersion(t, "UpdateTenant", err)
}

func members(t *testing.T, s *service, c, op *client.Service, tenant client.Tenant, ada string) {
	t.Helper()
	ctx := t.Context()
	id, err := identity.ParseTenantID(tenant.ID)
	if err != nil {
		t.Fatal(err)
	}
	eve := s.member(identity.Tenant{ID: id}, "eve@example.com", identity.RoleViewer).ID.String()
	admin := client.RoleAdmin
	got, version, err := c.GetMember(ctx, eve)
	if err != nil || got.Email != "eve@example.com" || got.Role != client.RoleViewer || got.Disabled || got.Scopes == nil {
		t.Fatalf("GetMember = %+v, %v", got, err)
	}
	if got, err := c.UpdateMember(ctx, eve, version, client.MemberChange{Role: &admin}); err != nil || got.Role != admin || got.Email != "eve@example.com" {
		t.Errorf("UpdateMember = %+v, %v", got, err)
	}
	if _, err := c.UpdateMember(ctx, eve, version, client.MemberChange{Scopes: &[]string{}}); !errors.Is(err, client.ErrConflict) {
		t.Errorf("UpdateMember of an old version = %v, want ErrConflict", err)
	}
	if _, err := c.UpdateMember(ctx, ada, "", client.MemberChange{Role: &admin}); !errors.Is(err, client.ErrConflict) {
		t.Errorf("UpdateMember of the last owner = %v, want ErrConflict", err)
	}
	for _, disabled := range []bool{true, false} {
		do := op.DisableUser
		if !disabled {
			do = op.EnableUser
		}
		if got, err := do(ctx, eve); err != nil || (got.DisabledAt != nil) != disabled {
			t.Errorf("the user is %+v, %v; want it disabled: %v", got, err, disabled)
		}
		if got, _, err := c.GetMember(ctx, eve); err != nil || got.Disabled != disabled {
			t.Errorf("GetMember = %+v, %v; want it disabled: %v", got, err, disabled)
		}
	}
	var all []string
	for member, err := range c.Members(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, member.UserID)
	}
	if !slices.Equal(all, []string{ada, eve}) {
		t.Errorf("Members gave %v", all)
	}
	if err := c.RemoveMember(ctx, eve); err != nil {
		t.Errorf("RemoveMember = %v", err)
	}
	if err := c.RemoveMember(ctx, eve); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("RemoveMember again = %v, want ErrNotFound", err)
	}
}

func invitations(t *testing.T, c *client.Service) {
	t.Helper()
	ctx := t.Context()
	for _, key := range []string{"k", "k"} {
		made, err := c.Invite(ctx, client.NewInvitation{Email: "Bob@example.com", Role: client.RoleMember}, key)
		if err != nil || made.Email != "Bob@example.com" || made.Role != client.RoleMember || made.InvitedBy == nil {
			t.Fatalf("Invite = %+v, %v", made, err)
		}
	}
	var ids []string
	for invitation, err := range c.Invitations(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, invitation.ID)
	}
	if len(ids) != 1 {
		t.Fatalf("Invitations gave %v, want one", ids)
	}
	if err := c.RevokeInvitation(ctx, ids[0]); err != nil {
		t.Errorf("RevokeInvitation = %v", err)
	}
	if err := c.RevokeInvitation(ctx, ids[0]); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("RevokeInvitation again = %v, want ErrNotFound", err)
	}
}

func TestTheScopeForPeopleAloneMakesNoOwner(t *testing.T) {
	s := newService(t)
	resp := s.do(request{method: "POST", path: "/api/v1/owner-link", token: s.key(identity.OwnerTenant, "operator:people"), idempotency: "k"})
	s.wantProblem(resp, 403, client.ProblemCodeInsufficientScope, "")
}

func TestNobodyGivesMoreThanTheyHold(t *testing.T) {
	s := newService(t)
	acme := s.tenant("Acme", "ada@example.com")
	bob := s.member(acme, "bob@example.com", identity.RoleViewer)
	ada := s.user("ada@example.com")
	admin := s.key(acme.ID.String(), identity.RoleAdmin.Scopes()...)
	write := func(method, path, body string) *http.Response {
		contentType := ""
		if body != "" {
			contentType = "application/json"
		}
		return s.do(request{method, path, admin, "k" + body, contentType, body})
	}
	refused := func(method, path, body string) {
		t.Helper()
		s.wantProblem(write(method, path, body), 403, client.ProblemCodeScopeNotHeld, "")
	}
	refused("POST", "/api/v1/invitations", `{"email":"eve@example.com","role":"owner"}`)
	refused("POST", "/api/v1/invitations", `{"email":"eve@example.com","role":"viewer","scopes":["reports:read"]}`)
	refused("PATCH", "/api/v1/members/"+bob.ID.String(), `{"role":"owner"}`)
	refused("PATCH", "/api/v1/members/"+bob.ID.String(), `{"scopes":["tenant:write"]}`)
	refused("PATCH", "/api/v1/members/"+ada.ID.String(), `{"role":"viewer"}`)
	refused("DELETE", "/api/v1/members/"+ada.ID.String(), "")
	s.wantProblem(write("POST", "/api/v1/invitations", `{"email":"eve@example.com","role":"viewer","scopes":["operator:people"]}`), 400, client.ProblemCodeValidationFailed, "#/scopes invalid_scope")
	if resp := write("PATCH", "/api/v1/members/"+bob.ID.String(), `{"role":"admin"}`); resp.StatusCode != 200 {
		t.Errorf("what the caller holds gives %d", resp.StatusCode)
	}
	if resp := write("POST", "/api/v1/invitations", `{"email":"eve@example.com","role":"admin"}`); resp.StatusCode != 201 {
		t.Errorf("what the caller holds gives %d", resp.StatusCode)
	}
}

func TestOnlyTheOwnersTenantSeesAllPeople(t *testing.T) {
	s := newService(t)
	acme := s.tenant("Acme", "ada@example.com")
	ada := s.user("ada@example.com")
	every := s.key(acme.ID.String(), "*")
	for _, r := range []request{
		{method: "GET", path: "/api/v1/tenants"},
		{"POST", "/api/v1/tenants", "", "k", "application/json", `{"name":"x","owner_email":"x@example.com"}`},
		{method: "GET", path: "/api/v1/tenants/" + acme.ID.String()},
		{method: "DELETE", path: "/api/v1/tenants/" + acme.ID.String()},
		{method: "GET", path: "/api/v1/users?email=ada@example.com"},
		{method: "GET", path: "/api/v1/users/" + ada.ID.String()},
		{method: "DELETE", path: "/api/v1/users/" + ada.ID.String()},
		{method: "POST", path: "/api/v1/users/" + ada.ID.String() + "/disable"},
		{method: "POST", path: "/api/v1/users/" + ada.ID.String() + "/enable"},
		{method: "DELETE", path: "/api/v1/users/" + ada.ID.String() + "/sessions"},
		{method: "DELETE", path: "/api/v1/sessions"},
		{method: "POST", path: "/api/v1/owner-link", idempotency: "k"},
	} {
		r.token = every
		s.wantProblem(s.do(r), 403, client.ProblemCodeInsufficientScope, "")
	}
	_, _, err := s.app.Keys.Create(t.Context(), identity.NewKey{Tenant: acme.ID.String(), Name: "x", Scopes: []string{identity.ScopePeople}})
	if !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("Create = %v, want ErrInvalid", err)
	}
}

// Of all operations with an ID in the path, by the contract: what is another tenant's is
// answered as what does not exist.
func TestWhatIsAnotherTenantsLooksAbsent(t *testing.T) {
	s := newService(t)
	spec := loadContract(t)
	theirs := s.tenant("Theirs", "ada@example.com")
	mine := s.tenant("Mine", "bob@example.com")
	theirKey, key := s.key(theirs.ID.String(), "*"), s.key(mine.ID.String(), "*")
	job := decode[client.Job](t, s.create(theirKey, "k", mail))
	if resp := s.do(request{"PUT", "/api/v1/schedules/theirs", theirKey, "", "application/json", `{"spec":"@daily","kind":"mail","args":{"to":[{"email":"a@b.cd"}]}}`}); resp.StatusCode != 200 {
		t.Fatalf("PUT gave %d", resp.StatusCode)
	}
	invitation := decode[client.Invitation](t, s.do(request{"POST", "/api/v1/invitations", theirKey, "i", "application/json", `{"email":"eve@example.com","role":"viewer"}`}))
	connection := decode[client.SSOConnection](t, s.do(request{"POST", "/api/v1/sso-connections", theirKey, "c", "application/json", provider}))
	things := map[string][2]string{ // one of another tenant, and one of nobody
		"/api/v1/jobs/{id}": {job.ID, "job_00000000001"}, "/api/v1/schedules/{name}": {"theirs", "nobodys"},
		"/api/v1/api-keys/{id}":        {"key_" + theirKey[9:31], "key_7Qd2mX0aB9LkT4vYw8RjC3"},
		"/api/v1/sso-connections/{id}": {connection.ID, "sso_00000000002"},
		"/api/v1/invitations/{id}":     {invitation.ID, "inv_00000000002"}, "/api/v1/members/{user_id}": {s.user("ada@example.com").ID.String(), "usr_00000000002"},
	}
	bodies := map[string]string{"updateAPIKey": `{"name":"x"}`, "rotateAPIKey": `{}`, "updateMember": `{"role":"viewer"}`, "updateSSOConnection": `{"required":true}`, "verifySSODomain": `{"domain":"acme.example"}`}
	for path, item := range spec.doc.Paths.Map() {
		for method, op := range item.Operations() {
			scope, _ := op.Extensions["x-scope"].(string)
			if !strings.Contains(path, "{") || strings.HasPrefix(scope, "operator:") || op.OperationID == "putSchedule" { // which makes one of that name
				continue
			}
			thing, known := things[path[:strings.Index(path, "}")+1]]
			if !known {
				t.Errorf("%s %s: nothing of another tenant is known", method, path)
				continue
			}
			if op.RequestBody != nil && bodies[op.OperationID] == "" {
				t.Errorf("%s %s: no body is known", method, path)
			}
			var answers [2]string
			for i, id := range thing {
				r := request{method: method, path: path[:strings.Index(path, "{")] + id + path[strings.Index(path, "}")+1:], token: key, idempotency: op.OperationID}
				if op.RequestBody != nil {
					r.contentType, r.body = "application/json", bodies[op.OperationID]
				}
				resp := s.do(r)
				got := decode[client.Problem](t, resp)
				answers[i] = fmt.Sprint(resp.StatusCode, got.Code, got.Title, got.Detail == nil)
			}
			if answers[0] != answers[1] || !strings.HasPrefix(answers[0], "404not_found") {
				t.Errorf("%s %s: another tenant's thing is answered with %s, nobody's with %s", method, path, answers[0], answers[1])
			}
		}
	}
	if got := decode[client.MemberPage](t, s.do(request{method: "GET", path: "/api/v1/members", token: key})).Data; len(got) != 1 || got[0].Email != "bob@example.com" {
		t.Errorf("the members are %+v, want the own one", got)
	}
	if got := decode[client.InvitationPage](t, s.do(request{method: "GET", path: "/api/v1/invitations", token: key})).Data; len(got) != 0 {
		t.Errorf("the invitations are %+v, want none", got)
	}
	if got := decode[client.SSOConnectionList](t, s.do(request{method: "GET", path: "/api/v1/sso-connections", token: key})).Data; len(got) != 0 {
		t.Errorf("the identity providers are %+v, want none", got)
	}
	if got := decode[client.SSOConnectionList](t, s.do(request{method: "GET", path: "/api/v1/sso-connections", token: theirKey})).Data; len(got) != 1 || got[0].Required {
		t.Errorf("their identity providers are %+v, want the one as it was", got)
	}
}

func TestAnInvitationIsMailedByAJobThatNoCallerCanMake(t *testing.T) {
	s := newService(t)
	acme := s.tenant("Acme", "ada@example.com")
	key := s.key(acme.ID.String(), "*")
	s.wantProblem(s.create(key, "k", `{"kind":"levqor.invitation","args":{"token":"x"}}`), 400, client.ProblemCodeValidationFailed, "#/kind unknown_kind")
	resp := s.do(request{"POST", "/api/v1/invitations", key, "k", "application/json", `{"email":"eve@example.com","role":"viewer"}`})
	if resp.StatusCode != 201 {
		t.Fatalf("the invitation gives %d", resp.StatusCode)
	}
	if got := decode[client.JobPage](t, s.do(request{method: "GET", path: "/api/v1/jobs", token: key})).Data; len(got) != 0 {
		t.Errorf("the tenant sees the jobs %+v, want none", got)
	}
}

func TestWithoutAMailerNobodyIsInvited(t *testing.T) {
	s := newServiceWithout(t)
	key := s.key(s.tenant("Acme", "ada@example.com").ID.String(), "*")
	resp := s.do(request{"POST", "/api/v1/invitations", key, "k", "application/json", `{"email":"eve@example.com","role":"viewer"}`})
	s.wantProblem(resp, 503, client.ProblemCodeNoMailer, "")
}
