package httpapi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/httpapi"
	"github.com/levqor/sdk/levqor/identity"
)

func (s *service) createKey(token, idempotency, body string) *http.Response {
	s.Helper()
	return s.do(request{"POST", "/api/v1/api-keys", token, idempotency, "application/json", body})
}

func (s *service) wantProblem(resp *http.Response, status int, code client.ProblemCode, fields string) {
	s.Helper()
	if got := decode[client.Problem](s, resp); resp.StatusCode != status || got.Code != code || fieldsOf(got) != fields {
		s.Errorf("the answer is %d %+v, want %d %s %q", resp.StatusCode, got, status, code, fields)
	}
}

// recordReader remembers the answers that are kept for repetitions.
type recordReader struct {
	levqor.IdempotencyStore
	kept *[]levqor.Answer
}

func (r recordReader) Finish(ctx context.Context, scope levqor.IdempotencyScope, answer levqor.Answer) error {
	*r.kept = append(*r.kept, answer)
	return r.IdempotencyStore.Finish(ctx, scope, answer)
}

func TestATokenIsShownOnceAndKeptNowhere(t *testing.T) {
	stores := levqor.MemStores()
	var kept []levqor.Answer
	inTx := stores.Tx
	stores.Tx = func(ctx context.Context, fn func(context.Context, levqor.Stores) error) error {
		return inTx(ctx, func(ctx context.Context, tx levqor.Stores) error {
			tx.Idempotency = recordReader{tx.Idempotency, &kept}
			return fn(ctx, tx)
		})
	}
	s := newServiceOn(t, stores)
	owner := s.key("acme", "*")
	const body = `{"name":"ci","scopes":["jobs:read"]}`
	resp := s.createKey(owner, "k", body)
	first := decode[client.APIKey](t, resp)
	if resp.StatusCode != 201 || first.Token == nil || resp.Header.Get("Location") != "/api/v1/api-keys/"+first.ID || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("the answer is %d %+v %v", resp.StatusCode, first, resp.Header)
	}
	if got := s.do(request{method: "GET", path: "/api/v1/jobs", token: *first.Token}); got.StatusCode != 200 {
		t.Errorf("the key gives %d", got.StatusCode)
	}
	again := s.createKey(owner, "k", body)
	if got := decode[client.APIKey](t, again); again.StatusCode != 201 || again.Header.Get("Idempotent-Replayed") != "true" || got.ID != first.ID || got.Token != nil {
		t.Errorf("the repetition is %d %+v, want the same key without its token", again.StatusCode, got)
	}
	if len(kept) != 1 || bytes.Contains(kept[0].Body, []byte((*first.Token)[31:63])) {
		t.Errorf("kept for repetitions: %v", kept)
	}
	for _, path := range []string{"/api/v1/api-keys", "/api/v1/api-keys/" + first.ID} {
		raw, _ := io.ReadAll(s.do(request{method: "GET", path: path, token: owner}).Body)
		if !bytes.Contains(raw, []byte(first.ID)) || bytes.Contains(raw, []byte((*first.Token)[31:63])) || bytes.Contains(raw, []byte("token")) {
			t.Errorf("%s gives %s", path, raw)
		}
	}
	if strings.Contains(s.log.String(), (*first.Token)[31:63]) {
		t.Errorf("the log is %s", s.log)
	}
}

