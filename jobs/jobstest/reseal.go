package jobstest

import (
	"context"
	"errors"
	"testing"

	"github.com/levqor/sdk/jobs"
)

// SealedStore is a store whose sealed secrets can be replaced.
type SealedStore interface {
	ScheduleStore
	jobs.SealedStore
}

// TestSealedStore runs every case about [jobs.SealedStore], as TestStore does for
// [jobs.Store].
func TestSealedStore(t *testing.T, open func(*testing.T) SealedStore) {
	for _, c := range sealedCases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
			defer cancel()
			store := open(t)
			c.run(&sealedEnv{env: env{T: t, Store: store, ctx: ctx}, SealedStore: store, schedules: store})
		})
	}
}

type sealedEnv struct {
	env
	jobs.SealedStore
	schedules jobs.ScheduleStore
}

type sealedCase struct {
	name string
	run  func(e *sealedEnv)
}

// sealedBefore and sealedAfter are Args with a secret.
const (
	sealedBefore = `{"key":"` + jobs.SealedMark + `it's_old"}`
	sealedAfter  = `{"key":"` + jobs.SealedMark + `new?"}`
)

func args(text string) func(*jobs.Insertion) {
	return func(j *jobs.Insertion) { j.Args = []byte(text) }
}

// list wants the IDs of what is found after an ID, and where the look ended.
func (e *sealedEnv) list(of jobs.SealedKind, after jobs.ID, limit int, last jobs.ID, want ...jobs.ID) {
	e.Helper()
	found, at, err := e.ListSealed(e.ctx, of, after, limit)
	ok := err == nil && at == last && len(found) == len(want)
	for i := range found {
		ok = ok && found[i].ID == want[i] && found[i].Kind == "k" && string(found[i].Args) == sealedBefore
	}
	if !ok {
		e.Errorf("ListSealed = %+v, %d, %v; want %v and %d", found, at, err, want, last)
	}
}

// replace wants n of the changes made.
func (e *sealedEnv) replace(of jobs.SealedKind, n int, ids ...jobs.ID) {
	e.Helper()
	var changes []jobs.ArgsChange
	for _, id := range ids {
		changes = append(changes, jobs.ArgsChange{ID: id, Before: []byte(sealedBefore), After: []byte(sealedAfter)})
	}
	if got, err := e.ReplaceArgs(e.ctx, of, changes); err != nil || got != n {
		e.Errorf("ReplaceArgs = %d, %v; want %d", got, err, n)
	}
}

