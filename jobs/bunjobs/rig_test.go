package bunjobs_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// rig is a store on a database of its own, with a registry and a queue.
type rig struct {
	*testing.T
	url      string
	db       *bun.DB
	store    *bunjobs.Store
	registry *jobs.Registry
	queue    *jobs.Queue
}

// onRigs runs fn as a subtest on each database.
func onRigs(t *testing.T, fn func(r *rig)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) { fn(newRig(t, fresh(t))) })
}

func newRig(t *testing.T, url string) *rig {
	t.Helper()
	db := open(t, url)
	r := &rig{T: t, url: url, db: db, store: bunjobs.New(db), registry: jobs.NewRegistry(nil)}
	r.queue = jobs.New(r.store, r.registry, nil)
	return r
}

// handle registers what notes are handled by.
func (r *rig) handle(fn jobs.Func[note, string], opts *jobs.KindOptions) {
	r.Helper()
	if err := jobs.Handle(r.registry, fn, opts); err != nil {
		r.Fatal(err)
	}
}

// enqueue stores n notes, in calls of at most a thousand.
func (r *rig) enqueue(n int, opts *jobs.EnqueueOptions) []jobs.ID {
	r.Helper()
	ids := make([]jobs.ID, 0, n)
	for len(ids) < n {
		entries := make([]jobs.Entry, min(1000, n-len(ids)))
		for i := range entries {
			entries[i] = jobs.Entry{Args: note{"x"}, Options: opts}
		}
		infos, err := r.queue.EnqueueMany(r.Context(), entries)
		if err != nil {
			r.Fatal(err)
		}
		for _, info := range infos {
			ids = append(ids, info.ID)
		}
	}
	return ids
}

// work runs a worker until the returned function is called.
func (r *rig) work(store jobs.WorkerStore, opts *jobs.WorkerOptions) (stop func()) {
	r.Helper()
	worker, err := jobs.NewWorker(store, r.registry, opts)
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.Errorf("Run = %v", err)
		}
	})
	r.Cleanup(stop)
	return stop
}

// join adds nodes whose leases last longer than any test.
func (r *rig) join(nodes ...jobs.NodeID) {
	r.Helper()
	for _, id := range nodes {
		if err := r.store.Join(r.Context(), jobs.Node{ID: id}, time.Hour, time.Time{}); err != nil {
			r.Fatal(err)
		}
	}
}

// claim takes jobs of the default queue, and of kinds if they are given.
func (r *rig) claim(node jobs.NodeID, limit int, kinds ...string) []jobs.Info {
	r.Helper()
	if len(kinds) == 0 {
		kinds = []string{"note"}
	}
	got, err := r.store.Claim(r.Context(), jobs.Claim{Node: node, Queue: jobs.DefaultQueue, Kinds: kinds, Limit: limit}, time.Time{})
	if err != nil {
		r.Fatalf("Claim = %v", err)
	}
	return got
}

func (r *rig) get(id jobs.ID) jobs.Info {
	r.Helper()
	info, err := r.queue.Get(r.Context(), id)
	if err != nil {
		r.Fatalf("Get = %v", err)
	}
	return info
}

// count returns how many jobs are in one of some states.
func (r *rig) count(states ...jobs.State) int {
	r.Helper()
	numbers := make([]int, len(states))
	for i, state := range states {
		numbers[i] = int(state)
	}
	var n int
	err := r.db.NewRaw("SELECT (SELECT count(*) FROM levqor_jobs_live WHERE state IN (?0)) + (SELECT count(*) FROM levqor_jobs_done WHERE state IN (?0))", bun.List(numbers)).
		Scan(r.Context(), &n)
	if err != nil {
		r.Fatal(err)
	}
	return n
}

// await waits until a condition holds, at most for a time.
func (r *rig) await(what string, limit time.Duration, holds func() bool) {
	r.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for !holds() {
		select {
		case <-tick.C:
		case <-end:
			r.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// exec runs a statement as somebody would who edits the tables by hand.
func (r *rig) exec(statement string, args ...any) {
	r.Helper()
	if _, err := r.db.NewRaw(statement, args...).Exec(r.Context()); err != nil {
		r.Fatal(err)
	}
}

// scheme says which database it is: "sqlite" or "postgres".
func (r *rig) scheme() string {
	scheme, _, _ := strings.Cut(r.url, "://")
	return scheme
}