func TestBadKeysAreRefusedWithThePointer(t *testing.T) {
	s := newService(t)
	token := s.key("acme", "*")
	for body, fields := range map[string]string{
		`{"scopes":["jobs:read"]}`:                                                             "#/name required",
		`{"name":"a\u0000b","scopes":["jobs:read"]}`:                                           "#/name invalid_character",
		`{"name":"` + strings.Repeat("é", 51) + `","scopes":["jobs:read"]}`:                    "#/name out_of_range",
		`{"name":"ci","scopes":[]}`:                                                            "#/scopes too_short",
		`{"name":"ci","scopes":["jobs:read","jobs:raed"]}`:                                     "#/scopes/1 unknown_scope",
		`{"name":"ci","scopes":["jobs read"]}`:                                                 "#/scopes invalid_format",
		`{"name":"ci","scopes":["jobs:read"],"allowed_networks":["10.0.0.0/8","10.0.0.0/33"]}`: "#/allowed_networks/1 invalid_format",
		`{"name":"ci","scopes":["jobs:read"],"allowed_networks":["fe80::1%eth0"]}`:             "#/allowed_networks/0 invalid_format",
		`{"name":"ci","scopes":["jobs:read"],"expires_at":"0001-01-01T00:00:00Z"}`:             "#/expires_at out_of_range",
		`{"name":"ci","scopes":["jobs:read"],"expires_at":"9999-12-31T23:59:59-23:59"}`:        "#/expires_at out_of_range",
		`{"name":"ci","scopes":["jobs:read"],"tenant":"other"}`:                                "#/tenant unknown_field",
		`{"name":"ci","scopes":["jobs:read"],"allowed_networks":null,"created_by":"key_x"}`:    "#/allowed_networks wrong_type, #/created_by unknown_field",
	} {
		s.wantProblem(s.createKey(token, "k", body), 400, client.ProblemCodeValidationFailed, fields)
	}
	s.wantProblem(s.createKey(token, "", `{"name":"ci","scopes":["jobs:read"]}`), 400, client.ProblemCodeIdempotencyKeyRequired, "")
	key := decode[client.APIKey](t, s.createKey(token, "k", `{"name":"ci","scopes":["jobs:read"]}`))
	for body, fields := range map[string]string{
		`{"name":""}`:                      "#/name too_short",
		`{"scopes":["*"]}`:                 "#/scopes unknown_field",
		`{"allowed_networks":["example"]}`: "#/allowed_networks/0 invalid_format",
	} {
		s.wantProblem(s.do(request{"PATCH", "/api/v1/api-keys/" + key.ID, token, "", "application/json", body}), 400, client.ProblemCodeValidationFailed, fields)
	}
	for body, fields := range map[string]string{`{"overlap_seconds":-1}`: "#/overlap_seconds too_small", `{"overlap_seconds":2592001}`: "#/overlap_seconds too_large"} {
		s.wantProblem(s.do(request{"POST", "/api/v1/api-keys/" + key.ID + "/rotate", token, "", "application/json", body}), 400, client.ProblemCodeValidationFailed, fields)
	}
	cursor := decode[client.APIKeyPage](t, s.do(request{method: "GET", path: "/api/v1/api-keys?limit=1", token: token})).NextCursor
	s.wantProblem(s.do(request{method: "GET", path: "/api/v1/api-keys?limit=1&include_revoked=true&cursor=" + *cursor, token: token}), 400, client.ProblemCodeInvalidCursor, "")
}

// The cache believes of a key that another process has revoked that it lives.
func TestAKeyThatWasRevokedElsewhereMakesNone(t *testing.T) {
	s := newService(t)
	acme := s.tenant("Acme", "ada@example.com")
	token := s.key(acme.ID.String(), "*")
	s.do(request{method: "GET", path: "/api/v1/jobs", token: token})
	if _, err := s.stores.Keys.RevokeKey(t.Context(), acme.ID.String(), "key_"+token[9:31], time.Time{}); err != nil {
		t.Fatal(err)
	}
	s.wantProblem(s.createKey(token, "k", `{"name":"x","scopes":["*"]}`), 401, client.ProblemCodeInvalidAPIKey, "")
	s.wantProblem(s.do(request{"POST", "/api/v1/api-keys/key_" + token[9:31] + "/rotate", token, "", "application/json", `{}`}), 401, client.ProblemCodeInvalidAPIKey, "")
}

func TestNoKeyOfADeletedTenantIsMade(t *testing.T) {
	s := newService(t)
	gone := identity.TenantID(77).String() // as if its deletion had revoked another key alone
	s.wantProblem(s.createKey(s.key(gone, "*"), "k", `{"name":"x","scopes":["*"]}`), 401, client.ProblemCodeInvalidAPIKey, "")
	acme := s.tenant("Acme", "ada@example.com")
	token := s.key(acme.ID.String(), "*")
	if resp := s.do(request{method: "GET", path: "/api/v1/jobs", token: token}); resp.StatusCode != 200 {
		t.Fatalf("GET gave %d", resp.StatusCode)
	}
	if err := s.app.Directory.DeleteTenant(t.Context(), acme.ID); err != nil {
		t.Fatal(err)
	}
	s.wantProblem(s.do(request{method: "GET", path: "/api/v1/jobs", token: token}), 401, client.ProblemCodeInvalidAPIKey, "")
}

