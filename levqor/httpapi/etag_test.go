package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
)

func wantOldVersion(t *testing.T, what string, err error) {
	t.Helper()
	var answer *client.Error
	if !errors.As(err, &answer) || answer.Code != client.ProblemCodePreconditionFailed || !errors.Is(err, client.ErrConflict) {
		t.Errorf("%s of an old version = %v, want precondition_failed", what, err)
	}
}

// ask sends a request with one more header.
func (s *service) ask(token, method, path, header, value, body string) *http.Response {
	s.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set(header, value)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, r)
	return rec.Result()
}

func TestAVersionThatTheCallerHasIsNotSentAgain(t *testing.T) {
	s := newService(t)
	acme := s.tenant("Acme", "ada@example.com")
	key := s.key(acme.ID.String(), "*")
	ask := func(method, header, value, body string) *http.Response {
		return s.ask(key, method, "/api/v1/tenant", header, value, body)
	}
	version := ask("GET", "Accept", "*/*", "").Header.Get("ETag")
	for value, want := range map[string]int{version: 304, `"x", ` + version: 304, "W/" + version: 304, "*": 304, `"x"`: 200, "x": 200} {
		resp := ask("GET", "If-None-Match", value, "")
		if resp.StatusCode != want || resp.Header.Get("ETag") != version || want == 304 && (resp.ContentLength > 0 || resp.Header.Get("Content-Type") != "") {
			t.Errorf("If-None-Match: %s gives %d %v, want %d", value, resp.StatusCode, resp.Header, want)
		}
	}
	for value, want := range map[string]int{`"x"`: 412, "W/" + version: 412, version: 200} {
		if resp := ask("PATCH", "If-Match", value, `{"name":"New"}`); resp.StatusCode != want {
			t.Errorf("If-Match: %s gives %d, want %d", value, resp.StatusCode, want)
		}
	}
	if resp := ask("PATCH", "If-Match", version, `{"name":"Newer"}`); resp.StatusCode != 412 {
		t.Errorf("an old version gives %d, want 412", resp.StatusCode)
	}
}

// eachStores runs a test in memory and on both databases.
func eachStores(t *testing.T, fn func(t *testing.T, stores levqor.Stores)) {
	t.Run("memory", func(t *testing.T) { fn(t, levqor.MemStores()) })
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		db, err := bunlevqor.Open(fresh(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if err := bunlevqor.Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		fn(t, bunlevqor.Stores(db))
	})
}

// setting is something that callers set, and how.
type setting struct{ method, path, body string }

// settings returns a schedule, a key and two queues, one of which has no settings yet. A
// body has a place for a number.
func settings(t *testing.T, s *service) []setting {
	t.Helper()
	key, _, err := s.app.Keys.Create(t.Context(), identity.NewKey{Tenant: identity.OwnerTenant, Name: "set", Scopes: []string{"jobs:read"}})
	if err != nil {
		t.Fatal(err)
	}
	all := []setting{
		{"PUT", "/api/v1/schedules/s", `{"spec":"every %dh","kind":"mail","args":{"to":[{"email":"ada@example.com"}]}}`},
		{"PATCH", "/api/v1/api-keys/" + key.ID, `{"name":"name %d"}`},
		{"PUT", "/api/v1/queues/q", `{"max_running":%d,"rate":{"count":1,"per_seconds":1.0000005},"weights":{}}`},
	}
	token := s.key(identity.OwnerTenant, "*")
	for _, thing := range all {
		resp := s.do(request{thing.method, thing.path, token, "", "application/json", fmt.Sprintf(thing.body, 100)})
		if got := s.do(request{method: "GET", path: thing.path, token: token}); resp.StatusCode != 200 || got.Header.Get("ETag") != resp.Header.Get("ETag") {
			t.Fatalf("%s %s gives %d and the version %s, reading it %s", thing.method, thing.path, resp.StatusCode, resp.Header.Get("ETag"), got.Header.Get("ETag"))
		}
	}
	return append(all, setting{"PUT", "/api/v1/queues/new", all[2].body})
}

func TestOfChangesOfOneVersionOneIsMade(t *testing.T) {
	eachStores(t, func(t *testing.T, stores levqor.Stores) {
		s := newServiceOn(t, stores)
		token := s.key(identity.OwnerTenant, "*")
		for _, thing := range settings(t, s) {
			version := s.do(request{method: "GET", path: thing.path, token: token}).Header.Get("ETag")
			var made, refused atomic.Int32
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					switch resp := s.ask(token, thing.method, thing.path, "If-Match", version, fmt.Sprintf(thing.body, i+1)); resp.StatusCode {
					case 200:
						made.Add(1)
					case 412:
						refused.Add(1)
					default:
						t.Errorf("%s %s gives %d", thing.method, thing.path, resp.StatusCode)
					}
				})
			}
			wg.Wait()
			if made.Load() != 1 || refused.Load() != 7 {
				t.Errorf("%s: %d changes of one version are made and %d refused, want 1 and 7", thing.path, made.Load(), refused.Load())
			}
		}
	})
}

// Who replaces whatever there is has no version that could be an old one.
func TestChangesOfAnyVersionAreAllMade(t *testing.T) {
	eachStores(t, func(t *testing.T, stores levqor.Stores) {
		s := newServiceWith(t, stores, guard.Limits{Writes: guard.Policy{Limit: -1}})
		token := s.key(identity.OwnerTenant, "*")
		for _, thing := range settings(t, s) {
			if thing.method != "PUT" || thing.path == "/api/v1/queues/new" {
				continue
			}
			var wg sync.WaitGroup
			for i := range 60 {
				wg.Go(func() {
					if resp := s.ask(token, thing.method, thing.path, "If-Match", "*", fmt.Sprintf(thing.body, i+1)); resp.StatusCode != 200 {
						t.Errorf("%s %s gives %d", thing.method, thing.path, resp.StatusCode)
					}
				})
			}
			wg.Wait()
		}
	})
}

