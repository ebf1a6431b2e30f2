package httpguard_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/httpguard"
)

// ok is a handler that says the nonce it was given.
var ok = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, httpguard.Nonce(r.Context()))
})

func newGuard(t *testing.T, opts *httpguard.Options) *httpguard.Guard {
	t.Helper()
	g, err := httpguard.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// serve sends a request with headers, each a name and a value.
func serve(h http.Handler, method, path string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, path, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestEachClassHasItsHeaders(t *testing.T) {
	const page = "default-src 'none'; script-src 'nonce-N' 'strict-dynamic'; style-src 'self' 'nonce-N'; img-src 'self' data:; " +
		"font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self' https://checkout.stripe.com; " +
		"frame-ancestors 'none'; base-uri 'none'; object-src 'none'; report-to csp"
	const api = "default-src 'none'; frame-ancestors 'none'; sandbox"
	onPages := map[string]string{
		"Content-Security-Policy": page, "Reporting-Endpoints": `csp="/csp-report"`, "Cross-Origin-Opener-Policy": "same-origin",
		"Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=(), interest-cohort=()", "X-Frame-Options": "DENY",
	}
	const origin, none = "strict-origin-when-cross-origin", "no-referrer"
	for name, c := range map[string]struct {
		class            httpguard.Class
		policy, referrer string
		cache            string
	}{
		"api":    {httpguard.API, api, none, "no-store"},
		"page":   {httpguard.Page, page, origin, "no-store"},
		"secret": {httpguard.Secret, page, none, "no-store"},
		"public": {httpguard.Public, page, origin, ""},
		"asset":  {httpguard.Asset, api, none, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newGuard(t, &httpguard.Options{FormTargets: []string{"https://checkout.stripe.com"}, ReportPath: "/csp-report"}).Handler(c.class, ok)
			res := serve(h, "GET", "/")
			nonce := make([]byte, 64)
			n, _ := res.Body.Read(nonce)
			want := map[string]string{
				"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin", "Strict-Transport-Security": "",
				"Referrer-Policy": c.referrer, "Cache-Control": c.cache,
			}
			for name, value := range onPages {
				want[name] = ""
				if c.policy == page {
					want[name] = strings.ReplaceAll(value, "N'", string(nonce[:n])+"'")
				}
			}
			want["Content-Security-Policy"] = strings.ReplaceAll(c.policy, "nonce-N'", "nonce-"+string(nonce[:n])+"'")
			for name, value := range want {
				if got := res.Header.Get(name); got != value {
					t.Errorf("%s is %q, want %q", name, got, value)
				}
			}
			if h.Guarded() != c.class {
				t.Errorf("Guarded = %d, want %d", h.Guarded(), c.class)
			}
		})
	}
}

func TestEachAnswerHasANonceOfItsOwn(t *testing.T) {
	h := newGuard(t, nil).Handler(httpguard.Page, ok)
	seen := map[string]bool{}
	for range 100 {
		res := serve(h, "GET", "/")
		policy := res.Header.Get("Content-Security-Policy")
		var b strings.Builder
		if err := res.Write(&b); err != nil {
			t.Fatal(err)
		}
		_, nonce, _ := strings.Cut(b.String(), "\r\n\r\n")
		if len(nonce) != 24 || !strings.Contains(policy, "script-src 'nonce-"+nonce+"'") || seen[nonce] {
			t.Fatalf("the nonce is %q, the policy %q", nonce, policy)
		}
		seen[nonce] = true
	}
}

func TestBrowsersComeBackOverTLSIfTheyCameOverIt(t *testing.T) {
	r := httptest.NewRequest("GET", "https://levqor.example/", http.NoBody)
	r.TLS = &tls.ConnectionState{}
	w := httptest.NewRecorder()
	newGuard(t, nil).Handler(httpguard.Page, ok).ServeHTTP(w, r)
	behind := serve(newGuard(t, &httpguard.Options{HTTPS: true}).Handler(httpguard.API, ok), "GET", "/")
	for _, header := range []http.Header{w.Header(), behind.Header} {
		if got := header.Get("Strict-Transport-Security"); got != "max-age=63072000; includeSubDomains" {
			t.Errorf("Strict-Transport-Security is %q", got)
		}
	}
}

func TestOnlyScriptsOfAllowedOriginsReadTheAPI(t *testing.T) {
	const app = "https://app.example.com"
	h := newGuard(t, &httpguard.Options{Origins: []string{app}}).Handler(httpguard.API, ok)
	for _, origin := range []string{
		"null", "https://app.example.com.evil.example", "https://evil.example", "http://app.example.com", "https://APP.example.com",
		"https://app.example.com:8443", "https://app.example.com/", "https://x.app.example.com", "*", "",
	} {
		res := serve(h, "GET", "/", "Origin", origin)
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != "" || res.Header.Get("Vary") != "Origin" {
			t.Errorf("origin %q may read as %q, Vary is %q", origin, got, res.Header.Get("Vary"))
		}
		if pre := serve(h, "OPTIONS", "/", "Origin", origin, "Access-Control-Request-Method", "POST"); pre.Header.Get("Access-Control-Allow-Methods") != "" {
			t.Errorf("a preflight of origin %q is allowed", origin)
		}
	}
	res := serve(h, "GET", "/", "Origin", app)
	if res.Header.Get("Access-Control-Allow-Origin") != app || !strings.Contains(res.Header.Get("Access-Control-Expose-Headers"), "Retry-After") {
		t.Errorf("the allowed origin gets %v", res.Header)
	}
	pre := serve(h, "OPTIONS", "/", "Origin", app, "Access-Control-Request-Method", "DELETE", "Access-Control-Request-Headers", "authorization")
	if pre.StatusCode != http.StatusNoContent || pre.Header.Get("Access-Control-Max-Age") != "600" || !strings.Contains(pre.Header.Get("Access-Control-Allow-Methods"), "DELETE") {
		t.Errorf("its preflight gets %d %v", pre.StatusCode, pre.Header)
	}
	for _, header := range []http.Header{res.Header, pre.Header} {
		if header.Get("Access-Control-Allow-Credentials") != "" {
			t.Error("cookies may cross origins")
		}
	}
	if off := serve(newGuard(t, nil).Handler(httpguard.API, ok), "GET", "/", "Origin", app); off.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("an origin may read the API without being allowed")
	}
}

