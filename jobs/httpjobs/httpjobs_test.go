package httpjobs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/httpjobs"
	"github.com/levqor/sdk/levqor"
)

// rig runs http.request jobs against a server of the test's own.
type rig struct {
	*testing.T
	store *jobs.MemStore
	queue *jobs.Queue
	url   string
	log   *bytes.Buffer
	stop  func()
}

func newRig(t *testing.T, private bool, handler http.HandlerFunc) *rig {
	t.Helper()
	ring, err := levqor.NewKeyRing(bytes.Repeat([]byte("x"), 32))
	if err != nil {
		t.Fatal(err)
	}
	registry := jobs.NewRegistry(&jobs.RegistryOptions{Sealer: ring.Sealer()})
	err = httpjobs.Register(registry, &httpjobs.Options{
		AllowPrivateNetworks: private,
		Defaults:             jobs.KindOptions{MaxAttempts: 3, Backoff: func(int) time.Duration { return time.Millisecond }},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, store: jobs.NewMemStore(), log: &bytes.Buffer{}}
	r.queue = jobs.New(r.store, registry, nil)
	srv := httptest.NewServer(handler)
	r.url = srv.URL
	worker, err := jobs.NewWorker(r.store, registry, &jobs.WorkerOptions{
		Poll: 5 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		srv.Close()
	})
	t.Cleanup(r.stop)
	return r
}

func (r *rig) do(req httpjobs.Request) (httpjobs.Result, jobs.Info, error) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
	defer cancel()
	info, err := r.queue.Enqueue(ctx, req, nil)
	if err != nil {
		r.Fatalf("Enqueue = %v", err)
	}
	result, err := jobs.Await[httpjobs.Result](ctx, r.queue, info.ID)
	info, getErr := r.queue.Get(ctx, info.ID)
	if getErr != nil {
		r.Fatal(getErr)
	}
	return result, info, err
}

func TestARequestIsMadeAndItsAnswerKept(t *testing.T) {
	r := newRig(t, true, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		w.Header().Set("X-Seen", req.Method+" "+req.Header.Get("X-Given")+" "+string(body))
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "grüß")
	})
	got, _, err := r.do(httpjobs.Request{Method: "POST", URL: r.url, Body: "hello", Headers: []httpjobs.Header{{Name: "x-given", Value: "v"}}})
	if err != nil || got.Status != 201 || got.Body != "grüß" || got.BodyEncoding != "text" || got.Truncated {
		t.Errorf("the result is %+v, %v", got, err)
	}
	if seen := header(got, "X-Seen"); seen != "POST v hello" {
		t.Errorf("the server saw %q", seen)
	}
}

func header(r httpjobs.Result, name string) string {
	for _, h := range r.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

func TestBodiesOfAnswers(t *testing.T) {
	long := strings.Repeat("a", httpjobs.MaxBody-1) + "ü" + "tail"
	for name, tt := range map[string]struct {
		body, want, encoding string
		truncated            bool
	}{
		"text":                   {"hello", "hello", "text", false},
		"bytes that are no text": {"\xff\xfe", "//4=", "base64", false},
		"a text with a NUL":      {"a\x00", "YQA=", "base64", false},
		"a text that is too long, cut before a letter of two bytes": {long, long[:httpjobs.MaxBody-1], "text", true},
		"nothing": {"", "", "text", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, true, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tt.body) })
			got, _, err := r.do(httpjobs.Request{URL: r.url})
			if err != nil || got.Body != tt.want || got.BodyEncoding != tt.encoding || got.Truncated != tt.truncated {
				t.Errorf("%d bytes, %s, truncated %v, %v; want %d bytes, %s, %v", len(got.Body), got.BodyEncoding, got.Truncated, err, len(tt.want), tt.encoding, tt.truncated)
			}
		})
	}
}

func TestWhatIsTriedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		status   int
		expected []int
		attempts int
		state    jobs.State
	}{
		"an error of the server":       {500, nil, 3, jobs.Discarded},
		"too many requests":            {429, nil, 3, jobs.Discarded},
		"not found":                    {404, nil, 1, jobs.Discarded},
		"a redirect":                   {302, nil, 1, jobs.Discarded},
		"an expected 404":              {404, []int{404}, 1, jobs.Completed},
		"an expected 500":              {500, []int{500}, 1, jobs.Completed},
		"a success that was not asked": {200, []int{204}, 1, jobs.Discarded},
		"no content":                   {204, nil, 1, jobs.Completed},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, true, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.status)
			})
			_, info, _ := r.do(httpjobs.Request{URL: r.url, ExpectedStatus: tt.expected})
			if info.Attempt != tt.attempts || info.State != tt.state {
				t.Errorf("%s after %d attempts, want %s after %d", info.State, info.Attempt, tt.state, tt.attempts)
			}
			if tt.state == jobs.Discarded && !strings.Contains(info.Attempts[0].Error, fmt.Sprint("status ", tt.status)) {
				t.Errorf("the failure reads %q", info.Attempts[0].Error)
			}
		})
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	date := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second,
		date.Add(time.Minute).Format(http.TimeFormat): time.Minute,
		"99999999": httpjobs.MaxRetryAfter,
	} {
		t.Run(value, func(t *testing.T) {
			r := newRig(t, true, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", value)
				w.Header().Set("Date", date.Format(http.TimeFormat))
				w.WriteHeader(http.StatusServiceUnavailable)
			})
			info, err := r.queue.Enqueue(t.Context(), httpjobs.Request{URL: r.url}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for info.State != jobs.Retryable {
				if info, err = r.queue.Get(t.Context(), info.ID); err != nil {
					t.Fatal(err)
				}
			}
			if got := info.RunAt.Sub(info.Attempts[0].FinishedAt); got != want {
				t.Errorf("the job waits %v, want %v", got, want)
			}
		})
	}
}

func TestRequestsThatChangeThingsCarryTheJobsID(t *testing.T) {
	var mu sync.Mutex
	var keys []string
	r := newRig(t, true, func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, req.Header.Get("Idempotency-Key"))
		if len(keys) == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	_, info, err := r.do(httpjobs.Request{Method: "POST", URL: r.url})
	if err != nil {
		t.Fatal(err)
	}
	_, _, _ = r.do(httpjobs.Request{Method: "GET", URL: r.url})
	_, _, _ = r.do(httpjobs.Request{Method: "PUT", URL: r.url, Headers: []httpjobs.Header{{Name: "idempotency-key", Value: "own"}}})
	want := fmt.Sprint([]string{info.ID.String(), info.ID.String(), "", "own"})
	if got := fmt.Sprint(keys); got != want {
		t.Errorf("the keys were %s, want %s", got, want)
	}
}

func TestSecretsReachTheTargetAndNothingElse(t *testing.T) {
	const secret = "hunter2hunter2"
	seen := make(chan string, 10)
	r := newRig(t, true, func(w http.ResponseWriter, req *http.Request) {
		seen <- req.Header.Get("Authorization")
		w.WriteHeader(http.StatusTeapot)
	})
	_, info, err := r.do(httpjobs.Request{URL: r.url, Headers: []httpjobs.Header{{Name: "Authorization", Value: secret, Secret: true}}})
	if !errors.Is(err, jobs.ErrDiscarded) {
		t.Errorf("Await = %v", err)
	}
	if got := <-seen; got != secret {
		t.Errorf("the target saw %q", got)
	}
	stored, getErr := r.store.Get(t.Context(), "", info.ID)
	if getErr != nil {
		t.Fatal(getErr)
	}
	r.stop()
	for what, text := range map[string]string{
		"the store": fmt.Sprintf("%s %+v", stored.Args, stored), "the queue": fmt.Sprintf("%s %+v", info.Args, info), "the error": err.Error(), "the log": r.log.String(),
	} {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows the secret", what)
		}
	}
	if !strings.Contains(string(info.Args), `"value":"[secret]"`) {
		t.Errorf("the queue shows %s", info.Args)
	}
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	r := newRig(t, false, func(http.ResponseWriter, *http.Request) { t.Error("the request was made") })
	_, info, err := r.do(httpjobs.Request{URL: r.url})
	if !errors.Is(err, jobs.ErrDiscarded) || info.Attempt != 1 {
		t.Errorf("Await = %v after %d attempts, want it discarded at once", err, info.Attempt)
	}
	if text := info.Attempts[0].Error; strings.Contains(text, "127.0.0.1") {
		t.Errorf("the failure %q tells the address", text)
	}
}

