package egress_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/levqor/sdk/internal/egress"
)

func TestClientRedirects(t *testing.T) {
	elsewhere := newTarget(t, ok)
	locations := map[string]string{
		"the metadata address": "http://169.254.169.254/latest/meta-data/",
		"another server":       elsewhere.URL,
		"a file":               "file:///etc/passwd",
		"a malformed URL":      "http://%zz/",
		"a relative path":      "/next",
	}
	for name, location := range locations {
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run("a "+strconv.Itoa(status)+" to "+name+" is returned", func(t *testing.T) {
				tg := newTarget(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Location", location)
					w.WriteHeader(status)
				})
				c := egress.Client(lenient)
				passed := dials(c, nil)
				resp, err := send(t, c, "POST", tg.URL, "body")
				if err != nil {
					t.Fatalf("Do: %v", err)
				}
				if resp.StatusCode != status {
					t.Errorf("status = %d, want %d", resp.StatusCode, status)
				}
				if got := passed(); len(got) != 1 || tg.hits.Load() != 1 {
					t.Errorf("dials = %v, hits = %d, want one of each", got, tg.hits.Load())
				}
			})
		}
	}
	if got := elsewhere.hits.Load(); got != 0 {
		t.Errorf("hits elsewhere = %d, want 0", got)
	}
}

func TestClientProxy(t *testing.T) {
	// net/http reads the environment once per process, so the client runs in
	// a process of its own that has the variables from the start.
	const child = "LEVQOR_EGRESS_PROXY_CHILD"
	if os.Getenv(child) != "" {
		tg := newTarget(t, ok)
		c := egress.Client(lenient)
		// By name, as net/http never uses a proxy for a loopback address.
		egress.SetResolver(c, resolver(t, fixed("127.0.0.1")))
		if _, err := send(t, c, "GET", tg.named(), ""); err != nil || tg.hits.Load() != 1 {
			t.Fatalf("Do = %v, hits = %d, want nil, 1", err, tg.hits.Load())
		}
		return
	}

	t.Run("proxies from the environment are ignored", func(t *testing.T) {
		proxy := newTarget(t, ok)
		for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
			t.Setenv(name, proxy.URL)
		}
		t.Setenv("NO_PROXY", "")
		t.Setenv("no_proxy", "")
		t.Setenv(child, "1")
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestClientProxy$", "-test.count=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("child: %v\n%s", err, out)
		}
		if got := proxy.hits.Load(); got != 0 {
			t.Errorf("hits of the proxy = %d, want 0", got)
		}
	})
}

func TestClientState(t *testing.T) {
	t.Run("cookies are not kept", func(t *testing.T) {
		var sent string
		tg := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
			sent = r.Header.Get("Cookie")
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		})
		c := egress.Client(lenient)
		for range 2 {
			if _, err := send(t, c, "GET", tg.URL, ""); err != nil {
				t.Fatalf("Do: %v", err)
			}
		}
		if sent != "" {
			t.Errorf("Cookie = %q, want none", sent)
		}
	})
	t.Run("each request resolves and connects anew", func(t *testing.T) {
		first, second := newTarget(t, ok), newTarget(t, ok)
		c := egress.Client(lenient)
		egress.SetResolver(c, resolver(t, func(int) []netip.Addr { return parse("127.0.0.1") }))
		passed := dials(c, nil)
		for _, to := range []string{first.named(), first.named(), second.named()} {
			if _, err := send(t, c, "GET", to, ""); err != nil {
				t.Fatalf("Do: %v", err)
			}
		}
		if got := passed(); len(got) != 3 {
			t.Errorf("dials = %v, want 3", got)
		}
	})
}

func TestClientHeaders(t *testing.T) {
	var agent, encoding string
	tg := newTarget(t, func(_ http.ResponseWriter, r *http.Request) {
		agent, encoding = r.UserAgent(), r.Header.Get("Accept-Encoding")
	})
	t.Run("the user agent defaults to Levqor and no compression is asked for", func(t *testing.T) {
		if _, err := send(t, egress.Client(lenient), "GET", tg.URL, ""); err != nil {
			t.Fatalf("Do: %v", err)
		}
		if agent != "Levqor" || encoding != "" {
			t.Errorf("User-Agent, Accept-Encoding = %q, %q, want Levqor and none", agent, encoding)
		}
	})
	t.Run("a caller's user agent is kept and its request not changed", func(t *testing.T) {
		req := httptest.NewRequestWithContext(t.Context(), "GET", tg.URL, nil)
		req.RequestURI = ""
		req.Header.Set("User-Agent", "Mine/1")
		resp, err := egress.Client(lenient).Do(req)
		if err != nil {
			t.Fatalf("Do: %v", err)
		}
		defer resp.Body.Close()
		if agent != "Mine/1" || len(req.Header) != 1 {
			t.Errorf("User-Agent = %q, request header = %v, want Mine/1 alone", agent, req.Header)
		}
	})
}

func TestClientProtocols(t *testing.T) {
	for _, h2 := range []bool{true, false} {
		want := map[bool]int{true: 2, false: 1}[h2]
		t.Run("a TLS server is spoken to in HTTP "+strconv.Itoa(want), func(t *testing.T) {
			srv := httptest.NewUnstartedServer(http.HandlerFunc(ok))
			srv.EnableHTTP2 = h2
			srv.StartTLS()
			t.Cleanup(srv.Close)

			c := egress.Client(lenient)
			pool := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
			egress.SetTLS(c, &tls.Config{RootCAs: pool})
			passed := dials(c, nil)
			for range 2 {
				resp, err := send(t, c, "POST", srv.URL, "body")
				if err != nil {
					t.Fatalf("Do: %v", err)
				}
				if resp.ProtoMajor != want {
					t.Errorf("protocol = %s, want HTTP/%d", resp.Proto, want)
				}
			}
			if got := passed(); len(got) != 2 {
				t.Errorf("dials = %v, want 2", got)
			}
		})
	}
}
