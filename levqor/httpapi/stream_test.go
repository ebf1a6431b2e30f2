package httpapi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/httpapi"
)

// A job that one process runs is watched at another, on each database.
func TestAJobIsWatchedAtAnotherProcess(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		url := fresh(t)
		var services []*service
		for range 2 {
			db := dbtest.Open(t, url)
			if err := bunlevqor.Migrate(t.Context(), db); err != nil {
				t.Fatal(err)
			}
			services = append(services, newServiceOn(t, bunlevqor.Stores(db)))
		}
		running, watching := services[0], services[1]
		token := running.key("acme", "*")
		srv := httptest.NewServer(watching.handler)
		defer srv.Close()
		c, err := client.New(srv.URL, &client.Options{Key: token})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		job, err := c.CreateJob(ctx, client.NewJob{Kind: "mail", Args: []byte(`{"to":[{"email":"ada@example.com"}],"body":"hi"}`)}, "")
		if err != nil {
			t.Fatal(err)
		}
		list := watching.stream("/api/v1/jobs/events?limit=5", token)
		single := watching.stream("/api/v1/jobs/"+job.ID+"/events", token)
		list.wait(t, `"state":"ready"`)
		single.wait(t, "event: job")
		ran := make(chan error, 1)
		var states []client.JobState
		for now, err := range c.WatchJob(ctx, job.ID) {
			if err != nil {
				t.Fatal(err)
			}
			if states = append(states, now.State); len(states) == 1 {
				go func() { ran <- running.app.Run(ctx) }()
			}
			job = &now
		}
		if states[0] != client.JobStateReady || job.State != client.JobStateCompleted || string(job.Result) != `"hi"` {
			t.Errorf("WatchJob gave %v, at last %+v", states, job)
		}
		list.wait(t, `"state":"completed"`)
		list.end()
		<-single.done // the service ends it
		text := single.text()
		log, end := strings.Index(text, "id: 1\nevent: log\ndata: {"), strings.Index(text, "event: end\ndata: {")
		if !strings.HasPrefix(text, "retry: 2000\n\nevent: job\ndata: {") || log < 0 || end < log || strings.Contains(text[end:], "\n\ne") {
			t.Errorf("the stream is\n%s", text)
		}
		again := watching.stream("/api/v1/jobs/"+job.ID+"/events", token, "Last-Event-ID: 1")
		<-again.done
		if text := again.text(); strings.Contains(text, "event: log") || !strings.Contains(text, "event: end") {
			t.Errorf("the stream after the first line is\n%s", text)
		}
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestAStreamShowsNothingOfAnotherTenant(t *testing.T) {
	s := newService(t)
	ours, theirs := s.key("acme", "*"), s.key("other", "*")
	mine := s.stream("/api/v1/jobs/events", ours)
	other := s.stream("/api/v1/jobs/events", theirs)
	job := decode[client.Job](t, s.create(ours, "k", mail))
	mine.wait(t, job.ID)
	foreign := decode[client.Job](t, s.create(theirs, "k", mail))
	other.wait(t, foreign.ID)
	if text := other.text(); strings.Contains(text, job.ID) {
		t.Errorf("another tenant's stream is\n%s", text)
	}
	other.end()
	if resp := mine.end(); resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("X-Accel-Buffering") != "no" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the headers are %v", resp.Header)
	}
	if text := mine.text(); strings.Contains(text, foreign.ID) {
		t.Errorf("the stream is\n%s", text)
	}
}

func TestTheListTellsWhatIsGone(t *testing.T) {
	s := newService(t)
	token := s.key("acme", "*")
	list := s.stream("/api/v1/jobs/events?state=ready&queue=default", token)
	job := decode[client.Job](t, s.create(token, "k", mail))
	list.wait(t, job.ID)
	s.do(request{method: "POST", path: "/api/v1/jobs/" + job.ID + "/cancel", token: token})
	list.wait(t, `event: gone`+"\n"+`data: {"id":"`+job.ID+`"}`+"\n\n")
	list.end()
}

