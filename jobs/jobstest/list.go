package jobstest

import (
	"slices"
	"time"

	"github.com/levqor/sdk/jobs"
)

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
		ours := e.insert(t0, job())[0]
		theirs := e.insert(t0, job(tenant("b")), job(tenant("b")))
		e.wantList(jobs.ListQuery{Tenant: "b"}, theirs[1].ID, theirs[0].ID)
		e.wantList(jobs.ListQuery{Tenant: "b", States: []jobs.State{jobs.Completed}})
		e.wantList(jobs.ListQuery{Tenant: "b", Before: theirs[1].ID, Kind: "k", Queue: "q"}, theirs[0].ID)
		e.wantList(jobs.ListQuery{Tenant: "b", Before: ours.ID})
	}},
	{"each job is as Get returns it", func(e *env) {
		e.over(jobs.Discarded)
		e.insert(t0, job(delay(time.Hour)))
		page, err := e.List(e.ctx, jobs.ListQuery{Tenant: "a", Limit: 10})
		if err != nil || len(page) != 2 {
			e.Fatalf("List = %d jobs, %v; want 2", len(page), err)
		}
		for _, info := range page {
			e.wantStored(info, "List")
		}
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
