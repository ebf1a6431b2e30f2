package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

// host is the service while a test runs.
type host struct {
	*testing.T
	users   *users
	stores  levqor.Stores
	handler http.Handler
	url     string
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{T: t, users: newUsers(), stores: levqor.MemStores()}
	app, handler, err := compose(h.stores, bytes.Repeat([]byte("s"), 32), h.users)
	if err != nil {
		t.Fatal(err)
	}
	h.handler = handler
	srv := httptest.NewServer(handler)
	h.url = srv.URL
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		srv.Close()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return h
}

// program returns a client with a token of a user.
func (h *host) program(name string) *client.Service {
	h.Helper()
	c, err := client.New(h.url, &client.Options{Key: h.users.newSession(h.users.byName[name])})
	if err != nil {
		h.Fatal(err)
	}
	return c
}

func TestProgramsOfTheHostsUsersWorkInTheirCompany(t *testing.T) {
	h := newHost(t)
	ctx, ada := t.Context(), h.program("ada")
	greeting := client.NewJob{Kind: "greet", Args: json.RawMessage(`{"name":"Ada"}`)}
	job, err := ada.CreateJob(ctx, greeting, "")
	if err != nil {
		t.Fatal(err)
	}
	if job, err = ada.WaitJob(ctx, job.ID); err != nil || string(job.Result) != `"Hello, Ada"` {
		t.Errorf("WaitJob = %+v, %v", job, err)
	}
	if _, err := h.program("bob").GetJob(ctx, job.ID); err != nil {
		t.Errorf("a colleague gets %v, want the job", err)
	}
	if _, err := h.program("bob").CreateJob(ctx, greeting, ""); !errors.Is(err, identity.ErrForbidden) {
		t.Errorf("who may only read creates: %v, want ErrForbidden", err)
	}
	if _, err := h.program("eve").GetJob(ctx, job.ID); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("another company gets %v, want ErrNotFound", err)
	}
	for other, err := range h.program("eve").Jobs(ctx, nil) {
		t.Errorf("another company lists %+v, %v", other, err)
	}
	stranger, err := client.New(h.url, &client.Options{Key: "nobody's"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.GetJob(ctx, job.ID); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("a stranger gets %v, want ErrUnauthenticated", err)
	}
	if keys, err := h.stores.Keys.ListKeys(ctx, "engines", identity.KeyQuery{Limit: 9}); err != nil || len(keys) > 0 {
		t.Errorf("there are the keys %v, %v; want none", keys, err)
	}
}

// browser sends a request as a browser with a session would.
func (h *host) browser(method, path, body, session string, headers map[string]string) *http.Response {
	h.Helper()
	r := httptest.NewRequestWithContext(h.Context(), method, path, strings.NewReader(body))
	if session != "" {
		r.AddCookie(&http.Cookie{Name: cookieName, Value: session})
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w.Result()
}

func TestABrowserLogsInAndIsNotForged(t *testing.T) {
	h := newHost(t)
	form := func(name, password string) string {
		return url.Values{"name": {name}, "password": {password}}.Encode()
	}
	asForm := map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
	for name, password := range map[string]string{"ada": "wrong", "nobody": "", "": ""} {
		if got := h.browser("POST", "/login", form(name, password), "", asForm); got.StatusCode != http.StatusUnauthorized || len(got.Cookies()) > 0 {
			t.Errorf("%q logs in with %q: %d", name, password, got.StatusCode)
		}
	}
	forged := map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "cross-site"}
	if got := h.browser("POST", "/login", form("ada", "correct horse"), "", forged); got.StatusCode != http.StatusForbidden {
		t.Errorf("another site logs somebody in: %d", got.StatusCode)
	}
	resp := h.browser("POST", "/login", form("ada", "correct horse"), "", asForm)
	if len(resp.Cookies()) != 1 {
		t.Fatalf("the login gave %d and no cookie", resp.StatusCode)
	}
	session := resp.Cookies()[0].Value
	const job = `{"kind":"greet","args":{"name":"Ada"}}`
	for site, want := range map[string]int{"same-origin": http.StatusCreated, "": http.StatusUnauthorized, "none": http.StatusUnauthorized} {
		got := h.browser("POST", "/api/v1/jobs", job, session, map[string]string{
			"Content-Type": "application/json", "Idempotency-Key": "k" + site, "Sec-Fetch-Site": site,
		})
		if got.StatusCode != want {
			t.Errorf("from %q the answer is %d, want %d", site, got.StatusCode, want)
		}
	}
	for _, site := range []string{"cross-site", "same-site"} {
		got := h.browser("GET", "/api/v1/jobs", "", session, map[string]string{"Sec-Fetch-Site": site})
		if got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s reads: %d", site, got.StatusCode)
		}
	}
}
