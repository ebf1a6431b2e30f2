package jobs

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// MemStore is a [Store] in memory: for tests, and for programs whose jobs may
// vanish with the process. The zero value is not usable; see [NewMemStore].
type MemStore struct {
	*memState
	// inTx says that the caller of Atomically holds the lock.
	inTx bool
}

type memState struct {
	mu    sync.Mutex
	jobs  map[ID]memJob
	nodes map[NodeID]time.Time // when each lease runs out
	undo  func(ID)             // remembers a job before it changes; nil outside Atomically
}

type memJob struct {
	Info
	node NodeID
}

var _ Store = (*MemStore)(nil)

// NewMemStore returns an empty store.
func NewMemStore() *MemStore {
	return &MemStore{memState: &memState{jobs: map[ID]memJob{}, nodes: map[NodeID]time.Time{}}}
}

// Atomically calls fn with a store whose changes to jobs happen together: all
// of them if fn returns nil, else none. Other callers wait. It stands for the
// transaction of a database.
func (s *MemStore) Atomically(fn func(tx *MemStore) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := map[ID]*memJob{}
	s.undo = func(id ID) {
		if _, seen := before[id]; seen {
			return
		}
		before[id] = nil
		if job, ok := s.jobs[id]; ok {
			before[id] = &job
		}
	}
	defer func() { s.undo = nil }()
	if err := fn(&MemStore{memState: s.memState, inTx: true}); err != nil {
		for id, job := range before {
			if job == nil {
				delete(s.jobs, id)
			} else {
				s.jobs[id] = *job
			}
		}
		return err
	}
	return nil
}

// Insert implements [QueueStore].
func (s *MemStore) Insert(_ context.Context, jobs []Insertion, now time.Time) ([]int, error) {
	defer s.lock()()
	now = instant(now)
	var taken []int
	seen := map[ID]bool{}
	for i := range jobs {
		id := jobs[i].ID
		if _, ok := s.jobs[id]; ok || seen[id] {
			taken = append(taken, i)
		}
		seen[id] = true
	}
	if len(taken) > 0 {
		return taken, nil
	}
	for i := range jobs {
		job := &jobs[i].Info
		job.CreatedAt, job.State = now, Ready
		if job.RunAt.IsZero() {
			job.RunAt = now.Add(jobs[i].Delay)
		}
		job.RunAt = instant(job.RunAt)
		if job.RunAt.After(now) {
			job.State = Scheduled
		}
		s.put(memJob{Info: *job})
	}
	return nil, nil
}

// Get implements [QueueStore].
func (s *MemStore) Get(_ context.Context, tenant string, id ID) (Info, error) {
	defer s.lock()()
	job, err := s.find(tenant, id)
	return job.Info, err
}

// List implements [QueueStore].
func (s *MemStore) List(_ context.Context, q ListQuery) ([]Info, error) {
	defer s.lock()()
	var page []Info
	for _, job := range s.jobs {
		if q.matches(job.Info) {
			page = append(page, job.Info)
		}
	}
	slices.SortFunc(page, func(a, b Info) int { return cmp.Compare(b.ID, a.ID) })
	return page[:min(len(page), q.Limit)], nil
}

func (q ListQuery) matches(job Info) bool {
	return job.Tenant == q.Tenant &&
		(len(q.States) == 0 || slices.Contains(q.States, job.State)) &&
		(q.Kind == "" || job.Kind == q.Kind) &&
		(q.Queue == "" || job.Queue == q.Queue) &&
		(q.Before == 0 || job.ID < q.Before)
}

// Cancel implements [QueueStore].
func (s *MemStore) Cancel(_ context.Context, tenant string, id ID, now time.Time) (Info, error) {
	return s.change(tenant, id, now, Info.AfterCancel)
}

// Retry implements [QueueStore].
func (s *MemStore) Retry(_ context.Context, tenant string, id ID, now time.Time) (Info, error) {
	return s.change(tenant, id, now, Info.AfterRetry)
}

func (s *MemStore) change(tenant string, id ID, now time.Time, transition func(Info, time.Time) (Info, error)) (Info, error) {
	defer s.lock()()
	job, err := s.find(tenant, id)
	if err != nil {
		return Info{}, err
	}
	after, err := transition(job.Info, instant(now))
	if err != nil {
		return Info{}, err
	}
	s.put(memJob{Info: after})
	return after, nil
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

func (s *MemStore) put(job memJob) {
	if s.undo != nil {
		s.undo(job.ID)
	}
	s.jobs[job.ID] = job
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

// instant returns now in the precision of the databases, or the current time.
func instant(now time.Time) time.Time {
	if now.IsZero() {
		now = time.Now() //nolint:forbidigo // the clock of this store
	}
	return now.UTC().Truncate(time.Microsecond)
}
