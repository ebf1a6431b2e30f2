package jobstest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/levqor/sdk/jobs"
)

// errBoom rolls transactions back.
var errBoom = errors.New("boom")

// heldTimeout is how long a call may take that has nobody to wait for.
const heldTimeout = 5 * time.Second

var transactorCases = []testCase{
	{"what was rolled back has not happened", func(e *env) {
		e.inTx(errBoom, func(tx *env) { tx.insert(t0, job()) })
		e.wantList(jobs.ListQuery{})
	}},
	{"what was committed has", func(e *env) {
		var in jobs.Insertion
		e.inTx(nil, func(tx *env) { in = tx.insert(t0, job())[0] })
		e.wantState(in.ID, jobs.Ready, "its transaction was committed")
	}},
	{"a claim passes over jobs that another transaction holds", func(e *env) {
		e.join(1, t0)
		all := e.insert(t0, job(), job(), job())
		e.inTx(errBoom, func(tx *env) {
			held := tx.claim(1, 2, t0)
			ctx, cancel := context.WithTimeout(e.ctx, heldTimeout)
			defer cancel()
			got, err := e.Claim(ctx, jobs.Claim{Node: 1, Queue: "q", Kinds: []string{"k"}, Limit: 3}, t0)
			if len(held) != 2 || err != nil || len(got) != 1 || got[0].ID != all[2].ID {
				e.Errorf("Claim = %d jobs, %v while another transaction holds %d; want the third at once", len(got), err, len(held))
			}
		})
	}},
	{"a promotion passes over jobs that another transaction holds", func(e *env) {
		e.insert(t0, job(delay(time.Second)), job(delay(2*time.Second)))
		e.inTx(errBoom, func(tx *env) {
			tx.wantPromoted(1, t0.Add(time.Minute), 1)
			ctx, cancel := context.WithTimeout(e.ctx, heldTimeout)
			defer cancel()
			if n, err := e.Promote(ctx, 10, t0.Add(time.Minute)); err != nil || n != 1 {
				e.Errorf("Promote = %d, %v while another transaction holds one; want the other at once", n, err)
			}
		})
	}},
	{"a rescue passes over jobs that another transaction holds", func(e *env) {
		e.join(1, t0)
		e.insert(t0, job(), job())
		held := e.claim(1, 2, t0)
		e.inTx(nil, func(tx *env) {
			if err := tx.settle(jobs.Outcome{Lease: leaseOf(held[0]), State: jobs.Completed}, t0); err != nil {
				e.Errorf("Settle = %v", err)
			}
			ctx, cancel := context.WithTimeout(e.ctx, heldTimeout)
			defer cancel()
			if n, err := e.Rescue(ctx, t0.Add(lease)); err != nil || n != 1 {
				e.Errorf("Rescue = %d, %v while another transaction completes one of two jobs; want the other at once", n, err)
			}
		})
		e.wantState(held[0].ID, jobs.Completed, "its transaction was committed")
		e.wantState(held[1].ID, jobs.Ready, "it was rescued")
		e.wantRescued(t0.Add(lease), 0)
		if _, err := e.Beat(e.ctx, 1, lease, nil, t0.Add(lease)); !errors.Is(err, jobs.ErrLeaseLost) {
			e.Errorf("Beat = %v, want ErrLeaseLost: the node was rescued when its last job was over", err)
		}
	}},
	{"a node that is about to claim is not rescued under its feet", func(e *env) {
		e.join(1, t0)
		e.insert(t0, job())
		var held []jobs.Info
		e.inTx(nil, func(tx *env) {
			held = tx.claim(1, 1, t0)
			ctx, cancel := context.WithTimeout(e.ctx, heldTimeout)
			defer cancel()
			if n, err := e.Rescue(ctx, t0.Add(lease)); err != nil || n != 0 {
				e.Errorf("Rescue = %d, %v; want the node passed over while it claims", n, err)
			}
		})
		e.wantRescued(t0.Add(lease), len(held))
		if i := slices.IndexFunc(held, func(j jobs.Info) bool { return e.get(j.ID).State != jobs.Ready }); i >= 0 {
			e.Errorf("job %s was not taken back", held[i].ID)
		}
	}},
}

// inTx runs fn on a transaction that ends with the given result. The case is
// skipped for stores without transactions side by side.
func (e *env) inTx(result error, fn func(tx *env)) {
	e.Helper()
	store, ok := e.Store.(Transactor)
	if !ok {
		e.Skip("the store has no transactions side by side")
	}
	err := store.InTx(e.ctx, func(tx jobs.Store) error {
		fn(&env{T: e.T, Store: tx, ctx: e.ctx})
		return result
	})
	if !errors.Is(err, result) {
		e.Errorf("InTx = %v, want %v", err, result)
	}
}
