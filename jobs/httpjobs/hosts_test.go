package httpjobs_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/httpjobs"
)

func TestRequestsAreForListedHostsAndPortsAlone(t *testing.T) {
	for _, tt := range []struct{ listed, allowed, refused string }{
		{
			"API.example.com", "https://api.example.com/ https://api.EXAMPLE.com:443/ https://api.example.com:8443/a",
			"http://api.example.com/ http://api.example.com:443/ https://api.example.com:80/ https://api.example.com:4433/ " +
				"https://example.com/ https://a.api.example.com/ https://api.example.com.evil.example/ https://xapi.example.com/",
		},
		{
			"*.example.com", "https://a.example.com/ https://b.a.example.com/",
			"https://example.com/ https://aexample.com/ https://example.com.evil.example/ https://evil.example/?.example.com",
		},
		{"api.example.com:80", "http://api.example.com/ http://api.example.com:80/ https://api.example.com:80/", "https://api.example.com/ http://api.example.com:8080/"},
		{"*.example.com:9000", "https://a.example.com:9000/ http://a.example.com:9000/", "https://a.example.com/"},
		{"192.0.2.7", "https://192.0.2.7/", "https://192.0.2.70/ https://0xc0000207/"},
		{"[2001:db8::7]:9000", "https://[2001:DB8::7]:9000/", "https://[2001:db8::7]/ https://[2001:db8::70]:9000/"},
		{"", "http://anything.example:1234/", ""},
	} {
		var listed []string
		if tt.listed != "" {
			listed = []string{"another.example", tt.listed}
		}
		check := func(urls string, want bool) {
			for u := range strings.FieldsSeq(urls) {
				t.Run(tt.listed+" and "+u, func(t *testing.T) {
					if got, err := httpjobs.Allowed(listed, u); err != nil || got != want {
						t.Errorf("allowed = %v, %v; want %v", got, err, want)
					}
				})
			}
		}
		check(tt.allowed, true)
		check(tt.refused, false)
	}
}

func TestARequestForAnUnlistedHostIsNotMade(t *testing.T) {
	asked := make(chan string, 9)
	r := newRigOn(t, httpjobs.Options{AllowPrivateNetworks: true, Hosts: []string{"api.example.com"}}, func(_ http.ResponseWriter, req *http.Request) {
		asked <- req.URL.Path
	})
	_, info, err := r.do(httpjobs.Request{URL: r.url + "/secret-path"})
	if !errors.Is(err, jobs.ErrDiscarded) || info.Attempt != 1 || len(asked) > 0 {
		t.Errorf("Await = %v after %d attempts and %d requests, want it discarded at once", err, info.Attempt, len(asked))
	}
	if got, want := info.Attempts[0].Error, "the host and port are not among those that may be called"; got != want {
		t.Errorf("the failure reads %q, want %q", got, want)
	}
	r.stop()
	if log := r.log.String(); !strings.Contains(log, "not listed") || strings.Contains(log, "secret-path") {
		t.Errorf("the log reads %q, want the refusal without the URL", log)
	}
}

func TestAListedHostIsJudgedByItsAddressToo(t *testing.T) {
	r := newRigOn(t, httpjobs.Options{Hosts: []string{"127.0.0.1:1"}}, func(http.ResponseWriter, *http.Request) {})
	if _, info, err := r.do(httpjobs.Request{URL: "http://127.0.0.1:1/"}); !errors.Is(err, jobs.ErrDiscarded) || info.Attempts[0].Error != "the host's address is not public" {
		t.Errorf("Await = %v with %+v, want its address refused", err, info.Attempts)
	}
}

func TestHostsThatAreNoneAreNamed(t *testing.T) {
	for _, wrong := range []string{"", "*", "*.", "https://a.example", "a.example/", "a.example/b", "u@a.example", "a..example", "a.*.example", "a.example:", "a.example:0", "a.example:70000", "a b.example", "2130706433", "a.example?x", "grüß.example"} {
		t.Run(wrong, func(t *testing.T) {
			err := httpjobs.Register(jobs.NewRegistry(nil), &httpjobs.Options{Hosts: []string{"a.example", wrong}})
			if !errors.Is(err, jobs.ErrInvalid) || !strings.Contains(err.Error(), "/hosts/1") {
				t.Errorf("Register = %v, want ErrInvalid about /hosts/1", err)
			}
		})
	}
}
