package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
)

// script is a service that answers with a status and a Retry-After, one after the other,
// and notes when it was asked.
type script struct {
	begun time.Time
	steps []step
	asked []time.Duration
}

type step struct {
	status     int
	retryAfter string
	date       string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	now := s.steps[min(len(s.asked), len(s.steps)-1)]
	s.asked = append(s.asked, time.Since(s.begun))
	if now.status == 0 {
		return nil, errors.New("the connection was cut")
	}
	h := http.Header{"Content-Type": {"application/json"}, "Retry-After": {now.retryAfter}, "Date": {now.date}}
	body := `{"id":"job_1","state":"ready","args":{},"attempts":[]}`
	if now.status >= 400 {
		h.Set("Content-Type", "application/problem+json")
		body = fmt.Sprintf(`{"status":%d,"code":"x","title":"no","type":"t","request_id":"req_1"}`, now.status)
	}
	return &http.Response{StatusCode: now.status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (s *script) service(t *testing.T, retries int) *client.Service {
	t.Helper()
	s.begun = time.Now()
	c, err := client.New("http://levqor.test", &client.Options{HTTPClient: &http.Client{Transport: s}, Retries: retries})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheServiceSaysHowLongToWait(t *testing.T) {
	const date = "Wed, 01 Jan 2031 00:00:00 GMT"
	for name, tt := range map[string]struct {
		first step
		wait  time.Duration // -1 if there is no second request
	}{
		"seconds":                  {step{429, "7", ""}, 7 * time.Second},
		"as much as it is worth":   {step{503, "30", ""}, 30 * time.Second},
		"more":                     {step{429, "31", ""}, -1},
		"no time":                  {step{429, "0", ""}, 0},
		"a date":                   {step{503, "Wed, 01 Jan 2031 00:00:09 GMT", date}, 9 * time.Second},
		"a date that has passed":   {step{503, "Tue, 31 Dec 2030 23:59:59 GMT", date}, 0},
		"a date a day ahead":       {step{503, "Thu, 02 Jan 2031 00:00:00 GMT", date}, -1},
		"a date by our own clock":  {step{503, "Sat, 01 Jan 2000 00:00:20 GMT", ""}, 20 * time.Second},
		"what is not to be passed": {step{500, "1", ""}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the clock begins with the year 2000
				s := &script{steps: []step{tt.first, {status: 200}}}
				_, err := s.service(t, 0).GetJob(t.Context(), "job_1")
				if tt.wait < 0 {
					if err == nil || len(s.asked) != 1 || s.asked[0] != 0 {
						t.Errorf("GetJob = %v after requests at %v, want the answer at once", err, s.asked)
					}
					return
				}
				if err != nil || len(s.asked) != 2 || s.asked[1] != tt.wait {
					t.Errorf("GetJob = %v after requests at %v, want the second after %v", err, s.asked, tt.wait)
				}
			})
		})
	}
}

func TestWaitsGrowWhereNobodySaysHowLong(t *testing.T) {
	for _, wrong := range []step{{}, {status: 503}, {status: 503, retryAfter: "soon"}, {status: 429, retryAfter: "-1"}} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{steps: []step{wrong}}
			_, err := s.service(t, 5).GetJob(t.Context(), "job_1")
			if err == nil || len(s.asked) != 6 {
				t.Fatalf("GetJob = %v after %d requests, want an error after 6", err, len(s.asked))
			}
			for i := 1; i < len(s.asked); i++ {
				most := 100 * time.Millisecond << (i - 1)
				if wait := s.asked[i] - s.asked[i-1]; wait < most/2 || wait > most {
					t.Errorf("wait %d is %v, want %v to %v", i, wait, most/2, most)
				}
			}
		})
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{{429, "20", ""}}}
		c := s.service(t, 0)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		if _, err := c.GetJob(ctx, "job_1"); !errors.Is(err, context.Canceled) || time.Since(s.begun) != 5*time.Second {
			t.Errorf("GetJob = %v after %v, want the end of the context", err, time.Since(s.begun))
		}
		ctx, cancel = context.WithTimeout(t.Context(), 19*time.Second)
		defer cancel()
		if _, err := c.GetJob(ctx, "job_1"); !errors.Is(err, client.ErrLimit) || time.Since(s.begun) != 5*time.Second {
			t.Errorf("GetJob = %v after %v, want the limit at once: the context has not that long", err, time.Since(s.begun))
		}
	})
}

