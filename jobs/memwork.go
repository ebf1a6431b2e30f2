package jobs

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

func byTurn(a, b memJob) int {
	return cmp.Or(a.Turn().Compare(b.Turn()), cmp.Compare(a.ID, b.ID))
}

// Join implements [WorkerStore].
func (s *MemStore) Join(ctx context.Context, node Node, lease time.Duration, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer s.lock()()
	if _, joined := s.nodes[node.ID]; joined {
		return ErrConflict
	}
	s.nodes[node.ID] = timeid.Instant(now).Add(lease)
	return nil
}

// Beat implements [WorkerStore].
func (s *MemStore) Beat(ctx context.Context, node NodeID, lease time.Duration, held []Lease, now time.Time) ([]ID, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer s.lock()()
	if _, ok := s.nodes[node]; !ok {
		return nil, ErrLeaseLost
	}
	now = timeid.Instant(now)
	s.nodes[node] = now.Add(lease)
	var lost []ID
	for _, l := range held {
		if _, ok := s.leased(l); !ok {
			lost = append(lost, l.ID)
		}
	}
	orphans := s.where(func(j memJob) bool {
		return j.State == Running && j.node == node && j.StartedAt.Before(now.Add(-lease)) &&
			!slices.Contains(held, Lease{ID: j.ID, Epoch: j.Epoch})
	})
	for _, job := range orphans {
		s.handBack(job)
	}
	return lost, nil
}

// Leave implements [WorkerStore].
func (s *MemStore) Leave(ctx context.Context, node NodeID, _ time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer s.lock()()
	delete(s.nodes, node)
	for _, job := range s.where(func(j memJob) bool { return j.State == Running && j.node == node }) {
		s.handBack(job)
	}
	return nil
}

// Claim implements [WorkerStore].
func (s *MemStore) Claim(ctx context.Context, c Claim, now time.Time) ([]Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer s.lock()()
	now = timeid.Instant(now)
	if !s.nodes[c.Node].After(now) {
		return nil, nil
	}
	var ready []Info
	for _, job := range s.jobs {
		if job.State == Ready && job.Queue == c.Queue && slices.Contains(c.Kinds, job.Kind) {
			ready = append(ready, job.Info)
		}
	}
	picked := s.pick(c.Queue, ready, c.Limit, now)
	for i, job := range picked {
		picked[i] = s.claim(job, c.Node, now)
	}
	return picked, nil
}

func (s *MemStore) claim(job Info, node NodeID, now time.Time) Info {
	job.State, job.StartedAt, job.Progress = Running, now, Progress{}
	job.Attempt++
	job.Epoch++
	s.put(memJob{Info: job, node: node})
	return job.clone()
}

// Settle implements [WorkerStore].
func (s *MemStore) Settle(ctx context.Context, outcomes []Outcome, now time.Time) ([]error, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer s.lock()()
	now = timeid.Instant(now)
	results := make([]error, len(outcomes))
	for i, out := range outcomes {
		job, ok := s.leased(out.Lease)
		if !ok {
			results[i] = ErrLeaseLost
			continue
		}
		s.put(memJob{Info: job.AfterSettle(out, now).clone()})
	}
	return results, nil
}

// SaveProgress implements [WorkerStore].
func (s *MemStore) SaveProgress(ctx context.Context, lease Lease, progress Progress) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer s.lock()()
	job, ok := s.leased(lease)
	if !ok {
		return ErrLeaseLost
	}
	job.Progress = progress
	s.put(job)
	return nil
}

// Promote implements [WorkerStore].
func (s *MemStore) Promote(ctx context.Context, limit int, now time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	defer s.lock()()
	now = timeid.Instant(now)
	due := s.where(func(j memJob) bool {
		return (j.State == Scheduled || j.State == Retryable) && !j.RunAt.After(now)
	})
	slices.SortStableFunc(due, func(a, b memJob) int { return a.RunAt.Compare(b.RunAt) })
	due = due[:min(len(due), limit)]
	for _, job := range due {
		job.State = Ready
		s.put(job)
	}
	return len(due), nil
}

// Rescue implements [WorkerStore].
func (s *MemStore) Rescue(ctx context.Context, now time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	defer s.lock()()
	now = timeid.Instant(now)
	for node, until := range s.nodes {
		if !until.After(now) {
			delete(s.nodes, node)
		}
	}
	lost := s.where(func(j memJob) bool {
		_, alive := s.nodes[j.node]
		return j.State == Running && !alive
	})
	for _, job := range lost {
		s.put(memJob{Info: job.AfterRescue(now)})
	}
	return len(lost), nil
}

func (s *MemStore) leased(l Lease) (memJob, bool) {
	job, ok := s.jobs[l.ID]
	return job, ok && job.State == Running && job.Epoch == l.Epoch
}

func (s *MemStore) handBack(job memJob) {
	s.put(memJob{Info: job.AfterSettle(Outcome{State: Ready}, time.Time{})})
}
