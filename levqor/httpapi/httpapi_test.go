package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/cronjobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpapi"
	"github.com/levqor/sdk/levqor/identity"
)

// Mail is a kind whose schema is derived from the type.
type Mail struct {
	To    []Address         `json:"to" validate:"required,min=1,dive"`
	Body  string            `json:"body,omitempty" validate:"max=20"`
	Extra map[string]string `json:"extra,omitempty"`
	At    *time.Time        `json:"at,omitempty"`
}

// Address is part of a Mail.
type Address struct {
	Email string `json:"email" validate:"required,email"`
}

// Kind implements [jobs.Args].
func (Mail) Kind() string { return "mail" }

// service is an API over stores in memory.
type service struct {
	testing.TB
	app     *levqor.App
	stores  levqor.Stores
	handler http.Handler
	log     *bytes.Buffer
	zone    zone
}

func newService(tb testing.TB) *service {
	tb.Helper()
	return newServiceOn(tb, levqor.MemStores())
}

func newServiceOn(tb testing.TB, stores levqor.Stores) *service {
	tb.Helper()
	return newServiceWith(tb, stores, guard.Limits{})
}

func newServiceWith(tb testing.TB, stores levqor.Stores, limits guard.Limits) *service {
	tb.Helper()
	return newServiceOf(tb, stores, levqor.Options{Limits: limits, Mailer: make(mailbox, 10), PublicURL: "https://app.example.com"})
}

// newServiceWithout returns a service that can send no mail.
func newServiceWithout(tb testing.TB) *service {
	tb.Helper()
	return newServiceOf(tb, levqor.MemStores(), levqor.Options{})
}

