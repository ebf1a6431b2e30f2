package jobstest

import "github.com/levqor/sdk/jobs"

var progressCases = []testCase{
	{"progress is kept while the job runs and after", func(e *env) {
		info := e.claimed()
		want := jobs.Progress{Fraction: 0.25, Note: "it's ? ünï"}
		if err := e.SaveProgress(e.ctx, leaseOf(info), want); err != nil {
			e.Fatalf("SaveProgress = %v", err)
		}
		if got := e.get(info.ID).Progress; got != want {
			e.Errorf("Progress is %+v, want %+v", got, want)
		}
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed}, t0); err != nil {
			e.Fatalf("Settle = %v", err)
		}
		if got := e.get(info.ID).Progress; got != want {
			e.Errorf("Progress is %+v after completion, want %+v", got, want)
		}
	}},
	{"a new attempt begins without progress", func(e *env) {
		info := e.claimed()
		if err := e.SaveProgress(e.ctx, leaseOf(info), jobs.Progress{Fraction: 1}); err != nil {
			e.Fatalf("SaveProgress = %v", err)
		}
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Ready}, t0); err != nil {
			e.Fatalf("Settle = %v", err)
		}
		if got := e.claim(1, 1, t0); len(got) != 1 || got[0].Progress != (jobs.Progress{}) {
			e.Errorf("Claim = %+v, want no progress", got)
		}
	}},
	{"progress under another epoch or of an ended job is refused", func(e *env) {
		info := e.claimed()
		stale := leaseOf(info)
		stale.Epoch++
		e.wantErr(e.SaveProgress(e.ctx, stale, jobs.Progress{Fraction: 1}), jobs.ErrLeaseLost, "the epoch is not current")
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Completed}, t0); err != nil {
			e.Fatalf("Settle = %v", err)
		}
		e.wantErr(e.SaveProgress(e.ctx, leaseOf(info), jobs.Progress{Fraction: 1}), jobs.ErrLeaseLost, "the job is over")
		if got := e.get(info.ID).Progress; got != (jobs.Progress{}) {
			e.Errorf("Progress is %+v, want none", got)
		}
	}},
}
