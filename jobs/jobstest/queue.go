package jobstest

import (
	"slices"
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
	{"a thousand jobs are stored together", func(e *env) {
		all := make([]jobs.Insertion, 1000)
		for i := range all {
			all[i] = job()
		}
		e.insert(t0, all...)
		e.get(all[999].ID)
	}},
}

var getCases = []testCase{
	{"there is no job with an unknown ID", func(e *env) {
		_, err := e.Get(e.ctx, "a", 42)
		e.wantErr(err, jobs.ErrNotFound, "nothing was stored")
	}},
	{"another tenant's job looks absent", func(e *env) {
		in := e.insert(t0, job(tenant("b")))[0]
		_, err := e.Get(e.ctx, "a", in.ID)
		e.wantErr(err, jobs.ErrNotFound, "the job belongs to tenant b")
	}},
	{"another tenant's finished job looks absent", func(e *env) {
		done := e.over(jobs.Completed)
		_, err := e.Get(e.ctx, "b", done.ID)
		e.wantErr(err, jobs.ErrNotFound, "the job belongs to tenant a")
	}},
}

var listCases = []testCase{
	{"the highest ID comes first, whether over or not", func(e *env) {
		done := e.over(jobs.Completed)
		more := e.insert(t0, job(), job(delay(time.Hour)))
		e.wantList(jobs.ListQuery{}, more[1].ID, more[0].ID, done.ID)
	}},
	{"a page ends at the limit and the next begins before its last", func(e *env) {
		all := e.insert(t0, job(), job(), job())
		e.wantList(jobs.ListQuery{Limit: 2}, all[2].ID, all[1].ID)
		e.wantList(jobs.ListQuery{Limit: 2, Before: all[1].ID}, all[0].ID)
	}},
	{"filters restrict by state, kind and queue", func(e *env) {
		done := e.over(jobs.Completed)
		all := e.insert(t0, job(kind("other")), job(queue("other")), job(delay(time.Hour)))
		e.wantList(jobs.ListQuery{Kind: "other"}, all[0].ID)
		e.wantList(jobs.ListQuery{Queue: "other"}, all[1].ID)
		e.wantList(jobs.ListQuery{States: []jobs.State{jobs.Scheduled, jobs.Completed}}, all[2].ID, done.ID)
		e.wantList(jobs.ListQuery{States: []jobs.State{jobs.Running}})
	}},
	{"another tenant's jobs are not in it", func(e *env) {
		e.over(jobs.Completed)
		e.insert(t0, job())
		theirs := e.insert(t0, job(tenant("b")))[0]
		e.wantList(jobs.ListQuery{Tenant: "b"}, theirs.ID)
	}},
}

func (e *env) wantList(q jobs.ListQuery, want ...jobs.ID) {
	e.Helper()
	if q.Tenant == "" {
		q.Tenant = "a"
	}
	if q.Limit == 0 {
		q.Limit = 100
	}
	infos, err := e.List(e.ctx, q)
	if err != nil {
		e.Fatalf("List = %v", err)
	}
	got := make([]jobs.ID, len(infos))
	for i, info := range infos {
		got[i] = info.ID
	}
	if !slices.Equal(got, want) {
		e.Errorf("List(%+v) = %v, want %v", q, got, want)
	}
}

var cancelCases = []testCase{
	{"a waiting job ends as cancelled", func(e *env) {
		for _, in := range e.insert(t0, job(), job(delay(time.Hour))) {
			got, err := e.Cancel(e.ctx, "a", in.ID, t0.Add(time.Second))
			if err != nil || got.State != jobs.Cancelled {
				e.Fatalf("Cancel = %s, %v; want cancelled", got.State, err)
			}
			e.wantTime(e.wantState(in.ID, jobs.Cancelled, "Cancel said so").FinishedAt, t0.Add(time.Second), "FinishedAt")
		}
		e.join(1, t0)
		if got := e.claim(1, 10, t0); len(got) != 0 {
			e.Errorf("Claim returned %d cancelled jobs", len(got))
		}
	}},
	{"a running job ends and its lease is lost", func(e *env) {
		info := e.claimed()
		if _, err := e.Cancel(e.ctx, "a", info.ID, t0); err != nil {
			e.Fatalf("Cancel = %v", err)
		}
		e.wantErr(e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed}, t0), jobs.ErrLeaseLost, "the job was cancelled")
		e.wantState(info.ID, jobs.Cancelled, "what the attempt says comes too late")
	}},
	{"a cancelled job is returned as it is", func(e *env) {
		before := e.over(jobs.Cancelled)
		got, err := e.Cancel(e.ctx, "a", before.ID, t0.Add(time.Hour))
		if err != nil {
			e.Fatalf("Cancel = %v, want no error the second time", err)
		}
		e.wantTime(got.FinishedAt, before.FinishedAt, "FinishedAt")
	}},
	{"a completed or discarded job is a conflict", func(e *env) {
		completed := e.over(jobs.Completed)
		_, err := e.Cancel(e.ctx, "a", completed.ID, t0)
		e.wantErr(err, jobs.ErrConflict, "the job is completed")
		e.wantState(completed.ID, jobs.Completed, "a conflict changes nothing")
	}},
	{"a discarded job is a conflict", func(e *env) {
		discarded := e.over(jobs.Discarded)
		_, err := e.Cancel(e.ctx, "a", discarded.ID, t0)
		e.wantErr(err, jobs.ErrConflict, "the job is discarded")
	}},
	{"another tenant's job looks absent and is left alone", func(e *env) {
		in := e.insert(t0, job())[0]
		_, err := e.Cancel(e.ctx, "b", in.ID, t0)
		e.wantErr(err, jobs.ErrNotFound, "the job belongs to tenant a")
		e.wantState(in.ID, jobs.Ready, "another tenant must not touch it")
	}},
}

