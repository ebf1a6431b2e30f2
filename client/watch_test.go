package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/client"
)

// streamOf answers with events, and notes what it was asked for.
func streamOf(asked *[]string, text string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.Path+" "+r.Header.Get("Last-Event-ID"))
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = io.WriteString(w, "retry: 1\n\n"+text)
	}
}

func jobEvent(name string, state client.JobState) string {
	return fmt.Sprintf("event: %s\ndata: {\"id\":\"job_1\",\"state\":%q}\n\n", name, state)
}

// watched collects the states that WatchJob yields, and its error.
func watched(ctx context.Context, c *client.Service) (states []client.JobState, err error) {
	for job, err := range c.WatchJob(ctx, "job_1") {
		if err != nil {
			return states, err
		}
		states = append(states, job.State)
	}
	return states, nil
}

func TestWatchJobConnectsAgainWhereItWasCutOff(t *testing.T) {
	var asked []string
	const line = "id: 17\nevent: log\ndata: {\"line\":17}\n\n"
	c, _ := answers(
		t, streamOf(&asked, jobEvent("job", client.JobStateReady)+jobEvent("job", client.JobStateRunning)+line+"event: job\ndata: {"),
		problem(http.StatusServiceUnavailable, "unavailable"), problem(http.StatusServiceUnavailable, "unavailable"),
		problem(http.StatusServiceUnavailable, "unavailable"), problem(http.StatusServiceUnavailable, "unavailable"),
		problem(http.StatusTooManyRequests, "limit_reached"),
		streamOf(&asked, ": nothing\n\n"),
		streamOf(&asked, jobEvent("job", client.JobStateRunning)+jobEvent("end", client.JobStateCompleted)+jobEvent("job", client.JobStateReady)),
	)
	got, err := watched(t.Context(), c)
	want := []client.JobState{client.JobStateReady, client.JobStateRunning, client.JobStateCompleted}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("WatchJob gave %v, %v; want %v", got, err, want)
	}
	const path = "/api/v1/jobs/job_1/events "
	if want := []string{path, path + "17", path + "17"}; !slices.Equal(asked, want) {
		t.Errorf("the requests were %q, want %q", asked, want)
	}
}

func TestWatchJobEndsWithWhatDoesNotPass(t *testing.T) {
	var asked []string
	type answer = func(http.ResponseWriter, *http.Request)
	for name, tt := range map[string]struct {
		answers []answer
		states  int
		ok      bool  // it ends without an error
		want    error // nil for one of no kind
	}{
		"no such job":                 {answers: []answer{problem(404, "not_found")}, want: client.ErrNotFound},
		"a service that is away":      {answers: []answer{problem(503, "unavailable")}, want: client.ErrUnavailable},
		"a key that ends":             {answers: []answer{streamOf(&asked, jobEvent("job", "ready")), problem(401, "invalid_api_key")}, states: 1, want: client.ErrUnauthenticated},
		"something between us and it": {answers: []answer{func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) }}, want: client.ErrUnavailable},
		"an answer that is no stream": {answers: []answer{job(client.JobStateReady)}},
		"an event that is not JSON":   {answers: []answer{streamOf(&asked, "event: job\ndata: {\n\n")}},
		"a job that is over already":  {answers: []answer{streamOf(&asked, jobEvent("end", "cancelled"))}, states: 1, ok: true},
		"an unknown event in between": {answers: []answer{streamOf(&asked, "event: new\ndata: x\n\n"+jobEvent("end", "cancelled"))}, states: 1, ok: true},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := answers(t, tt.answers...)
			got, err := watched(t.Context(), c)
			if (err == nil) != tt.ok || tt.want != nil && !errors.Is(err, tt.want) || len(got) != tt.states {
				t.Errorf("WatchJob gave %v, %v; want %d states and %v", got, err, tt.states, tt.want)
			}
		})
	}
}

func TestWatchJobEndsWithItsContextAndItsCaller(t *testing.T) {
	var asked []string
	open := func(w http.ResponseWriter, r *http.Request) {
		streamOf(&asked, jobEvent("job", client.JobStateReady))(w, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	c, _ := answers(t, open)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if got, err := watched(ctx, c); !errors.Is(err, context.DeadlineExceeded) || len(got) != 1 {
		t.Errorf("WatchJob gave %v, %v; want one state and the context's error", got, err)
	}
	for job, err := range c.WatchJob(t.Context(), "job_1") {
		if err != nil || job.ID != "job_1" {
			t.Errorf("WatchJob gave %+v, %v", job, err)
		}
		break
	}
	if len(asked) != 2 || strings.Contains(asked[1], "17") {
		t.Errorf("the requests were %q", asked)
	}
}

// silent answers with a stream that says something and then nothing more.
type silent struct{ connections int }

func (s *silent) RoundTrip(r *http.Request) (*http.Response, error) {
	s.connections++
	name, state := "job", client.JobStateReady
	if s.connections > 2 {
		name, state = "end", client.JobStateCompleted
	}
	body, w := io.Pipe()
	context.AfterFunc(r.Context(), func() { _ = w.CloseWithError(r.Context().Err()) })
	go func() {
		_, _ = io.WriteString(w, jobEvent(name, state))
		for range 4 { // heartbeats
			time.Sleep(15 * time.Second)
			_, _ = io.WriteString(w, ":\n\n")
		}
	}()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: body}, nil
}

func TestAStreamThatFallsSilentIsTakenForDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &silent{}
		c, err := client.New("http://levqor.test", &client.Options{HTTPClient: &http.Client{Transport: service, Timeout: time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		got, err := watched(t.Context(), c)
		if want := []client.JobState{client.JobStateReady, client.JobStateCompleted}; err != nil || !slices.Equal(got, want) {
			t.Errorf("WatchJob gave %v, %v; want %v", got, err, want)
		}
		// Twice a minute of heartbeats and 45 s of silence.
		if took := time.Since(begun); took < 210*time.Second || took > 220*time.Second || service.connections != 3 {
			t.Errorf("it took %v and %d connections", took, service.connections)
		}
		time.Sleep(time.Minute) // for the last heartbeats
	})
}
