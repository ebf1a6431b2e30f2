package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/levqor/sdk"
	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/levqor/httpapi"
)

// contract checks answers against openapi.yaml.
type contract struct {
	doc    *openapi3.T
	driven map[string]bool
}

func loadContract(tb testing.TB) *contract {
	tb.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(sdk.OpenAPI)
	if err != nil {
		tb.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		tb.Fatal(err)
	}
	// The contract is a text to the validator, which would parse it as YAML.
	openapi3filter.RegisterBodyDecoder("application/openapi+yaml",
		func(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
			raw, err := io.ReadAll(body)
			return string(raw), err
		})
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.RegisteredBodyDecoder("application/openapi+yaml"))
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.RegisteredBodyDecoder("application/openapi+yaml"))
	return &contract{doc: doc, driven: map[string]bool{}}
}

// find returns the operation of a request. A path with a parameter gives way to one
// without.
func (c *contract) find(r *http.Request) (found *routers.Route) {
	for path, item := range c.doc.Paths.Map() {
		op := item.GetOperation(r.Method)
		if op != nil && matches(path, r.URL.Path) && (found == nil || path == r.URL.Path) {
			found = &routers.Route{Spec: c.doc, Path: path, PathItem: item, Method: r.Method, Operation: op}
		}
	}
	return found
}

func matches(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	return len(want) == len(got) && !slices.ContainsFunc(want, func(part string) bool {
		i := slices.Index(want, part)
		return part != got[i] && (!strings.HasPrefix(part, "{") || got[i] == "")
	})
}

// check returns what is wrong with an answer by the contract.
func (c *contract) check(r *http.Request, resp *http.Response, body []byte) error {
	problem := resp.Header.Get("Content-Type") == "application/problem+json"
	if resp.StatusCode >= 400 && !problem {
		return errors.New("an error that is no problem+json")
	}
	route := c.find(r)
	if route == nil {
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed {
			return errors.New("an answer to an unknown operation")
		}
		return nil
	}
	c.driven[route.Operation.OperationID] = true
	if problem {
		listed, _ := route.Operation.Extensions["x-problems"].([]any)
		if code := codeOf(body); !slices.Contains(listed, any(code)) {
			return errors.New("the problem " + code + " is not listed")
		}
	}
	return openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: route},
		Status:                 resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
}

func codeOf(body []byte) string {
	_, rest, _ := strings.Cut(string(body), `"code":"`)
	if i := strings.Index(string(body), `"errors":[`); i >= 0 { // the code of the problem, not of a field
		_, rest, _ = strings.Cut(string(body[:i]), `"code":"`)
	}
	code, _, _ := strings.Cut(rest, `"`)
	return code
}

// RoundTrip sends a request to the handler and checks the answer.
type checkedTransport struct {
	testing.TB
	handler  http.Handler
	contract *contract
}

func (c checkedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	c.handler.ServeHTTP(rec, r)
	resp := rec.Result()
	if err := c.contract.check(r, resp, rec.Body.Bytes()); err != nil {
		c.Errorf("%s %s: %d: %v\n%s", r.Method, r.URL, resp.StatusCode, err, rec.Body)
	}
	return resp, nil
}

