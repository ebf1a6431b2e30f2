package egress_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/levqor/sdk/internal/egress"
)

// verdict is what CheckURL makes of a vector.
type verdict string

const (
	accepted  verdict = "accepted"                             // Always.
	private   verdict = "blocked unless private is allowed"    // By the address check alone.
	malformed verdict = "refused even when private is allowed" // By its form.
)

func TestCheckURL(t *testing.T) {
	for _, vector := range vectors() {
		t.Run(vector.name+" is "+string(vector.want), func(t *testing.T) {
			strict := egress.CheckURL(vector.raw, nil)
			lenient := egress.CheckURL(vector.raw, &egress.Options{AllowPrivate: true})

			if got := strict == nil; got != (vector.want == accepted) {
				t.Errorf("CheckURL(%q) = %v, want %s", vector.raw, strict, vector.want)
			}
			if got := lenient == nil; got != (vector.want != malformed) {
				t.Errorf("CheckURL(%q) with AllowPrivate = %v, want %s", vector.raw, lenient, vector.want)
			}
			if got := errors.Is(strict, egress.ErrBlocked); got != (vector.want == private) {
				t.Errorf("CheckURL(%q) = %v, is ErrBlocked = %v, want %s", vector.raw, strict, got, vector.want)
			}
			for _, err := range []error{strict, lenient} {
				if got := egress.Refused(err); got != (err != nil) {
					t.Errorf("Refused(%v) = %v", err, got)
				}
				checkNoEcho(t, vector.raw, err)
				if text := egress.Public(err); err != nil && text != "the host's address is not public" && "egress: "+text != err.Error() {
					t.Errorf("%v reads %q", err, text)
				}
			}
		})
	}
}

func checkNoEcho(t *testing.T, raw string, err error) {
	t.Helper()
	if err == nil || raw == "" {
		return
	}
	text := err.Error()
	if strings.Contains(text, raw) {
		t.Errorf("error %q repeats the URL %q", text, raw)
	}
	u, parseErr := url.Parse(raw)
	if parseErr != nil {
		return
	}
	for _, part := range []string{u.Host, u.Port(), u.Path, u.User.String()} {
		if len(part) > 3 && strings.Contains(text, part) {
			t.Errorf("error %q repeats %q", text, part)
		}
	}
}

func TestCheckURLErrorKeepsSecrets(t *testing.T) {
	for _, raw := range []string{
		"http://canary-user:canary-pass@example.com/",
		"http://canary%zz.example.com/",
		"http://example.com:canary/",
		"canary://example.com/",
		"http://[canary]/",
		"http://canary example.com/",
		"http://127.0.0.1/canary",
		"canary",
	} {
		t.Run("the error does not repeat parts of "+raw, func(t *testing.T) {
			err := egress.CheckURL(raw, nil)
			if err == nil {
				t.Fatal("CheckURL = nil, want an error")
			}
			if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "127") {
				t.Errorf("error %q repeats the value", err)
			}
		})
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, vector := range vectors() {
		f.Add(vector.raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if egress.CheckURL(raw, nil) != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatalf("accepted %q does not parse: %v", raw, err)
		}
		// The client checks what net/http will send, so an accepted URL must
		// stay accepted in that form and keep its host.
		again, err := url.Parse(u.String())
		if err != nil || again.Host != u.Host {
			t.Fatalf("accepted %q changes to %q: %v", raw, u, err)
		}
		if err := egress.CheckURL(u.String(), nil); err != nil {
			t.Fatalf("accepted %q becomes %q, which is refused: %v", raw, u, err)
		}
		if u.User != nil || strings.ContainsAny(u.Host, "@%\\/ ") {
			t.Fatalf("accepted %q has host %q", raw, u.Host)
		}
	})
}