func newServiceOf(tb testing.TB, stores levqor.Stores, opts levqor.Options) *service {
	tb.Helper()
	opts.Secret, opts.Validator, opts.Timetables = bytes.Repeat([]byte("s"), 32), httpapi.NewValidator(), cronjobs.Parse
	s := &service{TB: tb, stores: stores, log: &bytes.Buffer{}, zone: zone{}}
	opts.TXT = s.zone
	var err error
	s.app, err = levqor.New(stores, &opts)
	if err != nil {
		tb.Fatal(err)
	}
	err = jobs.Handle(s.app.Registry, func(ctx context.Context, job *jobs.Job[Mail]) (string, error) {
		return job.Args.Body, job.Log(ctx, job.Args.Body)
	}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	s.handler, err = httpapi.New(s.app, &httpapi.Options{Logger: slog.New(slog.NewTextHandler(s.log, nil)), Version: "v1.2.3"})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func (s *service) key(tenant string, scopes ...string) string {
	s.Helper()
	_, token, err := s.app.Keys.Create(context.Background(), identity.NewKey{Tenant: tenant, Name: "test", Scopes: scopes})
	if err != nil {
		s.Fatal(err)
	}
	return token
}

// request is one request; zero fields are left out.
type request struct {
	method, path, token, idempotency, contentType, body string
}

func (s *service) do(r request) *http.Response {
	s.Helper()
	req := httptest.NewRequest(r.method, r.path, strings.NewReader(r.body))
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.idempotency != "" {
		req.Header.Set("Idempotency-Key", r.idempotency)
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	return rec.Result()
}

func (s *service) create(token, idempotency, body string) *http.Response {
	s.Helper()
	return s.do(request{"POST", "/api/v1/jobs", token, idempotency, "application/json", body})
}

func decode[T any](tb testing.TB, resp *http.Response) T {
	tb.Helper()
	var v T
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		tb.Fatalf("the answer %d is not JSON: %v", resp.StatusCode, err)
	}
	return v
}

const mail = `{"kind":"mail","args":{"to":[{"email":"ada@example.com"}],"body":"hi"}}`

func TestBadRequestsAreRefusedWithThePointerAndStoreNothing(t *testing.T) {
	s := newService(t)
	token := s.key(identity.OwnerTenant, "*")
	body := func(members string) string { return strings.TrimSuffix(mail, "}") + members + "}" }
	post := func(body string) request {
		return request{"POST", "/api/v1/jobs", token, "k", "application/json", body}
	}
	args := func(args string) request { return post(`{"kind":"mail","args":` + args + `}`) }
	bulk := func(body string) request {
		return request{"POST", "/api/v1/jobs/bulk", token, "", "application/json", body}
	}
	schedule := func(name, members string) request {
		return request{"PUT", "/api/v1/schedules/" + name, token, "", "application/json", `{"kind":"mail","args":{"to":[{"email":"a@b.cd"}]},` + members + `}`}
	}
	tests := []struct {
		name   string
		req    request
		status int
		code   client.ProblemCode
		fields string
	}{
		{"a field of the wrong type", post(body(`,"priority":"x"`)), 400, "validation_failed", "#/priority wrong_type"},
		{"a field out of range", post(body(`,"priority":10,"max_attempts":0`)), 400, "validation_failed", "#/max_attempts too_small, #/priority too_large"},
		{"an unknown field", post(body(`,"zzz":1`)), 400, "validation_failed", "#/zzz unknown_field"},
		{"metadata with a wrong name and a long value", post(body(`,"metadata":{"a b":"x","n":"` + strings.Repeat("é", 257) + `"}`)), 400, "validation_failed", "#/metadata/a%20b invalid_character, #/metadata/n invalid"},
		{"metadata that are no text", post(body(`,"metadata":{"n":7}`)), 400, "validation_failed", "#/metadata/n wrong_type"},
		{"too many metadata", post(body(`,"metadata":{` + strings.Join(manyNames(33), ",") + `}`)), 400, "validation_failed", "#/metadata too_long"},
		{"an unknown field with a strange name", post(body(`,"a/b~\"c":1`)), 400, "validation_failed", "#/a~1b~0%22c unknown_field"},
		{"a missing field", post(`{"args":{}}`), 400, "validation_failed", "#/kind required"},
		{"null for an object", post(`{"kind":"mail","args":null}`), 400, "validation_failed", "#/args wrong_type"},
		{"a duplicate key", post(body(`,"kind":"mail"`)), 400, "validation_failed", "#/kind duplicate_key"},
		{"a duplicate key deep inside", args(`{"to":[{"email":"a@b.cd","email":"x"}]}`), 400, "validation_failed", "#/args/to/0/email duplicate_key"},
		{"trailing data", post(mail + " x"), 400, "validation_failed", "# trailing_data"},
		{"a second value", post(mail + mail), 400, "validation_failed", "# trailing_data"},
		{"no JSON", post("{"), 400, "validation_failed", "# invalid_json"},
		{"no body", post(""), 400, "validation_failed", "# invalid_json"},
		{"bytes that are not UTF-8", post("{\"kind\":\"\xff\"}"), 400, "validation_failed", "# invalid_json"},
		{"deep nesting", post(strings.Repeat("[", 100)), 400, "validation_failed", "#" + strings.Repeat("/0", 64) + " too_deep"},
		{"2 MiB", post(`{"kind":"` + strings.Repeat("x", 2<<20) + `"}`), 413, "body_too_large", ""},
		{"another content type", request{"POST", "/api/v1/jobs", token, "k", "text/plain", mail}, 415, "unsupported_media_type", ""},
		{"no content type", request{"POST", "/api/v1/jobs", token, "k", "", mail}, 415, "unsupported_media_type", ""},
		{"another charset", request{"POST", "/api/v1/jobs", token, "k", "application/json; charset=utf-16", mail}, 415, "unsupported_media_type", ""},
		{"an unknown kind", post(`{"kind":"nope","args":{}}`), 400, "validation_failed", "#/kind unknown_kind"},
		{"args of the wrong type", args(`{"to":"x"}`), 400, "validation_failed", "#/args/to wrong_type"},
		{"args with a wrong type deep inside", args(`{"to":[{"email":7}]}`), 400, "validation_failed", "#/args/to/0/email wrong_type"},
		{"args with an unknown field", args(`{"to":[{"email":"a@b.cd"}],"cc":1}`), 400, "validation_failed", "#/args/cc unknown_field"},
		{"args that break their tags", args(`{"to":[{"email":"a@b.cd"},{"email":"x"}],"body":"` + strings.Repeat("x", 21) + `"}`), 400, "validation_failed", "#/args/body too_long, #/args/to/1/email invalid_format"},
		{"args without what they need", args(`{}`), 400, "validation_failed", "#/args/to required"},
		{"a delay and a time", post(body(`,"delay_seconds":1,"run_at":"2030-01-01T00:00:00Z"`)), 400, "validation_failed", "#/delay_seconds contradictory"},
		{"a leap second, which Go has none of", post(body(`,"run_at":"2030-12-31T23:59:60Z"`)), 400, "validation_failed", "#/run_at invalid_format"},
		{"a time past the last in UTC", post(body(`,"run_at":"9999-12-31T23:59:59-23:59"`)), 400, "validation_failed", "#/run_at out_of_range"},
		{"a whole number written as a fraction", post(body(`,"priority":1.0`)), 400, "validation_failed", "#/priority wrong_type"},
		{"a whole number with an exponent", post(body(`,"max_attempts":1e0`)), 400, "validation_failed", "#/max_attempts wrong_type"},
		{"args that are null", args(`null`), 400, "validation_failed", "#/args wrong_type"},
		{"args with a null for a list that is required", args(`{"to":null}`), 400, "validation_failed", "#/args/to required"},
		{"args with an unknown field deep inside", args(`{"to":[{"email":"a@b.cd","cc":1}]}`), 400, "validation_failed", "#/args/to/0/cc unknown_field"},
		{"args with a number that no type holds", args(`{"to":[],"extra":{"a":1e999}}`), 400, "validation_failed", "#/args/extra/a wrong_type"},
		{"a time that is none", post(body(`,"run_at":"soon"`)), 400, "validation_failed", "#/run_at invalid_format"},
		{"no idempotency key", request{"POST", "/api/v1/jobs", token, "", "application/json", mail}, 400, "idempotency_key_required", ""},
		{"an idempotency key that is none", request{"POST", "/api/v1/jobs", token, "ä", "application/json", mail}, 400, "validation_failed", "Idempotency-Key idempotency_key_invalid"},
		{"an idempotency key of quotes alone", request{"POST", "/api/v1/jobs", token, `""`, "application/json", mail}, 400, "validation_failed", "Idempotency-Key idempotency_key_invalid"},
		{"a job unique among what is not over", post(body(`,"unique":{"over":["ready"]}`)), 400, "validation_failed", "#/unique/over/0 unknown_value"},
		{"a job unique for less than a second", post(body(`,"unique":{"period_seconds":0.5}`)), 400, "validation_failed", "#/unique/period_seconds too_small"},
		{"a job unique by nothing", post(body(`,"unique":{"key":""}`)), 400, "validation_failed", "#/unique/key too_short"},
		{"a bulk change that contradicts itself", bulk(`{"operation":"cancel","filter":{"states":["completed"]}}`), 400, "validation_failed", "#/filter/states contradictory"},
		{"a bulk change of no time", bulk(`{"operation":"cancel","filter":{"created_from":"2030-01-01T00:00:00Z","created_before":"2030-01-01T00:00:00Z"}}`), 400, "validation_failed", "#/filter/created_before contradictory"},
		{"a move to nowhere", bulk(`{"operation":"move","filter":{}}`), 400, "validation_failed", "#/queue required"},
		{"a priority for nothing", bulk(`{"operation":"retry","filter":{},"priority":1}`), 400, "validation_failed", "#/priority contradictory"},
		{"an unknown operation", bulk(`{"operation":"explode","filter":{}}`), 400, "validation_failed", "#/operation unknown_value"},
		{"a bulk change with a cursor of nobody", bulk(`{"operation":"retry","filter":{},"cursor":"xyz"}`), 400, "invalid_cursor", ""},
		{"a negative limit", request{"PUT", "/api/v1/queues/q", token, "", "application/json", `{"max_running":-1,"rate":{"count":0,"per_seconds":1}}`}, 400, "validation_failed", "#/max_running too_small, #/rate/count too_small"},
		{"a rate without a time", request{"PUT", "/api/v1/queues/q", token, "", "application/json", `{"rate":{"count":1}}`}, 400, "validation_failed", "#/rate/per_seconds required"},
		{"a weight of a name that is none", request{"PUT", "/api/v1/queues/q", token, "", "application/json", `{"weights":{"a b":1}}`}, 400, "validation_failed", "#/weights/a%20b invalid_character"},
		{"a queue with a name that is none", request{"POST", "/api/v1/queues/a%20b/pause", token, "", "", ""}, 400, "validation_failed", "queue invalid_format"},
		{"a schedule without a plan", schedule("s", `"priority":1`), 400, "validation_failed", "#/spec required"},
		{"a schedule that never fires", schedule("s", `"spec":"0 0 30 2 *"`), 400, "validation_failed", "#/spec never_fires"},
		{"a schedule that is no cron", schedule("s", `"spec":"* * * *"`), 400, "validation_failed", "#/spec invalid_timetable"},
		{"a schedule in a zone of nowhere", schedule("s", `"spec":"@daily","time_zone":"Mars/Olympus"`), 400, "validation_failed", "#/time_zone unknown_time_zone"},
		{"a schedule with an unknown policy", schedule("s", `"spec":"@daily","catch_up":"some"`), 400, "validation_failed", "#/catch_up unknown_value"},
		{"a schedule with a name that is none", schedule("a%20b", `"spec":"@daily"`), 400, "validation_failed", "name invalid_format"},
		{"a schedule of an unknown kind", request{"PUT", "/api/v1/schedules/s", token, "", "application/json", `{"spec":"@daily","kind":"nope","args":{}}`}, 400, "validation_failed", "#/kind unknown_kind"},
		{"a schedule with bad args", request{"PUT", "/api/v1/schedules/s", token, "", "application/json", `{"spec":"@daily","kind":"mail","args":{"to":7}}`}, 400, "validation_failed", "#/args/to wrong_type"},
		{"a run of no schedule", request{method: "POST", path: "/api/v1/schedules/s/run", token: token, idempotency: "k2"}, 404, "not_found", ""},
		{"a schedule with a NUL in its name", request{method: "GET", path: "/api/v1/schedules/%00", token: token}, 404, "not_found", ""},
		{"an unknown parameter", request{method: "GET", path: "/api/v1/jobs?x=1", token: token}, 400, "validation_failed", "x unknown_parameter"},
		{"a parameter twice", request{method: "GET", path: "/api/v1/jobs?limit=1&limit=2", token: token}, 400, "validation_failed", "limit duplicate_parameter"},
		{"a limit past the last", request{method: "GET", path: "/api/v1/jobs?limit=101", token: token}, 400, "validation_failed", "limit too_large"},
		{"a limit that is no number", request{method: "GET", path: "/api/v1/jobs?limit=x", token: token}, 400, "validation_failed", "limit wrong_type"},
		{"an unknown state", request{method: "GET", path: "/api/v1/jobs?state=x", token: token}, 400, "validation_failed", "state unknown_value"},
		{"a cursor of nobody", request{method: "GET", path: "/api/v1/jobs?cursor=xyz", token: token}, 400, "invalid_cursor", ""},
		{"a broken query", request{method: "GET", path: "/api/v1/jobs?a=%zz", token: token}, 400, "validation_failed", " invalid_format"},
		{"a key in the query", request{method: "GET", path: "/api/v1/jobs?key=" + token, token: token}, 400, "api_key_in_query", ""},
		{"an encoded key in the query", request{method: "GET", path: "/api/v1/jobs?kind=%6Cvq_live_x", token: token}, 400, "api_key_in_query", ""},
		{"no key", request{method: "GET", path: "/api/v1/jobs"}, 401, "invalid_api_key", ""},
		{"a key of nobody", request{method: "GET", path: "/api/v1/jobs", token: "lvq_live_x"}, 401, "invalid_api_key", ""},
		{"a stream of an unknown job", request{method: "GET", path: "/api/v1/jobs/job_nope/events", token: token}, 404, "not_found", ""},
		{"a stream that goes on nowhere", request{method: "GET", path: "/api/v1/jobs/events?cursor=a", token: token}, 400, "validation_failed", "cursor unknown_parameter"},
		{"a stream of too many jobs", request{method: "GET", path: "/api/v1/jobs/events?limit=101", token: token}, 400, "validation_failed", "limit too_large"},
		{"a stream without a key", request{method: "GET", path: "/api/v1/jobs/events"}, 401, "invalid_api_key", ""},
		{"an unknown job", request{method: "GET", path: "/api/v1/jobs/job_nope", token: token}, 404, "not_found", ""},
		{"an unknown route", request{method: "GET", path: "/api/v1/nothing", token: token}, 404, "not_found", ""},
		{"a path that is not clean", request{method: "GET", path: "/api/v1//jobs", token: token}, 404, "not_found", ""},
		{"a path that is not clean, of an operation with an ID", request{method: "GET", path: "/api/v1//jobs/x", token: token}, 404, "not_found", ""},
		{"a path that goes up", request{method: "POST", path: "/api/v1/jobs/x/../x/cancel", token: token}, 404, "not_found", ""},
		{"an unknown method", request{method: "PATCH", path: "/api/v1/jobs", token: token}, 405, "method_not_allowed", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := s.do(tt.req)
			p := decode[client.Problem](t, resp)
			if resp.StatusCode != tt.status || p.Status != tt.status || p.Code != tt.code || fieldsOf(p) != tt.fields {
				t.Errorf("the answer is %d %s %q, want %d %s %q", resp.StatusCode, p.Code, fieldsOf(p), tt.status, tt.code, tt.fields)
			}
			if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("the content type is %q", got)
			}
			if id := resp.Header.Get("Request-Id"); id == "" || id != p.RequestID {
				t.Errorf("the request ID is %q in the header and %q in the body", id, p.RequestID)
			}
			if got := resp.Header.Get("Allow"); tt.status == 405 && !strings.Contains(got, "GET") {
				t.Errorf("Allow is %q", got)
			}
			if got := resp.Header.Get("WWW-Authenticate"); tt.status == 401 && got != `Bearer realm="levqor", error="invalid_token"` {
				t.Errorf("WWW-Authenticate is %q", got)
			}
		})
	}
	for _, tenant := range []string{"", "acme"} {
		if all, err := s.stores.Jobs.List(t.Context(), jobs.ListQuery{Tenant: tenant, Limit: 10}); err != nil || len(all) > 0 {
			t.Errorf("%d jobs were stored, %v", len(all), err)
		}
		if all, err := s.stores.Schedules.ListSchedules(t.Context(), tenant, "", 10); err != nil || len(all) > 0 {
			t.Errorf("%d schedules were stored, %v", len(all), err)
		}
	}
	if resp := s.create(token, "k", mail); resp.StatusCode != 201 {
		t.Errorf("the key was burnt by refused requests: %d", resp.StatusCode)
	}
}

