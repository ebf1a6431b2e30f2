package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpapi"
)

// newLimited returns a service with limits, and answers that are checked by the contract.
func newLimited(tb testing.TB, stores levqor.Stores, limits guard.Limits) *service {
	tb.Helper()
	s := newServiceWith(tb, stores, limits)
	handler, err := httpapi.New(s.app, &httpapi.Options{
		Logger: slog.New(slog.NewTextHandler(s.log, nil)), TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")},
	})
	if err != nil {
		tb.Fatal(err)
	}
	spec := loadContract(tb)
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := checkedTransport{tb, handler, spec}.RoundTrip(r)
		if err != nil {
			tb.Error(err)
			return
		}
		maps.Copy(w.Header(), resp.Header)
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	})
	return s
}

func perHour(limit int) guard.Policy { return guard.Policy{Limit: limit, Window: time.Hour} }

// wantLimited checks an answer and what it says of the limit.
func wantLimited(tb testing.TB, resp *http.Response, status int, policy, left string) {
	tb.Helper()
	if got := resp.Header.Get("RateLimit"); resp.StatusCode != status || got != left || resp.Header.Get("RateLimit-Policy") != policy {
		tb.Errorf("the answer is %d, RateLimit-Policy: %s, RateLimit: %s; want %d, %s, %s", resp.StatusCode, resp.Header.Get("RateLimit-Policy"), got, status, policy, left)
	}
}

func TestEveryAnswerSaysWhatIsLeft(t *testing.T) {
	s := newLimited(t, levqor.MemStores(), guard.Limits{Reads: perHour(3600), Writes: perHour(1800), Bulk: perHour(2), Protected: perHour(3)})
	token, reader := s.key("acme", "*"), s.key("acme", "jobs:read")
	const read, write, bulk = `"read";q=3600;w=3600`, `"write";q=1800;w=3600`, `"bulk";q=2;w=3600`
	wantLimited(t, s.do(request{"GET", "/api/v1/jobs", token, "", "", ""}), 200, read, `"read";r=3599;t=1`)
	wantLimited(t, s.do(request{"GET", "/api/v1/jobs?limit=0", token, "", "", ""}), 400, read, `"read";r=3598;t=2`)
	wantLimited(t, s.do(request{"GET", "/api/v1/jobs/job_nope", token, "", "", ""}), 404, read, `"read";r=3597;t=3`)
	wantLimited(t, s.create(token, "k", "{"), 400, write, `"write";r=1799;t=2`)
	wantLimited(t, s.create(reader, "k", mail), 403, write, `"write";r=1799;t=2`)
	wantLimited(t, s.do(request{"POST", "/api/v1/jobs/bulk", token, "", "application/json", `{"operation":"cancel","filter":{}}`}), 200, bulk, `"bulk";r=1;t=1800`)
	for i, left := range []string{`"protected";r=2;t=1200`, `"protected";r=1;t=2400`, `"protected";r=0;t=3600`, `"protected";r=0;t=1200`} {
		r := request{"GET", "/api/v1/security-events/export", token, "", "", ""}
		if i == 0 {
			r = request{"POST", "/api/v1/api-keys", token, "k", "application/json", `{"name":"ci","scopes":["jobs:read"]}`}
		}
		wantLimited(t, s.do(r), []int{201, 200, 200, 429}[i], `"protected";q=3;w=3600`, left)
	}
	wantLimited(t, s.do(request{"GET", "/api/v1/jobs", "", "", "", ""}), 401, `"failure";q=60;w=60`, `"failure";r=59;t=1`)
	for _, path := range []string{"/healthz", "/readyz", "/api/v1/version", "/api/v1/openapi.yaml"} {
		wantLimited(t, s.do(request{"GET", path, "", "", "", ""}), 200, "", "")
	}
	wantLimited(t, s.do(request{"GET", "/nope", token, "", "", ""}), 404, "", "")
}

