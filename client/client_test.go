package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/client"
)

// answers serves one answer after the other and counts the requests.
func answers(t *testing.T, list ...func(http.ResponseWriter, *http.Request)) (*client.Service, *atomic.Int32) {
	t.Helper()
	var n atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list[min(int(n.Add(1)), len(list))-1](w, r)
	}))
	t.Cleanup(srv.Close)
	c, err := client.New(srv.URL, &client.Options{Key: "lvq_live_x"})
	if err != nil {
		t.Fatal(err)
	}
	return c, &n
}

func problem(status int, code string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(client.Problem{Status: status, Code: client.ProblemCode(code), Title: "no", Type: "t", RequestID: "req_1"})
	}
}

func job(state client.JobState) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		status := http.StatusOK
		if r.Method == http.MethodPost {
			status = http.StatusCreated
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(client.Job{ID: "job_1", State: state, Args: json.RawMessage(`{}`), Attempts: []client.Attempt{}})
	}
}

func TestErrorsAreOfTheirKind(t *testing.T) {
	for status, want := range map[int]error{
		400: client.ErrInvalid, 413: client.ErrInvalid, 415: client.ErrInvalid, 422: client.ErrInvalid, 401: client.ErrUnauthenticated,
		403: client.ErrForbidden, 404: client.ErrNotFound, 409: client.ErrConflict, 504: client.ErrUnavailable,
	} {
		c, n := answers(t, problem(status, "x"))
		_, err := c.GetJob(t.Context(), "job_1")
		var answer *client.Error
		if !errors.Is(err, want) || !errors.As(err, &answer) || answer.RequestID != "req_1" || !strings.Contains(err.Error(), "req_1") {
			t.Errorf("%d gave %v, want %v", status, err, want)
		}
		if n.Load() != 1 {
			t.Errorf("%d was asked %d times", status, n.Load())
		}
	}
	c, _ := answers(t, problem(500, "internal"))
	if _, err := c.GetJob(t.Context(), "job_1"); err == nil || errors.Is(err, client.ErrUnavailable) || errors.Is(err, client.ErrInvalid) {
		t.Errorf("500 gave %v, want an error of no kind", err)
	}
}

func TestPassingFailuresAreTriedAgain(t *testing.T) {
	cut := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	var keys []string
	remember := func(next func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			keys = append(keys, r.Header.Get("Idempotency-Key")+string(body))
			next(w, r)
		}
	}
	c, n := answers(t, remember(problem(503, "unavailable")), remember(cut), remember(problem(429, "limit_reached")), remember(job(client.JobStateReady)))
	got, err := c.CreateJob(t.Context(), client.NewJob{Kind: "k", Args: []byte(`{}`)}, "")
	if err != nil || got.ID != "job_1" || n.Load() != 4 {
		t.Fatalf("CreateJob = %+v, %v after %d requests", got, err, n.Load())
	}
	for _, k := range keys {
		if k != keys[0] || len(k) < 20 {
			t.Errorf("the requests were %q, want the same key and body", keys)
		}
	}
}

func TestRequestsThatMightHaveWorkedAreNotRepeated(t *testing.T) {
	c, n := answers(t, problem(503, "unavailable"))
	if _, err := c.CancelJob(t.Context(), "job_1"); !errors.Is(err, client.ErrUnavailable) || n.Load() != 1 {
		t.Errorf("CancelJob = %v after %d requests, want 1", err, n.Load())
	}
}

func TestRetriesEnd(t *testing.T) {
	c, n := answers(t, problem(503, "unavailable"))
	if _, err := c.GetJob(t.Context(), "job_1"); !errors.Is(err, client.ErrUnavailable) || n.Load() != 4 {
		t.Errorf("GetJob = %v after %d requests, want 4", err, n.Load())
	}
}

func TestTheKeyFollowsNoRedirect(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer other.Close()
	c, _ := answers(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) })
	if _, err := c.GetJob(t.Context(), "job_1"); err == nil {
		t.Error("a redirect is no job")
	}
}

func TestWaitJobAsksUntilTheEnd(t *testing.T) {
	c, n := answers(t, job(client.JobStateReady), job(client.JobStateRunning), job(client.JobStateDiscarded))
	got, err := c.WaitJob(t.Context(), "job_1")
	if err != nil || got.State != client.JobStateDiscarded || n.Load() != 3 {
		t.Errorf("WaitJob = %+v, %v after %d requests", got, err, n.Load())
	}
	c, _ = answers(t, job(client.JobStateReady))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.WaitJob(ctx, "job_1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("WaitJob = %v, want the context's error", err)
	}
}

func TestAnAnswerThatIsNoProblemIsStillAnError(t *testing.T) {
	c, _ := answers(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) })
	if _, err := c.GetJob(t.Context(), "job_1"); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("GetJob = %v, want ErrUnavailable", err)
	}
}

func ExampleNew() {
	srv := httptest.NewServer(http.HandlerFunc(job(client.JobStateCompleted)))
	defer srv.Close()
	c, err := client.New(srv.URL, &client.Options{Key: "lvq_live_…"})
	if err != nil {
		fmt.Println(err)
		return
	}
	done, err := c.WaitJob(context.Background(), "job_1")
	fmt.Println(done.State, err)
	// Output: completed <nil>
}
