package httpguard_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/levqor/sdk/levqor/httpguard"
)

func TestReturnPathKeepsPathsOfTheSameOrigin(t *testing.T) {
	for _, path := range []string{
		"/", "/jobs", "/jobs/", "/jobs/job_1?state=ready&q=a%20b", "/a%20b", "/caf%C3%A9", "/a:b", "/@user", "/a?next=//evil.example",
		"/a?next=https://evil.example/", "/a#top", "/a.b/..c/...", "/100%25", "/a;b=c", "/" + strings.Repeat("a", 1999),
	} {
		if got := httpguard.ReturnPath(path); got != path {
			t.Errorf("ReturnPath(%q) = %q, want it as it is", path, got)
		}
	}
}

var foreign = []string{
	"", "jobs", "evil.example", "?a=b", "#a", ".", "..", "./a", "../a",
	"//evil.example", "///evil.example", "////evil.example/a", "//evil.example@good.example", "//[::1]/", "/\\evil.example", "\\/evil.example",
	"\\\\evil.example", "/\\/evil.example", "//\\evil.example", "/a\\b", "https:evil.example", "https:/evil.example", "https://evil.example",
	"HTTPS://evil.example", "http:///evil.example", "javascript:alert(1)", "data:text/html,x", "mailto:a@evil.example", "evil.example:443/",
	"/%2fevil.example", "/%2Fevil.example", "%2f%2fevil.example", "/%5cevil.example", "/%5Cevil.example", "/%252fevil.example", "/%25252fevil.example",
	"/%2525252525252fevil.example", "/a/%2f/b", "/a//b", "/.//evil.example", "/..//evil.example", "/../a", "/a/..", "/%2e%2e/a", "/%2e/%2fevil.example",
	" /a", "\t/a", "\n/a", "/\t/evil.example", "/\n/evil.example", "/\r\n/evil.example", "/a\r\nSet-Cookie: x=y", "/a b", "/a\x00b", "/\x00/evil.example",
	"/a\x7f", "/%00", "/%0d%0aSet-Cookie:%20x=y", "/%09/evil.example", "/\u2028", "/\uff0fevil.example", "\uff0f\uff0fevil.example", "/caf\u00e9", "/\u3002",
	"/a\xffb", "/%ff", "/%zz", "/%", "/" + strings.Repeat("a", 2000),
}

func TestReturnPathRefusesWhatLeadsElsewhere(t *testing.T) {
	for _, path := range foreign {
		if got := httpguard.ReturnPath(path); got != "/" {
			t.Errorf("ReturnPath(%q) = %q, want /", path, got)
		}
	}
}

func FuzzReturnPath(f *testing.F) {
	for _, path := range foreign {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := httpguard.ReturnPath(path)
		if again := httpguard.ReturnPath(got); again != got {
			t.Fatalf("ReturnPath(%q) = %q, whose own is %q", path, got, again)
		}
		w := httptest.NewRecorder()
		http.Redirect(w, httptest.NewRequest("GET", "https://good.example/login/done", http.NoBody), got, http.StatusSeeOther)
		base := &url.URL{Scheme: "https", Host: "good.example", Path: "/login/done"}
		to, err := base.Parse(w.Header().Get("Location"))
		if err != nil || to.Scheme != "https" || to.Host != "good.example" || strings.HasPrefix(to.Path, "//") || len(w.Result().Cookies()) > 0 {
			t.Fatalf("ReturnPath(%q) = %q, which leads to %v, %v", path, got, to, err)
		}
	})
}
