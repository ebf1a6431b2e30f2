package fuzz_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/cronjobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpapi"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

// text is what the arguments of the kinds are.
type text struct {
	Text string `json:"text"`
	N    int64  `json:"n"`
}

// The kinds: note logs its text and returns it, refuse fails with it, linger goes on
// for a while unless it is cancelled.
type (
	note   text
	refuse text
	linger text
)

// Kind implements [jobs.Args].
func (note) Kind() string { return "note" }

// Kind implements [jobs.Args].
func (refuse) Kind() string { return "refuse" }

// Kind implements [jobs.Args].
func (linger) Kind() string { return "linger" }

// argsSchema is that of all kinds.
const argsSchema = `{"type": "object", "required": ["text"], "additionalProperties": false, "properties": {
	"text": {"type": "string", "maxLength": 200}, "n": {"type": "integer", "format": "int64", "minimum": -9007199254740991, "maximum": 9007199254740991}}}`

// handleKinds registers the kinds.
func handleKinds(r *jobs.Registry) error {
	opts := jobs.KindOptions{Schema: []byte(argsSchema), MaxAttempts: 1}
	return errors.Join(
		jobs.Handle(r, func(ctx context.Context, job *jobs.Job[note]) (note, error) {
			return job.Args, job.Log(ctx, job.Args.Text)
		}, &opts),
		jobs.Handle(r, func(_ context.Context, job *jobs.Job[refuse]) (any, error) {
			return nil, errors.New("refused: " + job.Args.Text)
		}, &opts),
		jobs.Handle(r, func(ctx context.Context, job *jobs.Job[linger]) (any, error) {
			timer := time.NewTimer(200 * time.Millisecond)
			defer timer.Stop()
			err := job.Report(ctx, jobs.Progress{Fraction: 0.5, Note: job.Args.Text[:min(len(job.Args.Text), 100)]})
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			return nil, err
		}, &opts),
	)
}

// role is who sends a request.
type role struct {
	name    string
	tenant  string // empty for nobody
	token   string
	scopes  []string
	person  bool // has signed in
	limited bool // has used up what the service with low limits gives, and asks that one
}

func (r *role) allows(scope string) bool {
	return scope == "" || slices.Contains(r.scopes, scope) || slices.Contains(r.scopes, identity.AllScopes)
}

// marker is a text that the tenant plants wherever it may, and that no other tenant may
// ever see.
func (r *role) marker() string {
	if r.tenant == "" {
		return "nobody"
	}
	if r.tenant != identity.OwnerTenant {
		return "planted-by-rival"
	}
	return "planted-by-" + r.tenant
}

// service is the API on a database with its worker, and those who use it.
type service struct {
	handler http.Handler
	strict  http.Handler // the same API with low limits
	log     *record
	roles   []*role
	busy    *role   // has as many streams open as it may
	limited []*role // have nothing left of their limits
	tenants []string
	spared  map[string]bool // the IDs of the roles' keys
	boss    identity.UserID // who owns the rival's tenant
}

// maxStreams leaves those who read one stream after the other alone.
const maxStreams = 2

// The limits of the service, which nobody reaches, and of the one with low limits: a
// single call of each cost in a time that no run takes. Both count in one database, by the
// names of policies: failures are those of the same address.
var (
	generous = limits("", 600_000, time.Minute)
	meagre   = limits("few-", 1, 30*24*time.Hour)
)

func limits(prefix string, n int, window time.Duration) guard.Limits {
	policy := func(name string) guard.Policy { return guard.Policy{Name: prefix + name, Limit: n, Window: window} }
	return guard.Limits{Reads: policy("read"), Writes: policy("write"), Bulk: policy("bulk"), Protected: policy("protected"), Failures: policy("failure")}
}

func newService(t *testing.T, url string) *service {
	t.Helper()
	db := dbtest.Open(t, url)
	if err := bunlevqor.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	s := &service{log: &record{}, spared: map[string]bool{}}
	app, handler := s.serve(t, bunlevqor.Stores(db), generous)
	_, s.strict = s.serve(t, bunlevqor.Stores(db), meagre)
	s.handler = handler
	s.hire(t, app)
	run(t, app.Run)
	s.occupy(t)
	s.exhaust(t)
	return s
}

