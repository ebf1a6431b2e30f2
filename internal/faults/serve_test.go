//go:build unix

package faults_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpapi"
	"github.com/levqor/sdk/levqor/identity"
)

// newApp returns an app without rate limits, which would be all that is measured. Jobs
// with arguments that say so last.
func newApp(db *database, opts levqor.Options) (*levqor.App, error) {
	opts.Secret = bytes.Repeat([]byte("s"), levqor.MinSecret)
	none := guard.Policy{Limit: -1}
	opts.Limits = guard.Limits{Reads: none, Writes: none, Bulk: none, Failures: none}
	app, err := levqor.New(bunlevqor.Stores(db), &opts)
	if err != nil {
		return nil, err
	}
	return app, jobs.Handle(app.Registry, func(ctx context.Context, job *jobs.Job[step]) (end, error) {
		select {
		case <-time.After(job.Args.Lasts):
			return end{}, nil
		case <-ctx.Done():
			return end{}, ctx.Err()
		}
	}, nil)
}

// serve is a node: the API and a worker. It tells its address, and when it has ended.
func serve(ctx context.Context, t task, db *database) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	app, err := newApp(db, levqor.Options{NoWorker: t.Places < 0, Logger: log, Worker: &jobs.WorkerOptions{
		Queues: map[string]int{jobs.DefaultQueue: max(t.Places, 1)}, Drain: t.Drain, Lease: t.Lease, Heartbeat: t.Heartbeat,
	}})
	if err != nil {
		return err
	}
	handler, err := httpapi.New(app, &httpapi.Options{Logger: log})
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	say("serving", 0, 0, listener.Addr().String())
	return levqor.RunAll(ctx, app.Run, func(ctx context.Context) error {
		return httpapi.Serve(ctx, listener, handler, &httpapi.ServeOptions{Linger: t.Linger, Logger: log})
	})
}

// service is nodes on one database, and an app of this process to look at it.
type service struct {
	*rig
	app   *levqor.App
	token string
}

func newService(t *testing.T, url string) *service {
	t.Helper()
	r := newRig(t, url)
	if err := bunlevqor.Migrate(t.Context(), r.db); err != nil {
		t.Fatal(err)
	}
	app, err := newApp(r.db, levqor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{rig: r, app: app}
	_, s.token = s.key()
	return s
}

// key returns a key of the tenant acme.
func (s *service) key() (identity.Key, string) {
	s.Helper()
	key, token, err := s.app.Keys.Create(s.Context(), identity.NewKey{Tenant: "acme", Name: "test", Scopes: []string{"*"}})
	if err != nil {
		s.Fatal(err)
	}
	return key, token
}

// node is a process that serves.
type node struct {
	*child
	base string
}

// serve starts a node and returns when it is ready.
func (s *service) serve(t task) *node {
	s.Helper()
	t.Role, t.Linger = "serve", cmp.Or(t.Linger, time.Millisecond)
	n := &node{child: s.start(t)}
	s.await(patience, "the node serves", func() bool {
		for _, e := range s.all("serving") {
			if e.pid == n.pid {
				n.base = "http://" + e.rest
			}
		}
		return n.base != "" && ready(n.base)
	})
	return n
}

// ready reports whether a node says that it is ready.
func ready(base string) bool {
	_, status := readiness(base)
	return status == http.StatusOK
}

// readiness asks a node for its readiness. The status is 0 if it does not answer.
func readiness(base string) (node *url.URL, status int) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return nil, 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0
	}
	resp.Body.Close()
	return &url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host}, resp.StatusCode
}

// answer is what a request got.
type answer struct {
	status int
	body   string
	header http.Header
}

// send sends a request that no client tries again.
func send(ctx context.Context, c *http.Client, method, url, token, key, body string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, io.NopCloser(strings.NewReader(body))) // no GetBody: not sent twice
	if err != nil {
		return answer{}, err
	}
	req.ContentLength = int64(len(body))
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", key)
	} else {
		req.Body = nil
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(raw), resp.Header}, err
}

// create asks a node for a job that lasts.
func create(ctx context.Context, c *http.Client, base, token, key string, lasts time.Duration) (answer, error) {
	return send(ctx, c, http.MethodPost, base+"/api/v1/jobs", token, key, fmt.Sprintf(`{"kind":"step","args":{"lasts":%d}}`, lasts))
}

// newClient returns a client with as many connections as it likes.
func newClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// stored returns how many jobs there are.
func (s *service) stored() int {
	return s.count("SELECT (SELECT count(*) FROM levqor_jobs_live) + (SELECT count(*) FROM levqor_jobs_done)")
}

// refused reports whether nobody listened.
func refused(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// listen serves a handler in this process until the test ends, and returns its base URL.
func (s *service) listen(handler http.Handler) string {
	s.Helper()
	server := httptest.NewServer(handler)
	s.Cleanup(server.Close)
	return server.URL
}
