package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/levqor/sdk/jobs"
)

// FileStore is a [jobs.Store] in a JSON file, for one process.
type FileStore struct {
	turns jobs.Turns
	path  string
	mu    sync.Mutex
}

var _ jobs.Store = (*FileStore)(nil)

// NewFileStore returns a store in the file at path, which need not exist.
func NewFileStore(path string) *FileStore { return &FileStore{path: path} }

// state is what the file holds.
type state struct {
	Jobs  map[jobs.ID]record
	Nodes map[jobs.NodeID]time.Time // when each lease runs out
}

type record struct {
	jobs.Info
	Node jobs.NodeID
}

// update reads the file, lets fn change what it holds, and writes it back if fn
// returns nil. The new file takes the old one's place in one step.
func (s *FileStore) update(ctx context.Context, fn func(*state) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &state{Jobs: map[jobs.ID]record{}, Nodes: map[jobs.NodeID]time.Time{}}
	raw, err := os.ReadFile(s.path)
	if err == nil {
		err = json.Unmarshal(raw, st)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return jobs.ErrUnavailable // the cause names a path
	}
	if err := fn(st); err != nil {
		return err
	}
	raw, err = json.Marshal(st)
	if err == nil {
		err = os.WriteFile(s.path+".new", raw, 0o600)
	}
	if err == nil {
		err = os.Rename(s.path+".new", s.path)
	}
	if err != nil {
		return jobs.ErrUnavailable
	}
	return nil
}

// Insert implements [jobs.QueueStore].
func (s *FileStore) Insert(ctx context.Context, batch []jobs.Insertion, now time.Time) (taken []int, err error) {
	now = instant(now)
	err = s.update(ctx, func(st *state) error {
		seen := map[jobs.ID]bool{}
		for i, in := range batch {
			if _, ok := st.Jobs[in.ID]; ok || seen[in.ID] {
				taken = append(taken, i)
			}
			seen[in.ID] = true
		}
		for i := range batch {
			if len(taken) > 0 {
				return nil
			}
			for _, other := range st.Jobs {
				if batch[i].Duplicates(other.Info, now) {
					batch[i].DuplicateOf = other.ID
				}
			}
			if batch[i].DuplicateOf != 0 {
				continue
			}
			batch[i].Created(now)
			st.Jobs[batch[i].ID] = record{Info: *batch[i].Info}
		}
		return nil
	})
	return taken, err
}

// Get implements [jobs.QueueStore].
func (s *FileStore) Get(ctx context.Context, tenant string, id jobs.ID) (info jobs.Info, err error) {
	err = s.update(ctx, func(st *state) error {
		info, err = st.find(tenant, id)
		return err
	})
	return info, err
}

// List implements [jobs.QueueStore].
func (s *FileStore) List(ctx context.Context, q jobs.ListQuery) (page []jobs.Info, err error) {
	err = s.update(ctx, func(st *state) error {
		for _, j := range st.Jobs {
			if j.Tenant == q.Tenant && (len(q.States) == 0 || slices.Contains(q.States, j.State)) && (q.Kind == "" || j.Kind == q.Kind) &&
				(q.Queue == "" || j.Queue == q.Queue) && (q.Before == 0 || j.ID < q.Before) {
				page = append(page, j.Info)
			}
		}
		slices.SortFunc(page, func(a, b jobs.Info) int { return cmp.Compare(b.ID, a.ID) })
		page = page[:min(len(page), q.Limit)]
		return nil
	})
	return page, err
}

// Cancel implements [jobs.QueueStore].
func (s *FileStore) Cancel(ctx context.Context, tenant string, id jobs.ID, now time.Time) (jobs.Info, error) {
	return s.change(ctx, tenant, id, now, jobs.Info.AfterCancel)
}

// Retry implements [jobs.QueueStore].
func (s *FileStore) Retry(ctx context.Context, tenant string, id jobs.ID, now time.Time) (jobs.Info, error) {
	return s.change(ctx, tenant, id, now, jobs.Info.AfterRetry)
}