// serve returns an app with limits, and its API.
func (s *service) serve(t *testing.T, stores levqor.Stores, allowed guard.Limits) (*levqor.App, http.Handler) {
	t.Helper()
	names := &zone{service: s, stores: stores}
	app, err := levqor.New(stores, &levqor.Options{
		Secret: bytes.Repeat([]byte("s"), 32), Validator: httpapi.NewValidator(), Timetables: cronjobs.Parse, Limits: allowed,
		Mailer: shredder{}, PublicURL: "https://app.example.com", TXT: names,
	})
	if err == nil {
		err = handleKinds(app.Registry)
	}
	if err != nil {
		t.Fatal(err)
	}
	handler, err := httpapi.New(app, &httpapi.Options{
		Logger: slog.New(slog.NewTextHandler(s.log, nil)), MaxStreams: maxStreams,
		Authenticator: httpapi.FirstOf(httpapi.AuthenticatorFunc(s.signedIn), httpapi.APIKeys(app, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return app, handler
}

// hire makes the keys of all roles. No request is about these, or a role would lose its
// key: what is revoked, rotated and restricted are keys that requests have made, and one
// of each tenant with more scopes than most roles have.
func (s *service) hire(t *testing.T, app *levqor.App) {
	t.Helper()
	rival := s.settle(t, app)
	s.tenants = []string{identity.OwnerTenant, rival}
	owner, _, err := app.Keys.EnsureOwner(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	add := func(name, tenant string, expires time.Time, scopes ...string) *role {
		_, token, err := app.Keys.Create(t.Context(), identity.NewKey{Tenant: tenant, Name: name, Scopes: scopes, ExpiresAt: expires})
		if err != nil {
			t.Fatal(err)
		}
		return &role{name: name, tenant: tenant, token: token, scopes: scopes}
	}
	never := time.Time{}
	expired := add("expired", identity.OwnerTenant, time.Now().Add(-time.Hour), identity.AllScopes).token
	s.busy = add("busy", identity.OwnerTenant, never, "jobs:read")
	s.roles = []*role{
		{name: "owner", tenant: identity.OwnerTenant, token: owner, scopes: []string{identity.AllScopes}},
		add("reader", identity.OwnerTenant, never, "jobs:read", "keys:read", "members:read", "security:read", "sso:read"),
		add("writer", identity.OwnerTenant, never, "jobs:write", "keys:write", "members:write", "tenant:write", "sso:write"),
		add("rival", rival, never, identity.RoleOwner.Scopes()...),
		{name: "person", tenant: rival, token: s.boss.String(), scopes: identity.RoleMember.Scopes(), person: true},
		{name: "nobody"},
		{name: "expired", token: expired},
		{name: "unknown key", token: "lvq_live_7Qd2mX0aB9LkT4vYw8RjC3" + strings.Repeat("A", 32) + "04y9Ok"},
		{name: "cut key", token: owner[:len(owner)-1]},
		{name: "forged key", token: owner[:40] + strings.ToUpper(owner[40:])},
	}
	s.limited = []*role{add("hurried", identity.OwnerTenant, never, identity.AllScopes), {name: "hurried nobody"}}
	for _, r := range s.limited {
		r.limited = true
	}
	for _, tenant := range s.tenants {
		keys, err := app.Keys.List(t.Context(), tenant, identity.KeyQuery{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			s.spared[key.ID] = true
		}
		add("strong", tenant, never, identity.AllScopes)
	}
}

// signedIn knows the roles that are people, by their IDs: cookies are for package httplogin,
// and requests would end sessions.
func (s *service) signedIn(r *http.Request) (identity.Principal, error) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	for _, role := range s.roles {
		if role.person && role.token == token {
			return identity.Principal{Tenant: role.tenant, UserID: role.token, Scopes: role.scopes}, nil
		}
	}
	return identity.Principal{}, identity.ErrUnauthenticated
}

// shredder is a mailer that sends nothing.
type shredder struct{}

// SendMail implements [levqor.Mailer].
func (shredder) SendMail(context.Context, levqor.Mail) error { return nil }

// zone is a DNS that holds the records of each domain but those below unproved.example.
type zone struct {
	service *service
	stores  levqor.Stores
}

// LookupTXT implements [sso.TXTLookup].
func (z *zone) LookupTXT(ctx context.Context, name string) ([]string, error) {
	var texts []string
	for _, text := range z.service.tenants {
		tenant, err := identity.ParseTenantID(text)
		if err != nil {
			return nil, err
		}
		all, err := z.stores.SSO.ListConnections(ctx, tenant)
		if err != nil {
			return nil, err
		}
		for _, c := range all {
			for _, d := range c.Domains {
				if d.RecordName()+"." == name && !strings.HasSuffix(d.Name, "unproved.example") {
					texts = append(texts, d.RecordValue())
				}
			}
		}
	}
	if len(texts) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return texts, nil
}

// settle makes the rival's tenant and members of both tenants. No request is about the
// rival's tenant and its owner, or the rival would be gone.
func (s *service) settle(t *testing.T, app *levqor.App) (rival string) {
	t.Helper()
	user := func(name string) identity.UserID {
		email, err := identity.ParseEmail(name + "@example.com")
		if err != nil {
			t.Fatal(err)
		}
		user, _, err := app.Directory.EnsureUser(t.Context(), email, "")
		if err != nil {
			t.Fatal(err)
		}
		return user.ID
	}
	boss := user("boss")
	s.boss = boss
	tenant, err := app.Directory.CreateTenant(t.Context(), "rival", boss)
	if err != nil {
		t.Fatal(err)
	}
	s.spared[tenant.ID.String()], s.spared[boss.String()] = true, true
	for i := range 4 { // of five that a tenant may have
		_, err := app.SSO.Create(t.Context(), tenant.ID, sso.NewConnection{
			Issuer: fmt.Sprintf("https://login%d.example.com", i), ClientID: "levqor", ClientSecret: "secret", Role: identity.RoleViewer,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 60 {
		place := []identity.TenantID{identity.OwnerTenantID, tenant.ID}[i%2]
		if _, err := app.Directory.AddMember(t.Context(), place, user(fmt.Sprintf("member%d", i)), identity.Grant{Role: identity.RoleViewer}); err != nil {
			t.Fatal(err)
		}
	}
	return tenant.ID.String()
}

// exhaust makes those with limits use them up, with an operation of each cost.
func (s *service) exhaust(t *testing.T) {
	t.Helper()
	for _, role := range s.limited {
		for _, route := range []string{"GET /api/v1/jobs", "POST /api/v1/jobs", "POST /api/v1/jobs/bulk", "GET /api/v1/security-events/export"} {
			method, path, _ := strings.Cut(route, " ")
			r := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
			r.RemoteAddr = address
			if role.token != "" {
				r.Header.Set("Authorization", "Bearer "+role.token)
			}
			s.strict.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
}

// occupy opens as many streams of the busy role as it may have, until the test ends.
func (s *service) occupy(t *testing.T) {
	t.Helper()
	for range maxStreams {
		begun := make(chan struct{})
		run(t, func(ctx context.Context) error {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://levqor.test/api/v1/jobs/events", http.NoBody)
			if err == nil {
				r.Header.Set("Authorization", "Bearer "+s.busy.token)
				s.handler.ServeHTTP(&announcer{header: http.Header{}, begun: begun}, r)
			}
			return err
		})
		select {
		case <-begun:
		case <-time.After(20 * time.Second):
			t.Fatal("the stream does not begin")
		}
	}
}

// run runs fn until the test ends.
func run(t *testing.T, fn func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// announcer tells that an answer has begun, and drops it.
type announcer struct {
	header http.Header
	begun  chan struct{}
}

func (a *announcer) Header() http.Header         { return a.header }
func (a *announcer) WriteHeader(int)             { close(a.begun) }
func (a *announcer) Write(b []byte) (int, error) { return len(b), nil }
func (a *announcer) Flush()                      {}

// record keeps what the service logs: each line is a fault that no answer shows.
type record struct {
	mu    sync.Mutex
	lines []string
}

// Write implements [io.Writer].
func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, string(b))
	return len(b), nil
}

// take returns what was logged since the last call.
func (r *record) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

// argsOf returns the schema of the kinds' arguments.
func argsOf() (*openapi3.Schema, error) {
	schema := &openapi3.Schema{}
	return schema, json.Unmarshal([]byte(argsSchema), schema)
}
