//go:build unix

package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
)

// A key is rotated under mixed traffic of two nodes, 2,000 requests a second if the machine
// can: clients go on with the token from before and take the new one at random times of the
// overlap, and no request fails. When the overlap is over, the token from before is refused
// by both nodes within 30 seconds, and for good.
//
// The sample offers 200 requests a second and rotates once, LEVQOR_FAULTS is how often.
func TestAKeyIsRotatedUnderTraffic(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		parallel(t)
		s := newService(t, fresh(t))
		nodes := []*node{s.serve(task{Places: 8}), s.serve(task{Places: 8})}
		perSecond, overlap := 200, 3*time.Second
		if full() {
			perSecond, overlap = 2000, 20*time.Second
		}
		key, token := s.key()
		for range size(t, 1) {
			traffic := s.traffic(nodes, token, perSecond)
			time.Sleep(overlap / 3) // traffic with one token
			next := s.rotate(nodes[0], key.ID, overlap)
			ends := time.Now().Add(overlap)
			traffic.change(next, overlap/2)
			s.untilRefused(nodes, token, ends)
			n, rate := traffic.end()
			t.Logf("%d requests, %.0f a second of %d, none failed", n, rate, perSecond)
			token = next
		}
	})
}

// rotate rotates a key over HTTP and returns the new token.
func (s *service) rotate(n *node, id string, overlap time.Duration) string {
	s.Helper()
	a, err := send(s.Context(), newClient(s.T), http.MethodPost, n.base+"/api/v1/api-keys/"+id+"/rotate", s.token, "",
		fmt.Sprintf(`{"overlap_seconds":%d}`, overlap/time.Second))
	var key struct{ Token string }
	if err != nil || a.status != http.StatusCreated || json.Unmarshal([]byte(a.body), &key) != nil || key.Token == "" {
		s.fatal("the rotation gave %d %s, %v", a.status, a.body, err)
	}
	return key.Token
}

// untilRefused asks both nodes with a token until both refuse it, at most 30 seconds after
// its end, and then some more.
func (s *service) untilRefused(nodes []*node, token string, ends time.Time) {
	s.Helper()
	c := newClient(s.T)
	status := func(n *node) int {
		a, err := send(s.Context(), c, http.MethodGet, n.base+"/api/v1/jobs?limit=1", token, "", "")
		if err != nil {
			s.fatal("a request gave %v", err)
		}
		return a.status
	}
	for _, n := range nodes {
		if got := status(n); got != http.StatusOK {
			s.fatal("the token from before gave %d during the overlap", got)
		}
	}
	for _, n := range nodes {
		for status(n) == http.StatusOK {
			if time.Since(ends) > 30*time.Second {
				s.fatal("the token from before works %v after its end", time.Since(ends))
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	late := time.Since(ends)
	if late < -100*time.Millisecond {
		s.Errorf("the token from before ended %v too early", -late)
	}
	for range 20 {
		for _, n := range nodes {
			if got := status(n); got != http.StatusUnauthorized {
				s.Errorf("the token from before gave %d after its end", got)
			}
		}
	}
	s.Logf("refused %.2f s after the end", late.Seconds())
}

// traffic is 16 clients that create jobs, read them and list them.
type traffic struct {
	*service
	begun   time.Time
	tokens  [16]atomic.Pointer[string]
	stop    context.CancelFunc
	running sync.WaitGroup
	sent    atomic.Int64
}

func (s *service) traffic(nodes []*node, token string, perSecond int) *traffic {
	ctx, stop := context.WithCancel(s.Context())
	tr := &traffic{service: s, begun: time.Now(), stop: stop}
	s.Cleanup(stop)
	for i := range tr.tokens {
		tr.tokens[i].Store(&token)
		tr.running.Go(func() {
			every := time.Second * time.Duration(len(tr.tokens)) / time.Duration(perSecond)
			tick := time.NewTicker(every)
			defer tick.Stop()
			tr.client(ctx, i, nodes, tick.C)
		})
	}
	return tr
}

// client sends a request of each sort in turns.
func (tr *traffic) client(ctx context.Context, i int, nodes []*node, tick <-chan time.Time) {
	c, location := newClient(tr.T), ""
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		base, token := nodes[n%len(nodes)].base, *tr.tokens[i].Load()
		var a answer
		var err error
		want := http.StatusOK
		switch n % 3 {
		case 0:
			want = http.StatusCreated
			a, err = create(tr.Context(), c, base, token, fmt.Sprint(tr.begun.UnixNano(), "-", i, "-", n), 0)
			location = a.header.Get("Location")
		case 1:
			a, err = send(tr.Context(), c, http.MethodGet, base+location, token, "", "")
		default:
			a, err = send(tr.Context(), c, http.MethodGet, base+"/api/v1/jobs?limit=5", token, "", "")
		}
		if err != nil || a.status != want {
			tr.Errorf("a request gave %d %s, %v", a.status, a.body, err)
			return
		}
		tr.sent.Add(1)
	}
}

// change gives the clients another token, each at a random time.
func (tr *traffic) change(token string, within time.Duration) {
	rnd := seeded()
	for i := range tr.tokens {
		time.AfterFunc(between(rnd, 0, within), func() { tr.tokens[i].Store(&token) })
	}
}

// end returns how many requests were answered, and how many a second.
func (tr *traffic) end() (n int64, rate float64) {
	tr.stop()
	tr.running.Wait()
	return tr.sent.Load(), float64(tr.sent.Load()) / time.Since(tr.begun).Seconds()
}
