package jobstest

import (
	"reflect"
	"slices"
	"time"

	"github.com/levqor/sdk/jobs"
)

// bulk applies a change to jobs of tenant "a" until it is done, three at a time, and
// returns how many it changed.
func (e *env) bulk(change jobs.BulkChange, now time.Time) int {
	e.Helper()
	change.Limit = 3
	changed := 0
	for range 100 {
		got, err := e.ChangeBatch(e.ctx, "a", change, now)
		if err != nil {
			e.Fatalf("ChangeBatch = %v", err)
		}
		changed += got.Changed
		if got.Done {
			return changed
		}
		if got.Last <= change.After {
			e.Fatalf("ChangeBatch after %d ended at %d", change.After, got.Last)
		}
		change.After = got.Last
	}
	e.Fatal("ChangeBatch is never done")
	return 0
}

func (e *env) wantBulk(got, want int, promise string) {
	e.Helper()
	if got != want {
		e.Errorf("ChangeBatch changed %d jobs, want %d: %s", got, want, promise)
	}
}

// everyState returns a job of each state.
func (e *env) everyState() map[jobs.State]jobs.Info {
	e.Helper()
	e.join(1, t0)
	all := map[jobs.State]jobs.Info{}
	settle := func(state jobs.State) {
		e.insert(t0, job())
		info := e.claim(1, 1, t0)[0]
		out := jobs.Outcome{Lease: leaseOf(info), State: state, Delay: time.Hour}
		if state != jobs.Completed {
			out.Error = "boom"
		}
		if err := e.settle(out, t0); err != nil {
			e.Fatal(err)
		}
		all[state] = e.get(info.ID)
	}
	settle(jobs.Completed)
	settle(jobs.Discarded)
	settle(jobs.Retryable)
	e.insert(t0, job())
	all[jobs.Running] = e.claim(1, 1, t0)[0]
	cancelled := e.insert(t0, job())[0]
	info, err := e.Cancel(e.ctx, "a", cancelled.ID, t0)
	if err != nil {
		e.Fatal(err)
	}
	all[jobs.Cancelled] = info
	all[jobs.Ready] = *e.insert(t0, job())[0].Info
	all[jobs.Scheduled] = *e.insert(t0, job(delay(2*time.Hour)))[0].Info
	return all
}

