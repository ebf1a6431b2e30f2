package httpjobs_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/httpjobs"
)

func TestARequestIsMadeAsItIsGiven(t *testing.T) {
	type seen struct{ method, path, body, length, agent, own, kind string }
	requests := make(chan seen, 1)
	r := newRig(t, func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		requests <- seen{
			req.Method, req.URL.String(), string(body), fmt.Sprint(req.ContentLength),
			req.UserAgent(), strings.Join(req.Header["X-Own"], "|"), req.Header.Get("Content-Type"),
		}
	})
	for name, tt := range map[string]struct {
		req  httpjobs.Request
		want seen
	}{
		"the URL alone": {httpjobs.Request{}, seen{method: "GET", path: "/a%2Fb?c=d%20e", length: "0", agent: "levqor-jobs"}},
		"everything": {
			httpjobs.Request{
				Method: "POST", Body: "grüß", TimeoutSeconds: 10, ExpectedStatus: []int{200},
				Headers: []httpjobs.Header{{Name: "x-own", Value: "1"}, {Name: "X-Own", Value: "ü"}, {Name: "content-type", Value: "text/x"}, {Name: "User-Agent", Value: "mine"}},
			},
			seen{"POST", "/a%2Fb?c=d%20e", "grüß", "6", "mine", "1|ü", "text/x"},
		},
		"bytes in base64": {
			httpjobs.Request{Method: "PUT", Body: base64.StdEncoding.EncodeToString([]byte("\x00\xff")), BodyEncoding: httpjobs.Base64},
			seen{method: "PUT", path: "/a%2Fb?c=d%20e", body: "\x00\xff", length: "2", agent: "levqor-jobs"},
		},
		"HEAD":              {httpjobs.Request{Method: "HEAD"}, seen{method: "HEAD", path: "/a%2Fb?c=d%20e", length: "0", agent: "levqor-jobs"}},
		"OPTIONS, no agent": {httpjobs.Request{Method: "OPTIONS", Headers: []httpjobs.Header{{Name: "User-Agent"}}}, seen{method: "OPTIONS", path: "/a%2Fb?c=d%20e", length: "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.req.URL = r.url + "/a%2Fb?c=d%20e"
			r.mustDo(tt.req)
			if got := <-requests; got != tt.want {
				t.Errorf("the server saw %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestWhatIsTriedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		status   int
		expected []int
		attempts int
		failure  string
	}{
		"an error of the server":         {500, nil, attempts, "the server answered 500"},
		"a server that is away":          {503, nil, attempts, "the server answered 503"},
		"the last error of a server":     {599, nil, attempts, "the server answered 599"},
		"too many requests":              {429, nil, attempts, "the server answered 429"},
		"a 500 that another one excuses": {500, []int{503}, attempts, "the server answered 500"},
		"not found":                      {404, nil, 1, "the server answered 404"},
		"a status of no class":           {777, nil, 1, "the server answered 777"},
		"a redirect":                     {302, nil, 1, "the server answered 302, and redirects are not followed"},
		"a success that was not asked":   {200, []int{204}, 1, "the server answered 200, which was not expected"},
		"an expected 404":                {404, []int{200, 404}, 1, ""},
		"an expected 500":                {500, []int{500}, 1, ""},
		"an expected 429":                {429, []int{429}, 1, ""},
		"no content":                     {204, nil, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var hits atomic.Int64
			r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
				hits.Add(1)
				w.WriteHeader(tt.status)
			})
			got, info, err := r.do(httpjobs.Request{URL: r.url, ExpectedStatus: tt.expected})
			if info.Attempt != tt.attempts || hits.Load() != int64(tt.attempts) {
				t.Errorf("%d attempts and %d requests, want %d", info.Attempt, hits.Load(), tt.attempts)
			}
			if tt.failure == "" {
				if err != nil || got.Status != tt.status {
					t.Errorf("Await = %d, %v, want %d", got.Status, err, tt.status)
				}
				return
			}
			if !errors.Is(err, jobs.ErrDiscarded) || info.Attempts[0].Error != tt.failure {
				t.Errorf("Await = %v, want %q", err, tt.failure)
			}
		})
	}
}