func TestPagesTakeChangesFromTheirOwnOriginAlone(t *testing.T) {
	h := newGuard(t, &httpguard.Options{Partners: []string{"https://login.example.com"}, Bypass: []string{"POST /hooks/"}}).Handler(httpguard.Page, ok)
	for name, c := range map[string]struct {
		method, path string
		headers      []string
		status       int
	}{
		"same origin":                       {"POST", "/a", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		"typed by hand":                     {"POST", "/a", []string{"Sec-Fetch-Site", "none"}, 200},
		"a sibling":                         {"POST", "/a", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://b.example.com"}, 403},
		"a stranger":                        {"DELETE", "/a", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		"a stranger in an old browser":      {"POST", "/a", []string{"Origin", "https://evil.example"}, 403},
		"nobody in an old browser":          {"POST", "/a", []string{"Origin", "null"}, 403},
		"the same origin in an old browser": {"POST", "/a", []string{"Origin", "http://example.com"}, 200},
		"a program":                         {"POST", "/a", nil, 200},
		"a partner":                         {"POST", "/a", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://login.example.com"}, 200},
		"a stranger who reads":              {"GET", "/a", []string{"Sec-Fetch-Site", "cross-site"}, 200},
		"a webhook":                         {"POST", "/hooks/x", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 200},
		"another method there":              {"PUT", "/hooks/x", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			if res := serve(h, c.method, c.path, c.headers...); res.StatusCode != c.status {
				t.Errorf("the answer is %d, want %d", res.StatusCode, c.status)
			}
		})
	}
}

func TestARefusalIsAnsweredAsTheHostWants(t *testing.T) {
	h := newGuard(t, &httpguard.Options{Denied: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	})}).Handler(httpguard.Page, ok)
	res := serve(h, "POST", "/", "Sec-Fetch-Site", "cross-site")
	if res.StatusCode != http.StatusTeapot || res.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("the answer is %d with %v", res.StatusCode, res.Header)
	}
}

func TestRoutesThatNobodyGuardsAreFound(t *testing.T) {
	mux := http.NewServeMux()
	guard := newGuard(t, nil)
	mux.Handle("GET /account", guard.Handler(httpguard.Page, ok))
	mux.Handle("POST /account", ok)
	mux.Handle("/files/", guard.Handler(httpguard.Asset, ok))
	got := httpguard.Unguarded(mux, "/account", "GET /account", "POST /account", "GET /files/a.css", "GET /nowhere", "GET :not a path")
	if want := []string{"POST /account", "GET /nowhere", "GET :not a path"}; !slices.Equal(got, want) {
		t.Errorf("Unguarded = %q, want %q", got, want)
	}
}

func TestWrongOptionsAreRefusedByName(t *testing.T) {
	type options = httpguard.Options
	origins := func(all ...string) (wrong []options) {
		for _, origin := range all {
			wrong = append(wrong, options{Origins: []string{origin}})
		}
		return wrong
	}
	for field, all := range map[string][]options{
		"/origins": origins("*", "null", "", "a.example", "https://*.example.com", "https://a.example/", "https://A.example", "https://a.example:443",
			"https://a.example:", "https://u@a.example", "ftp://a.example", "https://a.example; script-src *"),
		"/partners":     {{Partners: []string{"https://a.example/x"}}},
		"/form_targets": {{FormTargets: []string{"https://a.example; script-src *"}}, {FormTargets: []string{"*"}}},
		"/bypass":       {{Bypass: []string{"POST"}}, {Bypass: []string{"/a", "/a"}}},
		"/report_path":  {{ReportPath: "https://evil.example"}, {ReportPath: "/a\"\r\nX: y"}},
	} {
		for _, opts := range all {
			_, err := httpguard.New(&opts)
			wrong, found := errors.AsType[*fault.Error](err)
			if !errors.Is(err, httpguard.ErrInvalid) || !found || wrong.Field != field {
				t.Errorf("New(%+v) = %v, want an ErrInvalid of %s", opts, err, field)
			}
		}
	}
	for _, origin := range []string{"https://a.example", "http://localhost:8080", "https://[2001:db8::1]:8443"} {
		if _, err := httpguard.New(&httpguard.Options{Origins: []string{origin}}); err != nil {
			t.Errorf("New with the origin %s = %v", origin, err)
		}
	}
}

func BenchmarkHandler(b *testing.B) {
	guard, err := httpguard.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", http.NoBody)
	for name, class := range map[string]httpguard.Class{"API": httpguard.API, "Page": httpguard.Page} {
		b.Run(name, func(b *testing.B) {
			h := guard.Handler(class, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
