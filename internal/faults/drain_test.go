//go:build unix

package faults_test

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
)

// clients create jobs one after the other until they are told to end.
type clients struct {
	*service
	all      sync.WaitGroup
	ended    atomic.Bool
	answered atomic.Int64
	failed   atomic.Int64
}

// crowd starts 8 clients at a base URL, each with connections of its own and with a request
// each 10 ms at most. Broken is asked about each error, and returns whether it counts as a
// failure.
func (s *service) crowd(base string, broken func(*http.Client, error) bool) *clients {
	s.Helper()
	cs := &clients{service: s}
	for i := range 8 {
		c := newClient(s.T)
		cs.all.Go(func() {
			pace := time.NewTicker(10 * time.Millisecond)
			defer pace.Stop()
			for n := 0; !cs.ended.Load(); n++ {
				<-pace.C
				a, err := create(s.Context(), c, base, s.token, fmt.Sprint(i, "-", n), 0)
				switch {
				case err == nil && a.status == http.StatusCreated:
					cs.answered.Add(1)
				case err == nil || broken(c, err):
					cs.failed.Add(1)
					s.Errorf("a request gave %d %s, %v", a.status, a.body, err)
					return
				default:
					return
				}
			}
		})
	}
	return cs
}

// A node gets SIGTERM under load: whatever it took is answered, nothing is stored that was
// not, no connection is cut before the last one is refused, and no job stays with it.
func TestWhatWasAcceptedIsAnsweredWhenANodeEnds(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		parallel(t)
		for range size(t, 1) {
			endNode(newService(t, fresh(t)))
		}
	})
}

func endNode(s *service) {
	const long, places = 20, 4
	n := s.serve(task{Places: places, Drain: 500 * time.Millisecond, Linger: 500 * time.Millisecond})
	for i := range long {
		if a, err := create(s.Context(), newClient(s.T), n.base, s.token, fmt.Sprint("long-", i), time.Hour); err != nil || a.status != http.StatusCreated {
			s.fatal("a job gave %d, %v", a.status, err)
		}
	}
	running := func() int { return s.count("SELECT count(*) FROM levqor_jobs_live WHERE state = 3") }
	s.await(patience, "long jobs run", func() bool { return running() >= places })
	cs := s.crowd(n.base, func(c *http.Client, err error) bool {
		if refused(err) {
			return false
		}
		// The kernel took a connection that the node did not any more. Then it answers no other,
		// and takes none as soon as it has closed what it listens on.
		for until := time.Now().Add(time.Second); ; {
			_, again := create(s.Context(), c, n.base, s.token, "again", 0)
			if refused(again) {
				return false
			}
			if again == nil || time.Now().After(until) {
				s.Logf("%v, and then not refused: %v", err, again)
				return true
			}
		}
	})
	s.await(patience, "requests are answered", func() bool { return cs.answered.Load() > 100 })
	before := cs.answered.Load()
	n.signal(syscall.SIGTERM)
	begun := time.Now()
	s.await(patience, "the node is not ready", func() bool { return !ready(n.base) })
	cs.all.Wait() // all were refused
	select {
	case <-n.ended:
	case <-time.After(patience):
		s.fatal("the node goes on")
	}
	took := time.Since(begun)
	if n.err != nil {
		s.fatal("the node ended with %v", n.err)
	}
	if got, want := s.stored(), int(cs.answered.Load())+long; got != want {
		s.Errorf("%d jobs are stored and %d creations were answered", got, want)
	}
	if left := running(); left != 0 {
		s.Errorf("%d jobs stayed with the node", left)
	}
	if cs.answered.Load() == before {
		s.Error("nothing was answered after SIGTERM: the test tries too little")
	}
	s.Logf("%d requests were answered after SIGTERM, the node ended after %.2f s", cs.answered.Load()-before, took.Seconds())
}

// Two nodes stand behind a balancer that asks for their readiness each 200 ms, and are
// replaced one after the other under load: no request fails.
//
// The sample replaces both once; LEVQOR_FAULTS is how often.
func TestARollingRestartFailsNoRequest(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		parallel(t)
		s := newService(t, fresh(t))
		what := task{Places: 4, Drain: 500 * time.Millisecond, Linger: 5 * time.Second} // longer than a look may take
		b := s.balance()
		nodes := []*node{s.serve(what), s.serve(what)}
		b.set(nodes)
		cs := s.crowd(b.base, func(*http.Client, error) bool { return true })
		for range size(t, 1) {
			for i, old := range nodes {
				nodes[i] = s.serve(what)
				b.set(append([]*node{old}, nodes...))
				s.await(patience, "the balancer sees the new node", func() bool { return b.uses(nodes[i]) })
				before := cs.answered.Load()
				old.stop(patience)
				s.await(patience, "others answer", func() bool { return cs.answered.Load() > before })
			}
		}
		cs.ended.Store(true)
		cs.all.Wait()
		if got, want := s.stored(), int(cs.answered.Load()); got != want {
			t.Errorf("%d jobs are stored and %d creations were answered", got, want)
		}
		t.Logf("%d requests, %d failed", cs.answered.Load(), cs.failed.Load())
	})
}

// balancer sends requests to nodes that say they are ready, in turns.
type balancer struct {
	base    string
	looking sync.Mutex // an older look must not overwrite a newer one
	mu      sync.Mutex
	nodes   []*node
	good    []*url.URL
	next    int
}

func (s *service) balance() *balancer {
	s.Helper()
	b := &balancer{}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(b.choose()) },
		Transport: newClient(s.T).Transport,
	}
	b.base = s.listen(proxy)
	ended := make(chan struct{})
	s.Cleanup(func() { close(ended) })
	go func() {
		for tick := time.NewTicker(200 * time.Millisecond); ; {
			select {
			case <-ended:
				return
			case <-tick.C:
				b.look()
			}
		}
	}()
	return b
}

// look asks all nodes. While none says that it is ready, those go on that were used before
// and answer at all, as balancers do: a machine may be too busy for its database to answer
// in time.
func (b *balancer) look() {
	b.looking.Lock()
	defer b.looking.Unlock()
	b.mu.Lock()
	nodes := b.nodes
	b.mu.Unlock()
	urls, statuses := make([]*url.URL, len(nodes)), make([]int, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes { // at once: the one that is slow must not hide that another ends
		all.Go(func() { urls[i], statuses[i] = readiness(n.base) })
	}
	all.Wait()
	var good, busy []*url.URL
	for i, n := range nodes {
		switch {
		case statuses[i] == http.StatusOK:
			good = append(good, urls[i])
		case statuses[i] != 0 && b.uses(n):
			busy = append(busy, urls[i])
		}
	}
	if len(good) == 0 {
		good = busy
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.good = good
}

// set names the nodes, of which some may be gone.
func (b *balancer) set(nodes []*node) {
	b.mu.Lock()
	b.nodes = append([]*node(nil), nodes...)
	b.mu.Unlock()
	b.look()
}

func (b *balancer) uses(n *node) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.good {
		if u.String() == n.base {
			return true
		}
	}
	return false
}

func (b *balancer) choose() *url.URL {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	if len(b.good) == 0 {
		return &url.URL{Scheme: "http", Host: "127.0.0.1:1"} // nobody
	}
	return b.good[b.next%len(b.good)]
}