func TestACallTooManyIsToldWhenToComeBack(t *testing.T) {
	s := newLimited(t, levqor.MemStores(), guard.Limits{Reads: perHour(2), Writes: perHour(1)})
	token, other := s.key("acme", "*"), s.key("acme", "*")
	for range 2 {
		if resp := s.do(request{"GET", "/api/v1/jobs", token, "", "", ""}); resp.StatusCode != 200 {
			t.Fatalf("the answer is %d", resp.StatusCode)
		}
	}
	for range 3 {
		resp := s.do(request{"GET", "/api/v1/jobs", token, "", "", ""})
		wantLimited(t, resp, 429, `"read";q=2;w=3600`, `"read";r=0;t=1800`)
		problem := decode[client.Problem](t, resp)
		if problem.Code != client.ProblemCodeRateLimited || !slices.Equal(problem.ViolatedPolicies, []string{"read"}) || resp.Header.Get("Retry-After") != "1800" {
			t.Errorf("the problem is %+v, to come back in %s", problem, resp.Header.Get("Retry-After"))
		}
	}
	wantLimited(t, s.do(request{"GET", "/api/v1/jobs", other, "", "", ""}), 200, `"read";q=2;w=3600`, `"read";r=1;t=1800`)
	s.create(token, "k", "{")
	body := &unread{}
	req := httptest.NewRequest("POST", "/api/v1/jobs", body)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	if rec.Code != 429 || body.read {
		t.Errorf("the answer is %d, and the body was read: %v", rec.Code, body.read)
	}
}

// unread knows whether it was read.
type unread struct{ read bool }

func (u *unread) Read([]byte) (int, error) {
	u.read = true
	return 0, io.EOF
}

func TestGuessingIsSlowedDownAndLocksNobodyOut(t *testing.T) {
	s := newLimited(t, levqor.MemStores(), guard.Limits{Failures: perHour(3)})
	token := s.key("acme", "*")
	guess := func(from, token string) *http.Response {
		req := httptest.NewRequest("GET", "/api/v1/jobs", nil) // from 192.0.2.1, the proxy
		req.Header.Set("X-Forwarded-For", from)
		req.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		s.handler.ServeHTTP(rec, req)
		return rec.Result()
	}
	wrong := token[:len(token)-1] + "!"
	for i := range 6 {
		want := 401
		if i >= 3 {
			want = 429
		}
		if resp := guess(fmt.Sprintf("6.6.6.%[1]d, 2001:db8::%[1]d", i), wrong); resp.StatusCode != want {
			t.Errorf("guess %d gave %d, want %d", i, resp.StatusCode, want)
		}
	}
	if resp := guess("2001:db8::1", token); resp.StatusCode != 200 {
		t.Errorf("the right key from the same address gave %d", resp.StatusCode)
	}
	if resp := guess("2001:db8:0:1::1", wrong); resp.StatusCode != 401 {
		t.Errorf("another network gave %d", resp.StatusCode)
	}
	if log := s.log.String(); strings.Contains(log, "2001:db8") {
		t.Errorf("the log holds addresses: %s", log)
	}
}

func TestNoLimitIsNone(t *testing.T) {
	none := guard.Policy{Limit: -1}
	s := newLimited(t, levqor.MemStores(), guard.Limits{Reads: none, Writes: none, Bulk: none, Failures: none})
	wantLimited(t, s.do(request{"GET", "/api/v1/jobs", s.key("acme", "*"), "", "", ""}), 200, "", "")
	wantLimited(t, s.do(request{"GET", "/api/v1/jobs", "", "", "", ""}), 401, "", "")
}

// away is a store that cannot be reached.
type away struct{ guard.LimitStore }

func (away) Take(context.Context, []guard.Draw, time.Time) ([]guard.Level, error) {
	return nil, fault.Opaque(fault.ErrUnavailable, fmt.Errorf("connection lost"))
}

func TestWithoutCountsReadingGoesOn(t *testing.T) {
	stores := levqor.MemStores()
	stores.Rates = away{stores.Rates}
	s := newLimited(t, stores, guard.Limits{})
	token := s.key("acme", "*")
	wantLimited(t, s.do(request{"GET", "/api/v1/jobs", token, "", "", ""}), 200, "", "")
	wantLimited(t, s.do(request{"GET", "/api/v1/jobs", "", "", "", ""}), 401, "", "")
	if n := strings.Count(s.log.String(), "request not counted"); n != 2 {
		t.Errorf("it was logged %d times:\n%s", n, s.log)
	}
	wantLimited(t, s.create(token, "k", mail), 503, "", "")
}

