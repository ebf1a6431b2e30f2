//go:build unix

package faults_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
)

// A thousand requests with one idempotency key go to three processes at the same time: one
// job is created, one answer is the original and all others are its copies. Then one of the
// processes is killed amid such requests, at random points, and whoever got no answer asks
// the others: still one job, and all are told of it.
//
// The sample is 2 kills; LEVQOR_FAULTS is how many.
func TestOneIdempotencyKeyHasOneEffectAcrossProcesses(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		parallel(t)
		s, rnd := newService(t, fresh(t)), seeded()
		nodes := []*node{s.serve(task{Places: -1}), s.serve(task{Places: -1}), s.serve(task{Places: -1})}
		if originals := s.repeat(nodes, "whole", 1000, nil); originals != 1 {
			s.fatal("%d answers are originals, want 1", originals)
		}
		cut := 0
		for round := 1; round <= size(t, 2); round++ {
			victim := nodes[round%3]
			after := between(rnd, 0, 40*time.Millisecond)
			originals := s.repeat(nodes, fmt.Sprint("round-", round), 300, func() {
				time.Sleep(after) // a random point of the work
				victim.kill()
			})
			if originals > 1 { // none if it was on its way from the process that was killed
				s.fatal("%d answers are originals, want 1 at most", originals)
			}
			cut += 1 - originals
			if n := s.stored(); n != 1+round {
				s.fatal("%d jobs after %d keys", n, 1+round)
			}
			nodes[round%3] = s.serve(task{Places: -1})
		}
		t.Logf("%d kills, %d of them lost the original answer", size(t, 2), cut)
	})
}

// repeat sends n requests with one key to nodes in turns while something happens, and
// returns how many answers are originals. All must tell of the same job.
func (s *service) repeat(nodes []*node, key string, n int, meanwhile func()) (originals int) {
	s.Helper()
	c := newClient(s.T)
	answers := make([]answer, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			for try := range 30 { // a process that was killed refuses
				var err error
				answers[i], err = create(s.Context(), c, nodes[(i+try)%len(nodes)].base, s.token, key, 0)
				if err == nil {
					return
				}
				if meanwhile == nil {
					s.Errorf("a request gave %v", err)
					return
				}
			}
		})
	}
	if meanwhile != nil {
		meanwhile()
	}
	all.Wait()
	for _, a := range answers {
		if a.status != http.StatusCreated || a.body != answers[0].body || a.header.Get("Location") != answers[0].header.Get("Location") {
			s.fatal("answers are %d %s and %d %s, want them alike", a.status, a.body, answers[0].status, answers[0].body)
		}
		if a.header.Get("Idempotent-Replayed") != "true" {
			originals++
		}
	}
	return originals
}