func TestEveryOperationAnswersAsTheContractSays(t *testing.T) {
	s := newService(t)
	spec := loadContract(t)
	newClient := func(key string) *client.Service {
		c, err := client.New("http://levqor.test", &client.Options{
			Key: key, HTTPClient: &http.Client{Transport: checkedTransport{t, s.handler, spec}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ctx := t.Context()
	c, op, stranger := newClient(s.key("acme", "*")), newClient(s.key("default", "*")), newClient("")

	labels := map[string]string{"request": "r-1"}
	job, err := c.CreateJob(ctx, client.NewJob{Kind: "mail", Args: []byte(`{"to":[{"email":"ada@example.com"}],"body":"hi"}`), Metadata: labels}, "")
	if err != nil {
		t.Fatalf("CreateJob = %v", err)
	}
	for _, want := range []client.JobState{client.JobStateCancelled, client.JobStateReady} {
		do := c.CancelJob
		if want == client.JobStateReady {
			do = c.RetryJob
		}
		if job, err = do(ctx, job.ID); err != nil || job.State != want {
			t.Errorf("the job is %+v, %v; want %s", job, err, want)
		}
	}
	streamed(t, s, c, spec)
	work(t, s, job.ID)
	if job, err = c.WaitJob(ctx, job.ID); err != nil || string(job.Result) != `"hi"` || !maps.Equal(job.Metadata, labels) {
		t.Errorf("WaitJob = %+v, %v", job, err)
	}
	if lines, err := c.JobLog(ctx, job.ID, &client.GetJobLogParams{Limit: new(5)}); err != nil || len(lines) != 1 || lines[0].Text != "hi" {
		t.Errorf("JobLog = %+v, %v; want the handler's line", lines, err)
	}
	for job, err := range c.Jobs(ctx, nil) {
		if err != nil || job.Kind != "mail" {
			t.Errorf("Jobs gave %+v, %v", job, err)
		}
	}
	unique := client.NewJob{Kind: "mail", Args: []byte(`{"to":[{"email":"ada@example.com"}]}`), Unique: &client.Unique{
		PeriodSeconds: new(86400.0), Over: []client.UniqueOver{client.UniqueOverCompleted, client.UniqueOverDiscarded},
	}}
	first, err := c.CreateJob(ctx, unique, "")
	if err != nil || first.Duplicate != nil {
		t.Fatalf("CreateJob = %+v, %v", first, err)
	}
	for _, key := range []string{"k", "k"} { // the second repeats the answer
		if again, err := c.CreateJob(ctx, unique, key); err != nil || again.ID != first.ID || again.Duplicate == nil {
			t.Errorf("CreateJob = %+v, %v; want the job that is there", again, err)
		}
	}
	_, err = c.CreateJob(ctx, client.NewJob{Kind: "mail", Args: []byte(`{"to":7}`)}, "")
	var answer *client.Error
	if !errors.As(err, &answer) || !errors.Is(err, client.ErrInvalid) || fieldsOf(answer.Problem) != "#/args/to wrong_type" {
		t.Errorf("CreateJob = %v", err)
	}
	if _, err := c.GetJob(ctx, "job_nope"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("GetJob = %v, want ErrNotFound", err)
	}
	if _, err := c.CancelJob(ctx, job.ID); !errors.Is(err, client.ErrConflict) {
		t.Errorf("CancelJob = %v, want ErrConflict", err)
	}
	if _, err := stranger.GetJob(ctx, job.ID); !errors.Is(err, client.ErrUnauthenticated) {
		t.Errorf("GetJob without a key = %v, want ErrUnauthenticated", err)
	}
	if n, err := c.ChangeJobs(ctx, client.BulkChange{Operation: client.BulkChangeOperationCancel, Filter: client.JobFilter{Kind: new("mail")}}); err != nil || n != 1 {
		t.Errorf("ChangeJobs = %d, %v; want the unique job cancelled", n, err)
	}
	counts(t, s, c, op)
	queues(t, op)
	schedules(t, c)
	apiKeys(t, c)
	securityEvents(t, c)
	resealed(t, op)
	calledPeople(t, s, newClient)
	emailChange(t, s, spec)
	system(t, stranger.API())

	for path, item := range spec.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if !spec.driven[op.OperationID] {
				t.Errorf("%s %s was not called", method, path)
			}
		}
	}
}

// streamed calls the operations that answer with streams.
func streamed(t *testing.T, s *service, c *client.Service, spec *contract) {
	t.Helper()
	over, err := c.CreateJob(t.Context(), client.NewJob{Kind: "mail", Args: []byte(`{"to":[{"email":"ada@example.com"}]}`)}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CancelJob(t.Context(), over.ID); err != nil {
		t.Fatal(err)
	}
	for job, err := range c.WatchJob(t.Context(), over.ID) {
		if err != nil || job.State != client.JobStateCancelled {
			t.Errorf("WatchJob gave %+v, %v", job, err)
		}
	}
	for _, err := range c.WatchJob(t.Context(), "job_nope") {
		if !errors.Is(err, client.ErrNotFound) {
			t.Errorf("WatchJob = %v, want ErrNotFound", err)
		}
	}
	list := s.stream("/api/v1/jobs/events?limit=5&state=cancelled&kind=mail", s.key("acme", "jobs:read"))
	list.wait(t, over.ID)
	resp := list.end()
	raw, _ := io.ReadAll(resp.Body)
	if err := spec.check(list.request, resp, raw); err != nil {
		t.Errorf("the stream is %d %s: %v", resp.StatusCode, raw, err)
	}
}

// queues calls the operations on queues.
func queues(t *testing.T, c *client.Service) {
	t.Helper()
	ctx := t.Context()
	settings := client.QueueSettings{MaxPerKey: new(3), RatePerKey: &client.Rate{Count: 5, PerSeconds: 0.5}, Weights: map[string]int{"acme": 2}}
	put, err := c.PutQueue(ctx, "mail", "", settings)
	if err != nil {
		t.Fatalf("PutQueue = %v", err)
	}
	if *put.MaxPerKey != 3 || *put.RatePerKey != *settings.RatePerKey || put.Weights["acme"] != 2 || put.MaxRunning != nil {
		t.Errorf("PutQueue = %+v", put)
	}
	for _, want := range []bool{true, false} {
		do := c.PauseQueue
		if !want {
			do = c.ResumeQueue
		}
		if got, err := do(ctx, "mail"); err != nil || got.Paused != want || *got.MaxPerKey != 3 {
			t.Errorf("the queue is %+v, %v", got, err)
		}
	}
	if all, err := c.Queues(ctx); err != nil || len(all) != 1 || all[0].Queue != "mail" {
		t.Errorf("Queues = %+v, %v", all, err)
	}
	if health, err := c.JobsHealth(ctx); err != nil || health.OldestReadyQueue != nil {
		t.Errorf("JobsHealth = %+v, %v; want no job that waits", health, err)
	}
	none, version, err := c.GetQueue(ctx, "other")
	if err != nil || none.Paused || none.Queue != "other" {
		t.Errorf("GetQueue = %+v, %v", none, err)
	}
	if _, err := c.PutQueue(ctx, "other", version, settings); err != nil {
		t.Errorf("PutQueue of a version = %v", err)
	}
	_, err = c.PutQueue(ctx, "other", version, client.QueueSettings{})
	wantOldVersion(t, "PutQueue", err)
}

// schedules calls the operations on schedules.
func schedules(t *testing.T, c *client.Service) {
	t.Helper()
	ctx := t.Context()
	args, labels := []byte(`{"to":[{"email":"ada@example.com"}]}`), map[string]string{"source": "test"}
	for _, name := range []string{"weekly", "daily", "hourly"} {
		put, err := c.PutSchedule(ctx, name, "", client.NewSchedule{Spec: "30 9 * * MON", TimeZone: new("Europe/Berlin"), Kind: "mail", Args: args, Metadata: labels})
		if err != nil || !maps.Equal(put.Metadata, labels) || put.Name != name || len(put.Upcoming) != 5 || put.NextAt == nil || !put.Upcoming[0].Equal(*put.NextAt) {
			t.Errorf("PutSchedule = %+v, %v", put, err)
		}
	}
	var names []string
	for schedule, err := range c.Schedules(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, schedule.Name)
	}
	if !slices.Equal(names, []string{"daily", "hourly", "weekly"}) {
		t.Errorf("Schedules gave %v", names)
	}
	for _, want := range []bool{true, false} {
		do := c.PauseSchedule
		if !want {
			do = c.ResumeSchedule
		}
		if got, err := do(ctx, "daily"); err != nil || got.Paused != want {
			t.Errorf("the schedule is %+v, %v", got, err)
		}
	}
	first, err := c.RunSchedule(ctx, "daily", "key")
	if err != nil {
		t.Fatalf("RunSchedule = %v", err)
	}
	if again, err := c.RunSchedule(ctx, "daily", "key"); err != nil || again.JobID != first.JobID {
		t.Errorf("RunSchedule again = %+v, %v; want the same job", again, err)
	}
	fires, err := c.Fires(ctx, "daily", &client.ListFiresParams{Limit: new(5)})
	if err != nil || len(fires) != 1 || fires[0].JobID != first.JobID {
		t.Errorf("Fires = %+v, %v", fires, err)
	}
	if job, err := c.GetJob(ctx, first.JobID); err != nil || job.Kind != "mail" || !maps.Equal(job.Metadata, labels) {
		t.Errorf("GetJob = %+v, %v", job, err)
	}
	if err := c.DeleteSchedule(ctx, "daily"); err != nil {
		t.Errorf("DeleteSchedule = %v", err)
	}
	if err := c.DeleteSchedule(ctx, "daily"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("DeleteSchedule again = %v, want ErrNotFound", err)
	}
	got, version, err := c.GetSchedule(ctx, "hourly")
	if err != nil || got.TimeZone != "Europe/Berlin" || got.CatchUp != client.CatchUpLatest {
		t.Errorf("GetSchedule = %+v, %v", got, err)
	}
	if _, err := c.PutSchedule(ctx, "hourly", version, client.NewSchedule{Spec: "every 2h", Kind: "mail", Args: args}); err != nil {
		t.Errorf("PutSchedule of a version = %v", err)
	}
	_, err = c.PutSchedule(ctx, "hourly", version, client.NewSchedule{Spec: "every 3h", Kind: "mail", Args: args})
	wantOldVersion(t, "PutSchedule", err)
}

// apiKeys calls the operations on API keys.
func apiKeys(t *testing.T, c *client.Service) {
	t.Helper()
	ctx := t.Context()
	ends := time.Date(2040, 1, 2, 3, 4, 5, 0, time.UTC)
	key, err := c.CreateAPIKey(ctx, client.NewAPIKey{
		Name: "ci", Scopes: []string{"jobs:read"}, AllowedNetworks: []string{"192.0.2.0/24", "2001:db8::1"}, ExpiresAt: &ends,
	}, "")
	if err != nil {
		t.Fatalf("CreateAPIKey = %v", err)
	}
	if key.Token == nil || !strings.HasPrefix(*key.Token, key.Prefix) || !strings.HasSuffix(*key.Token, key.LastFour) || !key.ExpiresAt.Equal(ends) ||
		!slices.Equal(key.AllowedNetworks, []string{"192.0.2.0/24", "2001:db8::1/128"}) || key.CreatedBy == nil {
		t.Errorf("CreateAPIKey = %+v", key)
	}
	for _, name := range []string{"second", "third"} {
		if _, err := c.CreateAPIKey(ctx, client.NewAPIKey{Name: name, Scopes: []string{"*"}}, name); err != nil {
			t.Fatalf("CreateAPIKey = %v", err)
		}
	}
	_, version, err := c.GetAPIKey(ctx, key.ID)
	if err != nil {
		t.Errorf("GetAPIKey = %v", err)
	}
	if got, err := c.UpdateAPIKey(ctx, key.ID, version, client.APIKeyChange{Name: new("cd"), AllowedNetworks: &[]string{}}); err != nil || got.Name != "cd" || len(got.AllowedNetworks) > 0 {
		t.Errorf("UpdateAPIKey = %+v, %v", got, err)
	}
	_, err = c.UpdateAPIKey(ctx, key.ID, version, client.APIKeyChange{Name: new("ce")})
	wantOldVersion(t, "UpdateAPIKey", err)
	rotated, err := c.RotateAPIKey(ctx, key.ID, client.APIKeyRotation{})
	if err != nil || rotated.Token == nil || *rotated.Token == *key.Token || rotated.RetiringUntil.Sub(*rotated.RotatedAt) != 24*time.Hour {
		t.Errorf("RotateAPIKey = %+v, %v", rotated, err)
	}
	var answer *client.Error
	_, err = c.RotateAPIKey(ctx, key.ID, client.APIKeyRotation{OverlapSeconds: new(0)})
	if !errors.Is(err, client.ErrConflict) || !errors.As(err, &answer) || answer.Code != client.ProblemCodeRotationInProgress {
		t.Errorf("RotateAPIKey again = %v, want rotation_in_progress", err)
	}
	if err := c.RevokeAPIKey(ctx, key.ID); err != nil {
		t.Errorf("RevokeAPIKey = %v", err)
	}
	if got, _, err := c.GetAPIKey(ctx, key.ID); err != nil || got.RevokedAt == nil || got.Token != nil {
		t.Errorf("GetAPIKey = %+v, %v; want a revoked key without its token", got, err)
	}
	if _, err := c.UpdateAPIKey(ctx, key.ID, "", client.APIKeyChange{}); !errors.Is(err, client.ErrConflict) {
		t.Errorf("UpdateAPIKey of a revoked key = %v, want ErrConflict", err)
	}
	if err := c.RevokeAPIKey(ctx, "key_nope"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("RevokeAPIKey = %v, want ErrNotFound", err)
	}
	for revoked, want := range map[bool]string{false: "third second test", true: "third second cd test"} {
		var names []string
		for got, err := range c.APIKeys(ctx, &client.ListAPIKeysParams{Limit: new(1), IncludeRevoked: &revoked}) {
			if err != nil || got.Token != nil {
				t.Fatalf("APIKeys gave %+v, %v", got, err)
			}
			if len(names) == 0 || names[len(names)-1] != got.Name { // others have made keys called test
				names = append(names, got.Name)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("APIKeys gave %q, want %q", got, want)
		}
	}
}

// resealed calls the operation that seals secrets anew, and finds its kind reserved.
func resealed(t *testing.T, c *client.Service) {
	t.Helper()
	job, err := c.ResealSecrets(t.Context())
	if err != nil || job.Kind != "levqor.reseal" {
		t.Fatalf("ResealSecrets = %+v, %v", job, err)
	}
	if again, err := c.ResealSecrets(t.Context()); err != nil || again.ID != job.ID || again.Duplicate == nil {
		t.Errorf("ResealSecrets again = %+v, %v; want the same job", again, err)
	}
	if _, err := c.CreateJob(t.Context(), client.NewJob{Kind: job.Kind, Args: []byte("{}")}, ""); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("CreateJob of a kind of the service = %v, want ErrInvalid", err)
	}
	if _, err := c.PutSchedule(t.Context(), "r", "", client.NewSchedule{Spec: "every 1h", Kind: job.Kind, Args: []byte("{}")}); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("PutSchedule of a kind of the service = %v, want ErrInvalid", err)
	}
}

// system calls the operations that need no key.
func system(t *testing.T, api *client.ClientWithResponses) {
	t.Helper()
	version, err := api.GetVersionWithResponse(t.Context())
	if err != nil || version.JSON200 == nil || version.JSON200.Version != "v1.2.3" {
		t.Errorf("GetVersion = %+v, %v", version, err)
	}
	if resp, err := api.GetOpenAPIWithResponse(t.Context()); err != nil || !bytes.Equal(resp.Body, sdk.OpenAPI) {
		t.Errorf("GetOpenAPI did not give the contract, %v", err)
	}
	if resp, err := api.GetHealthWithResponse(t.Context()); err != nil || resp.JSON200 == nil {
		t.Errorf("GetHealth = %v", err)
	}
	// The app has drained, so it is not ready.
	if resp, err := api.GetReadinessWithResponse(t.Context()); err != nil || resp.ApplicationProblemJSONDefault == nil {
		t.Errorf("GetReadiness = %v", err)
	}
}

// FuzzHTTP sends anything at all. No answer may be an error of the service, and
// each must be one that the contract lists.
func FuzzHTTP(f *testing.F) {
	s := newKinds(f)
	spec := loadContract(f)
	token := s.key("acme", "*")
	for _, seed := range []struct{ method, target, header, body string }{
		{"GET", "/api/v1/jobs", "", ""},
		{"GET", "/api/v1/jobs?limit=2&state=ready&cursor=AAAA", "", ""},
		{"GET", "/api/v1/jobs?kind=%00&queue=%ff", "", ""},
		{"POST", "/api/v1/jobs", "Idempotency-Key: a", mail},
		{"POST", "/api/v1/jobs", "Idempotency-Key: a", `{"kind":"mail","args":{"to":[{"email":"a@b.cd"}]},"run_at":"9999-12-31T23:59:59Z","timeout_seconds":0.001}`},
		{"POST", "/api/v1/jobs", "Idempotency-Key: b", `{"kind":"mail","args":{},"delay_seconds":1e308,"priority":1e99}`},
		{"POST", "/api/v1/jobs", "Idempotency-Key: c", strings.TrimSuffix(mail, "}") + `,"priority":1.0,"max_attempts":1e0}`},
		{"POST", "/api/v1/jobs", "Idempotency-Key: d", strings.TrimSuffix(mail, "}") + `,"run_at":"2030-12-31T23:59:60Z"}`},
		{"POST", "/api/v1/jobs", "Idempotency-Key: e", strings.TrimSuffix(mail, "}") + `,"run_at":"9999-12-31T23:59:59-23:59"}`},
		{"POST", "/api/v1/jobs", "Idempotency-Key: f", `{"kind":"report","args":{"parts":[{"tags":null}],"by_name":{"a":{}},"pair":[1],"quoted":"7","any":[1e999]}}`},
		{"POST", "/api/v1/jobs", "Idempotency-Key: g", `{"kind":"tree","args":{"left":{"more":[{"trees":{"a":{"b":null}}}]}}}`},
		{"PUT", "/api/v1/schedules/a", "", `{"spec":"*/5 * * * *","time_zone":"Europe/Berlin","catch_up":"all","max_catch_up":3,"kind":"mail","args":{"to":[]}}`},
		{"PUT", "/api/v1/schedules/a", "", `{"spec":"every 1s","kind":"mail","args":{"to":[]}}`},
		{"PUT", "/api/v1/schedules/b", "", `{"spec":"at 2030-01-01T00:00:00Z","time_zone":"\u0000","kind":"mail","args":{"to":[]}}`},
		{"POST", "/api/v1/schedules/a/run", "Idempotency-Key: a", ""},
		{"POST", "/api/v1/schedules/a/resume", "", ""},
		{"POST", "/api/v1/api-keys", "Idempotency-Key: a", `{"name":"a","scopes":["jobs:read","*"],"allowed_networks":["::ffff:1.2.3.4/97","1.2.3.4"],"expires_at":"0001-01-01T00:00:00Z"}`},
		{"POST", "/api/v1/api-keys", "Idempotency-Key: b", `{"name":"\u0000","scopes":["é"],"expires_at":"9999-12-31T23:59:59-23:59"}`},
		{"GET", "/api/v1/api-keys?include_revoked=true&limit=1&cursor=AAAA", "", ""},
		{"PATCH", "/api/v1/api-keys/key_%00", "", `{"allowed_networks":["fe80::1%eth0"]}`},
		{"PATCH", "/api/v1/api-keys/key_7Qd2mX0aB9LkT4vYw8RjC3", "", `{"name":null}`},
		{"POST", "/api/v1/api-keys/key_7Qd2mX0aB9LkT4vYw8RjC3/rotate", "", `{"overlap_seconds":1e3}`},
		{"DELETE", "/api/v1/api-keys/key_7Qd2mX0aB9LkT4vYw8RjC3", "", ""},
		{"POST", "/api/v1/secret-scanning/github", "Github-Public-Key-Identifier: a", `[{"token":"x"}]`},
		{"POST", "/api/v1/user/email-change", "", `{"email":"\u0000@b.cd"}`},
		{"POST", "/api/v1/user/email-change/confirm", "", `{"id":"a","code":"é","secret":"\u0000","match":"42"}`},
		{"GET", "/api/v1/schedules?cursor=AAAA&limit=1", "", ""},
		{"GET", "/api/v1/schedules/%ff/fires?before=2030-01-01T00:00:00Z", "", ""},
		{"DELETE", "/api/v1/schedules/%00", "", ""},
		{"POST", "/api/v1/jobs/bulk", "", `{"operation":"retry","filter":{"states":["discarded"],"kind":"mail","created_from":"2026-01-01T00:00:00Z"}}`},
		{"POST", "/api/v1/jobs/bulk", "", `{"operation":"move","queue":"q","filter":{},"cursor":"AAAA"}`},
		{"PUT", "/api/v1/queues/q", "", `{"max_running":1,"rate":{"count":1,"per_seconds":1e-3},"weights":{"a b":1,"":2}}`},
		{"POST", "/api/v1/queues/%2F/pause", "", ""},
		{"GET", "/api/v1/job-counts", "", ""},
		{"GET", "/api/v1/job-counts/all?x=1", "", ""},
		{"GET", "/api/v1/dead-letters", "", "x"},
		{"GET", "/api/v1//jobs/x", "", ""},
		{"POST", "/api/v1/jobs/x/./cancel", "", ""},
		{"POST", "/api/v1/jobs", "Content-Type: text/xml", "<x/>"},
		{"POST", "/api/v1/jobs/job_00000000001/cancel", "", ""},
		{"POST", "/api/v1/jobs/%00/retry", "", "x"},
		{"GET", "/api/v1/jobs/job_zzzzzzzzzzz", "", ""},
		{"GET", "/api/v1/jobs/events?limit=2&state=ready&kind=mail", "", ""},
		{"GET", "/api/v1/jobs/job_zzzzzzzzzzz/events", "Last-Event-ID: 7", ""},
		{"GET", "/api/v1/jobs/events/events", "Last-Event-ID: -1", ""},
		{"HEAD", "/api/v1/jobs/events", "", ""},
		{"PATCH", "/api/v1/jobs", "", ""},
		{"OPTIONS", "*", "", ""},
		{"HEAD", "/healthz", "", ""},
		{"GET", "/readyz?x=;", "", ""},
		{"GET", "//../api/v1/version", "", ""},
		{"GET", "/api/v1/openapi.yaml", "Accept: text/html", ""},
	} {
		f.Add(seed.method, seed.target, seed.header, seed.body)
	}
	f.Fuzz(func(t *testing.T, method, target, header, body string) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // for streams
		defer cancel()
		raw := method + " " + target + " HTTP/1.1\r\nHost: levqor.test\r\n"
		r, err := http.NewRequestWithContext(ctx, method, "http://levqor.test", strings.NewReader(body))
		if err != nil || strings.ContainsAny(raw[:len(method)+1+len(target)], "\r\n") {
			return // net/http refuses the request line
		}
		if r.URL, err = r.URL.Parse(target); err != nil {
			return // net/http refuses the target
		}
		r.RequestURI = target
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		if name, value, ok := strings.Cut(header, ":"); ok {
			r.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
		}
		rec := httptest.NewRecorder()
		s.handler.ServeHTTP(rec, r)
		resp := rec.Result()
		if resp.StatusCode >= 500 && ctx.Err() == nil {
			t.Fatalf("%s %q %q %q gave %d %s\n%s", method, target, header, body, resp.StatusCode, rec.Body, s.log)
		}
		if r.Method == http.MethodHead {
			return // net/http drops the body
		}
		if err := spec.check(r, resp, rec.Body.Bytes()); err != nil {
			t.Fatalf("%s %q %q %q gave %d %s\n%v", method, target, header, body, resp.StatusCode, rec.Body, err)
		}
	})
}