var bulkCases = []testCase{
	{"each operation changes the states that it is for, as the single one does", func(e *env) {
		all := e.everyState()
		now := t0.Add(time.Minute)
		e.wantBulk(e.bulk(jobs.BulkChange{Operation: jobs.BulkRetry}, now), 4, "two wait for their time and two are over")
		for _, state := range []jobs.State{jobs.Scheduled, jobs.Retryable, jobs.Cancelled, jobs.Discarded} {
			got := e.wantState(all[state].ID, jobs.Ready, "it was retried")
			e.wantTime(got.RunAt, now, "RunAt")
			e.wantTime(got.FinishedAt, time.Time{}, "FinishedAt")
		}
		e.wantState(all[jobs.Completed].ID, jobs.Completed, "it is over for good")
		e.wantState(all[jobs.Running].ID, jobs.Running, "it runs")
		e.wantBulk(e.bulk(jobs.BulkChange{Operation: jobs.BulkCancel}, now), 6, "all that are not over")
		for state, info := range all {
			if state == jobs.Completed {
				continue
			}
			got := e.wantState(info.ID, jobs.Cancelled, "it was cancelled")
			e.wantTime(got.FinishedAt, now, "FinishedAt")
		}
		e.wantErr(e.settle(jobs.Outcome{Lease: leaseOf(all[jobs.Running]), State: jobs.Completed}, now), jobs.ErrLeaseLost, "it was cancelled")
	}},
	{"a job that was cancelled with many others keeps all that it had", func(e *env) {
		all := e.everyState()
		delete(all, jobs.Completed)
		delete(all, jobs.Discarded)
		delete(all, jobs.Cancelled)
		other := e.insert(t0, job(unique("x"), limitKey("l"), priority(2), func(j *jobs.Insertion) { j.Metadata = map[string]string{"a": "b"} }))[0].Info
		all[0] = *other
		running := all[jobs.Running]
		running.Progress = jobs.Progress{Fraction: 0.5, Note: "half"}
		if err := e.SaveProgress(e.ctx, leaseOf(running), running.Progress); err != nil {
			e.Fatal(err)
		}
		now := t0.Add(time.Minute)
		for state, info := range all {
			all[state] = e.get(info.ID)
		}
		e.wantBulk(e.bulk(jobs.BulkChange{Operation: jobs.BulkCancel}, now), len(all), "all that are not over")
		for state, info := range all {
			want, err := info.AfterCancel(now)
			if got := e.get(info.ID); err != nil || !reflect.DeepEqual(got, want) {
				e.Errorf("a %s job became %+v, want %+v", state, got, want)
			}
		}
	}},
	{"waiting jobs get another priority and another queue", func(e *env) {
		all := e.everyState()
		e.wantBulk(e.bulk(jobs.BulkChange{Operation: jobs.BulkReprioritize, Priority: 1}, t0), 3, "those that wait")
		e.wantBulk(e.bulk(jobs.BulkChange{Operation: jobs.BulkMove, Queue: "other"}, t0), 3, "those that wait")
		for state, info := range all {
			got := e.get(info.ID)
			moved := slices.Contains([]jobs.State{jobs.Scheduled, jobs.Ready, jobs.Retryable}, state)
			if got.State != state || (got.Priority == 1) != moved || (got.Queue == "other") != moved {
				e.Errorf("the %s job is %s, priority %d, queue %s", state, got.State, got.Priority, got.Queue)
			}
		}
		late := e.insert(t0.Add(-20*time.Minute), job(queue("other"), priority(5)))[0]
		got, err := e.Claim(e.ctx, jobs.Claim{Node: 1, Queue: "other", Kinds: []string{"k"}, Limit: 1}, t0)
		if err != nil || len(got) != 1 || got[0].ID != all[jobs.Ready].ID {
			e.Errorf("Claim = %+v, %v; want the job with the better priority before job %d", got, err, late.ID)
		}
	}},
	{"filters restrict, also to the tenant", func(e *env) {
		e.insert(t0, job(kind("k2")), job(queue("q2")), job(tenant("b")), job(delay(time.Hour)))
		e.insert(t0.Add(time.Hour), job())
		for _, f := range []struct {
			filter jobs.Filter
			want   int
		}{
			{jobs.Filter{Kind: "none"}, 0},
			{jobs.Filter{Kind: "k2"}, 1},
			{jobs.Filter{Queue: "q2"}, 1},
			{jobs.Filter{States: []jobs.State{jobs.Scheduled}}, 1},
			{jobs.Filter{CreatedFrom: t0.Add(time.Hour)}, 1},
			{jobs.Filter{CreatedBefore: t0.Add(time.Hour)}, 3},
			{jobs.Filter{}, 4},
		} {
			e.wantBulk(e.bulk(jobs.BulkChange{Operation: jobs.BulkReprioritize, Priority: 2, Filter: f.filter}, t0), f.want, "a filter")
		}
	}},
	{"a batch ends where the next begins", func(e *env) {
		var ids []jobs.ID
		for range 5 {
			ids = append(ids, e.insert(t0, job())[0].ID)
		}
		got, err := e.ChangeBatch(e.ctx, "a", jobs.BulkChange{Operation: jobs.BulkCancel, Limit: 3, After: ids[0]}, t0)
		if err != nil || got != (jobs.BulkResult{Changed: 3, Last: ids[3]}) {
			e.Errorf("ChangeBatch = %+v, %v; want 3 changed up to %d", got, err, ids[3])
		}
		e.wantState(ids[0], jobs.Ready, "it lies before the batch")
		e.wantState(ids[4], jobs.Ready, "it lies behind the batch")
		got, err = e.ChangeBatch(e.ctx, "a", jobs.BulkChange{Operation: jobs.BulkCancel, Limit: 3, After: ids[4]}, t0)
		if err != nil || got != (jobs.BulkResult{Done: true}) {
			e.Errorf("ChangeBatch = %+v, %v; want it done", got, err)
		}
	}},
	{"a retry of many leaves those alone whose unique place is taken", func(e *env) {
		first := e.insert(t0, job(unique("x")))[0]
		if _, err := e.Cancel(e.ctx, "a", first.ID, t0); err != nil {
			e.Fatal(err)
		}
		second := e.insert(t0, job(unique("x")))[0]
		e.wantBulk(e.bulk(jobs.BulkChange{Operation: jobs.BulkRetry}, t0), 0, "the second has its place")
		if _, err := e.Cancel(e.ctx, "a", second.ID, t0); err != nil {
			e.Fatal(err)
		}
		e.wantBulk(e.bulk(jobs.BulkChange{Operation: jobs.BulkRetry}, t0), 1, "one place for two")
	}},
}
