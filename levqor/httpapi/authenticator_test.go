package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpapi"
	"github.com/levqor/sdk/levqor/identity"
)

// people are those of a host, by the cookie that they come with.
var people = map[string]identity.Principal{
	"ada": {Tenant: "acme", UserID: "ada", Scopes: []string{"jobs:read", "jobs:write"}},
	"bob": {Tenant: "acme", UserID: "bob", Scopes: []string{"jobs:read", "jobs:write"}},
	"eve": {Tenant: "other", UserID: "eve", Scopes: []string{"jobs:read"}},
}

var errHost = errors.New("hunter2")

// cookies is the authenticator of the host.
func cookies(r *http.Request) (identity.Principal, error) {
	cookie, err := r.Cookie("host")
	switch {
	case err == nil && cookie.Value == "down":
		return identity.Principal{}, errHost
	case err == nil && cookie.Value == "forbidden":
		return identity.Principal{}, fmt.Errorf("%w: hunter2", identity.ErrForbidden)
	case err == nil && cookie.Value == "away":
		return identity.Principal{}, identity.ErrUnavailable
	case err == nil && cookie.Value == "nobody":
		return identity.Principal{Tenant: "acme", Scopes: []string{"*"}}, nil
	case err == nil && cookie.Value == "nowhere":
		return identity.Principal{UserID: "ada", Scopes: []string{"*"}}, nil
	}
	if err == nil && people[cookie.Value].UserID != "" {
		return people[cookie.Value], nil
	}
	return identity.Principal{}, identity.ErrUnauthenticated
}

// withPeople returns a service whose callers are people of the host, and keys too if asked for.
func withPeople(t *testing.T, limits guard.Limits, keys bool) *service {
	t.Helper()
	s := newServiceWith(t, levqor.MemStores(), limits)
	var auth httpapi.Authenticator = httpapi.AuthenticatorFunc(cookies)
	if keys {
		auth = httpapi.FirstOf(httpapi.SameOrigin(auth), httpapi.APIKeys(s.app, nil))
	}
	var err error
	if s.handler, err = httpapi.New(s.app, &httpapi.Options{Authenticator: auth}); err != nil {
		t.Fatal(err)
	}
	return s
}

// as sends a request with a cookie and headers.
func (s *service) as(person, method, path, body string, headers ...string) *http.Response {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.AddCookie(&http.Cookie{Name: "host", Value: person})
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	return rec.Result()
}

var asJSON = []string{"Content-Type", "application/json", "Idempotency-Key", "k"}

func TestAHostsOwnPeopleAreCallers(t *testing.T) {
	s := withPeople(t, guard.Limits{}, false)
	created := s.as("ada", "POST", "/api/v1/jobs", mail, asJSON...)
	job := decode[client.Job](t, created)
	for person, want := range map[string]int{"ada": 200, "bob": 200, "eve": 404, "stranger": 401, "": 401} {
		if got := s.as(person, "GET", "/api/v1/jobs/"+job.ID, ""); got.StatusCode != want {
			t.Errorf("%s gets %d, want %d", person, got.StatusCode, want)
		}
	}
	if got := s.as("eve", "POST", "/api/v1/jobs", mail, asJSON...); got.StatusCode != http.StatusForbidden {
		t.Errorf("without the scope the answer is %d", got.StatusCode)
	}
	if got := s.do(request{method: "GET", path: "/api/v1/jobs", token: s.key("acme", "*")}); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("an API key gets %d: nobody asked for keys", got.StatusCode)
	}
}

func TestAnIdempotencyKeyIsOfOnePerson(t *testing.T) {
	s := withPeople(t, guard.Limits{}, false)
	first := decode[client.Job](t, s.as("ada", "POST", "/api/v1/jobs", mail, asJSON...))
	again := s.as("ada", "POST", "/api/v1/jobs", mail, asJSON...)
	if got := decode[client.Job](t, again); got.ID != first.ID || again.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the same person gets %+v, want the same job", got)
	}
	other := s.as("bob", "POST", "/api/v1/jobs", mail, asJSON...)
	if got := decode[client.Job](t, other); got.ID == first.ID || other.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("another person gets %+v, want a job of his own", got)
	}
}

func TestPeopleAreCountedOneByOne(t *testing.T) {
	s := withPeople(t, guard.Limits{Reads: perHour(2)}, false)
	for _, step := range []struct {
		person string
		want   int
	}{{"ada", 200}, {"ada", 200}, {"ada", 429}, {"bob", 200}} {
		if got := s.as(step.person, "GET", "/api/v1/jobs", ""); got.StatusCode != step.want {
			t.Errorf("%s gets %d, want %d", step.person, got.StatusCode, step.want)
		}
	}
}