var sealedCases = []sealedCase{
	{"jobs with secrets are found, of every tenant and in the order of their IDs", func(e *sealedEnv) {
		all := e.insert(t0, job(args(sealedBefore)), job(), job(args(sealedBefore), tenant("b")), job())
		e.list(jobs.SealedJobs, 0, 9, all[3].ID, all[0].ID, all[2].ID)
		e.list(jobs.SealedJobs, 0, 2, all[1].ID, all[0].ID)
		e.list(jobs.SealedJobs, all[1].ID, 2, all[3].ID, all[2].ID)
		e.list(jobs.SealedJobs, all[3].ID, 9, 0)
	}},
	{"of jobs that are over the completed ones are passed over", func(e *sealedEnv) {
		var ids []jobs.ID
		for _, state := range []jobs.State{jobs.Completed, jobs.Discarded, jobs.Cancelled} {
			info := e.insert(t0, job(args(sealedBefore)))[0]
			e.end(info.ID, state)
			ids = append(ids, info.ID)
		}
		e.list(jobs.SealedJobs, 0, 1, ids[0])
		e.list(jobs.SealedJobs, 0, 9, ids[2], ids[1], ids[2])
	}},
	{"args are replaced in every state and nothing else is", func(e *sealedEnv) {
		running := e.claimed(args(sealedBefore))
		rest := e.insert(t0, job(args(sealedBefore)), job(args(sealedBefore), delay(lease)), job(args(sealedBefore)))
		e.end(rest[2].ID, jobs.Discarded)
		for _, id := range []jobs.ID{running.ID, rest[0].ID, rest[1].ID, rest[2].ID} {
			want := e.get(id)
			want.Args = []byte(sealedAfter)
			e.replace(jobs.SealedJobs, 1, id)
			if got := e.get(id); text(got) != text(want) {
				e.Errorf("the job is\n%s\nwant\n%s", text(got), text(want))
			}
		}
		if err := e.settle(jobs.Outcome{Lease: leaseOf(running), State: jobs.Completed}, t0); err != nil {
			e.Errorf("Settle = %v: the lease of a running job holds", err)
		}
	}},
	{"what has changed meanwhile is left alone", func(e *sealedEnv) {
		all := e.insert(t0, job(args(sealedBefore)), job(args(`{"key":"other"}`)), job(args(sealedBefore)))
		e.replace(jobs.SealedJobs, 2, all[2].ID, all[1].ID, all[0].ID, firstID-1)
		e.replace(jobs.SealedJobs, 0, all[0].ID)
		if got := string(e.get(all[1].ID).Args); got != `{"key":"other"}` {
			e.Errorf("the args are %s, want those that were there", got)
		}
		e.list(jobs.SealedJobs, all[2].ID, 9, 0)
	}},
	{"schedules are found and changed apart from jobs", func(e *sealedEnv) {
		stored := e.insert(t0, job(args(sealedBefore)))[0]
		var ids []jobs.ID
		for _, name := range []string{"a", "b"} {
			schedule, err := e.schedules.PutSchedule(e.ctx, jobs.Schedule{
				ID: jobs.ScheduleID(firstID + jobs.ID(lastID.Add(1))), Tenant: name, Name: name, Spec: "every 1h", Kind: "k", Queue: "q",
				Priority: 5, MaxAttempts: 1, Args: []byte(sealedBefore), NextAt: t0,
			}, t0)
			if err != nil {
				e.Fatal(err)
			}
			ids = append(ids, jobs.ID(schedule.ID))
		}
		e.list(jobs.SealedSchedules, 0, 9, ids[1], ids[0], ids[1])
		e.list(jobs.SealedSchedules, ids[0], 9, ids[1], ids[1])
		e.replace(jobs.SealedSchedules, 1, ids[0], stored.ID)
		e.replace(jobs.SealedJobs, 0, ids[1])
		e.list(jobs.SealedJobs, 0, 9, stored.ID, stored.ID)
		for i, want := range []string{sealedAfter, sealedBefore} {
			name := []string{"a", "b"}[i]
			if got, err := e.schedules.GetSchedule(e.ctx, name, name); err != nil || string(got.Args) != want || got.Version != int64(2-i) {
				e.Errorf("the schedule is %+v, %v; want %s", got, err, want)
			}
		}
	}},
	{"a writer that saw a schedule before its secrets were replaced is told", func(e *sealedEnv) {
		seen, err := e.schedules.PutSchedule(e.ctx, jobs.Schedule{
			ID: jobs.ScheduleID(firstID + jobs.ID(lastID.Add(1))), Tenant: "a", Name: "a", Spec: "every 1h", Kind: "k", Queue: "q",
			Priority: 5, MaxAttempts: 1, Args: []byte(sealedBefore), NextAt: t0,
		}, t0)
		if err != nil {
			e.Fatal(err)
		}
		e.replace(jobs.SealedSchedules, 1, jobs.ID(seen.ID))
		_, err = e.schedules.PutSchedule(e.ctx, seen, t0)
		e.wantErr(err, jobs.ErrConflict, "else it would put the old secret back")
		err = e.schedules.Fire(e.ctx, jobs.Firing{Schedule: seen.ID, Version: seen.Version, NextAt: t0}, t0)
		e.wantErr(err, jobs.ErrConflict, "the job would have the old secret")
	}},
	{"a call whose context has ended changes nothing", func(e *sealedEnv) {
		stored := e.insert(t0, job(args(sealedBefore)))[0]
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		_, _, err := e.ListSealed(ctx, jobs.SealedJobs, 0, 1)
		_, alsoErr := e.ReplaceArgs(ctx, jobs.SealedJobs, []jobs.ArgsChange{{ID: stored.ID, Before: []byte(sealedBefore), After: []byte(sealedAfter)}})
		if !errors.Is(err, context.Canceled) || !errors.Is(alsoErr, context.Canceled) {
			e.Errorf("the errors are %v and %v, want the context's", err, alsoErr)
		}
		e.list(jobs.SealedJobs, 0, 9, stored.ID, stored.ID)
	}},
}

// end brings a ready job of tenant "a" to a final state; it is the only one that is ready.
func (e *sealedEnv) end(id jobs.ID, state jobs.State) {
	e.Helper()
	if state == jobs.Cancelled {
		if _, err := e.Cancel(e.ctx, "a", id, t0); err != nil {
			e.Fatal(err)
		}
		return
	}
	node := jobs.NodeID(1000 + lastID.Add(1))
	e.join(node, t0)
	for _, info := range e.claim(node, 9, t0) {
		if info.ID != id {
			continue
		}
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: state}, t0); err != nil {
			e.Fatal(err)
		}
	}
	if err := e.Leave(e.ctx, node, t0); err != nil {
		e.Fatal(err)
	}
}
