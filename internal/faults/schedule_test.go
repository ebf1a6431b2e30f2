//go:build unix

package faults_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
)

// Five processes fire the schedules of one database, are killed at random points and
// replaced. No time is missed and none fires twice.
//
// The sample is 300 ticks: 60 schedules, once a second. LEVQOR_FAULTS is how many ticks,
// 10,000 for the goal.
func TestKilledProcessesMissNoTimeAndFireNoneTwice(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		parallel(t)
		fireSchedules(newRig(t, fresh(t)), size(t, 300))
	})
}

func fireSchedules(r *rig, ticks int) {
	const each = 60
	registry, err := (&worker{}).registry()
	if err != nil {
		r.Fatal(err)
	}
	schedules := jobs.NewSchedules(r.store, jobs.New(r.store, registry, nil), nil)
	next := map[string]time.Time{} // the time that must come next
	for i := range each {
		name := fmt.Sprint("s", i)
		s, err := schedules.Put(r.Context(), name, jobs.Plan{Spec: "every 1s", CatchUp: jobs.CatchUpAll}, step{Name: name})
		if err != nil {
			r.Fatal(err)
		}
		next[name] = s.NextAt
	}
	rnd := seeded()
	nodes := make([]*child, 5)
	for i := range nodes {
		nodes[i] = r.start(task{Role: "schedule"})
	}
	kills := 0
	deadline := time.Now().Add(patience + time.Duration(2*ticks/each)*time.Second)
	for r.count("SELECT count(*) FROM levqor_jobs_live") < ticks {
		if time.Now().After(deadline) {
			r.fatal("%d ticks by now, want %d", r.count("SELECT count(*) FROM levqor_jobs_live"), ticks)
		}
		victim := rnd.IntN(len(nodes))
		r.await(patience, "the process has begun", func() bool { return nodes[victim].told("begun") > 0 })
		time.Sleep(between(rnd, 0, 500*time.Millisecond)) // a random point is what the test is about
		nodes[victim].kill()
		nodes[victim] = r.start(task{Role: "schedule"})
		kills++
	}
	for _, n := range nodes {
		n.kill()
	}
	if err := schedules.FireDue(r.Context()); err != nil { // what the last of them left
		r.Fatal(err)
	}
	r.followFires(next)
	r.Logf("%d ticks, %d kills", r.count("SELECT count(*) FROM levqor_jobs_live"), kills)
}

// followFires sees to it that each schedule has one job for each second.
func (r *rig) followFires(next map[string]time.Time) {
	r.Helper()
	fired := map[string]map[time.Time]int{}
	for query := (jobs.ListQuery{Limit: 1000}); ; {
		page, err := r.queue.List(r.Context(), query)
		if err != nil {
			r.Fatal(err)
		}
		for _, info := range page {
			var args step
			if err := json.Unmarshal(info.Args, &args); err != nil {
				r.Fatal(err)
			}
			if fired[args.Name] == nil {
				fired[args.Name] = map[time.Time]int{}
			}
			fired[args.Name][info.RunAt]++
			query.Before = info.ID
		}
		if len(page) < query.Limit {
			break
		}
	}
	for name, at := range next {
		for seen := 0; seen < len(fired[name]); at = at.Add(time.Second) {
			n := fired[name][at]
			if n != 1 {
				r.Errorf("schedule %s fired %d times for %v", name, n, at)
			}
			seen += max(n, 1)
		}
		if len(fired[name]) == 0 {
			r.Errorf("schedule %s never fired", name)
		}
	}
}
