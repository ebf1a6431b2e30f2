package httpapi_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpapi"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

// zone is what the DNS holds of texts, by name.
type zone map[string]string

// LookupTXT implements the lookup of package sso.
func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	text, ok := z[name]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return []string{text}, nil
}

const provider = `{"issuer":"https://login.acme.example","client_id":"levqor","client_secret":"hunter2-canary","domains":["ACME.example"],"role":"member"}`

// ssoConnections calls the operations on identity providers, and as an operator the one on
// a domain.
func ssoConnections(t *testing.T, s *service, c, op *client.Service) {
	t.Helper()
	ctx := t.Context()
	n := client.NewSSOConnection{
		Issuer: "https://login.acme.example", ClientID: "levqor", ClientSecret: "hunter2", Domains: []string{"ACME.example", "acme.test.example"}, Role: client.SSORoleMember, TrustMFA: new(true), TrustEmail: new(true),
	}
	made, err := c.CreateSSOConnection(ctx, n, "k")
	if err != nil || made.Required || !made.TrustMFA || !made.TrustEmail || len(made.Domains) != 2 || made.Domains[0].Name != "acme.example" || made.Domains[0].VerifiedAt != nil {
		t.Fatalf("CreateSSOConnection = %+v, %v", made, err)
	}
	if again, err := c.CreateSSOConnection(ctx, n, "k"); err != nil || again.ID != made.ID {
		t.Errorf("CreateSSOConnection again = %+v, %v; want the same", again, err)
	}
	if _, err := c.VerifySSODomain(ctx, made.ID, "acme.example"); !errors.Is(err, client.ErrConflict) {
		t.Errorf("VerifySSODomain without a record = %v, want ErrConflict", err)
	}
	s.zone[made.Domains[0].RecordName+"."] = made.Domains[0].RecordValue
	if got, err := c.VerifySSODomain(ctx, made.ID, "Acme.Example"); err != nil || got.Domains[0].VerifiedAt == nil || got.Domains[1].VerifiedAt != nil {
		t.Errorf("VerifySSODomain = %+v, %v", got, err)
	}
	if _, err := c.VerifySSODomain(ctx, made.ID, "other.example"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("VerifySSODomain of a domain that is not claimed = %v, want ErrNotFound", err)
	}
	id, _ := sso.ParseConnectionID(made.ID)
	joined, err := s.app.SSO.SignIn(ctx, s.app.Directory, id, sso.Claims{Subject: "bob", Email: "bob@acme.example", EmailVerified: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []error{nil, client.ErrNotFound} {
		if err := c.UnlinkMember(ctx, joined.User.ID.String()); !errors.Is(err, want) {
			t.Errorf("UnlinkMember = %v, want %v", err, want)
		}
	}
	if err := c.UnlinkMember(ctx, "usr_nobody"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("UnlinkMember of nobody = %v, want ErrNotFound", err)
	}
	got, version, err := c.GetSSOConnection(ctx, made.ID)
	if err != nil || version == "" || got.ClientID != "levqor" {
		t.Fatalf("GetSSOConnection = %+v, %q, %v", got, version, err)
	}
	changed, err := c.UpdateSSOConnection(ctx, made.ID, version, client.SSOConnectionChange{Required: new(true), TrustEmail: new(false), Domains: &[]string{"acme.example"}})
	if err != nil || !changed.Required || !changed.TrustMFA || changed.TrustEmail || len(changed.Domains) != 1 || changed.Domains[0].VerifiedAt == nil {
		t.Errorf("UpdateSSOConnection = %+v, %v", changed, err)
	}
	var answer *client.Error
	_, err = c.UpdateSSOConnection(ctx, made.ID, version, client.SSOConnectionChange{Required: new(false)})
	if !errors.As(err, &answer) || answer.Code != client.ProblemCodePreconditionFailed {
		t.Errorf("UpdateSSOConnection of the version before = %v, want precondition_failed", err)
	}
	if all, err := c.SSOConnections(ctx); err != nil || len(all) != 1 || !all[0].Required {
		t.Errorf("SSOConnections = %+v, %v", all, err)
	}
	if err := c.DropSSODomain(ctx, "acme.example"); !errors.Is(err, client.ErrForbidden) {
		t.Errorf("DropSSODomain by the tenant = %v, want ErrForbidden", err)
	}
	for _, want := range []error{nil, client.ErrNotFound} {
		if err := op.DropSSODomain(ctx, "ACME.example"); !errors.Is(err, want) {
			t.Errorf("DropSSODomain = %v, want %v", err, want)
		}
	}
	if got, _, err := c.GetSSOConnection(ctx, made.ID); err != nil || len(got.Domains) != 0 {
		t.Errorf("GetSSOConnection = %+v, %v; want no domains", got, err)
	}
	told := slices.DeleteFunc(s.events(identity.OwnerTenant), func(e guard.Entry) bool { return e.Action != guard.ActionSSODomainDropped })
	if len(told) != 1 || told[0].Target != made.ID || told[0].Actor == "" || told[0].RequestID == "" || told[0].Detail["domain"] != "acme.example" {
		t.Errorf("the operator's log has %+v, want the domain once", told)
	}
	if err := c.DeleteSSOConnection(ctx, made.ID); err != nil {
		t.Errorf("DeleteSSOConnection = %v", err)
	}
	if _, _, err := c.GetSSOConnection(ctx, made.ID); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("GetSSOConnection = %v, want ErrNotFound", err)
	}
}

// The name of a domain's record has no room for more, and the log for the whole domain.
func TestTheLongestDomainIsVerified(t *testing.T) {
	s := newService(t)
	owner := s.key(s.tenant("Acme", "ada@example.com").ID.String(), identity.RoleOwner.Scopes()...)
	domain := strings.Repeat(strings.Repeat("d", 59)+".", 3) + strings.Repeat("d", 57) + ".example"
	made := decode[client.SSOConnection](t, s.do(request{"POST", "/api/v1/sso-connections", owner, "k", "application/json", strings.ReplaceAll(provider, "ACME.example", domain)}))
	if len(made.Domains) != 1 || len(made.Domains[0].RecordName) != 253 {
		t.Fatalf("the connection is %+v", made)
	}
	s.zone[made.Domains[0].RecordName+"."] = made.Domains[0].RecordValue
	resp := s.do(request{"POST", "/api/v1/sso-connections/" + made.ID + "/verify", owner, "", "application/json", `{"domain":"` + domain + `"}`})
	if got := decode[client.SSOConnection](t, resp); len(got.Domains) != 1 || got.Domains[0].VerifiedAt == nil {
		t.Errorf("verification gave %d, %+v", resp.StatusCode, got)
	}
}

func TestWhoMaySignInIsChangedWithATrace(t *testing.T) {
	s := newService(t)
	acme := s.tenant("Acme", "ada@example.com")
	owner := s.key(acme.ID.String(), identity.RoleOwner.Scopes()...)
	send := func(method, path, body string) *http.Response {
		r := request{method: method, path: path, token: owner, idempotency: path}
		if body != "" {
			r.contentType, r.body = "application/json", body
		}
		resp := s.do(r)
		if resp.StatusCode >= 300 {
			t.Errorf("%s %s gave %d", method, path, resp.StatusCode)
		}
		return resp
	}
	made := decode[client.SSOConnection](t, send("POST", "/api/v1/sso-connections", provider))
	at := "/api/v1/sso-connections/" + made.ID
	s.wantProblem(s.do(request{"POST", at + "/verify", owner, "", "application/json", `{"domain":"acme.example"}`}), 409, client.ProblemCodeConflict, "")
	s.zone["_levqor.acme.example."] = made.Domains[0].RecordValue
	send("POST", at+"/verify", `{"domain":"acme.example"}`)
	send("PATCH", at, `{"required":true,"trust_mfa":true,"trust_email":true,"client_secret":"hunter3-canary"}`)
	send("DELETE", at, "")
	me := "key_" + owner[9:31]
	all := s.events(acme.ID.String())
	wantLines(t, say(all), []string{
		"sso.created success by " + me + " on " + made.ID + ", 1 map[domains_added:acme.example issuer:https://login.acme.example required:false role:member trust_email:false trust_mfa:false]",
		"sso.verified success by " + me + " on " + made.ID + ", 1 map[domain:acme.example]",
		"sso.changed success by " + me + " on " + made.ID + ", 1 map[issuer:https://login.acme.example required:true role:member secret_changed:true trust_email:true trust_mfa:true]",
		"sso.deleted success by " + me + " on " + made.ID + ", 1 map[]",
	})
}

func TestAClientSecretIsWrittenAndNeverRead(t *testing.T) {
	s := newService(t)
	acme := s.tenant("Acme", "ada@example.com")
	key := s.key(acme.ID.String(), "*")
	var said strings.Builder
	for _, r := range []request{
		{"POST", "/api/v1/sso-connections", key, "k", "application/json", provider},
		{"POST", "/api/v1/sso-connections", key, "k", "application/json", provider},
		{method: "GET", path: "/api/v1/sso-connections", token: key},
	} {
		resp := s.do(r)
		_ = resp.Write(&said)
	}
	all, err := s.app.SSO.List(t.Context(), acme.ID)
	if err != nil || len(all) != 1 {
		t.Fatalf("List = %+v, %v; want one", all, err)
	}
	if secret, err := s.app.SSO.Secret(all[0]); err != nil || secret != "hunter2-canary" {
		t.Errorf("Secret = %q, %v", secret, err)
	}
	if strings.Contains(said.String()+s.log.String(), "canary") || strings.Contains(said.String(), "client_secret") {
		t.Errorf("the answers are %s, want them without the secret", said.String())
	}
}

func TestNobodyLetsInMoreThanTheyMayThemselves(t *testing.T) {
	s := newService(t)
	acme := s.tenant("Acme", "ada@example.com")
	whole, narrow := s.key(acme.ID.String(), "*"), s.key(acme.ID.String(), "sso:read", "sso:write", "jobs:read")
	viewers := strings.Replace(provider, `"role":"member"`, `"role":"viewer"`, 1)
	mine := decode[client.SSOConnection](t, s.do(request{"POST", "/api/v1/sso-connections", narrow, "a", "application/json", viewers}))
	theirs := decode[client.SSOConnection](t, s.do(request{"POST", "/api/v1/sso-connections", whole, "b", "application/json", provider}))
	s.zone["_levqor.acme.example."] = theirs.Domains[0].RecordValue
	for _, r := range []request{
		{"POST", "/api/v1/sso-connections", narrow, "c", "application/json", provider},
		{"PATCH", "/api/v1/sso-connections/" + mine.ID, narrow, "", "application/json", `{"role":"member"}`},
		{"PATCH", "/api/v1/sso-connections/" + theirs.ID, narrow, "", "application/json", `{"client_id":"x"}`},
		{"POST", "/api/v1/sso-connections/" + theirs.ID + "/verify", narrow, "", "application/json", `{"domain":"acme.example"}`},
		{method: "DELETE", path: "/api/v1/sso-connections/" + theirs.ID, token: narrow},
	} {
		s.wantProblem(s.do(r), 403, client.ProblemCodeScopeNotHeld, "")
	}
	s.wantProblem(s.do(request{"POST", "/api/v1/sso-connections", whole, "d", "application/json", strings.Replace(provider, `"role":"member"`, `"role":"admin"`, 1)}), 400, client.ProblemCodeValidationFailed, "#/role unknown_value")
}

func TestPeopleChangeWhoMaySignInWithAFreshProofAndTheirPresentRole(t *testing.T) {
	s := newService(t)
	acme := s.tenant("Acme", "ada@example.com")
	bob := s.member(acme, "bob@example.com", identity.RoleAdmin)
	who := identity.Principal{Tenant: acme.ID.String(), UserID: bob.ID.String(), Scopes: identity.RoleAdmin.Scopes(), Stale: true}
	handler, err := httpapi.New(s.app, &httpapi.Options{Authenticator: httpapi.AuthenticatorFunc(func(*http.Request) (identity.Principal, error) { return who, nil })})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(key string) *http.Response {
		r := httptest.NewRequest(http.MethodPost, "/api/v1/sso-connections", strings.NewReader(provider))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", key)
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, r)
		return rec.Result()
	}
	s.wantProblem(ask("a"), 403, client.ProblemCodeProofRequired, "")
	who.Stale = false
	if resp := ask("b"); resp.StatusCode != http.StatusCreated {
		t.Errorf("an admin gets %d", resp.StatusCode)
	}
	if _, err := s.app.Directory.ChangeRole(t.Context(), acme.ID, bob.ID, identity.Grant{Role: identity.RoleMember}); err != nil {
		t.Fatal(err)
	}
	s.wantProblem(ask("c"), 403, client.ProblemCodeScopeNotHeld, "")
}
