package jobstest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/levqor/sdk/jobs"
)

// historyEnv is what a case about retention works with.
type historyEnv struct {
	env
	jobs.HistoryStore
	nodes jobs.NodeID
}

type historyCase struct {
	name string
	run  func(e *historyEnv)
}

const day = 24 * time.Hour

// keep is the retention of the cases.
var keep = jobs.Retention{Completed: 7 * day, Discarded: 30 * day}

// start stores a job at an instant and claims it for a node of its own.
func (e *historyEnv) start(now time.Time, changes ...func(*jobs.Insertion)) jobs.Info {
	e.Helper()
	e.insert(now, job(changes...))
	return e.take(now)
}

// take claims the one job that is ready.
func (e *historyEnv) take(now time.Time) jobs.Info {
	e.Helper()
	e.nodes++
	e.join(e.nodes, now)
	got := e.claim(e.nodes, 1, now)
	if len(got) != 1 {
		e.Fatalf("Claim returned %d jobs, want the one that is ready", len(got))
	}
	return got[0]
}

// finish stores a job that ends at an instant in a final state.
func (e *historyEnv) finish(now time.Time, state jobs.State, changes ...func(*jobs.Insertion)) jobs.Info {
	e.Helper()
	info := e.start(now, changes...)
	e.end(info, state, now)
	return info
}

func (e *historyEnv) end(info jobs.Info, state jobs.State, now time.Time) {
	e.Helper()
	var err error
	if state == jobs.Cancelled {
		_, err = e.Cancel(e.ctx, info.Tenant, info.ID, now)
	} else {
		err = e.settle(jobs.Outcome{Lease: leaseOf(info), State: state}, now)
	}
	if err != nil {
		e.Fatalf("ending a job as %s = %v", state, err)
	}
}

// forget takes steps until nothing is left to do.
func (e *historyEnv) forget(keep jobs.Retention, limit int, now time.Time) {
	e.Helper()
	for range 1000 {
		done, err := e.Forget(e.ctx, keep, limit, now)
		if err != nil {
			e.Fatalf("Forget = %v", err)
		}
		if done {
			return
		}
	}
	e.Fatalf("Forget has something left to do after 1000 steps")
}

func (e *historyEnv) wantKept(info jobs.Info, promise string) {
	e.Helper()
	if _, err := e.Get(e.ctx, info.Tenant, info.ID); err != nil {
		e.Errorf("Get = %v, want the job: %s", err, promise)
	}
}

func (e *historyEnv) wantForgotten(info jobs.Info, promise string) {
	e.Helper()
	_, err := e.Get(e.ctx, info.Tenant, info.ID)
	e.wantErr(err, jobs.ErrNotFound, promise)
}

