package httpjobs_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/httpjobs"
	"github.com/levqor/sdk/levqor"
)

// attempts is how often the rig's worker tries a job.
const attempts = 3

// rig runs http.request jobs against a server of the test's own.
type rig struct {
	*testing.T
	store *jobs.MemStore
	queue *jobs.Queue
	url   string
	log   *bytes.Buffer // to be read after stop
	stop  func()
}

// newRig lets requests reach loopback.
func newRig(t *testing.T, handler http.HandlerFunc) *rig {
	t.Helper()
	return newRigOn(t, httpjobs.Options{AllowPrivateNetworks: true}, handler)
}

func newRigOn(t *testing.T, opts httpjobs.Options, handler http.HandlerFunc) *rig {
	t.Helper()
	ring, err := levqor.NewKeyRing(bytes.Repeat([]byte("x"), 32))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, store: jobs.NewMemStore(), log: &bytes.Buffer{}}
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	registry := jobs.NewRegistry(&jobs.RegistryOptions{Sealer: ring.Sealer()})
	opts.Defaults = jobs.KindOptions{MaxAttempts: attempts, Backoff: func(int) time.Duration { return time.Millisecond }}
	opts.Logger = log
	err = httpjobs.Register(registry, &opts)
	if err != nil {
		t.Fatal(err)
	}
	r.queue = jobs.New(r.store, registry, nil)
	srv := httptest.NewServer(handler)
	r.url = srv.URL
	worker, err := jobs.NewWorker(r.store, registry, &jobs.WorkerOptions{Poll: 5 * time.Millisecond, Logger: log})
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

// do runs a job to its end.
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

// mustDo runs a job that is to complete.
func (r *rig) mustDo(req httpjobs.Request) httpjobs.Result {
	r.Helper()
	result, _, err := r.do(req)
	if err != nil {
		r.Fatalf("Await = %v, want a result", err)
	}
	return result
}

// until waits for a job to come into a state.
func (r *rig) until(id jobs.ID, state jobs.State) jobs.Info {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
	defer cancel()
	for tick := time.NewTicker(time.Millisecond); ; {
		info, err := r.queue.Get(ctx, id)
		if err != nil {
			r.Fatal(err)
		}
		if info.State == state {
			return info
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.Fatalf("the job is %s, want %s", info.State, state)
		}
	}
}

// header returns the first value of a header of the answer.
func header(r httpjobs.Result, name string) string {
	for _, h := range r.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}
