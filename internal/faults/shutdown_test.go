//go:build unix

package faults_test

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
)

// A worker gets SIGTERM while short jobs have made it claim long ones ahead. Those that
// have not started are ready at once, long before the others have been waited for; the
// process ends within its limit of 5 s, and no attempt is counted.
//
// The sample is one round with 20,000 short jobs and 5,000 long ones; LEVQOR_FAULTS is
// how many rounds.
func TestJobsClaimedAheadAreReadyWhenTheProcessIsToldToEnd(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		parallel(t)
		for range size(t, 1) {
			endWorker(newRig(t, fresh(t)))
		}
	})
}

func endWorker(r *rig) {
	const short, long, places = 20_000, 5000, 200
	const limit = 5 * time.Second
	for range short / 1000 {
		r.put(slices.Repeat([]jobs.Args{step{}}, 1000)...)
	}
	for range long / 1000 {
		r.put(slices.Repeat([]jobs.Args{step{Lasts: time.Hour, Obeys: true}}, 1000)...)
	}
	w := r.start(task{Role: "work", Places: places, Drain: limit, Quiet: true, Period: time.Hour})
	running := func() int { return r.count("SELECT count(*) FROM levqor_jobs_live WHERE state = 3") }
	done := func() int { return r.count("SELECT count(*) FROM levqor_jobs_done") }
	var ended, claimed int
	var since time.Time // that number have ended
	r.await(patience, "the long jobs run, and more are held", func() bool {
		before := ended
		if ended = done(); ended != before {
			since, claimed = time.Now(), 0
		}
		claimed = max(claimed, running()) // what waits for a place is handed back after a second or two
		// A short job that was handed back waits for a long one.
		return claimed > places && (ended == short || ended > short/2 && time.Since(since) > 3*time.Second)
	})
	begun := time.Now()
	w.signal(syscall.SIGTERM)
	r.await(patience, "what has not started is ready", func() bool { return running() <= places })
	ready := time.Since(begun)
	if n := r.count("SELECT count(*) FROM levqor_jobs_node"); n != 1 {
		r.Error("the process had ended when what it had not started was ready")
	}
	select {
	case <-w.ended:
	case <-time.After(patience):
		r.fatal("the process goes on")
	}
	took := time.Since(begun)
	if w.err != nil {
		r.fatal("the process ended with %v", w.err)
	}
	if full() && took > limit+2*time.Second {
		r.Errorf("the process ended after %v, want %v", took, limit)
	}
	if n, want := r.count("SELECT count(*) FROM levqor_jobs_live WHERE state = 2 AND attempt = 0 AND node IS NULL"), short+long-done(); n != want {
		r.Errorf("%d jobs are ready with no attempt counted, want %d", n, want)
	}
	r.Logf("%d jobs claimed ahead were ready after %.2f s, the process ended after %.2f s", claimed-places, ready.Seconds(), took.Seconds())
}
