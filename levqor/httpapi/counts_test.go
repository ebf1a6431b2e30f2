package httpapi_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/jobs"
)

// discard stores a job of a tenant and ends it with an error.
func (s *service) discard(tenant, queue, text string) jobs.ID {
	s.Helper()
	ctx := s.Context()
	info, err := s.app.Jobs.ForTenant(tenant).Enqueue(ctx, Mail{To: []Address{{Email: "a@b.cd"}}}, &jobs.EnqueueOptions{Queue: queue})
	if err != nil {
		s.Fatal(err)
	}
	_ = s.stores.Jobs.Join(ctx, jobs.Node{ID: 9}, time.Hour, time.Time{}) // once
	claimed, err := s.stores.Jobs.Claim(ctx, jobs.Claim{Node: 9, Queue: queue, Kinds: []string{"mail"}, Limit: 1}, time.Time{})
	if err != nil || len(claimed) != 1 {
		s.Fatal(claimed, err)
	}
	out := jobs.Outcome{Lease: jobs.Lease{ID: info.ID, Epoch: claimed[0].Epoch}, State: jobs.Discarded, Error: text}
	if results, err := s.stores.Jobs.Settle(ctx, []jobs.Outcome{out}, time.Time{}); err != nil || results[0] != nil {
		s.Fatal(results, err)
	}
	return info.ID
}

func TestCountsAndDeadLettersOfTenantsAreApart(t *testing.T) {
	s := newService(t)
	ours, theirs := s.key("acme", "jobs:read"), s.key("other", "jobs:read")
	s.discard("acme", "q", "boom")
	newest := s.discard("acme", "q", "boom")
	s.discard("other", "q2", "theirs")
	get := func(path, token string) request { return request{method: "GET", path: path, token: token} }

	counts := decode[client.JobCounts](t, s.do(get("/api/v1/job-counts", ours)))
	if len(counts.Data) != 1 || counts.Data[0] != (client.QueueCounts{Queue: "q", Discarded: 2}) {
		t.Errorf("the counts are %+v, want the tenant's own", counts.Data)
	}
	letters := decode[client.DeadLetters](t, s.do(get("/api/v1/dead-letters", ours)))
	if len(letters.Data) != 1 || letters.Jobs != 2 || letters.HasMore {
		t.Fatalf("the dead letters are %+v, want one group", letters)
	}
	if g := letters.Data[0]; g.Kind != "mail" || g.Queue != "q" || g.Error != "boom" || g.Jobs != 2 || g.NewestJobID != newest.String() || g.LastAt.Before(g.FirstAt) {
		t.Errorf("the group is %+v", g)
	}
	if got := decode[client.DeadLetters](t, s.do(get("/api/v1/dead-letters", theirs))); len(got.Data) != 1 || got.Data[0].Error != "theirs" {
		t.Errorf("another tenant sees %+v, want its own", got.Data)
	}
	if got := decode[client.JobCounts](t, s.do(get("/api/v1/job-counts", s.key("nobody", "jobs:read")))); len(got.Data) != 0 {
		t.Errorf("a tenant without jobs sees %+v", got.Data)
	}
	if resp := s.do(get("/api/v1/job-counts/all", ours)); resp.StatusCode != 403 {
		t.Errorf("the sum over all tenants gave a tenant %d, want 403", resp.StatusCode)
	}
	all := decode[client.JobCounts](t, s.do(get("/api/v1/job-counts/all", s.key("default", "operator:jobs"))))
	if got := fmt.Sprint(all.Data); got != fmt.Sprint([]client.QueueCounts{{Queue: "q", Discarded: 2}, {Queue: "q2", Discarded: 1}}) || all.CountedAt == nil {
		t.Errorf("the sum over all tenants is %s", got)
	}
}

// counts calls the operations that count. One job has completed and one is cancelled.
func counts(t *testing.T, s *service, c, op *client.Service) {
	t.Helper()
	s.discard("acme", "broken", "boom")
	for _, count := range []func() (*client.JobCounts, error){
		func() (*client.JobCounts, error) { return c.JobCounts(t.Context()) },
		func() (*client.JobCounts, error) { return op.AllJobCounts(t.Context()) },
	} {
		got, err := count()
		if err != nil {
			t.Fatal(err)
		}
		want := []client.QueueCounts{{Queue: "broken", Discarded: 1}, {Queue: "default", Completed: 1, Cancelled: 2}}
		if fmt.Sprint(got.Data) != fmt.Sprint(want) {
			t.Errorf("the counts are %+v, want %+v", got.Data, want)
		}
	}
	letters, err := c.DeadLetters(t.Context())
	if err != nil || len(letters.Data) != 1 || letters.Data[0].Error != "boom" {
		t.Errorf("DeadLetters = %+v, %v", letters, err)
	}
	filter := client.JobFilter{Kind: &letters.Data[0].Kind, Queue: &letters.Data[0].Queue, States: []client.JobState{client.JobStateDiscarded}}
	if n, err := c.ChangeJobs(t.Context(), client.BulkChange{Operation: client.BulkChangeOperationRetry, Filter: filter}); err != nil || n != 1 {
		t.Errorf("ChangeJobs = %d, %v; want the group retried", n, err)
	}
	if letters, err := c.DeadLetters(t.Context()); err != nil || len(letters.Data) != 0 {
		t.Errorf("DeadLetters = %+v, %v; want none", letters, err)
	}
	if _, err := c.ChangeJobs(t.Context(), client.BulkChange{Operation: client.BulkChangeOperationCancel}); err != nil {
		t.Error(err)
	}
}
