package jobstest

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/jobs"
)

var insertCases = []testCase{
	{"a job without RunAt is ready at once", func(e *env) {
		in := e.insert(t0, job())[0]
		if in.State != jobs.Ready {
			e.Errorf("Insert set the state %s, want ready", in.State)
		}
		e.wantTime(in.CreatedAt, t0, "CreatedAt of the element")
		e.wantTime(in.RunAt, t0, "RunAt of the element")
		got := e.wantState(in.ID, jobs.Ready, "RunAt has come")
		e.wantTime(got.CreatedAt, t0, "CreatedAt")
		e.wantTime(got.RunAt, t0, "RunAt")
		e.wantStored(*in.Info, "Insert")
	}},
	{"everything about a job is kept", func(e *env) {
		in := job(priority(2))
		in.Args, in.Timeout = []byte(`{"text":"it's \u0000 \"quoted\" ? \\ ünï"}`), jobs.NoTimeout
		e.insert(t0, in)
		got := e.get(in.ID)
		if got.Tenant != "a" || got.Kind != "k" || got.Queue != "q" || got.Priority != 2 || got.MaxAttempts != 3 || got.Timeout != jobs.NoTimeout {
			e.Errorf("Get = %+v, want what was inserted", got)
		}
		if string(got.Args) != string(in.Args) {
			e.Errorf("Args are %s, want %s", got.Args, in.Args)
		}
		if got.Attempt != 0 || got.Epoch != 0 || got.Result != nil || len(got.Attempts) != 0 || !got.StartedAt.IsZero() || !got.FinishedAt.IsZero() {
			e.Errorf("Get = %+v, want a job that has not begun", got)
		}
	}},
	{"a job with a delay is scheduled for then", func(e *env) {
		in := e.insert(t0, job(delay(time.Hour)))[0]
		got := e.wantState(in.ID, jobs.Scheduled, "RunAt lies ahead")
		e.wantTime(got.RunAt, t0.Add(time.Hour), "RunAt")
	}},
	{"a job with RunAt ahead is scheduled, one with RunAt past is ready", func(e *env) {
		ahead, past := job(runAt(t0.Add(time.Second))), job(runAt(t0.Add(-time.Second)))
		e.insert(t0, ahead, past)
		e.wantState(ahead.ID, jobs.Scheduled, "RunAt lies ahead")
		got := e.wantState(past.ID, jobs.Ready, "RunAt has passed")
		e.wantTime(got.RunAt, t0.Add(-time.Second), "RunAt")
	}},
	{"nothing is stored if an ID is taken", func(e *env) {
		first := e.insert(t0, job())[0]
		fresh, again := job(), job()
		again.ID = first.ID
		taken, err := e.Insert(e.ctx, []jobs.Insertion{fresh, again}, t0)
		if err != nil || !slices.Equal(taken, []int{1}) {
			e.Errorf("Insert = %v, %v; want the index of the taken ID", taken, err)
		}
		_, err = e.Get(e.ctx, "a", fresh.ID)
		e.wantErr(err, jobs.ErrNotFound, "all jobs are stored or none")
	}},
	{"the ID of a job that is over is taken", func(e *env) {
		old := e.over(jobs.Completed)
		again := job()
		again.ID = old.ID
		taken, err := e.Insert(e.ctx, []jobs.Insertion{again}, t0)
		if err != nil || !slices.Equal(taken, []int{0}) {
			e.Errorf("Insert = %v, %v; want the index of the taken ID", taken, err)
		}
		e.wantState(old.ID, jobs.Completed, "a new job must not replace it")
	}},
	{"the ID of a job that is over is taken, however long ago it was made", func(e *env) {
		e.join(1, t0)
		for _, age := range []time.Duration{-20 * time.Hour, 20 * time.Hour, 4 * 24 * time.Hour, 4 * 365 * 24 * time.Hour} {
			old := job()
			old.ID -= jobs.ID(age.Milliseconds() << 22)
			e.insert(t0, old)
			claimed := e.claim(1, 1, t0)
			if len(claimed) != 1 || claimed[0].ID != old.ID {
				e.Fatalf("Claim = %v, want the job", claimed)
			}
			if err := e.settle(jobs.Outcome{Lease: leaseOf(claimed[0]), State: jobs.Completed}, t0); err != nil {
				e.Fatal(err)
			}
			again := job()
			again.ID = old.ID
			taken, err := e.Insert(e.ctx, []jobs.Insertion{again}, t0)
			if err != nil || !slices.Equal(taken, []int{0}) {
				e.Errorf("Insert of an ID made %v before = %v, %v; want the index of the taken ID", age, taken, err)
			}
		}
	}},
	{"an ID that is given twice is taken the second time", func(e *env) {
		first, second := job(), job()
		second.ID = first.ID
		taken, err := e.Insert(e.ctx, []jobs.Insertion{first, second}, t0)
		if err != nil || len(taken) == 0 {
			e.Errorf("Insert = %v, %v; want an index", taken, err)
		}
		_, err = e.Get(e.ctx, "a", first.ID)
		e.wantErr(err, jobs.ErrNotFound, "all jobs are stored or none")
	}},
	{"of many who store the same IDs at once one succeeds", func(e *env) {
		a, b := job(), job()
		var stored atomic.Int32
		atOnce(8, func(i int) {
			batch := []jobs.Insertion{twin(a), twin(b)}
			if i%2 == 1 {
				slices.Reverse(batch)
			}
			taken, err := e.Insert(e.ctx, batch, t0)
			if err != nil {
				e.Errorf("Insert = %v, want the indexes of taken IDs", err)
			} else if len(taken) == 0 {
				stored.Add(1)
			}
		})
		if stored.Load() != 1 {
			e.Errorf("%d callers were told that their jobs are stored, want 1", stored.Load())
		}
		e.wantList(jobs.ListQuery{}, b.ID, a.ID)
	}},
	{"what the caller does later changes no stored job", func(e *env) {
		in := e.insert(t0, job())[0]
		in.Args[2] = 'X'
		got := e.get(in.ID)
		if string(got.Args) != `{"n":1}` {
			e.Errorf("Args are %s after the caller wrote into its own", got.Args)
		}
		got.Args[2] = 'Y'
		if again := e.get(in.ID); string(again.Args) != `{"n":1}` {
			e.Errorf("Args are %s after the caller wrote into what Get returned", again.Args)
		}
	}},
	{"a thousand jobs are stored together", func(e *env) {
		all := make([]jobs.Insertion, 1000)
		for i := range all {
			all[i] = job()
		}
		e.insert(t0, all...)
		e.get(all[999].ID)
	}},
}