func TestAKeyHasALimitedNumberOfStreams(t *testing.T) {
	s := newService(t)
	var err error
	if s.handler, err = httpapi.New(s.app, &httpapi.Options{MaxStreams: 2}); err != nil {
		t.Fatal(err)
	}
	token := s.key("acme", "*")
	open := []*streamRecorder{s.stream("/api/v1/jobs/events", token), s.stream("/api/v1/jobs/events", token)}
	for _, o := range open {
		o.wait(t, "retry")
	}
	third := s.do(request{method: "GET", path: "/api/v1/jobs/events", token: token})
	if p := decode[client.Problem](t, third); third.StatusCode != 429 || p.Code != client.ProblemCodeLimitReached || p.Detail == nil {
		t.Errorf("the third stream gave %d %+v", third.StatusCode, p)
	}
	other := s.stream("/api/v1/jobs/events", s.key("acme", "*"))
	other.wait(t, "retry")
	other.end()
	open[0].end()
	again := s.stream("/api/v1/jobs/events", token)
	again.wait(t, "retry")
	again.end()
	open[1].end()
}

func TestAHeadRequestOpensNoStream(t *testing.T) {
	s := newService(t)
	if resp := s.do(request{method: "HEAD", path: "/api/v1/jobs/events", token: s.key("acme", "*")}); resp.StatusCode != 200 {
		t.Errorf("HEAD gave %d", resp.StatusCode)
	}
}

// inTime runs fn on a service in memory and in fake time.
func inTime(t *testing.T, fn func(t *testing.T, s *service)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(t, newService(t)) })
}

func TestAStreamLivesLongerThanARequestAndShowsThatItDoes(t *testing.T) {
	inTime(t, func(t *testing.T, s *service) {
		list := s.stream("/api/v1/jobs/events", s.key("acme", "*"))
		time.Sleep(10*time.Minute + time.Second)
		if n := strings.Count(list.text(), "\n:\n"); n != 40 {
			t.Errorf("%d heartbeats in 10 minutes, want 40", n)
		}
		list.end()
	})
}

func TestAStreamEndsWithItsKey(t *testing.T) {
	inTime(t, func(t *testing.T, s *service) {
		token, other := s.key("acme", "jobs:read"), s.key("acme", "jobs:read")
		list, stays := s.stream("/api/v1/jobs/events", token), s.stream("/api/v1/jobs/events", other)
		time.Sleep(10 * time.Minute)
		who, err := s.app.Keys.Authenticate(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.app.Keys.Revoke(t.Context(), "acme", who.KeyID); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		<-list.done
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("the stream went on for %v", took)
		}
		time.Sleep(10 * time.Minute)
		select {
		case <-stays.done:
			t.Error("the stream of another key ended")
		default:
		}
		stays.end()
	})
}

func TestAStreamEndsWhenTheServiceDrains(t *testing.T) {
	inTime(t, func(t *testing.T, s *service) {
		token := s.key("acme", "*")
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- s.app.Run(ctx) }()
		list := s.stream("/api/v1/jobs/events", token)
		time.Sleep(time.Minute)
		stop()
		<-list.done
		if err := <-ran; err != nil {
			t.Errorf("Run = %v", err)
		}
		if resp := s.do(request{method: "GET", path: "/api/v1/jobs/events", token: token}); resp.StatusCode != 503 {
			t.Errorf("a new stream gave %d, want 503", resp.StatusCode)
		}
	})
}

func TestServeEndsStreamsInsteadOfWaitingForThem(t *testing.T) {
	s := newService(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	served := make(chan error, 1)
	go func() { served <- httpapi.Serve(ctx, listener, s.handler, &httpapi.ServeOptions{Grace: time.Minute}) }()
	resp := s.get("http://" + listener.Addr().String() + "/api/v1/jobs/events")
	defer resp.Body.Close()
	begun := time.Now()
	stop()
	if err := <-served; err != nil || time.Since(begun) > 10*time.Second {
		t.Errorf("Serve = %v after %v", err, time.Since(begun))
	}
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("the stream ended with %v, want an orderly end", err)
	}
}

