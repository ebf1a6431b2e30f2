package jobstest

import (
	"maps"
	"time"

	"github.com/levqor/sdk/jobs"
)

// labels are metadata that a store may trip over.
func labels() map[string]string {
	return map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "A/b.c:d_e-f": "it's ? \"quoted\" \\ {ünï},\n<&>", "empty": ""}
}

func metadata(all map[string]string) func(*jobs.Insertion) {
	return func(j *jobs.Insertion) { j.Metadata = all }
}

func (e *env) wantMetadata(got jobs.Info, want map[string]string, what string) {
	e.Helper()
	if !maps.Equal(got.Metadata, want) {
		e.Errorf("the metadata of %s are %q, want %q", what, got.Metadata, want)
	}
}

var metadataCases = []testCase{
	{"a job that is stored alone keeps them", func(e *env) {
		with, without := e.insert(t0, job(metadata(labels())))[0], e.insert(t0, job())[0]
		e.wantMetadata(e.get(with.ID), labels(), "a job that has some")
		e.wantMetadata(e.get(without.ID), nil, "a job that has none")
	}},
	{"each job of a batch keeps its own", func(e *env) {
		other := map[string]string{"n": "2"}
		want := []map[string]string{nil, labels(), labels(), other, nil, {}}
		var batch []jobs.Insertion
		for _, all := range want {
			batch = append(batch, job(metadata(all)))
		}
		e.insert(t0, batch...)
		for i, in := range batch {
			e.wantMetadata(e.get(in.ID), want[i], "a job of a batch")
		}
		list, err := e.List(e.ctx, jobs.ListQuery{Tenant: "a", Limit: 10})
		if err != nil || len(list) != len(want) {
			e.Fatalf("List = %d jobs, %v; want %d", len(list), err, len(want))
		}
		for i, info := range list {
			e.wantMetadata(info, want[len(want)-1-i], "a job of a list")
		}
	}},
	{"jobs of a batch may share them", func(e *env) {
		batch := []jobs.Insertion{job(metadata(labels())), job(metadata(labels())), job(metadata(labels()))}
		e.insert(t0, batch...)
		for _, in := range batch {
			e.wantMetadata(e.get(in.ID), labels(), "a job of a batch")
		}
	}},
	{"a unique job keeps them, and a repetition changes nothing", func(e *env) {
		unique := func(j *jobs.Insertion) { j.Unique = jobs.Unique{Key: "u"} }
		in := e.insert(t0, job(unique, metadata(labels())))[0]
		e.insert(t0, job(unique, metadata(map[string]string{"other": "x"})))
		e.wantMetadata(e.get(in.ID), labels(), "the job that was there")
	}},
	{"a claim gives them", func(e *env) {
		e.join(1, t0)
		e.insert(t0, job(metadata(labels())), job())
		got := e.claim(1, 2, t0)
		if len(got) != 2 {
			e.Fatalf("Claim returned %d jobs, want 2", len(got))
		}
		e.wantMetadata(got[0], labels(), "a claimed job")
		e.wantMetadata(got[1], nil, "a claimed job that has none")
	}},
	{"a job keeps them whatever its attempts come to", func(e *env) {
		for _, out := range []jobs.Outcome{
			{State: jobs.Completed, Result: []byte(`1`)},
			{State: jobs.Discarded, Error: "boom"},
			{State: jobs.Retryable, Error: "boom"},
			{State: jobs.Scheduled, Delay: time.Hour},
			{State: jobs.Ready},
		} {
			e.join(jobs.NodeID(out.State), t0)
			in := e.insert(t0, job(metadata(labels()), queue(out.State.String())))[0]
			claimed, err := e.Claim(e.ctx, jobs.Claim{Node: jobs.NodeID(out.State), Queue: in.Queue, Kinds: []string{"k"}, Limit: 1}, t0)
			if err != nil || len(claimed) != 1 {
				e.Fatalf("Claim = %d jobs, %v; want 1", len(claimed), err)
			}
			out.Lease = leaseOf(claimed[0])
			if err := e.settle(out, t0); err != nil {
				e.Fatalf("Settle = %v", err)
			}
			e.wantMetadata(e.get(in.ID), labels(), "a job that is "+out.State.String())
		}
	}},
	{"a job keeps them when it is cancelled, retried and moved", func(e *env) {
		in := e.insert(t0, job(metadata(labels())))[0]
		cancelled, err := e.Cancel(e.ctx, "a", in.ID, t0)
		e.wantErr(err, nil, "it was ready")
		e.wantMetadata(cancelled, labels(), "a cancelled job")
		e.wantMetadata(e.get(in.ID), labels(), "a cancelled job")
		retried, err := e.Retry(e.ctx, "a", in.ID, t0)
		e.wantErr(err, nil, "it was cancelled")
		e.wantMetadata(retried, labels(), "a retried job")
		e.bulk(jobs.BulkChange{Operation: jobs.BulkCancel}, t0)
		e.wantMetadata(e.get(in.ID), labels(), "a job that was cancelled among others")
		e.bulk(jobs.BulkChange{Operation: jobs.BulkRetry}, t0)
		e.bulk(jobs.BulkChange{Operation: jobs.BulkMove, Queue: "other"}, t0)
		e.wantMetadata(e.get(in.ID), labels(), "a job that was moved among others")
	}},
	{"a job keeps them when its worker is gone", func(e *env) {
		info := e.claimed(metadata(labels()), attempts(2))
		e.wantRescued(t0.Add(lease), 1)
		e.wantMetadata(e.get(info.ID), labels(), "a rescued job")
		e.join(2, t0.Add(lease))
		e.claim(2, 1, t0.Add(lease))
		e.wantRescued(t0.Add(2*lease), 1)
		e.wantMetadata(e.wantState(info.ID, jobs.Discarded, "its last attempt was lost"), labels(), "a discarded job")
	}},
	{"what the caller does later changes no stored job", func(e *env) {
		all := labels()
		in := e.insert(t0, job(metadata(all)))[0]
		all["empty"] = "no more"
		got := e.get(in.ID)
		e.wantMetadata(got, labels(), "a job whose caller wrote into its own")
		got.Metadata["empty"] = "no more"
		e.wantMetadata(e.get(in.ID), labels(), "a job whose reader wrote into what it got")
	}},
}