func TestNetworkErrorsAreTriedAgain(t *testing.T) {
	away := httptest.NewServer(nil)
	away.Close()
	release := make(chan struct{})
	defer close(release)
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/silent":
			<-release
		case "/slow-body":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-release
		case "/short-body":
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "short")
		default:
			conn, _, _ := w.(http.Hijacker).Hijack()
			_ = conn.Close()
		}
	})
	for name, tt := range map[string]struct {
		url, want string
		timeout   float64
	}{
		"a port without a server":         {away.URL, "the connection was refused", 0},
		"a server that hangs up":          {r.url, "the server closed the connection without an answer", 0},
		"a server that is silent":         {r.url + "/silent", "the server did not answer in time", 0.05},
		"an answer that does not end":     {r.url + "/slow-body", "the server did not answer in time", 0.05},
		"an answer that is cut short":     {r.url + "/short-body", "the server's answer was not valid HTTP", 0},
		"TLS with a server that has none": {strings.Replace(r.url, "http:", "https:", 1), "the server did not accept a TLS connection", 0},
		"a timeout of next to nothing":    {r.url + "/silent", "the server did not answer in time", 1e-12},
	} {
		t.Run(name, func(t *testing.T) {
			_, info, err := r.do(httpjobs.Request{URL: tt.url, TimeoutSeconds: tt.timeout})
			if !errors.Is(err, jobs.ErrDiscarded) || info.Attempt != attempts {
				t.Errorf("Await = %v after %d attempts, want %d", err, info.Attempt, attempts)
			}
			if got := info.Attempts[0].Error; got != tt.want {
				t.Errorf("the failure reads %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAJobThatFailsAtFirstCompletes(t *testing.T) {
	var hits atomic.Int64
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		if hits.Add(1) < attempts {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	_, info, err := r.do(httpjobs.Request{URL: r.url})
	if err != nil || info.State != jobs.Completed || info.Attempt != attempts || len(info.Attempts) != attempts-1 {
		t.Errorf("Await = %v, the job %s after %d attempts", err, info.State, info.Attempt)
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	date := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, tt := range map[string]struct {
		status int
		value  string
		want   time.Duration
	}{
		"seconds of a 503":         {503, "7", 7 * time.Second},
		"seconds of a 429":         {429, " 7 ", 7 * time.Second},
		"a date":                   {503, date.Add(time.Minute).Format(http.TimeFormat), time.Minute},
		"a date of the old form":   {429, date.Add(time.Minute).Format(time.ANSIC), time.Minute},
		"more than a day":          {503, "99999999", httpjobs.MaxRetryAfter},
		"more than a number holds": {503, strings.Repeat("9", 30), httpjobs.MaxRetryAfter},
		"a date next year":         {503, date.AddDate(1, 0, 0).Format(http.TimeFormat), httpjobs.MaxRetryAfter},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", tt.value)
				w.Header().Set("Date", date.Format(http.TimeFormat))
				w.WriteHeader(tt.status)
			})
			info, err := r.queue.Enqueue(t.Context(), httpjobs.Request{URL: r.url}, nil)
			if err != nil {
				t.Fatal(err)
			}
			info = r.until(info.ID, jobs.Retryable)
			if got := info.RunAt.Sub(info.Attempts[0].FinishedAt); got != tt.want {
				t.Errorf("the job waits %v, want %v", got, tt.want)
			}
		})
	}
	t.Run("a date without the server's own counts from the attempt", func(t *testing.T) {
		at := time.Now().Add(time.Hour).Truncate(time.Second)
		r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Date"] = nil // keeps net/http from setting it
			w.Header().Set("Retry-After", at.UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		info, err := r.queue.Enqueue(t.Context(), httpjobs.Request{URL: r.url}, nil)
		if err != nil {
			t.Fatal(err)
		}
		info = r.until(info.ID, jobs.Retryable)
		if late := info.RunAt.Sub(at); late < 0 || late > 10*time.Second {
			t.Errorf("the job runs %v after the date", late)
		}
	})
	for _, value := range []string{"", "soon", "-5", "1.5", "0", date.Add(-time.Hour).Format(http.TimeFormat)} {
		t.Run(fmt.Sprintf("%q leaves the backoff as it is", value), func(t *testing.T) {
			r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", value)
				w.Header().Set("Date", date.Format(http.TimeFormat))
				w.WriteHeader(http.StatusTooManyRequests)
			})
			if _, info, _ := r.do(httpjobs.Request{URL: r.url}); info.Attempt != attempts {
				t.Errorf("%d attempts, want %d", info.Attempt, attempts)
			}
		})
	}
}

func TestRequestsThatChangeThingsCarryTheJobsID(t *testing.T) {
	var mu sync.Mutex
	var keys []string
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, req.Header.Get("Idempotency-Key"))
		if len(keys) < attempts {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	own := []httpjobs.Header{{Name: "idempotency-key", Value: "own"}}
	for _, tt := range []struct {
		name string
		req  httpjobs.Request
		want func(id string) []string
	}{
		// The first job is tried three times, the others once.
		{"each attempt of a POST", httpjobs.Request{Method: "POST"}, func(id string) []string { return []string{id, id, id} }},
		{"a PUT", httpjobs.Request{Method: "PUT"}, func(id string) []string { return []string{id} }},
		{"a PATCH", httpjobs.Request{Method: "PATCH"}, func(id string) []string { return []string{id} }},
		{"a DELETE", httpjobs.Request{Method: "DELETE"}, func(id string) []string { return []string{id} }},
		{"a GET has none", httpjobs.Request{}, func(string) []string { return []string{""} }},
		{"a HEAD has none", httpjobs.Request{Method: "HEAD"}, func(string) []string { return []string{""} }},
		{"a POST with a key of its own", httpjobs.Request{Method: "POST", Headers: own}, func(string) []string { return []string{"own"} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mu.Lock()
			before := len(keys)
			mu.Unlock()
			tt.req.URL = r.url
			_, info, err := r.do(tt.req)
			if err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if got, want := fmt.Sprint(keys[before:]), fmt.Sprint(tt.want(info.ID.String())); got != want {
				t.Errorf("the keys were %s, want %s", got, want)
			}
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, elsewhere.URL+"/x", http.StatusTemporaryRedirect)
	})
	req := httpjobs.Request{
		Method: "POST", URL: r.url, Body: "x", ExpectedStatus: []int{307},
		Headers: []httpjobs.Header{{Name: "Authorization", Value: "Bearer abcdefgh", Secret: true}},
	}
	if got := r.mustDo(req); got.Status != 307 || header(got, "Location") != elsewhere.URL+"/x" {
		t.Errorf("the result is %+v, want the redirect", got)
	}
}

func TestTheLogTellsTheCauseAndNotTheURL(t *testing.T) {
	away, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away.Close()
	for _, private := range []bool{true, false} {
		want := map[bool]string{true: "level=DEBUG", false: "level=WARN"}[private]
		t.Run("with "+want, func(t *testing.T) {
			r := newRigOn(t, httpjobs.Options{AllowPrivateNetworks: private}, func(http.ResponseWriter, *http.Request) {})
			_, info, _ := r.do(httpjobs.Request{URL: "http://" + away.Addr().String() + "/?q=personal"})
			r.stop()
			log := r.log.String()
			if !strings.Contains(log, want) || !strings.Contains(log, "job="+info.ID.String()) || !strings.Contains(log, "cause=") {
				t.Errorf("the log is %s", log)
			}
			if strings.Contains(log, "personal") {
				t.Errorf("the log shows the URL: %s", log)
			}
		})
	}
}