func TestWhatAnAuthenticatorMayNotSayIsAFault(t *testing.T) {
	s := withPeople(t, guard.Limits{}, false)
	for person, want := range map[string]int{"down": 500, "forbidden": 500, "nobody": 500, "nowhere": 500, "away": 503} {
		resp := s.as(person, "GET", "/api/v1/jobs", "")
		var body bytes.Buffer
		_, _ = body.ReadFrom(resp.Body)
		if resp.StatusCode != want || strings.Contains(body.String(), "hunter2") {
			t.Errorf("%s gets %d %s, want %d without what the host said", person, resp.StatusCode, &body, want)
		}
	}
}

// Cookies and keys side by side: a cookie counts on a page of the same origin alone.
func TestForgedRequestsAreNobodys(t *testing.T) {
	s := withPeople(t, guard.Limits{}, true)
	same := []string{"Sec-Fetch-Site", "same-origin"}
	for _, tt := range []struct {
		name, method string
		headers      []string
		want         int
	}{
		{"a page of this origin", "POST", append(same, asJSON...), 201},
		{"a page of this origin reads", "GET", same, 200},
		{"another site", "POST", append([]string{"Sec-Fetch-Site", "cross-site"}, asJSON...), 401},
		{"a sibling", "GET", []string{"Sec-Fetch-Site", "same-site"}, 401},
		{"an address that was typed", "GET", []string{"Sec-Fetch-Site", "none"}, 401},
		{"a program with a stolen cookie", "GET", nil, 401},
		{"a form", "POST", append(same, "Content-Type", "text/plain", "Idempotency-Key", "k"), 401},
		{"no content type", "POST", append(same, "Idempotency-Key", "k"), 401},
		{"a key beside a cookie", "GET", []string{"Authorization", "Bearer " + s.key("acme", "jobs:read")}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.as("ada", tt.method, "/api/v1/jobs", mail, tt.headers...); got.StatusCode != tt.want {
				t.Errorf("the answer is %d, want %d", got.StatusCode, tt.want)
			}
		})
	}
}

func TestTheFirstThatKnowsTheCallerCounts(t *testing.T) {
	is := func(id string, err error) httpapi.Authenticator {
		return httpapi.AuthenticatorFunc(func(*http.Request) (identity.Principal, error) { return identity.Principal{UserID: id}, err })
	}
	no := is("", fmt.Errorf("no cookie: %w", identity.ErrUnauthenticated))
	r := httptest.NewRequestWithContext(context.Background(), "GET", "/", nil)
	for name, tt := range map[string]struct {
		all  []httpapi.Authenticator
		want string
		err  error
	}{
		"the first":               {[]httpapi.Authenticator{is("a", nil), is("b", nil)}, "a", nil},
		"the next":                {[]httpapi.Authenticator{no, is("b", nil)}, "b", nil},
		"nobody knows":            {[]httpapi.Authenticator{no, no}, "", identity.ErrUnauthenticated},
		"nobody is asked":         {nil, "", identity.ErrUnauthenticated},
		"one cannot tell":         {[]httpapi.Authenticator{is("", errHost), is("b", nil)}, "", errHost},
		"one cannot tell, behind": {[]httpapi.Authenticator{no, is("", errHost)}, "", errHost},
	} {
		if got, err := httpapi.FirstOf(tt.all...).Authenticate(r); got.UserID != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %+v, %v; want %q, %v", name, got, err, tt.want, tt.err)
		}
	}
}

func ExampleAPIKeys() {
	app, err := levqor.New(levqor.MemStores(), &levqor.Options{Secret: []byte("32 bytes from a random source ...")})
	if err != nil {
		fmt.Println(err)
		return
	}
	sessions := httpapi.AuthenticatorFunc(func(r *http.Request) (identity.Principal, error) {
		if cookie, err := r.Cookie("session"); err == nil && cookie.Value == "adas" {
			return identity.Principal{Tenant: "acme", UserID: "ada", Scopes: []string{"jobs:read"}}, nil
		}
		return identity.Principal{}, identity.ErrUnauthenticated
	})
	opts := &httpapi.Options{}
	opts.Authenticator = httpapi.FirstOf(httpapi.SameOrigin(sessions), httpapi.APIKeys(app, opts))
	handler, err := httpapi.New(app, opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequestWithContext(context.Background(), "GET", "/api/v1/jobs", nil)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.AddCookie(&http.Cookie{Name: "session", Value: "adas"})
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output: 200
}