// A session is looked at before the request has its turn.
func TestWhoeverIsRemovedMeanwhileMakesAndChangesNoKey(t *testing.T) {
	eachStores(t, func(t *testing.T, stores levqor.Stores) {
		s := newServiceOn(t, stores)
		acme := s.tenant("Acme", "ada@example.com")
		bob := s.member(acme, "bob@example.com", identity.RoleAdmin)
		who := identity.Principal{Tenant: acme.ID.String(), UserID: bob.ID.String(), Scopes: identity.RoleAdmin.Scopes()}
		handler, err := httpapi.New(s.app, &httpapi.Options{Authenticator: httpapi.AuthenticatorFunc(func(*http.Request) (identity.Principal, error) { return who, nil })})
		if err != nil {
			t.Fatal(err)
		}
		s.handler = handler
		first := s.createKey("", "a", `{"name":"x","scopes":["jobs:read"]}`)
		if first.StatusCode != 201 {
			t.Fatalf("an admin gets %d", first.StatusCode)
		}
		at := "/api/v1/api-keys/" + decode[client.APIKey](t, first).ID
		refused := func(code client.ProblemCode, status int) {
			t.Helper()
			s.wantProblem(s.createKey("", "b", `{"name":"x","scopes":["jobs:read"]}`), status, code, "")
			s.wantProblem(s.do(request{"POST", at + "/rotate", "", "", "application/json", `{}`}), status, code, "")
			s.wantProblem(s.do(request{"PATCH", at, "", "", "application/json", `{"name":"mine"}`}), status, code, "")
			s.wantProblem(s.do(request{"DELETE", at, "", "", "", ""}), status, code, "")
		}
		if _, err := s.app.Directory.ChangeRole(t.Context(), acme.ID, bob.ID, identity.Grant{Role: identity.RoleMember}); err != nil {
			t.Fatal(err)
		}
		refused(client.ProblemCodeScopeNotHeld, 403)
		if err := s.app.Directory.RemoveMember(t.Context(), acme.ID, bob.ID); err != nil {
			t.Fatal(err)
		}
		refused(client.ProblemCodeScopeNotHeld, 403)
		if err := s.app.Directory.DeleteTenant(t.Context(), acme.ID); err != nil {
			t.Fatal(err)
		}
		refused(client.ProblemCodeInvalidAPIKey, 401)
	})
}

func TestACallerGivesAndChangesNoMoreThanItHas(t *testing.T) {
	s := newService(t)
	admin, owner := s.key("acme", "keys:write", "jobs:read"), s.key("acme", "*")
	s.wantProblem(s.createKey(admin, "k", `{"name":"x","scopes":["jobs:read","jobs:write"]}`), 403, client.ProblemCodeScopeNotHeld, "")
	if resp := s.createKey(admin, "k", `{"name":"x","scopes":["jobs:read"]}`); resp.StatusCode != 201 {
		t.Errorf("a weaker key gives %d", resp.StatusCode)
	}
	path := "/api/v1/api-keys/key_" + owner[9:31]
	for _, r := range []request{
		{"PATCH", path, admin, "", "application/json", `{"name":"mine"}`},
		{"POST", path + "/rotate", admin, "", "application/json", `{}`},
		{"DELETE", path, admin, "", "", ""},
	} {
		s.wantProblem(s.do(r), 403, client.ProblemCodeScopeNotHeld, "")
	}
	s.wantProblem(s.do(request{method: "GET", path: path, token: admin}), 403, client.ProblemCodeInsufficientScope, "")
}

func TestAnotherTenantsKeyIsNotFound(t *testing.T) {
	s := newService(t)
	theirs, mine := s.key("other", "jobs:read"), s.key("acme", "*")
	for _, id := range []string{"key_" + theirs[9:31], "key_7Qd2mX0aB9LkT4vYw8RjC3", "key_nope", "%00"} {
		path := "/api/v1/api-keys/" + id
		for _, r := range []request{
			{"GET", path, mine, "", "", ""},
			{"PATCH", path, mine, "", "application/json", `{"name":"mine"}`},
			{"POST", path + "/rotate", mine, "", "application/json", `{}`},
			{"DELETE", path, mine, "", "", ""},
		} {
			s.wantProblem(s.do(r), 404, client.ProblemCodeNotFound, "")
		}
	}
	for _, key := range decode[client.APIKeyPage](t, s.do(request{method: "GET", path: "/api/v1/api-keys", token: mine})).Data {
		if key.ID == "key_"+theirs[9:31] {
			t.Error("the list holds another tenant's key")
		}
	}
}

func TestARetiringTokenSaysWhenItEnds(t *testing.T) {
	s := newService(t)
	owner, old := s.key("acme", "*"), s.key("acme", "jobs:read")
	resp := s.do(request{"POST", "/api/v1/api-keys/key_" + old[9:31] + "/rotate", owner, "", "application/json", `{"overlap_seconds":3600}`})
	rotated := decode[client.APIKey](t, resp)
	if resp.StatusCode != 201 || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the rotation is %d %v", resp.StatusCode, resp.Header)
	}
	for token, status := range map[string]string{old: "retiring", *rotated.Token: ""} {
		resp := s.do(request{method: "GET", path: "/api/v1/jobs", token: token})
		sunset := ""
		if status != "" {
			sunset = rotated.RetiringUntil.Format(http.TimeFormat)
		}
		if resp.StatusCode != 200 || resp.Header.Get("Levqor-Key-Status") != status || resp.Header.Get("Sunset") != sunset {
			t.Errorf("the answer is %d %v, want the status %q and the end %q", resp.StatusCode, resp.Header, status, sunset)
		}
	}
}

