package httpguard_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
)

// hasher is a key ring of one key.
type hasher struct{}

func (hasher) MAC(purpose string, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, []byte(purpose))
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

var twoPerHour = guard.Policy{Name: "pages", Limit: 2, Window: time.Hour}

func byHeader(r *http.Request) string { return r.Header.Get("Who") }

func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

func ask(h http.Handler, who string) *http.Response {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Who", who)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Result()
}

func TestALimitCountsEachKeyAndSaysWhatIsLeft(t *testing.T) {
	limiter := guard.NewLimiter(guard.NewMemLimitStore(), hasher{}, nil)
	h := httpguard.Limit(limiter, twoPerHour, byHeader, nil)(status(204))
	for i, want := range []struct {
		who, left, retry string
		status           int
	}{
		{"a", `"pages";r=1;t=1800`, "", 204},
		{"a", `"pages";r=0;t=3600`, "", 204},
		{"a", `"pages";r=0;t=1800`, "1800", 429},
		{"b", `"pages";r=1;t=1800`, "", 204},
		{"", "", "", 204},
	} {
		resp := ask(h, want.who)
		if h := resp.Header; resp.StatusCode != want.status || h.Get("RateLimit") != want.left || h.Get("Retry-After") != want.retry ||
			(want.left != "") != (h.Get("RateLimit-Policy") == `"pages";q=2;w=3600`) {
			t.Errorf("answer %d is %d %v, want %+v", i, resp.StatusCode, resp.Header, want)
		}
	}
	own := httpguard.Limit(limiter, twoPerHour, byHeader, &httpguard.LimitOptions{Refused: status(418)})(status(204))
	if resp := ask(own, "a"); resp.StatusCode != 418 || resp.Header.Get("Retry-After") != "1800" {
		t.Errorf("the host's own answer is %d %v", resp.StatusCode, resp.Header)
	}
	none := httpguard.Limit(limiter, guard.Policy{Limit: -1}, byHeader, nil)(status(204))
	if resp := ask(none, "a"); resp.StatusCode != 204 || resp.Header.Get("RateLimit") != "" {
		t.Errorf("without a limit the answer is %d %v", resp.StatusCode, resp.Header)
	}
}

func TestWithoutCountsRequestsGoOnUnlessTheHostSaysOtherwise(t *testing.T) {
	limiter := guard.NewLimiter(guard.NewMemLimitStore(), hasher{}, nil)
	broken := guard.Policy{Name: "A policy that is none"}
	if resp := ask(httpguard.Limit(limiter, broken, byHeader, nil)(status(204)), "a"); resp.StatusCode != 204 {
		t.Errorf("the answer is %d", resp.StatusCode)
	}
	closed := httpguard.Limit(limiter, broken, byHeader, &httpguard.LimitOptions{Unavailable: status(503)})(status(204))
	if resp := ask(closed, "a"); resp.StatusCode != 503 {
		t.Errorf("the answer is %d, want the host's", resp.StatusCode)
	}
}

func ExampleLimit() {
	limiter := guard.NewLimiter(guard.NewMemLimitStore(), hasher{}, nil)
	slow := httpguard.Limit(limiter, guard.Policy{Name: "login", Limit: 5, Window: time.Minute}, byHeader, nil)
	mux := http.NewServeMux()
	mux.Handle("POST /login", slow(status(204)))
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/login", http.NoBody))
	fmt.Println(answer.Code)
	// Output: 204
}
