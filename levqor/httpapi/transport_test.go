package httpapi_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/httpapi"
)

// serve serves a handler until the test ends, and returns its address.
func serve(t *testing.T, handler http.Handler, opts *httpapi.ServeOptions) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- httpapi.Serve(ctx, listener, handler, opts) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
	return listener.Addr().String()
}

// certificate returns the files of a certificate and its key, and who trusts it.
func certificate(t *testing.T) (certFile, keyFile string, trust *x509.CertPool) {
	t.Helper()
	example := httptest.NewTLSServer(http.NotFoundHandler())
	example.Close()
	key, err := x509.MarshalPKCS8PrivateKey(example.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: example.Certificate().Raw}, keyFile: {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust = x509.NewCertPool()
	trust.AddCert(example.Certificate())
	return certFile, keyFile, trust
}

func TestOnlyCurrentTLSIsSpoken(t *testing.T) {
	t.Setenv("GODEBUG", "tls10server=1") // what an operator may have set
	certFile, keyFile, trust := certificate(t)
	addr := serve(t, newService(t).handler, &httpapi.ServeOptions{CertFile: certFile, KeyFile: keyFile})
	var weak []uint16
	for _, suite := range tls.InsecureCipherSuites() {
		weak = append(weak, suite.ID)
	}
	for name, c := range map[string]struct {
		config *tls.Config
		want   uint16 // the version that is agreed on, 0 if none
	}{
		"all versions":          {&tls.Config{MinVersion: tls.VersionTLS10}, tls.VersionTLS13},
		"TLS 1.2":               {&tls.Config{MaxVersion: tls.VersionTLS12}, tls.VersionTLS12},
		"TLS 1.1":               {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, 0},
		"TLS 1.0":               {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, 0},
		"ciphers that are weak": {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: weak}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			config := c.config
			config.RootCAs, config.ServerName = trust, "example.com"
			conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", addr)
			if err != nil {
				if c.want != 0 {
					t.Error(err)
				}
				return
			}
			defer conn.Close()
			if got := conn.(*tls.Conn).ConnectionState().Version; got != c.want {
				t.Errorf("agreed on %s", tls.VersionName(got))
			}
		})
	}
}

func TestATLSListenerAnswersNothingInTheClear(t *testing.T) {
	certFile, keyFile, trust := certificate(t)
	addr := serve(t, newService(t).handler, &httpapi.ServeOptions{CertFile: certFile, KeyFile: keyFile})
	resp, err := http.Get("http://" + addr + "/api/v1/version")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" || resp.Header.Get("Request-Id") != "" {
		t.Errorf("plain HTTP gets %d %v", resp.StatusCode, resp.Header)
	}
	encrypted := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust, ServerName: "example.com"}}}
	defer encrypted.CloseIdleConnections()
	resp, err = encrypted.Get("https://" + addr + "/api/v1/version")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Strict-Transport-Security") != "max-age=63072000; includeSubDomains" {
		t.Errorf("TLS gets %d %v", resp.StatusCode, resp.Header)
	}
}

// Where one request ends and the next begins must be as clear to the service as to the
// proxies in front.
func TestRequestsHaveOneEnd(t *testing.T) {
	seen := make(chan string, 10)
	addr := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		seen <- fmt.Sprintf("%s %s %q", r.Method, r.URL.Path, raw)
	}), nil)
	for name, c := range map[string]struct {
		head string
		want []string // requests that reach the handler
	}{
		"one length":                   {"Content-Length: 5\r\n\r\n0\r\n\r\n", []string{`POST /a "0\r\n\r\n"`, `GET /b ""`}},
		"chunks, whatever length":      {"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []string{`POST /a ""`, `GET /b ""`}},
		"two lengths":                  {"Content-Length: 5\r\nContent-Length: 6\r\n\r\n0\r\n\r\n", nil},
		"a length that is no number":   {"Content-Length: +5\r\n\r\n0\r\n\r\n", nil},
		"a coding that is unknown":     {"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", nil},
		"codings in a row":             {"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", nil},
		"a space before the colon":     {"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", nil},
		"a line break within a header": {"X-A: b\rContent-Length: 5\r\n\r\n0\r\n\r\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			fmt.Fprint(conn, "POST /a HTTP/1.1\r\nHost: a.example\r\n"+c.head+"GET /b HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
			answers, err := io.ReadAll(bufio.NewReader(conn)) // until the service closes
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for len(seen) > 0 {
				got = append(got, <-seen)
			}
			if c.want == nil && !strings.Contains(string(answers), "400 Bad Request") && !strings.Contains(string(answers), "501 ") {
				t.Errorf("it is answered with %s", answers)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("the handler got %q, want %q", got, c.want)
			}
		})
	}
}

func TestNoMethodEchoesARequest(t *testing.T) {
	s := newService(t)
	token := s.key("acme", "*")
	for _, method := range []string{"TRACE", "TRACK", "CONNECT"} {
		for _, path := range []string{"/healthz", "/api/v1/jobs", "/api/v1/openapi.yaml", "/nothing"} {
			resp := s.do(request{method: method, path: path, token: token})
			raw, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != 405 && resp.StatusCode != 404 || strings.Contains(string(raw), token) {
				t.Errorf("%s %s gives %d %s", method, path, resp.StatusCode, raw)
			}
		}
	}
}

// multiline is a store whose errors hold what would be lines of their own in a log.
type multiline struct{ jobs.Store }

const forged = "no\ntime=2026-01-01T00:00:00Z level=INFO msg=\"all is well\"\r\n\x1b[2J"

func (multiline) List(context.Context, jobs.ListQuery) ([]jobs.Info, error) {
	return nil, fmt.Errorf("%s", forged)
}

func TestWhatIsLoggedStaysOnItsLine(t *testing.T) {
	stores := levqor.MemStores()
	stores.Jobs = multiline{stores.Jobs}
	s := newServiceOn(t, stores)
	if resp := s.do(request{method: "GET", path: "/api/v1/jobs", token: s.key("acme", "*")}); resp.StatusCode != 500 {
		t.Fatalf("the answer is %d", resp.StatusCode)
	}
	text := strings.TrimSuffix(s.log.String(), "\n")
	if !strings.Contains(text, "all is well") || strings.ContainsAny(text, "\n\r\x1b") {
		t.Errorf("the log is %q", text)
	}
}
