package jobs

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

// MemStore is a [Store] in memory: for tests, and for programs whose jobs may
// vanish with the process. It keeps every job, also those that are over, and
// looks at all of them for a claim, so it is for thousands of jobs and not for
// millions. The zero value is not usable; see [NewMemStore].
type MemStore struct {
	*memState
	// inTx says that the caller of Atomically holds the lock.
	inTx bool
}

type memState struct {
	mu    sync.Mutex
	jobs  map[ID]memJob
	nodes map[NodeID]time.Time // when each lease runs out
	turns Turns
	undo  *[]func() // what takes the changes back, in their order; nil outside Atomically
	memSchedules
	memLimits
	logs map[ID][]LogLine // never changed in place
}

type memJob struct {
	Info
	node NodeID
}

var _ Store = (*MemStore)(nil)

// NewMemStore returns an empty store.
func NewMemStore() *MemStore {
	return &MemStore{memState: &memState{
		jobs: map[ID]memJob{}, nodes: map[NodeID]time.Time{},
		memSchedules: memSchedules{schedules: map[ScheduleID]Schedule{}, fires: map[ScheduleID][]Fire{}},
		logs:         map[ID][]LogLine{},
		memLimits:    memLimits{queues: map[string]QueueSettings{}, arrivals: map[rated]time.Time{}},
	}}
}

// Atomically calls fn with a store whose changes to jobs happen together: all
// of them if fn returns nil, else none. It stands for the transaction of a
// database: other callers wait, so fn must use tx alone, and tx ends with it.
// Within tx, Atomically stands for a savepoint.
func (s *MemStore) Atomically(fn func(tx *MemStore) error) error {
	defer s.lock()()
	outer, own := s.undo, []func(){}
	s.undo = &own
	kept := false // stays false if fn panics
	defer func() {
		s.undo = outer
		if kept && outer != nil {
			*outer = append(*outer, own...)
		}
		if kept {
			return
		}
		for _, revert := range slices.Backward(own) {
			revert()
		}
	}()
	err := fn(&MemStore{memState: s.memState, inTx: true})
	kept = err == nil
	return err
}

// set changes an element of one of the store's maps.
func set[K comparable, V any](s *memState, all map[K]V, key K, value V) {
	remember(s, all, key)
	all[key] = value
}

// remove deletes an element of one of the store's maps.
func remove[K comparable, V any](s *memState, all map[K]V, key K) {
	remember(s, all, key)
	delete(all, key)
}

// remember keeps what an element was before it changes.
func remember[K comparable, V any](s *memState, all map[K]V, key K) {
	if s.undo == nil {
		return
	}
	old, was := all[key]
	*s.undo = append(*s.undo, func() {
		if was {
			all[key] = old
		} else {
			delete(all, key)
		}
	})
}

// Insert implements [QueueStore].
func (s *MemStore) Insert(ctx context.Context, jobs []Insertion, now time.Time) ([]int, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer s.lock()()
	return s.insert(jobs, timeid.Instant(now)), nil
}

func (s *MemStore) insert(jobs []Insertion, now time.Time) (taken []int) {
	seen := map[ID]bool{}
	for i := range jobs {
		id := jobs[i].ID
		if _, ok := s.jobs[id]; ok || seen[id] {
			taken = append(taken, i)
		}
		seen[id] = true
	}
	if len(taken) > 0 {
		return taken
	}
	for i := range jobs {
		if other := s.duplicate(&jobs[i], now); other != 0 {
			jobs[i].DuplicateOf = other
			continue
		}
		jobs[i].Created(now)
		s.put(memJob{Info: jobs[i].clone()})
	}
	return nil
}

// duplicate returns the job that a new one would repeat, or 0.
func (s *MemStore) duplicate(in *Insertion, now time.Time) ID {
	if in.Unique.Key == "" {
		return 0
	}
	for _, job := range s.jobs {
		if in.Duplicates(job.Info, now) {
			return job.ID
		}
	}
	return 0
}

// Get implements [QueueStore].
func (s *MemStore) Get(ctx context.Context, tenant string, id ID) (Info, error) {
	if err := ctx.Err(); err != nil {
		return Info{}, err
	}
	defer s.lock()()
	job, err := s.find(tenant, id)
	return job.clone(), err
}