var retryCases = []testCase{
	{"a scheduled job becomes ready now", func(e *env) {
		in := e.insert(t0, job(delay(time.Hour)))[0]
		got, err := e.Retry(e.ctx, "a", in.ID, t0.Add(time.Second))
		if err != nil || got.State != jobs.Ready {
			e.Fatalf("Retry = %s, %v; want ready", got.State, err)
		}
		e.wantTime(e.wantState(in.ID, jobs.Ready, "Retry said so").RunAt, t0.Add(time.Second), "RunAt")
	}},
	{"a discarded job may run once more and keeps its past", func(e *env) {
		info := e.claimed(attempts(1))
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Discarded, Error: "boom"}, t0); err != nil {
			e.Fatalf("Settle = %v", err)
		}
		if _, err := e.Retry(e.ctx, "a", info.ID, t0.Add(time.Second)); err != nil {
			e.Fatalf("Retry = %v", err)
		}
		got := e.wantState(info.ID, jobs.Ready, "Retry makes it so")
		if got.MaxAttempts < 2 || got.Epoch != 1 || len(got.Attempts) != 1 || !got.FinishedAt.IsZero() {
			e.Errorf("Get = %+v, want room for an attempt, the epoch, the past attempt and no FinishedAt", got)
		}
		again := e.claim(1, 1, t0.Add(time.Second))
		if len(again) != 1 || again[0].Epoch != 2 {
			e.Errorf("Claim = %+v, want the job under epoch 2", again)
		}
		e.wantErr(e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed}, t0), jobs.ErrLeaseLost, "the epoch never goes back")
	}},
	{"a cancelled job may run again", func(e *env) {
		info := e.over(jobs.Cancelled)
		if _, err := e.Retry(e.ctx, "a", info.ID, t0); err != nil {
			e.Fatalf("Retry = %v", err)
		}
		if got := e.claim(1, 1, t0); len(got) != 1 {
			e.Errorf("Claim returned %d jobs, want the one that was retried", len(got))
		}
	}},
	{"a ready job is returned as it is", func(e *env) {
		in := e.insert(t0, job())[0]
		got, err := e.Retry(e.ctx, "a", in.ID, t0.Add(time.Hour))
		if err != nil {
			e.Fatalf("Retry = %v", err)
		}
		e.wantTime(got.RunAt, t0, "RunAt")
	}},
	{"a running or completed job is a conflict", func(e *env) {
		info := e.claimed()
		_, err := e.Retry(e.ctx, "a", info.ID, t0)
		e.wantErr(err, jobs.ErrConflict, "the job runs")
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed}, t0); err != nil {
			e.Fatalf("Settle = %v: a conflict must not take the lease", err)
		}
		_, err = e.Retry(e.ctx, "a", info.ID, t0)
		e.wantErr(err, jobs.ErrConflict, "the job is completed")
	}},
	{"another tenant's job looks absent and is left alone", func(e *env) {
		in := e.insert(t0, job(delay(time.Hour)))[0]
		_, err := e.Retry(e.ctx, "b", in.ID, t0)
		e.wantErr(err, jobs.ErrNotFound, "the job belongs to tenant a")
		e.wantState(in.ID, jobs.Scheduled, "another tenant must not touch it")
	}},
	{"another tenant's finished job looks absent and is left alone", func(e *env) {
		info := e.over(jobs.Discarded)
		_, err := e.Retry(e.ctx, "b", info.ID, t0)
		e.wantErr(err, jobs.ErrNotFound, "the job belongs to tenant a")
		e.wantState(info.ID, jobs.Discarded, "another tenant must not touch it")
	}},
}