// Whatever is wrong with a key, the answer is the same; the operator's log tells what
// can be told.
func TestRefusedKeysLookAlike(t *testing.T) {
	s := newService(t)
	test, err := levqor.New(s.stores, &levqor.Options{Secret: bytes.Repeat([]byte("s"), 32), Environment: identity.Test})
	if err != nil {
		t.Fatal(err)
	}
	_, testToken, err := test.Keys.Create(t.Context(), identity.NewKey{Tenant: "acme", Name: "test", Scopes: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	owner, revoked := s.key("acme", "*"), s.key("acme", "*")
	if resp := s.do(request{method: "DELETE", path: "/api/v1/api-keys/key_" + revoked[9:31], token: owner}); resp.StatusCode != 204 {
		t.Fatalf("DELETE gave %d", resp.StatusCode)
	}
	away := decode[client.APIKey](t, s.createKey(owner, "a", `{"name":"away","scopes":["*"],"allowed_networks":["198.51.100.0/24","::/0"]}`))
	here := decode[client.APIKey](t, s.createKey(owner, "h", `{"name":"here","scopes":["*"],"allowed_networks":["192.0.2.1"]}`))
	unknown := newService(t).key("acme", "*")
	answers := map[string][]string{}
	for what, token := range map[string]string{"none": "", "malformed": "x", "unknown": unknown, "revoked": revoked, "test": testToken, "away": *away.Token} {
		req := httptest.NewRequest("GET", "/api/v1/jobs", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("X-Forwarded-For", "198.51.100.7") // anybody can say so
		rec := httptest.NewRecorder()
		s.handler.ServeHTTP(rec, req)
		rec.Header().Del("RateLimit") // counts down
		text := fmt.Sprint(rec.Code, rec.Header(), rec.Body)
		text = strings.ReplaceAll(text, rec.Header().Get("Request-Id"), "")
		answers[text] = append(answers[text], what)
	}
	if len(answers) != 1 {
		t.Errorf("the answers are %v, want one", answers)
	}
	for _, want := range []string{"key_" + testToken[9:31] + ": key of another environment", away.ID + ": key used from another network"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log is %s, want %q", s.log, want)
		}
	}
	if resp := s.do(request{method: "GET", path: "/api/v1/jobs", token: *here.Token}); resp.StatusCode != 200 {
		t.Errorf("a key used from its network gives %d", resp.StatusCode)
	}
}

func TestTheScopesAreThoseOfTheContract(t *testing.T) {
	scopes, err := httpapi.Scopes()
	if err != nil || !slices.IsSorted(scopes) || !slices.Contains(scopes, "keys:write") || !slices.Contains(scopes, "operator:jobs") || slices.Contains(scopes, "") {
		t.Errorf("Scopes = %v, %v", scopes, err)
	}
	stores := levqor.MemStores()
	app, err := levqor.New(stores, &levqor.Options{Secret: bytes.Repeat([]byte("s"), 32), Scopes: append(scopes, "reports:read")})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := httpapi.New(app, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{TB: t, app: app, stores: stores, handler: handler}
	if resp := s.createKey(s.key("acme", "*"), "k", `{"name":"host","scopes":["reports:read","keys:read"]}`); resp.StatusCode != 201 {
		t.Errorf("a scope of the host's own gives %d", resp.StatusCode)
	}
}

func TestTheUseOfAKeyIsShown(t *testing.T) {
	inTime(t, func(t *testing.T, s *service) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.app.Run(ctx) }()
		owner, idle := s.key("acme", "*"), s.key("acme", "*")
		begun := time.Now()
		s.do(request{method: "GET", path: "/api/v1/jobs", token: owner})
		time.Sleep(6 * time.Second)
		for token, used := range map[string]bool{owner: true, idle: false} {
			key := decode[client.APIKey](t, s.do(request{method: "GET", path: "/api/v1/api-keys/key_" + token[9:31], token: owner}))
			if (key.LastUsedAt != nil) != used || used && key.LastUsedAt.Sub(begun) > 5*time.Second {
				t.Errorf("the key was last used at %v, want it used: %v", key.LastUsedAt, used)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

// scanned returns a service that knows a public key of GitHub's.
func scanned(t *testing.T, id, pem string) *service {
	t.Helper()
	s := newService(t)
	handler, err := httpapi.New(s.app, &httpapi.Options{Logger: slog.New(slog.NewTextHandler(s.log, nil)), SecretScanningKeys: map[string]string{id: pem}})
	if err != nil {
		t.Fatal(err)
	}
	s.handler = handler
	return s
}