// A service that loses its answers after it has done the work: one effect all the same.
func TestWhatIsCreatedIsCreatedOnceThoughAnswersAreLost(t *testing.T) {
	var mu sync.Mutex
	effects := map[string]int{} // by what was asked for and the key
	requests := map[string]int{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		key := r.Header.Get("Idempotency-Key")
		requests[r.URL.Path]++
		if key == "" {
			t.Errorf("%s %s has no idempotency key", r.Method, r.URL.Path)
		}
		if requests[r.URL.Path] < 3 {
			effects[r.URL.Path+" "+key] = 1
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":"job_1","job_id":"job_1","at":"2031-01-01T00:00:00Z"}`)
	}))
	defer srv.Close()
	c, err := client.New(srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, jobErr := c.CreateJob(t.Context(), client.NewJob{Kind: "k", Args: []byte("{}")}, "")
	_, keyErr := c.CreateAPIKey(t.Context(), client.NewAPIKey{Name: "n", Scopes: []string{"*"}}, "")
	_, runErr := c.RunSchedule(t.Context(), "daily", "")
	if err := errors.Join(jobErr, keyErr, runErr); err != nil || len(effects) != 3 || len(requests) != 3 {
		t.Errorf("%v; there were %v effects of %v requests, want one of each", err, effects, requests)
	}
}

func TestWhatMayNotBeRepeatedIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			call func(*client.Service) error
			want int
		}{
			"rotating a key": {func(c *client.Service) error {
				_, err := c.RotateAPIKey(t.Context(), "key_1", client.APIKeyRotation{})
				return err
			}, 1},
			"cancelling a job":    {func(c *client.Service) error { _, err := c.CancelJob(t.Context(), "job_1"); return err }, 1},
			"deleting a schedule": {func(c *client.Service) error { return c.DeleteSchedule(t.Context(), "s") }, 1},
			"putting a queue": {func(c *client.Service) error {
				_, err := c.PutQueue(t.Context(), "q", "", client.QueueSettings{})
				return err
			}, 4},
			"putting a queue of any version": {func(c *client.Service) error {
				_, err := c.PutQueue(t.Context(), "q", "*", client.QueueSettings{})
				return err
			}, 4},
			"putting a queue of one version": {func(c *client.Service) error {
				_, err := c.PutQueue(t.Context(), "q", `"v"`, client.QueueSettings{})
				return err
			}, 1},
		} {
			s := &script{steps: []step{{}}}
			if err := tt.call(s.service(t, 0)); !errors.Is(err, client.ErrUnavailable) || len(s.asked) != tt.want {
				t.Errorf("%s: %v after %d requests, want %d", name, err, len(s.asked), tt.want)
			}
		}
	})
}

// A program that moves from the packages to the client keeps its checks.
func TestErrorsAreThoseOfThePackages(t *testing.T) {
	for status, kinds := range map[int][]error{
		400: {jobs.ErrInvalid, identity.ErrInvalid, levqor.ErrInvalid},
		401: {identity.ErrUnauthenticated},
		403: {identity.ErrForbidden},
		404: {jobs.ErrNotFound, identity.ErrNotFound, levqor.ErrNotFound},
		409: {jobs.ErrConflict, identity.ErrConflict, levqor.ErrConflict},
		503: {jobs.ErrUnavailable, identity.ErrUnavailable, levqor.ErrUnavailable, guard.ErrUnavailable},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{steps: []step{{status: status}}}
			_, err := s.service(t, -1).GetJob(t.Context(), "job_1")
			for _, kind := range kinds {
				if !errors.Is(err, kind) {
					t.Errorf("%d gave %v, want it to be %v", status, err, kind)
				}
			}
		})
	}
}

// pageServer serves two pages of jobs.
func pageServer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	page := `{"data":[{"id":"job_2"},{"id":"job_1"}],"has_more":true,"next_cursor":"c"}`
	if r.URL.Query().Get("cursor") == "c" {
		page = `{"data":[{"id":"job_0"}],"has_more":false}`
	}
	_, _ = io.WriteString(w, page)
}

func ExampleService_Jobs() {
	srv := httptest.NewServer(http.HandlerFunc(pageServer))
	defer srv.Close()
	c, err := client.New(srv.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for job, err := range c.Jobs(context.Background(), &client.ListJobsParams{Kind: new("mail")}) {
		fmt.Println(job.ID, err)
	}
	// Output:
	// job_2 <nil>
	// job_1 <nil>
	// job_0 <nil>
}

func ExampleError() {
	srv := httptest.NewServer(http.HandlerFunc(problem(http.StatusNotFound, "not_found")))
	defer srv.Close()
	c, err := client.New(srv.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.GetJob(context.Background(), "job_1")
	if answer, ok := errors.AsType[*client.Error](err); ok && errors.Is(err, client.ErrNotFound) {
		fmt.Println(answer.Code, answer.RequestID)
	}
	// Output: not_found req_1
}

func ExampleService_CreateJob() {
	srv := httptest.NewServer(http.HandlerFunc(job(client.JobStateReady)))
	defer srv.Close()
	c, err := client.New(srv.URL, &client.Options{Retries: 5})
	if err != nil {
		fmt.Println(err)
		return
	}
	// The order's number makes the job one of a kind, also if this program is run again.
	job, err := c.CreateJob(context.Background(), client.NewJob{Kind: "receipt", Args: []byte(`{"order": 17}`)}, "receipt-17")
	fmt.Println(job.ID, err)
	// Output: job_1 <nil>
}