func TestServeDrainsOpenRequests(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	begun, finish := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		_, _ = io.WriteString(w, "done")
	})
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- httpapi.Serve(ctx, listener, handler, nil) }()
	answered := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + listener.Addr().String())
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		raw, _ := io.ReadAll(resp.Body)
		answered <- string(raw)
	}()
	<-begun
	stop()
	time.AfterFunc(50*time.Millisecond, func() { close(finish) })
	if got := <-answered; got != "done" {
		t.Errorf("the open request got %q", got)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

func TestServeCutsOffWhatTakesTooLong(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	defer close(release)
	begun := make(chan struct{})
	cut := make(chan struct{})
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		select {
		case <-r.Context().Done():
			close(cut)
		case <-release:
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- httpapi.Serve(ctx, listener, handler, &httpapi.ServeOptions{Grace: 10 * time.Millisecond})
	}()
	go func() {
		if resp, err := http.Get("http://" + listener.Addr().String()); err == nil {
			resp.Body.Close()
		}
	}()
	<-begun
	stop()
	if err := <-served; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Serve = %v, want that requests were cut off", err)
	}
	select {
	case <-cut:
	case <-time.After(5 * time.Second):
		t.Error("the request goes on")
	}
}

// securityEvents calls the operations on security events.
func securityEvents(t *testing.T, c *client.Service) {
	t.Helper()
	ctx := t.Context()
	var listed, exported []int64
	for e, err := range c.SecurityEvents(ctx, &client.ListSecurityEventsParams{Limit: new(1)}) {
		if err != nil || e.Actor == nil || e.Address == nil || e.RequestID == nil {
			t.Fatalf("SecurityEvents gave %+v, %v", e, err)
		}
		listed = append(listed, e.Seq)
	}
	for e, err := range c.SecurityEvents(ctx, &client.ListSecurityEventsParams{Action: new(client.SecurityActionKeyRotated), Outcome: new(client.SecurityOutcomeSuccess), Until: new(time.Now().Add(time.Hour))}) {
		if err != nil || e.Action != client.SecurityActionKeyRotated || e.Target == nil {
			t.Errorf("SecurityEvents gave %+v, %v", e, err)
		}
	}
	for e, err := range c.ExportSecurityEvents(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		exported = append(exported, e.Seq)
	}
	slices.Reverse(listed)
	if len(listed) < 5 || !slices.Equal(exported, append(listed, int64(len(listed)+1))) {
		t.Errorf("the list has %v and the export %v", listed, exported)
	}
	report, err := c.VerifySecurityEvents(ctx)
	if err != nil || !report.Whole || report.Last != int64(len(exported)) || report.Checked != report.Last || len(report.Mac) != 32 {
		t.Errorf("VerifySecurityEvents = %+v, %v", report, err)
	}
}