func TestAHeaderTwiceIsRefused(t *testing.T) {
	s := newService(t)
	r := httptest.NewRequest("POST", "/api/v1/jobs", strings.NewReader(mail))
	r.Header = http.Header{
		"Authorization": {"Bearer " + s.key("acme", "*")}, "Content-Type": {"application/json"}, "Idempotency-Key": {"a", "b"},
	}
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, r)
	p := decode[client.Problem](t, rec.Result())
	if rec.Code != 400 || fieldsOf(p) != "Idempotency-Key duplicate_parameter" {
		t.Errorf("the answer is %d %q", rec.Code, fieldsOf(p))
	}
}

// fieldsOf lists what a problem says about single values, in order.
func fieldsOf(p client.Problem) string {
	var all []string
	for _, e := range p.Errors {
		where := ""
		if e.Pointer != nil {
			where = *e.Pointer
		}
		if e.Parameter != nil {
			where = *e.Parameter
		}
		all = append(all, where+" "+e.Code)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func TestAJobIsCreatedOnce(t *testing.T) {
	s := newService(t)
	token := s.key("acme", "*")
	first := s.create(token, "k1", mail)
	job := decode[client.Job](t, first)
	if first.StatusCode != 201 || first.Header.Get("Location") != "/api/v1/jobs/"+job.ID || job.State != client.JobStateReady {
		t.Fatalf("the answer is %d, Location %q, %+v", first.StatusCode, first.Header.Get("Location"), job)
	}
	for _, key := range []string{"k1", `"k1"`} { // bare and as a structured field
		again := s.create(token, key, ` { "args": {"body":"hi", "to":[{"email":"ada@example.com"}]}, "kind":"mail"}`)
		if got := decode[client.Job](t, again); got.ID != job.ID || again.StatusCode != 201 || again.Header.Get("Idempotent-Replayed") != "true" || again.Header.Get("Location") != first.Header.Get("Location") {
			t.Errorf("the repeated request gave %d, replayed %q, job %s", again.StatusCode, again.Header.Get("Idempotent-Replayed"), got.ID)
		}
	}
	other := s.create(token, "k1", strings.Replace(mail, "hi", "ho", 1))
	if p := decode[client.Problem](t, other); other.StatusCode != 422 || p.Code != client.ProblemCodeIdempotencyKeyReused {
		t.Errorf("another request with the key gave %d %s", other.StatusCode, p.Code)
	}
	foreign := s.create(s.key("other", "*"), "k1", mail)
	if got := decode[client.Job](t, foreign); got.ID == job.ID {
		t.Error("another tenant's key gave this tenant's job")
	}
}

func TestTenantsAreApart(t *testing.T) {
	s := newService(t)
	ours, theirs := s.key("acme", "*"), s.key("other", "*")
	job := decode[client.Job](t, s.create(ours, "k", mail))
	if resp := s.do(request{"PUT", "/api/v1/schedules/s", ours, "", "application/json", `{"spec":"@daily","kind":"mail","args":{"to":[{"email":"a@b.cd"}]}}`}); resp.StatusCode != 200 {
		t.Fatalf("PUT gave %d", resp.StatusCode)
	}
	if got := decode[client.BulkResult](t, s.do(request{"POST", "/api/v1/jobs/bulk", theirs, "", "application/json", `{"operation":"cancel","filter":{}}`})); got.Changed != 0 {
		t.Errorf("another tenant cancelled %d jobs", got.Changed)
	}
	for _, r := range []request{
		{method: "GET", path: "/api/v1/schedules/s"},
		{method: "DELETE", path: "/api/v1/schedules/s"},
		{method: "POST", path: "/api/v1/schedules/s/pause"},
		{method: "POST", path: "/api/v1/schedules/s/resume"},
		{method: "POST", path: "/api/v1/schedules/s/run", idempotency: "k"},
		{method: "GET", path: "/api/v1/schedules/s/fires"},
		{method: "GET", path: "/api/v1/jobs/" + job.ID},
		{method: "GET", path: "/api/v1/jobs/" + job.ID + "/log"},
		{method: "GET", path: "/api/v1/jobs/" + job.ID + "/events"},
		{method: "POST", path: "/api/v1/jobs/" + job.ID + "/cancel"},
		{method: "POST", path: "/api/v1/jobs/" + job.ID + "/retry"},
	} {
		r.token = theirs
		if resp := s.do(r); resp.StatusCode != 404 {
			t.Errorf("%s %s with another tenant's key gave %d", r.method, r.path, resp.StatusCode)
		}
	}
	if page := decode[client.JobPage](t, s.do(request{method: "GET", path: "/api/v1/jobs", token: theirs})); len(page.Data) != 0 {
		t.Errorf("another tenant sees %d jobs", len(page.Data))
	}
	if page := decode[client.SchedulePage](t, s.do(request{method: "GET", path: "/api/v1/schedules", token: theirs})); len(page.Data) != 0 {
		t.Errorf("another tenant sees %d schedules", len(page.Data))
	}
	if got := decode[client.Job](t, s.do(request{method: "GET", path: "/api/v1/jobs/" + job.ID, token: ours})); got.State != client.JobStateReady {
		t.Errorf("the job is %s", got.State)
	}
}

func TestScopesHold(t *testing.T) {
	s := newService(t)
	reader, writer := s.key("acme", "jobs:read"), s.key("acme", "jobs:write")
	job := decode[client.Job](t, s.create(writer, "k", mail))
	for _, r := range []struct {
		request
		scope string
	}{
		{request{method: "GET", path: "/api/v1/jobs", token: writer}, "jobs:read"},
		{request{method: "GET", path: "/api/v1/jobs/" + job.ID, token: writer}, "jobs:read"},
		{request{method: "GET", path: "/api/v1/jobs/events", token: writer}, "jobs:read"},
		{request{method: "GET", path: "/api/v1/jobs/" + job.ID + "/events", token: writer}, "jobs:read"},
		{request{"POST", "/api/v1/jobs", reader, "k", "application/json", mail}, "jobs:write"},
		{request{method: "POST", path: "/api/v1/jobs/" + job.ID + "/cancel", token: reader}, "jobs:write"},
		{request{method: "POST", path: "/api/v1/jobs/" + job.ID + "/retry", token: reader}, "jobs:write"},
	} {
		resp := s.do(r.request)
		if p := decode[client.Problem](t, resp); resp.StatusCode != 403 || p.Code != client.ProblemCodeInsufficientScope || p.RequiredScope == nil || *p.RequiredScope != r.scope {
			t.Errorf("%s %s gave %d %s", r.method, r.path, resp.StatusCode, p.Code)
		}
	}
}

func TestPagesFollowEachOther(t *testing.T) {
	s := newService(t)
	token := s.key("acme", "*")
	for i := range 5 {
		s.create(token, fmt.Sprint(i), mail)
	}
	var ids []string
	path := "/api/v1/jobs?limit=2&kind=mail&state=ready&state=running"
	cursor := ""
	for range 4 {
		p := path
		if cursor != "" {
			p += "&cursor=" + cursor
		}
		page := decode[client.JobPage](t, s.do(request{method: "GET", path: p, token: token}))
		for _, job := range page.Data {
			ids = append(ids, job.ID)
		}
		if page.HasMore != (page.NextCursor != nil) {
			t.Errorf("has_more is %v and next_cursor %v", page.HasMore, page.NextCursor)
		}
		if page.NextCursor == nil {
			break
		}
		cursor = *page.NextCursor
	}
	for i := 1; i < len(ids); i++ {
		if ids[i] >= ids[i-1] {
			t.Errorf("the IDs %v do not fall", ids)
		}
	}
	if len(ids) != 5 {
		t.Errorf("%d jobs on all pages, want 5", len(ids))
	}
	for _, wrong := range []string{
		"/api/v1/jobs?limit=2&kind=other&cursor=" + cursor, // other filters
		"/api/v1/jobs?limit=2&kind=mail&state=ready&state=running&cursor=" + cursor[:len(cursor)-2] + "AA",
	} {
		if p := decode[client.Problem](t, s.do(request{method: "GET", path: wrong, token: token})); p.Code != client.ProblemCodeInvalidCursor {
			t.Errorf("%s gave %s", wrong, p.Code)
		}
	}
	other := s.do(request{method: "GET", path: path + "&cursor=" + cursor, token: s.key("other", "*")})
	if p := decode[client.Problem](t, other); p.Code != client.ProblemCodeInvalidCursor {
		t.Errorf("another tenant's cursor gave %s", p.Code)
	}
}

// A row that somebody has written by hand does not make the list unreadable.
func TestAJobThatWasSpoiltByHandHidesNoOther(t *testing.T) {
	s := newService(t)
	token := s.key("acme", "*")
	s.create(token, "1", mail)
	for id, args := range []string{"not json", "", "null", "[1]", "{\"open\":"} {
		bad := jobs.Insertion{Info: &jobs.Info{ID: jobs.ID(id + 1), Tenant: "acme", Kind: "mail", Queue: "q", Priority: 5, MaxAttempts: 1, Args: []byte(args)}}
		if _, err := s.stores.Jobs.Insert(t.Context(), []jobs.Insertion{bad}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	page := decode[client.JobPage](t, s.do(request{method: "GET", path: "/api/v1/jobs", token: token}))
	if len(page.Data) != 6 || string(page.Data[5].Args) != "{}" || string(page.Data[0].Args) == "{}" {
		t.Errorf("the list has %d jobs: %+v", len(page.Data), page.Data)
	}
}

func TestCancelAndRetry(t *testing.T) {
	s := newService(t)
	token := s.key("acme", "*")
	job := decode[client.Job](t, s.create(token, "k", mail))
	cancel := request{method: "POST", path: "/api/v1/jobs/" + job.ID + "/cancel", token: token}
	for range 2 {
		if got := decode[client.Job](t, s.do(cancel)); got.State != client.JobStateCancelled || got.FinishedAt == nil {
			t.Errorf("cancel gave %+v", got)
		}
	}
	retry := request{method: "POST", path: "/api/v1/jobs/" + job.ID + "/retry", token: token}
	if got := decode[client.Job](t, s.do(retry)); got.State != client.JobStateReady || got.FinishedAt != nil {
		t.Errorf("retry gave %+v", got)
	}
	work(t, s, job.ID)
	for _, r := range []request{cancel, retry} {
		if resp := s.do(r); resp.StatusCode != 409 {
			t.Errorf("%s of a completed job gave %d", r.path, resp.StatusCode)
		}
	}
	got := decode[client.Job](t, s.do(request{method: "GET", path: "/api/v1/jobs/" + job.ID, token: token}))
	if got.State != client.JobStateCompleted || string(got.Result) != `"hi"` || got.Attempt != 1 {
		t.Errorf("the job is %+v", got)
	}
}

// work runs the app until a job is over.
func work(tb testing.TB, s *service, id string) {
	tb.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.app.Run(ctx) }()
	parsed, err := jobs.ParseID(id)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := jobs.Await[any](ctx, s.app.Jobs.ForTenant("acme"), parsed); err != nil {
		tb.Errorf("Await = %v", err)
	}
	stop()
	if err := <-done; err != nil {
		tb.Errorf("Run = %v", err)
	}
}

// leaky is a store whose errors hold what nobody may see.
type leaky struct{ jobs.Store }

func (leaky) Get(context.Context, string, jobs.ID) (jobs.Info, error) {
	return jobs.Info{}, errors.New("dial postgres://root:hunter2@10.0.0.1/x: refused")
}

func (leaky) List(context.Context, jobs.ListQuery) ([]jobs.Info, error) { panic("hunter2") }

func TestErrorsOfTheServiceAreLoggedAndNotDescribed(t *testing.T) {
	stores := levqor.MemStores()
	stores.Jobs = leaky{stores.Jobs}
	s := newServiceOn(t, stores)
	token := s.key("acme", "*")
	for _, path := range []string{"/api/v1/jobs/job_00000000001", "/api/v1/jobs"} {
		resp := s.do(request{method: "GET", path: path, token: token})
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 500 || !strings.Contains(string(raw), `"code":"internal"`) || strings.Contains(string(raw), "hunter2") || strings.Contains(string(raw), `"detail"`) {
			t.Errorf("%s gave %d %s", path, resp.StatusCode, raw)
		}
		if !strings.Contains(s.log.String(), resp.Header.Get("Request-Id")) {
			t.Errorf("the log does not name the request: %s", s.log)
		}
	}
	if !strings.Contains(s.log.String(), "hunter2") {
		t.Error("the log does not hold the cause")
	}
}

func TestAnUnreachableDatabaseIsUnavailable(t *testing.T) {
	stores := levqor.MemStores()
	stores.Check = func(context.Context) error { return errors.New("dial 10.0.0.1: refused") }
	resp := newServiceOn(t, stores).do(request{method: "GET", path: "/readyz"})
	if p := decode[client.Problem](t, resp); resp.StatusCode != 503 || p.Code != client.ProblemCodeUnavailable || resp.Header.Get("Retry-After") == "" || p.Detail != nil {
		t.Errorf("the answer is %d %+v", resp.StatusCode, p)
	}
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	s := newService(t)
	for _, path := range []string{"/", "/healthz", "/nothing", "/api/v1/jobs"} {
		h := s.do(request{method: "GET", path: path}).Header
		if len(h.Get("Request-Id")) != 30 {
			t.Errorf("%s has the headers %v", path, h)
		}
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox", "Access-Control-Allow-Origin": "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s has %s: %s, want %s", path, name, got, want)
			}
		}
	}
}

func ExampleNew() {
	app, err := levqor.New(levqor.MemStores(), &levqor.Options{Secret: []byte("32 bytes from a random source ...")})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler, err := httpapi.New(app, &httpapi.Options{Version: "v1.2.3"})
	if err != nil {
		fmt.Println(err)
		return
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequest("GET", "/api/v1/version", nil))
	fmt.Println(rec.Code, rec.Body)
	// Output: 200 {"api":"0.1.0","version":"v1.2.3"}
}

func ExampleNewValidator() {
	err := httpapi.NewValidator().Struct(Mail{To: []Address{{Email: "nobody"}}})
	fmt.Println(err)
	// Output: /to/0/email: must be written as email: invalid
}

// manyNames returns entries of a JSON object.
func manyNames(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`"n%d":""`, i)
	}
	return all
}
