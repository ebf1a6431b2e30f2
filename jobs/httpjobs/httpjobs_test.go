package httpjobs_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/httpjobs"
)

func TestRegister(t *testing.T) {
	t.Run("the kind has its schema and the given defaults", func(t *testing.T) {
		registry := jobs.NewRegistry(nil)
		err := httpjobs.Register(registry, &httpjobs.Options{Defaults: jobs.KindOptions{
			Queue: "outgoing", MaxAttempts: 7, Timeout: time.Minute, Schema: []byte("ignored"),
		}})
		if err != nil {
			t.Fatal(err)
		}
		kind, err := registry.Kind("http.request")
		if err != nil {
			t.Fatal(err)
		}
		if o := kind.Options; o.Queue != "outgoing" || o.MaxAttempts != 7 || o.Timeout != time.Minute || !json.Valid(o.Schema) {
			t.Errorf("the kind's options are %+v", o)
		}
	})
	t.Run("a registry takes the kind once", func(t *testing.T) {
		registry := jobs.NewRegistry(nil)
		if err := httpjobs.Register(registry, nil); err != nil {
			t.Fatalf("Register = %v", err)
		}
		if err := httpjobs.Register(registry, nil); !errors.Is(err, jobs.ErrConflict) {
			t.Errorf("Register again = %v, want ErrConflict", err)
		}
	})
	t.Run("a default out of range is refused", func(t *testing.T) {
		err := httpjobs.Register(jobs.NewRegistry(nil), &httpjobs.Options{Defaults: jobs.KindOptions{Priority: 10}})
		if !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("Register = %v, want ErrInvalid", err)
		}
	})
	t.Run("without a Sealer a secret is refused and other requests are not", func(t *testing.T) {
		registry := jobs.NewRegistry(nil)
		if err := httpjobs.Register(registry, nil); err != nil {
			t.Fatal(err)
		}
		queue := jobs.New(jobs.NewMemStore(), registry, nil)
		req := httpjobs.Request{URL: "https://example.com/", Headers: []httpjobs.Header{{Name: "A", Value: "b"}}}
		if _, err := queue.Enqueue(t.Context(), req, nil); err != nil {
			t.Errorf("Enqueue = %v", err)
		}
		req.Headers[0].Secret = true
		if _, err := queue.Enqueue(t.Context(), req, nil); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("Enqueue with a secret = %v, want ErrInvalid", err)
		}
	})
	t.Run("nothing private is reached by default", func(t *testing.T) {
		r := newRigOn(t, httpjobs.Options{}, func(http.ResponseWriter, *http.Request) { t.Error("the request was made") })
		_, info, err := r.do(httpjobs.Request{URL: r.url})
		if !errors.Is(err, jobs.ErrDiscarded) || info.Attempt != 1 {
			t.Errorf("Await = %v after %d attempts, want it discarded at once", err, info.Attempt)
		}
		if got, want := info.Attempts[0].Error, "the host's address is not public"; got != want {
			t.Errorf("the failure reads %q, want %q", got, want)
		}
	})
}