// get sends a request over the network.
func (s *service) get(url string) *http.Response {
	s.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key("acme", "*"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	return resp
}

// The time limits of the server are for answers that end by themselves.
func TestAStreamOutlivesTheTimeoutsOfItsServer(t *testing.T) {
	s := newService(t)
	srv := httptest.NewUnstartedServer(s.handler)
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	srv.Start()
	defer srv.Close()
	resp := s.get(srv.URL + "/api/v1/jobs/events")
	defer resp.Body.Close()
	time.Sleep(300 * time.Millisecond) // past both
	job := decode[client.Job](t, s.create(s.key("acme", "*"), "k", mail))
	found := make(chan bool, 1)
	go func() {
		var got bytes.Buffer
		b := make([]byte, 4096)
		for !strings.Contains(got.String(), job.ID) {
			n, err := resp.Body.Read(b)
			if got.Write(b[:n]); err != nil {
				found <- false
				return
			}
		}
		found <- true
	}()
	if !<-found {
		t.Error("the stream ended before the job came")
	}
}

// stuck is the connection of a caller that reads nothing after the head.
type stuck struct {
	*httptest.ResponseRecorder
	deadline time.Time
	writes   int
}

func (s *stuck) SetWriteDeadline(t time.Time) error { s.deadline = t; return nil }

func (s *stuck) Write(b []byte) (int, error) {
	if s.writes++; s.writes == 1 {
		return len(b), nil
	}
	time.Sleep(time.Until(s.deadline))
	return 0, os.ErrDeadlineExceeded
}

func TestACallerThatDoesNotReadIsLeft(t *testing.T) {
	inTime(t, func(t *testing.T, s *service) {
		token := s.key("acme", "*")
		for i := range 30 {
			s.create(token, fmt.Sprint(i), mail)
		}
		req := httptest.NewRequest("GET", "/api/v1/jobs/events?limit=30", nil).WithContext(t.Context())
		req.Header.Set("Authorization", "Bearer "+token)
		begun := time.Now()
		w := &stuck{ResponseRecorder: httptest.NewRecorder()}
		s.handler.ServeHTTP(w, req)
		if took := time.Since(begun); took > 10*time.Second || w.writes != 2 {
			t.Errorf("the stream went on for %v and %d writes", took, w.writes)
		}
	})
}

func TestAStreamWaitsForADatabaseThatIsAway(t *testing.T) {
	inTime(t, func(t *testing.T, _ *service) {
		stores := levqor.MemStores()
		away := &awayStore{Store: stores.Jobs, until: time.Now().Add(5 * time.Minute)}
		stores.Jobs = away
		s := newServiceOn(t, stores)
		token := s.key("acme", "*")
		job := decode[client.Job](t, s.create(token, "k", mail))
		list := s.stream("/api/v1/jobs/events", token)
		time.Sleep(4 * time.Minute)
		if strings.Contains(list.text(), job.ID) {
			t.Error("the job came while the store was away")
		}
		time.Sleep(2 * time.Minute)
		if !strings.Contains(list.text(), job.ID) {
			t.Errorf("the stream is\n%s", list.text())
		}
		list.end()
		if s.log.Len() > 0 {
			t.Errorf("the log says\n%s", s.log)
		}
	})
}

// awayStore cannot be read for a time.
type awayStore struct {
	jobs.Store
	until time.Time
}

func (a *awayStore) List(ctx context.Context, query jobs.ListQuery) ([]jobs.Info, error) {
	if time.Now().Before(a.until) {
		return nil, jobs.ErrUnavailable
	}
	return a.Store.List(ctx, query)
}

func TestAStoreThatPanicsEndsTheStreamAlone(t *testing.T) {
	stores := levqor.MemStores()
	stores.Jobs = leaky{stores.Jobs}
	s := newServiceOn(t, stores)
	list := s.stream("/api/v1/jobs/events", s.key("acme", "*"))
	<-list.done
	if !strings.Contains(s.log.String(), "hunter2") || strings.Contains(list.text(), "hunter2") {
		t.Errorf("the log says\n%s", s.log)
	}
}
