package jobs_test

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/jobs"
)

// hooked is a store whose answers a test can replace. A hook that returns nil
// lets the call through.
type hooked struct {
	*jobs.MemStore
	beat   func(ctx context.Context, held []jobs.Lease) error
	settle func(all []jobs.Outcome) error
	leave  func() error
	joined func() error                // called after the node has joined
	claims func(all []jobs.Info) error // called after the jobs were claimed
}

func (h *hooked) Join(ctx context.Context, n jobs.Node, lease time.Duration, now time.Time) error {
	err := h.MemStore.Join(ctx, n, lease, now)
	if err == nil && h.joined != nil {
		err = h.joined()
	}
	return err
}

func (h *hooked) Claim(ctx context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	all, err := h.MemStore.Claim(ctx, c, now)
	if err == nil && h.claims != nil {
		if err := h.claims(all); err != nil {
			return nil, err
		}
	}
	return all, err
}

func (h *hooked) Beat(ctx context.Context, n jobs.NodeID, lease time.Duration, held []jobs.Lease, now time.Time) ([]jobs.ID, error) {
	if h.beat != nil {
		if err := h.beat(ctx, held); err != nil {
			return nil, err
		}
	}
	return h.MemStore.Beat(ctx, n, lease, held, now)
}

func (h *hooked) Settle(ctx context.Context, all []jobs.Outcome, now time.Time) ([]error, error) {
	if h.settle != nil {
		if err := h.settle(all); err != nil {
			return nil, err
		}
	}
	return h.MemStore.Settle(ctx, all, now)
}

func (h *hooked) Leave(ctx context.Context, n jobs.NodeID, now time.Time) error {
	if h.leave != nil {
		if err := h.leave(); err != nil {
			return err
		}
	}
	return h.MemStore.Leave(ctx, n, now)
}

// atOnce makes retries come at once.
var atOnce = &jobs.KindOptions{Backoff: func(int) time.Duration { return 0 }}

// flaky is a store that can be away.
type flaky struct {
	*jobs.MemStore
	away atomic.Bool
}

func (f *flaky) err() error {
	if f.away.Load() {
		return jobs.ErrUnavailable
	}
	return nil
}

func (f *flaky) Join(ctx context.Context, n jobs.Node, lease time.Duration, now time.Time) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.MemStore.Join(ctx, n, lease, now)
}

func (f *flaky) Beat(ctx context.Context, n jobs.NodeID, lease time.Duration, held []jobs.Lease, now time.Time) ([]jobs.ID, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.MemStore.Beat(ctx, n, lease, held, now)
}

func (f *flaky) Claim(ctx context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.MemStore.Claim(ctx, c, now)
}

func (f *flaky) Settle(ctx context.Context, all []jobs.Outcome, now time.Time) ([]error, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.MemStore.Settle(ctx, all, now)
}

func (f *flaky) Rescue(ctx context.Context, now time.Time) (int, error) {
	if err := f.err(); err != nil {
		return 0, err
	}
	return f.MemStore.Rescue(ctx, now)
}
