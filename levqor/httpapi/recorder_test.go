package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// streamRecorder takes a stream in, and can be waited for.
type streamRecorder struct {
	request *http.Request
	leave   context.CancelFunc
	done    chan struct{} // closed when the stream has ended

	mu     sync.Mutex
	rec    *httptest.ResponseRecorder
	change chan struct{} // holds an element when something came
}

func (r *streamRecorder) Header() http.Header { return r.rec.Header() }

func (r *streamRecorder) WriteHeader(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rec.WriteHeader(status)
}

func (r *streamRecorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case r.change <- struct{}{}:
	default:
	}
	return r.rec.Write(b)
}

func (r *streamRecorder) Flush() {}

// text returns what has come so far.
func (r *streamRecorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rec.Body.String()
}

// wait returns when a text has come.
func (r *streamRecorder) wait(tb testing.TB, text string) {
	tb.Helper()
	for !strings.Contains(r.text(), text) {
		select {
		case <-r.change:
		case <-r.done:
			if !strings.Contains(r.text(), text) {
				tb.Fatalf("the stream ended with\n%s\nand without %q", r.text(), text)
			}
		case <-time.After(20 * time.Second):
			tb.Fatalf("the stream is\n%s\nand does not hold %q", r.text(), text)
		}
	}
}

// end leaves the stream and returns the answer.
func (r *streamRecorder) end() *http.Response {
	r.leave()
	<-r.done
	return r.rec.Result()
}

// stream opens a stream. Header lines are such as "Last-Event-ID: 7".
func (s *service) stream(path, token string, header ...string) *streamRecorder {
	s.Helper()
	ctx, leave := context.WithCancel(context.Background())
	req := httptest.NewRequest("GET", path, nil).WithContext(ctx)
	req.Header.Set("Authorization", "Bearer "+token)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	r := &streamRecorder{request: req, leave: leave, done: make(chan struct{}), rec: httptest.NewRecorder(), change: make(chan struct{}, 1)}
	go func() {
		defer close(r.done)
		s.handler.ServeHTTP(r, req)
	}()
	return r
}
