package egress_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/egress"
)

// What users read.
const (
	unreachable = "the server could not be reached"
	notPublic   = "the host's address is not public"
	noName      = "the host's name could not be resolved"
	late        = "the server did not answer in time"
)

// listen serves each connection on loopback by f until the test ends.
func listen(t *testing.T, f func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f(conn)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// silentListener accepts connections and never answers.
func silentListener(t *testing.T) (address string) {
	return listen(t, func(c net.Conn) { t.Cleanup(func() { c.Close() }) })
}

// speaker reads something, answers text and hangs up.
func speaker(t *testing.T, text string) (address string) {
	return listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, text)
		_ = c.Close()
	})
}

func closedPort(t *testing.T) (address string) {
	t.Helper()
	srv := httptest.NewServer(nil)
	defer srv.Close()
	return srv.Listener.Addr().String()
}

// failure sends a GET by c and returns its error.
func failure(t *testing.T, c *http.Client, to string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", to, nil)
	if err != nil {
		t.Fatalf("NewRequest: %v", err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _, err = egress.ReadBody(resp.Body, 1<<10)
	return err
}

// at returns a client that resolves names by a.
func at(t *testing.T, o *egress.Options, a answers) *http.Client {
	t.Helper()
	c := egress.Client(o)
	egress.SetResolver(c, resolver(t, a))
	return c
}

func TestPublicConnecting(t *testing.T) {
	quick := &egress.Options{AllowPrivate: true, DialTimeout: 100 * time.Millisecond}
	reset := func(c net.Conn) {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	hangup := "the server closed the connection without an answer"
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"a blocked literal":                    {failure(t, egress.Client(nil), "http://127.0.0.1:22/"), notPublic},
		"a blocked literal of another network": {failure(t, egress.Client(nil), "http://[fd00:ec2::254]/"), notPublic},
		"a blocked name":                       {failure(t, at(t, nil, fixed("10.0.0.1")), "http://hook.example/"), notPublic},
		"a blocked https name":                 {failure(t, at(t, nil, fixed("10.0.0.1")), "https://hook.example/"), notPublic},
		"a name without a dot":                 {failure(t, egress.Client(nil), "http://db/"), notPublic},
		"a refused connection":                 {failure(t, egress.Client(lenient), "http://"+closedPort(t)+"/"), "the connection was refused"},
		"a name without record":                {failure(t, at(t, nil, func(int) []netip.Addr { return nil }), "http://hook.example/"), noName},
		"a silent name server":                 {failure(t, at(t, quick, nil), "http://hook.example/"), noName},
		"a handshake timeout":                  {failure(t, egress.Client(quick), "https://"+silentListener(t)+"/"), late},
		"a hang-up":                            {failure(t, egress.Client(lenient), "http://"+speaker(t, "")+"/"), hangup},
		"a reset":                              {failure(t, egress.Client(lenient), "http://"+listen(t, reset)+"/"), hangup},
		"a blocked address among other faults": {errors.Join(&tls.CertificateVerificationError{Err: io.EOF}, egress.ErrBlocked), notPublic},
		"a cancelled context":                  {context.Canceled, unreachable},
		"a deadline":                           {context.DeadlineExceeded, late},
		"an unknown error":                     {errors.New("canary"), unreachable},
	} {
		t.Run(name+" reads: "+tt.want, func(t *testing.T) {
			if got := egress.Public(tt.err); tt.err == nil || got != tt.want {
				t.Errorf("Public(%v) = %q, want %q", tt.err, got, tt.want)
			}
			if got, want := egress.Refused(tt.err), tt.want == notPublic; got != want {
				t.Errorf("Refused(%v) = %v, want %v", tt.err, got, want)
			}
		})
	}
	t.Run("a refused URL reads as what is wrong with it", func(t *testing.T) {
		err := failure(t, egress.Client(lenient), "http://user@example.com/")
		if got, want := egress.Public(err), "the URL has user information"; got != want || !egress.Refused(err) {
			t.Errorf("Public(%v) = %q, want %q, refused", err, got, want)
		}
	})
}

func TestPublicLeaving(t *testing.T) {
	t.Run("a caller that leaves during the response reads as unreachable", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		address := listen(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096)) // an answer before the request is another fault
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nA: ")
			time.AfterFunc(50*time.Millisecond, cancel)
			t.Cleanup(func() { c.Close() })
		})
		req, err := http.NewRequestWithContext(ctx, "GET", "http://"+address+"/", nil)
		if err != nil {
			t.Fatalf("NewRequest: %v", err)
		}
		_, err = egress.Client(lenient).Do(req)
		if got := egress.Public(err); !errors.Is(err, context.Canceled) || got != unreachable {
			t.Errorf("Do = %v, reads %q, want canceled and %q", err, got, unreachable)
		}
	})
	t.Run("no error reads as nothing", func(t *testing.T) {
		if got := egress.Public(nil); got != "" {
			t.Errorf("Public(nil) = %q, want empty", got)
		}
	})
}