func TestAnOwnTimeoutIsTriedAgain(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, true, func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-release:
		case <-req.Context().Done():
		}
	})
	defer close(release)
	_, info, err := r.do(httpjobs.Request{URL: r.url, TimeoutSeconds: 0.02})
	if !errors.Is(err, jobs.ErrDiscarded) || info.Attempt != 3 {
		t.Errorf("Await = %v after %d attempts, want 3", err, info.Attempt)
	}
}

// TestSchemaAndValidateAgree holds the two forms of the rules to each other.
func TestSchemaAndValidateAgree(t *testing.T) {
	raw, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	schema := &openapi3.Schema{}
	if err := json.Unmarshal(raw, schema); err != nil {
		t.Fatal(err)
	}
	const ok = `"url":"https://example.com/"`
	for args, want := range map[string]struct{ schema, validate bool }{
		`{` + ok + `}`:                                         {true, true},
		`{` + ok + `,"method":"PUT","body":"x"}`:               {true, true},
		`{` + ok + `,"method":"TRACE"}`:                        {false, false},
		`{"url":""}`:                                           {false, false},
		`{"url":"ftp://example.com/"}`:                         {true, false},
		`{"url":"https://user@example.com/"}`:                  {true, false},
		`{` + ok + `,"timeout_seconds":-1}`:                    {false, false},
		`{` + ok + `,"timeout_seconds":3601}`:                  {false, false},
		`{` + ok + `,"expected_status":[200,599]}`:             {true, true},
		`{` + ok + `,"expected_status":[600]}`:                 {false, false},
		`{` + ok + `,"expected_status":[100]}`:                 {false, false},
		`{` + ok + `,"headers":[{"name":"","value":""}]}`:      {false, false},
		`{` + ok + `,"headers":[{"name":"a b","value":""}]}`:   {true, false},
		`{` + ok + `,"headers":[{"name":"Host","value":""}]}`:  {true, false},
		`{` + ok + `,"headers":[{"name":"A","value":"x\ny"}]}`: {true, false},
		`{` + ok + `,"body":"x"}`:                              {true, false},
	} {
		var value any
		var req httpjobs.Request
		if err := errors.Join(json.Unmarshal([]byte(args), &value), json.Unmarshal([]byte(args), &req)); err != nil {
			t.Fatal(err)
		}
		if err := schema.VisitJSON(value); (err == nil) != want.schema {
			t.Errorf("the schema says of %s: %v", args, err)
		}
		if err := req.Validate(); (err == nil) != want.validate || err != nil && !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("Validate says of %s: %v", args, err)
		}
	}
}

func TestValidateNamesEachField(t *testing.T) {
	err := httpjobs.Request{
		Method: "X", URL: "/", TimeoutSeconds: -1, ExpectedStatus: []int{200, 1},
		Headers: []httpjobs.Header{{Name: "A", Value: "ok"}, {Name: "", Value: "x"}, {Name: "A", Value: "\x00"}},
	}.Validate()
	for _, field := range []string{"/method", "/url", "/timeout_seconds", "/expected_status/1", "/headers/1/name", "/headers/2/value"} {
		if !strings.Contains(err.Error(), field+": ") {
			t.Errorf("Validate does not name %s: %v", field, err)
		}
	}
}
