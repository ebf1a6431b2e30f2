package jobstest

import (
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/jobs"
)

var promoteCases = []testCase{
	{"jobs whose time has come become ready, the earliest first", func(e *env) {
		late, early := job(delay(2*time.Second)), job(delay(time.Second))
		future := job(delay(time.Hour))
		e.insert(t0, late, early, future)
		e.wantPromoted(1, t0.Add(2*time.Second), 1)
		e.wantState(early.ID, jobs.Ready, "its time came first")
		e.wantState(late.ID, jobs.Scheduled, "the limit was 1")
		e.wantPromoted(10, t0.Add(2*time.Second), 1)
		e.wantState(late.ID, jobs.Ready, "its time has come")
		e.wantState(future.ID, jobs.Scheduled, "its time has not come")
		e.wantPromoted(10, t0.Add(2*time.Second), 0)
	}},
	{"of many callers at once each job counts for one", func(e *env) {
		all := make([]jobs.Insertion, 50)
		for i := range all {
			all[i] = job(delay(time.Second))
		}
		e.insert(t0, all...)
		var total atomic.Int64
		atOnce(8, func(int) {
			n, err := e.Promote(e.ctx, 100, t0.Add(time.Second))
			if err != nil {
				e.Errorf("Promote = %v", err)
			}
			total.Add(int64(n))
		})
		if total.Load() != 50 {
			e.Errorf("the callers promoted %d jobs together, want each of the 50 once", total.Load())
		}
	}},
	{"a retryable job becomes ready after its delay", func(e *env) {
		e.failed()
		e.wantPromoted(10, t0.Add(time.Minute-time.Microsecond), 0)
		e.wantPromoted(10, t0.Add(time.Minute), 1)
		e.beat(t0.Add(time.Minute))
		if got := e.claim(1, 1, t0.Add(time.Minute)); len(got) != 1 || got[0].Attempt != 2 || got[0].Epoch != 2 {
			e.Errorf("Claim = %+v, want the second attempt under epoch 2", got)
		}
	}},
}

func (e *env) wantPromoted(limit int, now time.Time, want int) {
	e.Helper()
	n, err := e.Promote(e.ctx, limit, now)
	if err != nil || n != want {
		e.Errorf("Promote = %d, %v; want %d", n, err, want)
	}
}
