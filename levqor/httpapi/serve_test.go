package httpapi_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor/httpapi"
)

// A server that lingers takes requests for a while after it was told to end, and closes
// their connections; one that fails waits for nobody.
func TestServeLingersForBalancers(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "done") })
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- httpapi.Serve(ctx, listener, handler, &httpapi.ServeOptions{Linger: 300 * time.Millisecond})
	}()
	get := func() (closed bool, err error) {
		resp, err := http.Get("http://" + listener.Addr().String())
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
		return resp.Close, err
	}
	if closed, err := get(); closed || err != nil {
		t.Errorf("before the end: connection closed: %v, %v", closed, err)
	}
	stop()
	begun := time.Now()
	for range 3 {
		if closed, err := get(); !closed || err != nil {
			t.Errorf("while the server lingers: connection closed: %v, %v", closed, err)
		}
	}
	if err := <-served; err != nil || time.Since(begun) < 300*time.Millisecond {
		t.Errorf("Serve = %v after %v, want nil after its time", err, time.Since(begun))
	}
	if _, err := get(); err == nil {
		t.Error("a request was answered after Serve returned")
	}
}

func TestAServerThatFailsDoesNotLinger(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	begun := time.Now()
	err = httpapi.Serve(t.Context(), listener, http.NotFoundHandler(), &httpapi.ServeOptions{Linger: time.Hour})
	if !errors.Is(err, net.ErrClosed) || time.Since(begun) > time.Minute {
		t.Errorf("Serve = %v", err)
	}
}
