package jobs_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/levqor/sdk/jobs"
)

// broken are stores with one defect each, and where package jobstest must notice
// it.
var broken = []struct {
	name    string
	open    func(*jobs.MemStore) jobs.Store
	noticed string // the group of cases
}{
	{"raw errors", func(s *jobs.MemStore) jobs.Store { return rawErrors{s} }, "Errors/"},
	{"contexts ignored", func(s *jobs.MemStore) jobs.Store { return deaf{s} }, "Errors/"},
	{"epochs ignored", func(s *jobs.MemStore) jobs.Store { return &unfenced{MemStore: s} }, "Settle/"},
	{"tenants ignored by Get", func(s *jobs.MemStore) jobs.Store { return &crossing{MemStore: s, get: true} }, "Get/"},
	{"tenants ignored by List", func(s *jobs.MemStore) jobs.Store { return &crossing{MemStore: s, list: true} }, "List/"},
	{"tenants ignored by Cancel", func(s *jobs.MemStore) jobs.Store { return &crossing{MemStore: s, cancel: true} }, "Cancel/"},
	{"tenants ignored by Retry", func(s *jobs.MemStore) jobs.Store { return &crossing{MemStore: s, retry: true} }, "Retry/"},
	{"claims without a lease", func(s *jobs.MemStore) jobs.Store { return leaseless{s} }, "Claim/"},
	{"claims that give a job twice", func(s *jobs.MemStore) jobs.Store { return &generous{MemStore: s} }, "Claim/"},
	{"claims that come back short", func(s *jobs.MemStore) jobs.Store { return &shy{MemStore: s} }, "Claim/"},
	{"claims without order", func(s *jobs.MemStore) jobs.Store { return disorderly{s} }, "Claim/"},
	{"rescue of living nodes", func(s *jobs.MemStore) jobs.Store { return hasty{s} }, "Rescue/"},
	{"heartbeats of the dead", func(s *jobs.MemStore) jobs.Store { return undead{s} }, "Beat/"},
	{"heartbeats that tell nothing", func(s *jobs.MemStore) jobs.Store { return silent{s} }, "Beat/"},
	{"leaving counts the attempt", func(s *jobs.MemStore) jobs.Store { return clinging{s} }, "Leave/"},
	{"claims without metadata", func(s *jobs.MemStore) jobs.Store { return forgetful{s} }, "Metadata/"},
	{"half a batch is stored", func(s *jobs.MemStore) jobs.Store { return piecemeal{s} }, "Insert/"},
	{"promotion ahead of time", func(s *jobs.MemStore) jobs.Store { return eager{s} }, "Promote/"},
	{"progress by anyone", func(s *jobs.MemStore) jobs.Store { return talkative{s} }, "SaveProgress/"},
	{"a clock that is off", func(s *jobs.MemStore) jobs.Store { return late{s} }, "Clock/"},
}

// rawErrors prints what a driver said.
type rawErrors struct{ *jobs.MemStore }

func (s rawErrors) Join(ctx context.Context, n jobs.Node, lease time.Duration, now time.Time) error {
	if err := s.MemStore.Join(ctx, n, lease, now); err != nil {
		return fmt.Errorf("UNIQUE constraint failed: node.id: %w", err)
	}
	return nil
}

// deaf works on when its caller has left.
type deaf struct{ *jobs.MemStore }

func (s deaf) Cancel(ctx context.Context, tenant string, id jobs.ID, now time.Time) (jobs.Info, error) {
	return s.MemStore.Cancel(context.WithoutCancel(ctx), tenant, id, now)
}

// unfenced takes every outcome of a running job for the current attempt's.
type unfenced struct {
	*jobs.MemStore
	mu     sync.Mutex
	epochs map[jobs.ID]int64
}

func (s *unfenced) Claim(ctx context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	all, err := s.MemStore.Claim(ctx, c, now)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, info := range all {
		if s.epochs == nil {
			s.epochs = map[jobs.ID]int64{}
		}
		s.epochs[info.ID] = info.Epoch
	}
	return all, err
}

func (s *unfenced) Settle(ctx context.Context, all []jobs.Outcome, now time.Time) ([]error, error) {
	all = slices.Clone(all)
	s.mu.Lock()
	for i := range all {
		all[i].Lease.Epoch = s.epochs[all[i].Lease.ID]
	}
	s.mu.Unlock()
	return s.MemStore.Settle(ctx, all, now)
}

// crossing shows and changes jobs of other tenants.
type crossing struct {
	*jobs.MemStore
	get, list, cancel, retry bool
	mu                       sync.Mutex
	owners                   map[jobs.ID]string
}

func (s *crossing) Insert(ctx context.Context, all []jobs.Insertion, now time.Time) ([]int, error) {
	s.mu.Lock()
	for i := range all {
		if s.owners == nil {
			s.owners = map[jobs.ID]string{}
		}
		s.owners[all[i].ID] = all[i].Tenant
	}
	s.mu.Unlock()
	return s.MemStore.Insert(ctx, all, now)
}

// owner returns the job's own tenant where the call is broken.
func (s *crossing) owner(broken bool, tenant string, id jobs.ID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own, ok := s.owners[id]; ok && broken {
		return own
	}
	return tenant
}

func (s *crossing) Get(ctx context.Context, tenant string, id jobs.ID) (jobs.Info, error) {
	return s.MemStore.Get(ctx, s.owner(s.get, tenant, id), id)
}

func (s *crossing) Cancel(ctx context.Context, tenant string, id jobs.ID, now time.Time) (jobs.Info, error) {
	return s.MemStore.Cancel(ctx, s.owner(s.cancel, tenant, id), id, now)
}