// ChangeBatch implements [jobs.QueueStore].
func (s *FileStore) ChangeBatch(ctx context.Context, tenant string, change jobs.BulkChange, now time.Time) (result jobs.BulkResult, err error) {
	err = s.update(ctx, func(st *state) error {
		var found []jobs.Info
		for _, job := range st.Jobs {
			if change.Matches(tenant, job.Info) {
				found = append(found, job.Info)
			}
		}
		slices.SortFunc(found, func(a, b jobs.Info) int { return cmp.Compare(a.ID, b.ID) })
		result = jobs.BulkResult{Done: len(found) < change.Limit}
		for _, job := range found[:min(len(found), change.Limit)] {
			result.Last = job.ID
			after, err := change.Apply(job, instant(now))
			if err != nil {
				return err
			}
			if !st.replaced(job, after) {
				st.Jobs[job.ID] = record{Info: after}
				result.Changed++
			}
		}
		return nil
	})
	return result, err
}

func (s *FileStore) change(ctx context.Context, tenant string, id jobs.ID, now time.Time, transition func(jobs.Info, time.Time) (jobs.Info, error)) (after jobs.Info, err error) {
	err = s.update(ctx, func(st *state) error {
		before, err := st.find(tenant, id)
		if err != nil {
			return err
		}
		if after, err = transition(before, instant(now)); err != nil {
			return err
		}
		if st.replaced(before, after) {
			return jobs.ErrConflict
		}
		st.Jobs[id] = record{Info: after}
		return nil
	})
	return after, err
}

// Join implements [jobs.WorkerStore].
func (s *FileStore) Join(ctx context.Context, node jobs.Node, lease time.Duration, now time.Time) error {
	return s.update(ctx, func(st *state) error {
		if _, joined := st.Nodes[node.ID]; joined {
			return jobs.ErrConflict
		}
		st.Nodes[node.ID] = instant(now).Add(lease)
		return nil
	})
}

// Beat implements [jobs.WorkerStore].
func (s *FileStore) Beat(ctx context.Context, node jobs.NodeID, lease time.Duration, held []jobs.Lease, now time.Time) (lost []jobs.ID, err error) {
	now = instant(now)
	err = s.update(ctx, func(st *state) error {
		if _, joined := st.Nodes[node]; !joined {
			return jobs.ErrLeaseLost
		}
		st.Nodes[node] = now.Add(lease)
		for _, l := range held {
			if !st.leased(l) {
				lost = append(lost, l.ID)
			}
		}
		st.handBack(func(j record) bool {
			return j.Node == node && j.StartedAt.Before(now.Add(-lease)) && !slices.Contains(held, jobs.Lease{ID: j.ID, Epoch: j.Epoch})
		})
		return nil
	})
	return lost, err
}

// Leave implements [jobs.WorkerStore].
func (s *FileStore) Leave(ctx context.Context, node jobs.NodeID, _ time.Time) error {
	return s.update(ctx, func(st *state) error {
		delete(st.Nodes, node)
		st.handBack(func(j record) bool { return j.Node == node })
		return nil
	})
}

// Claim implements [jobs.WorkerStore].
func (s *FileStore) Claim(ctx context.Context, c jobs.Claim, now time.Time) (claimed []jobs.Info, err error) {
	now = instant(now)
	err = s.update(ctx, func(st *state) error {
		if !st.Nodes[c.Node].After(now) {
			return nil
		}
		var ready []jobs.Info
		for _, j := range st.Jobs {
			if j.State == jobs.Ready && j.Queue == c.Queue && slices.Contains(c.Kinds, j.Kind) {
				ready = append(ready, j.Info)
			}
		}
		for _, j := range s.turns.Pick(c.Queue, ready, c.Limit) {
			j.State, j.StartedAt, j.Progress = jobs.Running, now, jobs.Progress{}
			j.Attempt++
			j.Epoch++
			st.Jobs[j.ID] = record{Info: j, Node: c.Node}
			claimed = append(claimed, j)
		}
		return nil
	})
	return claimed, err
}