func TestPublicNamed(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(ok))
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0) // Failed handshakes are expected.
	srv.StartTLS()
	t.Cleanup(srv.Close)
	trusting := func(c *http.Client, now time.Time) *http.Client {
		pool := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		egress.SetTLS(c, &tls.Config{RootCAs: pool, Time: func() time.Time { return now }})
		return c
	}
	past := time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)
	other := at(t, lenient, fixed("127.0.0.1"))
	port := srv.URL[strings.LastIndexByte(srv.URL, ':'):]

	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"an unknown authority", failure(t, egress.Client(lenient), srv.URL), "not from a trusted authority"},
		{"a certificate out of its time", failure(t, trusting(egress.Client(lenient), past), srv.URL), "expired or not yet valid"},
		{"a certificate of another host", failure(t, trusting(other, time.Now()), "https://hook.invalid"+port), "for another host"},
		{"plain HTTP on an https URL", failure(t, egress.Client(lenient), "https://"+speaker(t, "HTTP/1.1 400 Bad\r\n\r\n")+"/"), "did not accept a TLS"},
		{"another protocol on an https URL", failure(t, egress.Client(lenient), "https://"+speaker(t, "SSH-2.0-canary\r\n")+"/"), "did not accept a TLS"},
		{"another protocol", failure(t, egress.Client(lenient), "http://"+speaker(t, "SSH-2.0-canary\r\n")+"/"), "not valid HTTP"},
		{"a protocol that nobody asked for", failure(t, egress.Client(lenient), "http://"+speaker(t, "HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: canary\r\n\r\n")+"/"), "not valid HTTP"},
		{"a bad header", failure(t, egress.Client(lenient), "http://"+speaker(t, "HTTP/1.1 200 OK\r\ncanary\r\n\r\n")+"/"), "not valid HTTP"},
		{"a huge header", failure(t, egress.Client(lenient), "http://"+speaker(t, "HTTP/1.1 204 OK\r\nA: "+strings.Repeat("x", 1<<17)+"\r\n\r\n")+"/"), "not valid HTTP"},
		{"a body cut short", failure(t, egress.Client(lenient), "http://"+speaker(t, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhello")+"/"), "not valid HTTP"},
	} {
		t.Run(c.name+" is named", func(t *testing.T) {
			got := egress.Public(c.err)
			if !strings.Contains(got, c.want) {
				t.Errorf("Public(%v) = %q, want %q in it", c.err, got, c.want)
			}
			if is := errors.Is(c.err, egress.ErrResponse); is != (c.want == "not valid HTTP") {
				t.Errorf("%v is ErrResponse = %v", c.err, is)
			}
			if strings.Contains(got, "127") || strings.Contains(got, "canary") || strings.Contains(got, "hook") {
				t.Errorf("Public = %q holds a value", got)
			}
		})
	}
}
