package bunjobs_test

import (
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

// A program was taken out of service and left its jobs behind, at the head of a queue
// that others share. They stay, and claims of the others go on quickly.
func TestJobsOfUnknownKindsDoNotHoldUpOthers(t *testing.T) {
	const strangers, known = 100_000, 40
	onRigs(t, func(r *rig) {
		r.join(1)
		r.enqueue(known, nil)
		plain := r.timeClaims(known, 1)
		r.enqueue(strangers, &jobs.EnqueueOptions{Priority: 1})
		r.exec("UPDATE levqor_jobs_live SET kind = 'stranger'")
		r.enqueue(known, nil)
		behind := r.timeClaims(known, 1)
		empty := r.timeClaims(known, 0)
		r.Logf("a claim behind %d jobs of an unknown kind takes %v, one that finds nothing %v", strangers, behind, empty)
		// Walking over all of them takes 30 to 50 ms where a plain claim takes 1.
		if limit := 12*time.Millisecond + 6*plain; behind > limit || empty > limit {
			r.Errorf("a claim takes %v, and %v if it finds nothing; want at most %v", behind, empty, limit)
		}
		if n := r.count(jobs.Ready); n != strangers {
			r.Errorf("%d jobs of the unknown kind are left, want %d", n, strangers)
		}
		urgent := r.enqueue(1, &jobs.EnqueueOptions{RunAt: time.Unix(1, 0)})
		r.await("a job before all of them starts", 20*time.Second, func() bool {
			got := r.claim(1, 1)
			return len(got) == 1 && got[0].ID == urgent[0]
		})
		all := r.claim(1, 2, "note", "stranger")
		if len(all) != 2 {
			r.Errorf("a program that knows the kind gets %d jobs, want 2", len(all))
		}
	})
}

// Many tenants have nothing but jobs of an unknown kind. A claim that finds none in the
// lines whose turn it is looks into the next ones.
func TestTenantsWithUnknownKindsDoNotHoldUpOthers(t *testing.T) {
	const strangers = 600 // a claim looks into 64 lines at a time
	onRigs(t, func(r *rig) {
		r.join(1)
		r.enqueue(strangers, nil)
		r.exec("UPDATE levqor_jobs_live SET kind = 'stranger', tenant = 't' || id")
		r.enqueue(1, &jobs.EnqueueOptions{Tenant: "z"})
		if got := r.claim(1, 1000); len(got) != 1 || got[0].Tenant != "z" {
			r.Errorf("Claim returned %d jobs, want the one of tenant z", len(got))
		}
	})
}

// timeClaims returns the shortest time of n claims, each of which gets so many jobs: what
// other programs of the machine do makes a claim longer and never shorter.
func (r *rig) timeClaims(n, want int) time.Duration {
	r.Helper()
	best := time.Hour
	for range n {
		begun := time.Now()
		got := r.claim(1, 1)
		best = min(best, time.Since(begun))
		if len(got) != want {
			r.Errorf("Claim returned %d jobs, want %d", len(got), want)
		}
	}
	return best
}