// Vault is a kind whose arguments hold a secret.
type Vault struct {
	Word *string `json:"word"`
}

// Kind implements [jobs.Args].
func (Vault) Kind() string { return "vault" }

// Secrets implements [jobs.SecretHolder].
func (v Vault) Secrets() []*string { return []*string{v.Word} }

// Secrets look all the same to whoever reads them, and are not replaced unseen for that.
func TestASecretThatWasPutMeanwhileIsNotReplacedUnseen(t *testing.T) {
	s := newService(t)
	if err := jobs.Handle(s.app.Registry, func(context.Context, *jobs.Job[Vault]) (string, error) { return "", nil }, nil); err != nil {
		t.Fatal(err)
	}
	token := s.key(identity.OwnerTenant, "*")
	const at, body = "/api/v1/schedules/v", `{"spec":"every 1h","kind":"vault","args":{"word":"%s"}}`
	put := func(match, word string) *http.Response {
		return s.ask(token, "PUT", at, "If-Match", match, fmt.Sprintf(body, word))
	}
	first := s.do(request{"PUT", at, token, "", "application/json", fmt.Sprintf(body, "one")}).Header.Get("ETag")
	if got := s.do(request{method: "GET", path: at, token: token}).Header.Get("ETag"); got != first {
		t.Errorf("reading gives the version %s, want %s as putting did", got, first)
	}
	resp := put(first, "two")
	if resp.StatusCode != 200 || resp.Header.Get("ETag") == first {
		t.Fatalf("putting another secret gives %d and the version %s, want another one", resp.StatusCode, resp.Header.Get("ETag"))
	}
	if old := put(first, "three"); old.StatusCode != 412 {
		t.Errorf("putting a third on the first gives %d, want 412", old.StatusCode)
	}
	if resp := s.do(request{"POST", at + "/run", token, "k", "", ""}); resp.StatusCode != 201 {
		t.Fatalf("the schedule gives %d when it is run", resp.StatusCode)
	}
	if resp := put(resp.Header.Get("ETag"), "three"); resp.StatusCode != 200 {
		t.Errorf("putting a third on the second gives %d, want it changed though it was run", resp.StatusCode)
	}
}

func TestSettingsAreReadAndChangedByTheirVersion(t *testing.T) {
	s := newService(t)
	token := s.key(identity.OwnerTenant, "*")
	for _, thing := range settings(t, s) {
		version := s.do(request{method: "GET", path: thing.path, token: token}).Header.Get("ETag")
		for value, want := range map[string]int{version: 304, "*": 304, `"x"`: 200} {
			if resp := s.ask(token, "GET", thing.path, "If-None-Match", value, ""); resp.StatusCode != want {
				t.Errorf("GET %s with If-None-Match: %s gives %d, want %d", thing.path, value, resp.StatusCode, want)
			}
		}
		half, _, _ := strings.Cut(version, ".")
		for i, test := range []struct {
			value  string
			status int
		}{{`"x"`, 412}, {half[:len(half)-2] + `"`, 412}, {"W/" + version, 412}, {`"x", ` + version, 200}, {version, 412}, {"*", 200}} {
			if resp := s.ask(token, thing.method, thing.path, "If-Match", test.value, fmt.Sprintf(thing.body, i+1)); resp.StatusCode != test.status {
				t.Errorf("%s %s with If-Match: %s gives %d, want %d", thing.method, thing.path, test.value, resp.StatusCode, test.status)
			}
		}
	}
}

func TestWhatTheServiceNotesRefusesNoChange(t *testing.T) {
	s := newService(t)
	token := s.key(identity.OwnerTenant, "*")
	all := settings(t, s)
	read := func(path string) string {
		return s.do(request{method: "GET", path: path, token: token}).Header.Get("ETag")
	}
	fired, used := read(all[0].path), read(all[1].path)
	if resp := s.do(request{"POST", all[0].path + "/run", token, "k", "", ""}); resp.StatusCode != 201 {
		t.Fatalf("the schedule gives %d when it is run", resp.StatusCode)
	}
	if err := s.stores.Keys.TouchKeys(t.Context(), []string{strings.TrimPrefix(all[1].path, "/api/v1/api-keys/")}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for i, version := range []string{fired, used} {
		if now := read(all[i].path); now == version {
			t.Errorf("%s has the version %s as before, though it says other things", all[i].path, now)
		}
		if resp := s.ask(token, all[i].method, all[i].path, "If-Match", version, fmt.Sprintf(all[i].body, 7)); resp.StatusCode != 200 {
			t.Errorf("%s %s gives %d, want it changed", all[i].method, all[i].path, resp.StatusCode)
		}
	}
}

func TestNobodyReplacesByVersionWhatIsNotTheirs(t *testing.T) {
	s := newService(t)
	token, stranger := s.key(identity.OwnerTenant, "*"), s.key(s.tenant("Acme", "ada@example.com").ID.String(), "*")
	for i, want := range []int{412, 404, 403} {
		thing := settings(t, s)[i]
		version := s.do(request{method: "GET", path: thing.path, token: token}).Header.Get("ETag")
		for _, value := range []string{version, "*"} {
			if resp := s.ask(stranger, thing.method, thing.path, "If-Match", value, fmt.Sprintf(thing.body, 7)); resp.StatusCode != want {
				t.Errorf("another tenant's %s %s gives %d, want %d", thing.method, thing.path, resp.StatusCode, want)
			}
		}
	}
}