// A caller that left was not served, so it is not let through uncounted.
func TestACallerThatLeftIsNotTakenForAStoreThatIsAway(t *testing.T) {
	stores := levqor.MemStores()
	stores.Rates = away{stores.Rates}
	s := newLimited(t, stores, guard.Limits{})
	ctx, leave := context.WithCancel(t.Context())
	leave()
	req := httptest.NewRequest("GET", "/api/v1/jobs", nil).WithContext(ctx)
	req.Header.Set("Authorization", "Bearer "+s.key("acme", "*"))
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	if rec.Code != 503 || strings.Contains(s.log.String(), "not counted") {
		t.Errorf("the answer is %d:\n%s", rec.Code, s.log)
	}
}

func TestTheClientComesBackWhenItIsToldTo(t *testing.T) {
	s := newLimited(t, levqor.MemStores(), guard.Limits{Reads: guard.Policy{Limit: 1, Window: time.Second}})
	c, err := client.New("http://levqor.test", &client.Options{Key: s.key("acme", "*"), HTTPClient: &http.Client{Transport: checkedTransport{t, s.handler, loadContract(t)}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.JobCounts(t.Context()); err != nil {
			t.Errorf("JobCounts = %v", err)
		}
	}
}

// Each operation with a key has a cost and lists what comes of it; the others have none.
func TestEveryOperationHasACost(t *testing.T) {
	for path, item := range loadContract(t).doc.Paths.Map() {
		for method, op := range item.Operations() {
			public := op.Security != nil && len(*op.Security) == 0
			cost, _ := op.Extensions["x-cost"].(string)
			problems, _ := op.Extensions["x-problems"].([]any)
			listed := slices.Contains(problems, any("rate_limited"))
			if public && (cost != "" || listed) {
				t.Errorf("%s %s needs no key and has the cost %q", method, path, cost)
			}
			if !public && (!slices.Contains([]string{"read", "write", "bulk", "protected"}, cost) || !listed) {
				t.Errorf("%s %s has the cost %q and lists rate_limited: %v", method, path, cost, listed)
			}
			if reads := method == http.MethodGet; !public && cost != "protected" && reads != (cost == "read") {
				t.Errorf("%s %s has the cost %q", method, path, cost)
			}
			_, scoped := op.Extensions["x-scope"]
			if person := op.Extensions["x-caller"] == "person"; !public && scoped == person || public && (scoped || person) {
				t.Errorf("%s %s asks for a scope: %v, for a person: %v", method, path, scoped, person)
			}
			if high := slices.Contains([]string{"createAPIKey", "rotateAPIKey", "exportSecurityEvents", "verifySecurityEvents", "createInvitation", "beginEmailChange", "createSSOConnection", "verifySSODomain"}, op.OperationID); high != (cost == "protected") {
				t.Errorf("%s %s has the cost %q", method, path, cost)
			}
		}
	}
}

// What makes keys, takes the log away, or ends or changes what people may do needs a fresh
// proof of those who have a session.
func TestWhatIsCostlyToUndoNeedsAFreshProof(t *testing.T) {
	also := []string{
		"updateAPIKey", "revokeAPIKey", "updateMember", "createInvitation", "createTenant", "disableUser", "enableUser", "createOwnerLink", "resealSecrets", "updateSSOConnection",
	}
	for path, item := range loadContract(t).doc.Paths.Map() {
		for method, op := range item.Operations() {
			proof, asks := op.Extensions["x-proof"]
			problems, _ := op.Extensions["x-problems"].([]any)
			deletes := method == http.MethodDelete && slices.ContainsFunc([]string{"/members", "/tenant", "/users", "/sso-connections", "/sso-domains", "/sessions"}, func(part string) bool { return strings.Contains(path, part) })
			want := op.Extensions["x-cost"] == "protected" || deletes || slices.Contains(also, op.OperationID)
			if asks != want || asks && proof != "fresh" || asks != slices.Contains(problems, any("proof_required")) {
				t.Errorf("%s %s has the x-proof %v and the problems %v; asks for a proof: want %v", method, path, proof, problems, want)
			}
		}
	}
}

func TestNewRefusesProxiesThatAreNone(t *testing.T) {
	s := newService(t)
	for _, p := range []netip.Prefix{{}, netip.MustParsePrefix("::ffff:10.0.0.0/104")} {
		_, err := httpapi.New(s.app, &httpapi.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), p}})
		if !errors.Is(err, levqor.ErrInvalid) || !strings.Contains(err.Error(), "/trusted_proxies/1") {
			t.Errorf("New = %v, want ErrInvalid for %v", err, p)
		}
	}
}