func (s *crossing) Retry(ctx context.Context, tenant string, id jobs.ID, now time.Time) (jobs.Info, error) {
	return s.MemStore.Retry(ctx, s.owner(s.retry, tenant, id), id, now)
}

func (s *crossing) List(ctx context.Context, q jobs.ListQuery) ([]jobs.Info, error) {
	if !s.list {
		return s.MemStore.List(ctx, q)
	}
	var page []jobs.Info
	for _, tenant := range []string{"", "a", "b"} {
		q.Tenant = tenant
		part, err := s.MemStore.List(ctx, q)
		if err != nil {
			return nil, err
		}
		page = append(page, part...)
	}
	slices.SortFunc(page, func(a, b jobs.Info) int { return cmp.Compare(b.ID, a.ID) })
	return page[:min(len(page), q.Limit)], nil
}

// leaseless gives jobs to nodes that are unknown or dead.
type leaseless struct{ *jobs.MemStore }

func (s leaseless) Claim(ctx context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	const anyone = 1 << 40
	if err := s.Join(ctx, jobs.Node{ID: anyone}, time.Hour, now); err != nil && !errors.Is(err, jobs.ErrConflict) {
		return nil, err
	}
	c.Node = anyone
	return s.MemStore.Claim(ctx, c, now)
}

// generous gives the jobs of a claim to the next caller as well.
type generous struct {
	*jobs.MemStore
	mu   sync.Mutex
	last []jobs.Info
}

func (s *generous) Claim(ctx context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if again := s.last; len(again) > 0 {
		s.last = nil
		return again, nil
	}
	all, err := s.MemStore.Claim(ctx, c, now)
	s.last = all
	return all, err
}

// shy finds nothing while another caller claims.
type shy struct {
	*jobs.MemStore
	mu sync.Mutex
}

func (s *shy) Claim(ctx context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	if !s.mu.TryLock() {
		return nil, nil
	}
	defer s.mu.Unlock()
	time.Sleep(time.Millisecond) // others come
	return s.MemStore.Claim(ctx, c, now)
}

// disorderly returns the right jobs in the wrong order.
type disorderly struct{ *jobs.MemStore }

func (s disorderly) Claim(ctx context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	all, err := s.MemStore.Claim(ctx, c, now)
	slices.Reverse(all)
	return all, err
}

// hasty takes the jobs of nodes whose lease has not run out.
type hasty struct{ *jobs.MemStore }

func (s hasty) Rescue(ctx context.Context, now time.Time) (int, error) {
	if now.IsZero() {
		now = time.Now()
	}
	return s.MemStore.Rescue(ctx, now.Add(time.Minute))
}

// undead lets nodes that were rescued go on.
type undead struct{ *jobs.MemStore }

func (s undead) Beat(ctx context.Context, n jobs.NodeID, lease time.Duration, held []jobs.Lease, now time.Time) ([]jobs.ID, error) {
	lost, err := s.MemStore.Beat(ctx, n, lease, held, now)
	if errors.Is(err, jobs.ErrLeaseLost) {
		return nil, s.Join(ctx, jobs.Node{ID: n}, lease, now)
	}
	return lost, err
}

// silent does not say which jobs are lost.
type silent struct{ *jobs.MemStore }

func (s silent) Beat(ctx context.Context, n jobs.NodeID, lease time.Duration, held []jobs.Lease, now time.Time) ([]jobs.ID, error) {
	_, err := s.MemStore.Beat(ctx, n, lease, held, now)
	return nil, err
}

// clinging leaves by dying.
type clinging struct{ *jobs.MemStore }

func (s clinging) Leave(ctx context.Context, n jobs.NodeID, now time.Time) error {
	if _, err := s.Beat(ctx, n, 0, nil, now); err != nil {
		return nil //nolint:nilerr // a node that is gone has left
	}
	_, err := s.Rescue(ctx, now)
	return err
}

// piecemeal stores a batch job by job.
type piecemeal struct{ *jobs.MemStore }

func (s piecemeal) Insert(ctx context.Context, all []jobs.Insertion, now time.Time) (taken []int, err error) {
	for i := range all {
		one, err := s.MemStore.Insert(ctx, all[i:i+1], now)
		if err != nil {
			return nil, err
		}
		if len(one) > 0 {
			taken = append(taken, i)
		}
	}
	return taken, nil
}

// eager promotes jobs a second ahead of their time.
type eager struct{ *jobs.MemStore }

func (s eager) Promote(ctx context.Context, limit int, now time.Time) (int, error) {
	if !now.IsZero() {
		now = now.Add(time.Second)
	}
	return s.MemStore.Promote(ctx, limit, now)
}

// talkative believes progress under any epoch.
type talkative struct{ *jobs.MemStore }

func (s talkative) SaveProgress(ctx context.Context, lease jobs.Lease, p jobs.Progress) error {
	err := s.MemStore.SaveProgress(ctx, lease, p)
	for epoch := int64(1); epoch < lease.Epoch && errors.Is(err, jobs.ErrLeaseLost); epoch++ {
		err = s.MemStore.SaveProgress(ctx, jobs.Lease{ID: lease.ID, Epoch: epoch}, p)
	}
	return err
}

// late has a clock of its own.
type late struct{ *jobs.MemStore }

func (s late) Claim(ctx context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	if now.IsZero() {
		now = time.Now().Add(-time.Hour)
	}
	return s.MemStore.Claim(ctx, c, now)
}

// forgetful claims jobs without their metadata.
type forgetful struct{ *jobs.MemStore }

func (s forgetful) Claim(ctx context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	all, err := s.MemStore.Claim(ctx, c, now)
	for i := range all {
		all[i].Metadata = nil
	}
	return all, err
}
