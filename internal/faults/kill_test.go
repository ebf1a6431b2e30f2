//go:build unix

package faults_test

import (
	"cmp"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
)

// Workers are killed at random points and replaced. Each job ends once, and what the
// dead had in hand runs again within the lease and a little.
//
// The sample is 10 kills; LEVQOR_FAULTS is how many, and then the limits hold: at the
// 99th percentile 15 s with default options and 3 s tuned.
func TestKilledWorkersLoseNothing(t *testing.T) {
	for name, c := range map[string]struct {
		worker task
		limit  time.Duration
	}{
		"default options": {task{Role: "work"}, 15 * time.Second},
		"tuned":           {task{Role: "work", Lease: 2 * time.Second, Heartbeat: 200 * time.Millisecond}, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
				parallel(t)
				runs := killWorkers(newRig(t, fresh(t)), c.worker, size(t, 10))
				if p99 := runs.report(t); full() && p99 > c.limit {
					t.Errorf("jobs of killed workers ran again after %v at the 99th percentile, want %v", p99, c.limit)
				}
			})
		})
	}
}

// killWorkers kills one of three workers again and again, and returns how long it took
// until their jobs ran again.
func killWorkers(r *rig, worker task, kills int) reruns {
	rnd := seeded()
	var stored []jobs.ID
	killed := map[int]time.Time{}
	workers := []*child{r.start(worker), r.start(worker), r.start(worker)}
	for range kills {
		r.await(patience, "few jobs wait", func() bool { return r.count("SELECT count(*) FROM levqor_jobs_live") < 150 })
		batch := make([]jobs.Args, 60)
		for i := range batch {
			batch[i] = step{Lasts: between(rnd, 0, 400*time.Millisecond)}
		}
		stored = append(stored, r.put(batch...)...)
		victim := rnd.IntN(len(workers))
		r.await(patience, "the worker runs jobs", func() bool { return workers[victim].told("run") > 0 })
		time.Sleep(between(rnd, 0, 300*time.Millisecond)) // a random point is what the test is about
		killed[workers[victim].pid] = time.Now()
		workers[victim].kill()
		workers[victim] = r.start(worker)
	}
	r.awaitEmpty()
	r.settle(workers...)
	history := r.history()
	r.contains(history, stored)
	if len(history) != len(stored) {
		r.Errorf("%d jobs are over, want %d", len(history), len(stored))
	}
	return r.reruns(history, killed)
}

// reruns are the times from kills until what the dead had in hand ran again.
type reruns struct {
	kills    int
	unforced int // jobs that a living worker lost
	twice    int // jobs whose next worker was killed before it began them
	after    []time.Duration
}

// reruns follows the runs of each job.
func (r *rig) reruns(history map[jobs.ID]past, killed map[int]time.Time) reruns {
	r.Helper()
	found := reruns{kills: len(killed)}
	runs := map[jobs.ID][]event{}
	for _, e := range r.all("run") {
		runs[e.id] = append(runs[e.id], e)
	}
	for id, of := range maps.All(runs) {
		slices.SortFunc(of, func(a, b event) int { return cmp.Compare(a.epoch, b.epoch) })
		if last := of[len(of)-1]; last.epoch != history[id].Epoch {
			r.Errorf("job %s was completed under epoch %d and run under %d", id, history[id].Epoch, last.epoch)
		}
		for i := 1; i < len(of); i++ {
			if of[i].epoch == of[i-1].epoch {
				r.Errorf("job %s ran twice under epoch %d", id, of[i].epoch)
			}
			died, ok := killed[of[i-1].pid]
			switch {
			case !ok:
				found.unforced++
			case of[i].epoch > of[i-1].epoch+1:
				found.twice++
			default:
				found.after = append(found.after, of[i].at.Sub(died))
			}
		}
	}
	slices.Sort(found.after)
	return found
}

// report prints the figures and returns the 99th percentile.
func (f reruns) report(t *testing.T) time.Duration {
	t.Helper()
	if len(f.after) == 0 {
		t.Fatal("no job was in hand when its worker was killed")
	}
	at := func(share float64) time.Duration { return f.after[int(share*float64(len(f.after)-1))] }
	t.Logf("%d kills, %d jobs run again, rerun p50 %.2f s p99 %.2f s max %.2f s; %d lost twice, %d taken from living workers",
		f.kills, len(f.after)+f.twice, at(0.5).Seconds(), at(0.99).Seconds(), at(1).Seconds(), f.twice, f.unforced)
	if f.unforced > len(f.after) {
		t.Errorf("%d jobs were taken from living workers, %d from dead ones", f.unforced, len(f.after))
	}
	return at(0.99)
}