// Settle implements [jobs.WorkerStore].
func (s *FileStore) Settle(ctx context.Context, outcomes []jobs.Outcome, now time.Time) ([]error, error) {
	results := make([]error, len(outcomes))
	err := s.update(ctx, func(st *state) error {
		for i, out := range outcomes {
			if !st.leased(out.Lease) {
				results[i] = jobs.ErrLeaseLost
				continue
			}
			st.Jobs[out.Lease.ID] = record{Info: st.Jobs[out.Lease.ID].AfterSettle(out, instant(now))}
		}
		return nil
	})
	return results, err
}

// SaveProgress implements [jobs.WorkerStore].
func (s *FileStore) SaveProgress(ctx context.Context, lease jobs.Lease, p jobs.Progress) error {
	return s.update(ctx, func(st *state) error {
		if !st.leased(lease) {
			return jobs.ErrLeaseLost
		}
		j := st.Jobs[lease.ID]
		j.Progress = p
		st.Jobs[lease.ID] = j
		return nil
	})
}

// Promote implements [jobs.WorkerStore].
func (s *FileStore) Promote(ctx context.Context, limit int, now time.Time) (n int, err error) {
	err = s.update(ctx, func(st *state) error {
		due := st.where(func(j record) bool {
			return (j.State == jobs.Scheduled || j.State == jobs.Retryable) && !j.RunAt.After(instant(now))
		})
		slices.SortFunc(due, func(a, b record) int { return a.RunAt.Compare(b.RunAt) })
		n = min(len(due), limit)
		for _, j := range due[:n] {
			j.State = jobs.Ready
			st.Jobs[j.ID] = j
		}
		return nil
	})
	return n, err
}

// Rescue implements [jobs.WorkerStore].
func (s *FileStore) Rescue(ctx context.Context, now time.Time) (n int, err error) {
	now = instant(now)
	err = s.update(ctx, func(st *state) error {
		for node, until := range st.Nodes {
			if !until.After(now) {
				delete(st.Nodes, node)
			}
		}
		for _, j := range st.where(func(j record) bool { return j.State == jobs.Running && st.Nodes[j.Node].IsZero() }) {
			st.Jobs[j.ID] = record{Info: j.AfterRescue(now)}
			n++
		}
		return nil
	})
	return n, err
}

// replaced reports whether a job that is over would return beside the one that took
// its unique place.
func (st *state) replaced(before, after jobs.Info) bool {
	if after.UniqueKey == "" || !before.State.Final() || after.State.Final() {
		return false
	}
	for _, other := range st.Jobs {
		if other.UniqueKey == after.UniqueKey && other.Tenant == after.Tenant && other.ID != after.ID && !other.State.Final() {
			return true
		}
	}
	return false
}

func (st *state) find(tenant string, id jobs.ID) (jobs.Info, error) {
	j, ok := st.Jobs[id]
	if !ok || j.Tenant != tenant {
		return jobs.Info{}, jobs.ErrNotFound
	}
	return j.Info, nil
}

func (st *state) leased(l jobs.Lease) bool {
	j := st.Jobs[l.ID]
	return j.State == jobs.Running && j.Epoch == l.Epoch
}

func (st *state) where(match func(record) bool) []record {
	var found []record
	for _, j := range st.Jobs {
		if match(j) {
			found = append(found, j)
		}
	}
	return found
}

// handBack makes the running jobs that match ready, as if not begun.
func (st *state) handBack(match func(record) bool) {
	for _, j := range st.where(func(j record) bool { return j.State == jobs.Running && match(j) }) {
		st.Jobs[j.ID] = record{Info: j.AfterSettle(jobs.Outcome{State: jobs.Ready}, time.Time{})}
	}
}

// instant returns now in microseconds, or the present.
func instant(now time.Time) time.Time {
	if now.IsZero() {
		now = time.Now()
	}
	return now.UTC().Truncate(time.Microsecond)
}