var historyCases = []historyCase{
	{"a tenant's jobs that are over are forgotten at once, and no others", forgetTenant},
	{"a job goes within a day after its time, and not before", func(e *historyEnv) {
		completed, cancelled := e.finish(t0, jobs.Completed), e.finish(t0, jobs.Cancelled)
		dead := e.finish(t0, jobs.Discarded)
		for _, at := range []time.Time{t0, t0.Add(7 * day)} {
			e.forget(keep, 100, at)
			e.wantKept(completed, "its time is not over")
			e.wantKept(cancelled, "its time is not over")
		}
		e.forget(keep, 100, t0.Add(8*day))
		e.wantForgotten(completed, "its time is over for a day")
		e.wantForgotten(cancelled, "its time is over for a day")
		for _, at := range []time.Time{t0.Add(8 * day), t0.Add(30 * day)} {
			e.forget(keep, 100, at)
			e.wantKept(dead, "dead letters have a time of their own")
		}
		e.forget(keep, 100, t0.Add(31*day))
		e.wantForgotten(dead, "its time is over for a day")
	}},
	{"what was kept is as it was", func(e *historyEnv) {
		dead := e.get(e.finish(t0, jobs.Discarded, func(j *jobs.Insertion) { j.Args = []byte(`{"text":"'quoted' ü"}`) }).ID)
		for d := range 10 {
			e.forget(keep, 100, t0.Add(time.Duration(d)*day))
		}
		if got := e.get(dead.ID); text(got) != text(dead) {
			e.Errorf("the dead letter is\n%s\nwant\n%s", text(got), text(dead))
		}
	}},
	{"jobs that are not over stay, however old", func(e *historyEnv) {
		running := e.start(t0)
		retryable := e.start(t0)
		e.end(retryable, jobs.Retryable, t0)
		waiting := e.insert(t0, job(), job(delay(time.Hour)))
		e.forget(keep, 100, t0.Add(1000*day))
		e.wantState(running.ID, jobs.Running, "it runs")
		e.wantState(retryable.ID, jobs.Retryable, "it waits")
		e.wantState(waiting[0].ID, jobs.Ready, "it waits")
		e.wantState(waiting[1].ID, jobs.Scheduled, "it waits")
	}},
	{"a time begins anew when a job finishes again", func(e *historyEnv) {
		info := e.finish(t0, jobs.Discarded)
		later := t0.Add(20 * day)
		if _, err := e.Retry(e.ctx, "a", info.ID, later); err != nil {
			e.Fatalf("Retry = %v", err)
		}
		e.end(e.take(later), jobs.Completed, later)
		e.forget(keep, 100, later.Add(6*day))
		e.wantKept(info, "it finished 6 days ago")
		e.forget(keep, 100, later.Add(8*day))
		e.wantForgotten(info, "its time is over for a day")
	}},
	{"all tenants are alike", func(e *historyEnv) {
		infos := []jobs.Info{e.finish(t0, jobs.Completed), e.finish(t0, jobs.Completed, tenant("b")), e.finish(t0, jobs.Completed, tenant(""))}
		kept := e.finish(t0.Add(7*day), jobs.Completed, tenant("b"))
		e.forget(keep, 100, t0.Add(8*day))
		for _, info := range infos {
			e.wantForgotten(info, "its time is over, of tenant "+info.Tenant)
		}
		e.wantKept(kept, "it finished a day ago")
	}},
	{"history is forgotten day by day", forgetDayByDay},
	{"small steps forget all", func(e *historyEnv) {
		var infos []jobs.Info
		for i := range 7 {
			infos = append(infos, e.finish(t0.Add(time.Duration(i)*time.Hour), jobs.Completed))
		}
		e.forget(keep, 2, t0.Add(9*day))
		for _, info := range infos {
			e.wantForgotten(info, "its time is over")
		}
	}},
	{"what is kept forever stays", func(e *historyEnv) {
		completed, dead := e.finish(t0, jobs.Completed), e.finish(t0, jobs.Discarded)
		e.forget(jobs.Retention{Completed: jobs.Forever, Discarded: jobs.Forever}, 100, t0.Add(1000*day))
		e.wantKept(completed, "it is kept forever")
		e.forget(jobs.Retention{Completed: time.Hour, Discarded: jobs.Forever}, 100, t0.Add(1000*day))
		e.wantForgotten(completed, "its time is over")
		e.wantKept(dead, "it is kept forever")
	}},
	{"logs go with their jobs, and no others", func(e *historyEnv) { forgetLogs(e, t0) }},
	{"logs go with jobs that were never looked at before", func(e *historyEnv) { forgetLogs(e) }},
	{"an ID that was forgotten is free, and so is what was unique", func(e *historyEnv) {
		unique := func(j *jobs.Insertion) {
			j.Unique = jobs.Unique{Key: "x", Over: []jobs.State{jobs.Completed}}
		}
		info := e.finish(t0, jobs.Completed, unique)
		again := job(unique, func(j *jobs.Insertion) { j.ID = info.ID })
		e.forget(keep, 100, t0.Add(8*day))
		if all := e.insert(t0.Add(8*day), again); all[0].DuplicateOf != 0 {
			e.Errorf("the job is a duplicate of %s, which was forgotten", all[0].DuplicateOf)
		}
	}},
	{"two callers at once forget all, and each other's steps do no harm", func(e *historyEnv) {
		var infos []jobs.Info
		for range 20 {
			infos = append(infos, e.finish(t0, jobs.Completed))
		}
		dead := e.finish(t0, jobs.Discarded)
		atOnce(4, func(int) {
			for range 50 {
				if _, err := e.Forget(e.ctx, keep, 3, t0.Add(8*day)); err != nil {
					e.Errorf("Forget = %v", err)
				}
			}
		})
		e.forget(keep, 3, t0.Add(8*day))
		for _, info := range infos {
			e.wantForgotten(info, "its time is over")
		}
		e.wantKept(dead, "its time is not over")
	}},
	{"the zero time means the store's clock", func(e *historyEnv) {
		old, fresh := e.finish(time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC), jobs.Completed), e.finish(time.Time{}, jobs.Completed)
		e.forget(keep, 100, time.Time{})
		e.wantForgotten(old, "it finished years ago")
		e.wantKept(fresh, "it finished just now")
	}},
	{"a context that has ended changes nothing", func(e *historyEnv) {
		info := e.finish(t0, jobs.Completed)
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		if _, err := e.Forget(ctx, keep, 100, t0.Add(8*day)); !errors.Is(err, context.Canceled) || err.Error() != context.Canceled.Error() {
			e.Errorf("Forget = %v, want the context's error alone", err)
		}
		e.wantKept(info, "the context had ended")
	}},
}

// forgetDayByDay lets a store run for some weeks.
func forgetDayByDay(e *historyEnv) {
	const days = 20
	var completed, dead []jobs.Info
	at := func(d int) time.Time { return t0.Add(time.Duration(d) * day) }
	for d := range days {
		completed = append(completed, e.finish(at(d), jobs.Completed))
		if d%3 == 0 {
			dead = append(dead, e.finish(at(d), jobs.Discarded))
		}
		e.forget(keep, 100, at(d))
		for i, info := range completed {
			if i >= d-7 {
				e.wantKept(info, fmt.Sprintf("it finished %d days ago", d-i))
			} else if i < d-8 {
				e.wantForgotten(info, fmt.Sprintf("it finished %d days ago", d-i))
			}
		}
	}
	for _, info := range dead {
		e.wantKept(info, "dead letters stay for 30 days")
	}
	if all, err := e.List(e.ctx, jobs.ListQuery{Tenant: "a", States: []jobs.State{jobs.Discarded}, Limit: 100}); err != nil || len(all) != len(dead) {
		e.Errorf("List = %d dead letters, %v; want %d", len(all), err, len(dead))
	}
	if _, err := e.Retry(e.ctx, "a", dead[0].ID, at(days)); err != nil {
		e.Errorf("Retry of the oldest dead letter = %v", err)
	}
	e.forget(keep, 100, at(days+31))
	for i, info := range dead {
		if i == 0 {
			e.wantState(info.ID, jobs.Ready, "it was retried")
		} else {
			e.wantForgotten(info, "its time is over")
		}
	}
}

