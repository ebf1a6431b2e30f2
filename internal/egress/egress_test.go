package egress_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/egress"
)

var lenient = &egress.Options{AllowPrivate: true}

// errStopped keeps a connection to a public address from being made.
var errStopped = errors.New("stopped by the test")

// target is a server on loopback that counts its requests.
type target struct {
	*httptest.Server
	hits atomic.Int64
}

func newTarget(t *testing.T, h http.HandlerFunc) *target {
	t.Helper()
	tg := &target{}
	tg.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tg.hits.Add(1)
		h(w, r)
	}))
	t.Cleanup(tg.Close)
	return tg
}

// named returns the target's URL under a name instead of its address.
func (tg *target) named() string {
	return strings.Replace(tg.URL, "127.0.0.1", "hook.example", 1)
}

func ok(http.ResponseWriter, *http.Request) {}

// send sends a request and drains the answer.
func send(t *testing.T, c *http.Client, method, target, body string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatalf("NewRequest: %v", err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp, err
}

// dials records the addresses that pass c's check and answers err to each.
func dials(c *http.Client, err error) func() []string {
	var mu sync.Mutex
	var seen []string
	egress.AfterCheck(c, func(address string) error {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, address)
		return err
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

func TestClientChecksResolvedAddresses(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "0.0.0.0", "169.254.169.254", "10.0.0.1", "::1", "64:ff9b::7f00:1", "fd00::1"} {
		t.Run("a name that resolves to "+addr+" is blocked", func(t *testing.T) {
			tg := newTarget(t, ok)
			c := egress.Client(nil)
			egress.SetResolver(c, resolver(t, fixed(addr)))
			passed := dials(c, errStopped)
			if _, err := send(t, c, "GET", tg.named(), ""); !errors.Is(err, egress.ErrBlocked) {
				t.Errorf("Do = %v, want ErrBlocked", err)
			}
			if got := passed(); len(got) != 0 || tg.hits.Load() != 0 {
				t.Errorf("dials = %v, hits = %d, want none", got, tg.hits.Load())
			}
		})
	}
}

func TestClientChecksItsOwnAddresses(t *testing.T) {
	to := func(t *testing.T, own func(netip.AddrPort) (bool, error)) (dialled []string, err error) {
		t.Helper()
		c := egress.Client(nil)
		egress.SetResolver(c, resolver(t, fixed("8.8.8.8")))
		egress.SetOwn(c, own)
		passed := dials(c, errStopped)
		_, err = send(t, c, "GET", "http://hook.example/", "")
		return passed(), err
	}
	t.Run("a public address of this machine is blocked", func(t *testing.T) {
		dialled, err := to(t, func(addr netip.AddrPort) (bool, error) { return addr.String() == "8.8.8.8:80", nil })
		if !errors.Is(err, egress.ErrBlocked) || len(dialled) != 0 {
			t.Errorf("Do = %v, dials = %v, want ErrBlocked and none", err, dialled)
		}
	})
	t.Run("another's is not", func(t *testing.T) {
		if _, err := to(t, func(netip.AddrPort) (bool, error) { return false, nil }); !errors.Is(err, errStopped) {
			t.Errorf("Do = %v, want it to come to the connection", err)
		}
	})
	t.Run("a machine that cannot tell does not connect, and may be asked again", func(t *testing.T) {
		dialled, err := to(t, func(netip.AddrPort) (bool, error) { return false, syscall.EMFILE })
		if !errors.Is(err, syscall.EMFILE) || egress.Refused(err) || len(dialled) != 0 {
			t.Errorf("Do = %v, dials = %v, want the cause and none", err, dialled)
		}
	})
	t.Run("the kernel tells which addresses are its own", func(t *testing.T) {
		for addr, want := range map[string]bool{"127.0.0.1:80": true, "8.8.8.8:80": false, "[2606:4700::1]:80": false} {
			if got, err := egress.OwnAddress(netip.MustParseAddrPort(addr)); got != want || err != nil {
				t.Errorf("OwnAddress(%s) = %v, %v, want %v", addr, got, err, want)
			}
		}
	})
}

func TestClientChecksEachDial(t *testing.T) {
	t.Run("a name that flips from public to loopback is blocked at the flip", func(t *testing.T) {
		tg := newTarget(t, ok)
		c := egress.Client(nil)
		egress.SetResolver(c, resolver(t, func(n int) []netip.Addr {
			return parse([]string{"1.1.1.1", "127.0.0.1"}[n%2])
		}))
		passed := dials(c, errStopped)
		for i, want := range []error{errStopped, egress.ErrBlocked, errStopped, egress.ErrBlocked} {
			if _, err := send(t, c, "GET", tg.named(), ""); !errors.Is(err, want) {
				t.Errorf("Do %d = %v, want %v", i, err, want)
			}
		}
		for _, got := range passed() {
			if !strings.HasPrefix(got, "1.1.1.1:") {
				t.Errorf("dialled %s, want only 1.1.1.1", got)
			}
		}
		if got := tg.hits.Load(); got != 0 {
			t.Errorf("hits = %d, want 0", got)
		}
	})

	t.Run("the failure of a public address counts more than a blocked one", func(t *testing.T) {
		// As on networks that give every IPv4 host a NAT64 address besides.
		for _, addrs := range [][]string{{"64:ff9b::808:808", "8.8.8.8"}, {"10.0.0.1", "8.8.8.8"}, {"8.8.8.8", "10.0.0.1"}} {
			c := egress.Client(nil)
			egress.SetResolver(c, resolver(t, fixed(addrs...)))
			dials(c, errStopped)
			if _, err := send(t, c, "GET", "http://hook.example/", ""); !errors.Is(err, errStopped) || egress.Refused(err) {
				t.Errorf("%v: Do = %v, want the failure of 8.8.8.8", addrs, err)
			}
		}
	})
	t.Run("of a name with public and blocked addresses only the public are tried", func(t *testing.T) {
		tg := newTarget(t, ok)
		c := egress.Client(nil)
		egress.SetResolver(c, resolver(t, fixed("127.0.0.1", "8.8.8.8", "::1", "2606:4700::1", "10.0.0.1")))
		passed := dials(c, errStopped)
		if _, err := send(t, c, "GET", tg.named(), ""); err == nil {
			t.Fatal("Do = nil, want an error")
		}
		for _, got := range passed() {
			if !strings.HasPrefix(got, "8.8.8.8:") && !strings.HasPrefix(got, "[2606:4700::1]:") {
				t.Errorf("dialled %s, want only public addresses", got)
			}
		}
		if got := tg.hits.Load(); got != 0 {
			t.Errorf("hits = %d, want 0", got)
		}
	})
}

func TestClientChecksURL(t *testing.T) {
	tg := newTarget(t, ok)
	t.Run("a blocked literal is refused without a dial", func(t *testing.T) {
		c := egress.Client(nil)
		passed := dials(c, errStopped)
		if _, err := send(t, c, "POST", tg.URL, "body"); !errors.Is(err, egress.ErrBlocked) {
			t.Errorf("Do = %v, want ErrBlocked", err)
		}
		if got := passed(); len(got) != 0 {
			t.Errorf("dials = %v, want none", got)
		}
	})
	t.Run("user information is refused even when private is allowed", func(t *testing.T) {
		before := tg.hits.Load()
		withUser := strings.Replace(tg.URL, "http://", "http://user:pass@", 1)
		if _, err := send(t, egress.Client(lenient), "GET", withUser, ""); err == nil {
			t.Error("Do = nil, want an error")
		}
		if got := tg.hits.Load(); got != before {
			t.Errorf("hits = %d, want %d", got, before)
		}
	})
	t.Run("a refused request has its body closed", func(t *testing.T) {
		body := &closable{Reader: strings.NewReader("x")}
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://127.0.0.1/", body)
		if err != nil {
			t.Fatalf("NewRequest: %v", err)
		}
		if _, err := egress.Client(nil).Do(req); err == nil {
			t.Fatal("Do = nil, want an error")
		}
		if !body.closed.Load() {
			t.Error("body is open, want closed")
		}
	})
	t.Run("allowing private networks lifts the address check", func(t *testing.T) {
		c := egress.Client(lenient)
		egress.SetResolver(c, resolver(t, fixed("127.0.0.1")))
		for _, to := range []string{tg.URL, tg.named()} {
			if _, err := send(t, c, "GET", to, ""); err != nil {
				t.Errorf("Do(%s) = %v, want nil", to, err)
			}
		}
	})
}

type closable struct {
	io.Reader
	closed atomic.Bool
}

func (c *closable) Close() error {
	c.closed.Store(true)
	return nil
}

func TestClientTimeout(t *testing.T) {
	t.Run("a silent name server ends at the dial timeout", func(t *testing.T) {
		c := egress.Client(&egress.Options{DialTimeout: 100 * time.Millisecond})
		egress.SetResolver(c, resolver(t, nil))
		checkTimeout(t, c, "http://silent.example/")
	})
	t.Run("a silent TLS server ends at the dial timeout", func(t *testing.T) {
		address := silentListener(t)
		c := egress.Client(&egress.Options{AllowPrivate: true, DialTimeout: 100 * time.Millisecond})
		checkTimeout(t, c, "https://"+address+"/")
	})
}

func checkTimeout(t *testing.T, c *http.Client, to string) {
	t.Helper()
	start := time.Now()
	_, err := send(t, c, "GET", to, "")
	var ue *url.Error
	if !errors.As(err, &ue) || !ue.Timeout() {
		t.Errorf("Do = %v, want a timeout", err)
	}
	if got := time.Since(start); got < 90*time.Millisecond || got > 3*time.Second {
		t.Errorf("Do took %v, want about 100ms", got)
	}
}