// BenchmarkRequest is a request that passes all gates to an operation which then asks nobody,
// since no job has such an ID; the same without a limit; and what answers alone cost.
func BenchmarkRequest(b *testing.B) {
	for name, fresh := range map[string]func(testing.TB) string{"SQLite": dbtest.SQLite, "PostgreSQL": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			db := dbtest.Open(b, fresh(b))
			if err := bunlevqor.Migrate(b.Context(), db); err != nil {
				b.Fatal(err)
			}
			for limit, reads := range map[string]guard.Policy{"limited": {Limit: 500_000, Window: time.Minute}, "unlimited": {Limit: -1}} {
				app, err := levqor.New(bunlevqor.Stores(db), &levqor.Options{Secret: bytes.Repeat([]byte("s"), 32), Limits: guard.Limits{Reads: reads}})
				if err != nil {
					b.Fatal(err)
				}
				handler, err := httpapi.New(app, nil)
				if err != nil {
					b.Fatal(err)
				}
				s := &service{TB: b, app: app}
				b.Run(limit, func(b *testing.B) { benchRequest(b, handler, s.key("acme", "*")) })
			}
		})
	}
	b.Run("bare", func(b *testing.B) {
		benchRequest(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "{}", http.StatusNotFound) }), "")
	})
}

func benchRequest(b *testing.B, handler http.Handler, token string) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequest("GET", "/api/v1/jobs/job_nope", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, req)
		if rec.Code != http.StatusNotFound {
			b.Fatalf("the answer is %d", rec.Code)
		}
	}
}

// BenchmarkCreateJob is a job that is created with all that is done to a request, by one
// caller and by 16 at once.
func BenchmarkCreateJob(b *testing.B) {
	db := dbtest.Open(b, dbtest.SQLite(b))
	if err := bunlevqor.Migrate(b.Context(), db); err != nil {
		b.Fatal(err)
	}
	app, err := levqor.New(bunlevqor.Stores(db), &levqor.Options{
		Secret: bytes.Repeat([]byte("s"), 32), Limits: guard.Limits{Writes: guard.Policy{Limit: 500_000, Window: time.Minute}},
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := jobs.Handle(app.Registry, func(context.Context, *jobs.Job[Mail]) (string, error) { return "", nil }, nil); err != nil {
		b.Fatal(err)
	}
	handler, err := httpapi.New(app, nil)
	if err != nil {
		b.Fatal(err)
	}
	token := (&service{TB: b, app: app}).key("acme", "*")
	var n atomic.Int64
	create := func(b *testing.B) {
		b.Helper()
		req := httptest.NewRequest("POST", "/api/v1/jobs", strings.NewReader(`{"kind":"mail","args":{"to":[{"email":"ada@example.com"}],"body":"hello"}}`))
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", strconv.FormatInt(n.Add(1), 10))
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, req)
		if rec.Code != http.StatusCreated {
			b.Errorf("the answer is %d %s", rec.Code, rec.Body)
		}
	}
	b.Run("1 caller", func(b *testing.B) {
		for b.Loop() {
			create(b)
		}
	})
	b.Run("16 callers", func(b *testing.B) {
		b.SetParallelism((16 + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				create(b)
			}
		})
	})
}