// List implements [QueueStore].
func (s *MemStore) List(ctx context.Context, q ListQuery) ([]Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer s.lock()()
	var page []Info
	for _, job := range s.jobs {
		if q.matches(job.Info) {
			page = append(page, job.Info)
		}
	}
	slices.SortFunc(page, func(a, b Info) int { return cmp.Compare(b.ID, a.ID) })
	page = page[:min(len(page), q.Limit)]
	for i := range page {
		page[i] = page[i].clone()
	}
	return page, nil
}

func (q ListQuery) matches(job Info) bool {
	return job.Tenant == q.Tenant &&
		(len(q.States) == 0 || slices.Contains(q.States, job.State)) &&
		(q.Kind == "" || job.Kind == q.Kind) &&
		(q.Queue == "" || job.Queue == q.Queue) &&
		(q.Before == 0 || job.ID < q.Before)
}

// Cancel implements [QueueStore].
func (s *MemStore) Cancel(ctx context.Context, tenant string, id ID, now time.Time) (Info, error) {
	return s.change(ctx, tenant, id, now, Info.AfterCancel)
}

// Retry implements [QueueStore].
func (s *MemStore) Retry(ctx context.Context, tenant string, id ID, now time.Time) (Info, error) {
	return s.change(ctx, tenant, id, now, Info.AfterRetry)
}

func (s *MemStore) change(ctx context.Context, tenant string, id ID, now time.Time, transition func(Info, time.Time) (Info, error)) (Info, error) {
	if err := ctx.Err(); err != nil {
		return Info{}, err
	}
	defer s.lock()()
	job, err := s.find(tenant, id)
	if err != nil {
		return Info{}, err
	}
	after, err := transition(job.Info, timeid.Instant(now))
	if err != nil {
		return Info{}, err
	}
	if job.State.Final() && !after.State.Final() && s.replaced(after) {
		return Info{}, ErrConflict
	}
	s.put(memJob{Info: after})
	return after.clone(), nil
}

// ChangeBatch implements [QueueStore].
func (s *MemStore) ChangeBatch(ctx context.Context, tenant string, change BulkChange, now time.Time) (BulkResult, error) {
	if err := ctx.Err(); err != nil {
		return BulkResult{}, err
	}
	defer s.lock()()
	found := s.where(func(j memJob) bool { return change.Matches(tenant, j.Info) })
	slices.SortFunc(found, func(a, b memJob) int { return cmp.Compare(a.ID, b.ID) })
	result := BulkResult{Done: len(found) < change.Limit}
	for _, job := range found[:min(len(found), change.Limit)] {
		result.Last = job.ID
		if change.Operation == BulkRetry && job.State.Final() && s.replaced(job.Info) {
			continue
		}
		after, err := change.Apply(job.Info, timeid.Instant(now))
		if err != nil {
			return BulkResult{}, err
		}
		s.put(memJob{Info: after})
		result.Changed++
	}
	return result, nil
}

// replaced reports whether another job that is not over is unique by the job's key.
func (s *MemStore) replaced(job Info) bool {
	if job.UniqueKey == "" {
		return false
	}
	for _, other := range s.jobs {
		if other.ID != job.ID && other.Tenant == job.Tenant && other.UniqueKey == job.UniqueKey && !other.State.Final() {
			return true
		}
	}
	return false
}

// lock returns what undoes it, and nothing to do within Atomically.
func (s *MemStore) lock() (unlock func()) {
	if s.inTx {
		return func() {}
	}
	s.mu.Lock()
	return s.mu.Unlock
}

func (s *MemStore) find(tenant string, id ID) (memJob, error) {
	job, ok := s.jobs[id]
	if !ok || job.Tenant != tenant {
		return memJob{}, ErrNotFound
	}
	return job, nil
}

func (s *MemStore) put(job memJob) { set(s.memState, s.jobs, job.ID, job) }

// clone returns a job that shares no memory with j.
func (j Info) clone() Info {
	j.Args, j.Result, j.Attempts = slices.Clone(j.Args), slices.Clone(j.Result), slices.Clone(j.Attempts)
	j.Metadata = maps.Clone(j.Metadata)
	return j
}

// where returns the jobs that match, in the order of priority, RunAt and ID.
func (s *MemStore) where(match func(memJob) bool) []memJob {
	var found []memJob
	for job := range maps.Values(s.jobs) {
		if match(job) {
			found = append(found, job)
		}
	}
	slices.SortFunc(found, byTurn)
	return found
}