// forgetTenant forgets the jobs of tenant "a" two by two.
func forgetTenant(e *historyEnv) {
	var over, kept []jobs.Info
	for _, state := range []jobs.State{jobs.Completed, jobs.Cancelled, jobs.Discarded} {
		kept = append(kept, e.finish(t0, state, tenant("b")))
		over = append(over, e.finish(t0, state), e.finish(t0.Add(40*day), state))
	}
	kept = append(kept, e.start(t0))
	logs, ok := e.Store.(jobs.LogStore)
	if ok {
		info := e.start(t0)
		if err := logs.AppendLog(e.ctx, leaseOf(info), "text", t0); err != nil {
			e.Fatalf("AppendLog = %v", err)
		}
		e.end(info, jobs.Completed, t0)
		over = append(over, info)
	}
	e.insert(t0, job(func(j *jobs.Insertion) { j.RunAt = t0.Add(day) }))
	calls := 0
	for done := false; !done && calls < 10; calls++ {
		var err error
		if done, err = e.ForgetTenant(e.ctx, "a", 2); err != nil {
			e.Fatalf("ForgetTenant = %v", err)
		}
	}
	if most := len(over)/2 + 1; calls > most {
		e.Errorf("ForgetTenant was done after %d calls, want at most %d for %d jobs", calls, most, len(over))
	}
	for _, info := range over {
		e.wantForgotten(info, "it was over")
	}
	for _, info := range kept {
		e.wantKept(info, "it is another tenant's, or runs")
	}
	wantUncounted(e)
	if all, err := e.List(e.ctx, jobs.ListQuery{Tenant: "a", States: []jobs.State{jobs.Scheduled}, Limit: 9}); err != nil || len(all) != 1 {
		e.Errorf("List = %d jobs, %v; want the one that waits for its time", len(all), err)
	}
	if !ok {
		return
	}
	e.insert(t0, job(func(j *jobs.Insertion) { j.ID = over[len(over)-1].ID }))
	if lines, err := logs.ListLog(e.ctx, "a", over[len(over)-1].ID, 0, 10); err != nil || len(lines) > 0 {
		e.Errorf("ListLog = %v, %v; want the log gone with its job", lines, err)
	}
}

// wantUncounted wants that no job of tenant "a" that is over is counted, and those of "b"
// are as before.
func wantUncounted(e *historyEnv) {
	e.Helper()
	store, ok := e.Store.(jobs.CountStore)
	if !ok {
		return
	}
	for tenant, want := range map[string]int{"a": 0, "b": 1} {
		counts, err := store.Counts(e.ctx, tenant, t0.Add(40*day))
		if err != nil {
			e.Fatalf("Counts = %v", err)
		}
		for _, state := range []jobs.State{jobs.Completed, jobs.Cancelled, jobs.Discarded} {
			if n := counts.Queues["q"][state]; n != want {
				e.Errorf("%d jobs of tenant %q are counted as %s, want %d", n, tenant, state, want)
			}
		}
	}
}

// forgetLogs looks at logs by storing jobs with the IDs of those that are gone. Before
// their time is over it calls Forget at the given instants.
func forgetLogs(e *historyEnv, calls ...time.Time) {
	logs, ok := e.Store.(jobs.LogStore)
	if !ok {
		e.Skip("the store keeps no logs")
	}
	write := func(info jobs.Info) {
		for range 3 {
			if err := logs.AppendLog(e.ctx, leaseOf(info), "text", info.StartedAt); err != nil {
				e.Fatalf("AppendLog = %v", err)
			}
		}
	}
	var infos []jobs.Info
	later := t0.Add(8 * day)
	for _, state := range []jobs.State{jobs.Completed, jobs.Discarded, jobs.Running} {
		info := e.start(t0)
		write(info)
		if state != jobs.Running {
			e.end(info, state, t0)
		}
		infos = append(infos, info)
	}
	for _, at := range append(calls, later) {
		e.forget(keep, 2, at)
	}
	e.wantForgotten(infos[0], "its time is over")
	e.insert(later, job(func(j *jobs.Insertion) { j.ID = infos[0].ID }))
	for i, want := range []int{0, 3, 3} {
		if lines, err := logs.ListLog(e.ctx, "a", infos[i].ID, 0, 10); err != nil || len(lines) != want {
			e.Errorf("the log of job %d has %d lines, %v; want %d", i, len(lines), err, want)
		}
	}
}
