package jobstest

import (
	"time"

	"github.com/levqor/sdk/jobs"
)

var cancelCases = []testCase{
	{"a waiting job ends as cancelled", func(e *env) {
		for _, in := range e.insert(t0, job(), job(delay(time.Hour))) {
			got, err := e.Cancel(e.ctx, "a", in.ID, t0.Add(time.Second))
			if err != nil || got.State != jobs.Cancelled {
				e.Fatalf("Cancel = %s, %v; want cancelled", got.State, err)
			}
			e.wantStored(got, "Cancel")
			e.wantTime(e.wantState(in.ID, jobs.Cancelled, "Cancel said so").FinishedAt, t0.Add(time.Second), "FinishedAt")
		}
		e.join(1, t0)
		if got := e.claim(1, 10, t0); len(got) != 0 {
			e.Errorf("Claim returned %d cancelled jobs", len(got))
		}
	}},
	{"a job that waits for its next attempt ends with its past", func(e *env) {
		info := e.failed()
		got, err := e.Cancel(e.ctx, "a", info.ID, t0)
		if err != nil || got.State != jobs.Cancelled || len(got.Attempts) != 1 {
			e.Errorf("Cancel = %+v, %v; want cancelled with the failed attempt", got, err)
		}
		e.wantPromoted(10, t0.Add(time.Hour), 0)
	}},
	{"a cancelled job stays so, whoever claims it at the same time", cancelledWhileClaimed},
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
	{"another tenant's job looks absent when it is over or running, too", func(e *env) {
		over := e.over(jobs.Completed)
		_, err := e.Cancel(e.ctx, "b", over.ID, t0)
		e.wantErr(err, jobs.ErrNotFound, "a conflict would tell tenant b that the job exists")
		e.insert(t0, job())
		running := e.claim(1, 1, t0)
		if len(running) != 1 {
			e.Fatalf("Claim returned %d jobs, want 1", len(running))
		}
		_, err = e.Cancel(e.ctx, "b", running[0].ID, t0)
		e.wantErr(err, jobs.ErrNotFound, "the job belongs to tenant a")
		e.wantState(running[0].ID, jobs.Running, "another tenant must not touch it")
	}},
}

// cancelledWhileClaimed cancels jobs while nodes claim them. Every job ends as
// cancelled: a claim that comes first is ended, one that comes later finds none.
func cancelledWhileClaimed(e *env) {
	all := make([]jobs.Insertion, 40)
	for i := range all {
		all[i] = job()
	}
	e.insert(t0, all...)
	e.join(1, t0)
	atOnce(4, func(i int) {
		if i%2 == 0 {
			if _, err := e.Claim(e.ctx, jobs.Claim{Node: 1, Queue: "q", Kinds: []string{"k"}, Limit: 20}, t0); err != nil {
				e.Errorf("Claim = %v", err)
			}
			return
		}
		for _, in := range all {
			if _, err := e.Cancel(e.ctx, "a", in.ID, t0); err != nil {
				e.Errorf("Cancel = %v", err)
			}
		}
	})
	for _, in := range all {
		e.wantState(in.ID, jobs.Cancelled, "Cancel said so")
	}
}

var retryCases = []testCase{
	{"a scheduled job becomes ready now", func(e *env) {
		in := e.insert(t0, job(delay(time.Hour)))[0]
		got, err := e.Retry(e.ctx, "a", in.ID, t0.Add(time.Second))
		if err != nil || got.State != jobs.Ready {
			e.Fatalf("Retry = %s, %v; want ready", got.State, err)
		}
		e.wantTime(e.wantState(in.ID, jobs.Ready, "Retry said so").RunAt, t0.Add(time.Second), "RunAt")
		e.wantStored(got, "Retry")
	}},
	{"a job that waits for its next attempt becomes ready now", func(e *env) {
		info := e.failed()
		got, err := e.Retry(e.ctx, "a", info.ID, t0)
		if err != nil || got.State != jobs.Ready || got.Attempt != 1 || got.MaxAttempts != 3 || len(got.Attempts) != 1 {
			e.Errorf("Retry = %+v, %v; want ready, with its past and no attempt more than before", got, err)
		}
		if again := e.claim(1, 1, t0); len(again) != 1 || again[0].Attempt != 2 {
			e.Errorf("Claim = %+v, want the second attempt", again)
		}
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
	{"another tenant's running job looks absent", func(e *env) {
		info := e.claimed()
		_, err := e.Retry(e.ctx, "b", info.ID, t0)
		e.wantErr(err, jobs.ErrNotFound, "a conflict would tell tenant b that the job exists")
	}},
}
