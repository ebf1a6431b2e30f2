package bunjobs_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

var races = flag.Int("races", 700, "attempts that report about a job that is taken over, each twice")

// A slow node reports about its jobs in every way while they are taken over, and once
// more when they are. Either its word comes first and holds, or it is refused and the
// other node's holds.
func TestNoOutcomeOfALostLeaseIsRecorded(t *testing.T) {
	const round = 500
	onRigs(t, func(r *rig) {
		r.exec("CREATE TABLE app (job bigint)")
		r.join(2)
		var count raceCount
		for n := 0; n < *races; n += round {
			race := &takeover{rig: r, slow: jobs.NodeID(10 + n), now: time.Now().Add(time.Second), refused: map[jobs.ID]bool{}}
			race.run(min(round, *races-n))
			race.check(&count)
		}
		r.Logf("%d reports came before the other node, %d after it, and %d more when it had the job", count.held, count.refused, *races)
		if count.held == 0 || count.refused == 0 {
			r.Error("one side won every race")
		}
	})
}

type raceCount struct{ held, refused int }

// takeover is a round of jobs that node 2 takes over from a slow node.
type takeover struct {
	*rig
	slow jobs.NodeID
	now  time.Time

	held    []jobs.Info
	mu      sync.Mutex
	refused map[jobs.ID]bool
}

func (r *takeover) run(n int) {
	r.enqueue(n, nil)
	if err := r.store.Join(r.Context(), jobs.Node{ID: r.slow}, time.Second, r.now); err != nil {
		r.Fatal(err)
	}
	var err error
	r.held, err = r.store.Claim(r.Context(), jobs.Claim{Node: r.slow, Queue: jobs.DefaultQueue, Kinds: []string{"note"}, Limit: n}, r.now)
	if err != nil || len(r.held) != n {
		r.Fatalf("Claim returned %d jobs, %v; want %d", len(r.held), err, n)
	}
	var reported atomic.Int64
	var reporters sync.WaitGroup
	reporters.Go(func() {
		r.eachAtOnce(func(i int) {
			r.note(i, r.report(i))
			reported.Add(1)
		})
	})
	begin := rand.Int64N(int64(n) / 2)
	r.await("the node reports", time.Minute, func() bool { return reported.Load() >= begin })
	taken := r.takeOver()
	reporters.Wait()
	taken = append(taken, r.takeOver()...) // those that were handed back, or held by a report in a transaction
	r.eachAtOnce(func(i int) {
		if err := r.report(i); !errors.Is(err, jobs.ErrLeaseLost) {
			r.Errorf("%s, when the other node had the job = %v, want ErrLeaseLost", ways[i%len(ways)], err)
		}
	})
	r.complete(taken)
}

// eachAtOnce calls fn for each job, for four of them at once.
func (r *takeover) eachAtOnce(fn func(i int)) {
	var callers sync.WaitGroup
	for part := range 4 {
		callers.Go(func() {
			for i := part; i < len(r.held); i += 4 {
				fn(i)
			}
		})
	}
	callers.Wait()
}

// ways are those in which an attempt reports.
var ways = []string{"complete", "fail", "snooze", "hand back", "progress", "log", "complete in a transaction"}

// report reports as the slow node.
func (r *takeover) report(i int) error {
	ctx, job := r.Context(), r.held[i]
	out := jobs.Outcome{Lease: jobs.Lease{ID: job.ID, Epoch: job.Epoch}, State: jobs.Completed, Result: []byte(`"slow"`)}
	switch ways[i%len(ways)] {
	case "fail":
		out.State, out.Result, out.Error, out.Delay = jobs.Retryable, nil, "slow", time.Hour
	case "snooze":
		out.State, out.Result, out.Delay = jobs.Scheduled, nil, time.Hour
	case "hand back":
		out.State, out.Result = jobs.Ready, nil
	case "progress":
		return r.store.SaveProgress(ctx, out.Lease, jobs.Progress{Fraction: 0.5, Note: "slow"})
	case "log":
		return r.store.AppendLog(ctx, out.Lease, "slow", r.now)
	case "complete in a transaction":
		return r.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			if _, err := tx.NewRaw("INSERT INTO app (job) VALUES (?)", int64(job.ID)).Exec(ctx); err != nil {
				return err
			}
			return settleOne(ctx, bunjobs.New(tx), out, r.now)
		})
	}
	return settleOne(ctx, r.store, out, r.now)
}

func settleOne(ctx context.Context, store jobs.WorkerStore, out jobs.Outcome, now time.Time) error {
	results, err := store.Settle(ctx, []jobs.Outcome{out}, now)
	if err != nil {
		return err
	}
	return results[0]
}

func (r *takeover) note(i int, err error) {
	if err != nil && !errors.Is(err, jobs.ErrLeaseLost) {
		r.Errorf("%s = %v", ways[i%len(ways)], err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused[r.held[i].ID] = err != nil
}

// takeOver ends the lease of the slow node and claims its jobs.
func (r *takeover) takeOver() []jobs.Info {
	if _, err := r.store.Rescue(r.Context(), r.now.Add(2*time.Second)); err != nil {
		r.Errorf("Rescue = %v", err)
	}
	return r.claimAll()
}

func (r *takeover) claimAll() []jobs.Info { return r.claim(2, 10_000) }

func (r *takeover) complete(taken []jobs.Info) {
	outcomes := make([]jobs.Outcome, len(taken))
	for i, job := range taken {
		outcomes[i] = jobs.Outcome{Lease: jobs.Lease{ID: job.ID, Epoch: job.Epoch}, State: jobs.Completed, Result: []byte(`"quick"`)}
	}
	results, err := r.store.Settle(r.Context(), outcomes, time.Time{})
	if err = errors.Join(append(results, err)...); err != nil {
		r.Errorf("the node that has the jobs was refused: %v", err)
	}
}

// check compares what became of each job with what the slow node was told.
func (r *takeover) check(count *raceCount) {
	var rows []jobs.ID
	if err := r.db.NewRaw("SELECT job FROM app").Scan(r.Context(), &rows); err != nil {
		r.Fatal(err)
	}
	for i, held := range r.held {
		way, job := ways[i%len(ways)], r.get(held.ID)
		want := `completed "quick"`
		if r.refused[held.ID] {
			count.refused++
		} else {
			count.held++
			switch way {
			case "complete", "complete in a transaction":
				want = `completed "slow"`
			case "fail":
				want = "retryable "
			case "snooze":
				want = "scheduled "
			}
		}
		if got := fmt.Sprintf("%s %s", job.State, job.Result); got != want {
			r.Errorf("%s, refused %t: the job is %s, want %s", way, r.refused[held.ID], got, want)
		}
		if job.Progress.Note != "" {
			r.Errorf("%s: the progress of the slow node is left", way)
		}
		if slices.Contains(rows, held.ID) != (way == "complete in a transaction" && !r.refused[held.ID]) {
			r.Errorf("%s, refused %t: the program's row says otherwise", way, r.refused[held.ID])
		}
	}
}

// deaf is a store whose heartbeats get no answer, so that its worker does not learn that
// it has lost its lease.
type deaf struct{ *bunjobs.Store }

func (deaf) Beat(context.Context, jobs.NodeID, time.Duration, []jobs.Lease, time.Time) ([]jobs.ID, error) {
	return nil, jobs.ErrUnavailable
}

// Handlers that go on after their jobs were taken over, each in another way, change
// nothing any more, and their transactions are rolled back.
func TestHandlersOfALostLeaseChangeNothing(t *testing.T) {
	const n = 42
	onRigs(t, func(r *rig) {
		r.exec("CREATE TABLE app (job bigint)")
		var second, said sync.Map // closed when the second attempt has begun, and when the first has spoken
		signal := func(all *sync.Map, id jobs.ID) chan struct{} {
			c, _ := all.LoadOrStore(id, make(chan struct{}))
			return c.(chan struct{})
		}
		var begun, wrong atomic.Int32
		r.handle(func(_ context.Context, job *jobs.Job[note]) (string, error) {
			if job.Attempt > 1 {
				close(signal(&second, job.ID))
				<-signal(&said, job.ID)
				return "quick", nil
			}
			defer close(signal(&said, job.ID))
			way := ways[int(begun.Add(1))%len(ways)]
			<-signal(&second, job.ID) // whatever the context says
			err := r.lateWord(way, job)
			if (way == "progress" || way == "log" || way == "complete in a transaction") && !errors.Is(err, jobs.ErrLeaseLost) {
				wrong.Add(1)
			}
			return "slow", err
		}, nil)
		ids := r.enqueue(n, nil)
		opts := &jobs.WorkerOptions{
			Queues: map[string]int{"default": n}, Lease: 400 * time.Millisecond, Heartbeat: 50 * time.Millisecond, Grace: time.Minute, Poll: 10 * time.Millisecond,
		}
		r.work(deaf{r.store}, opts)
		r.await("all first attempts begin", 10*time.Second, func() bool { return begun.Load() == n })
		stop := r.work(r.store, opts)
		r.await("all second attempts end", 20*time.Second, func() bool { return r.count(jobs.Completed) == n })
		stop()
		for _, id := range ids {
			job := r.get(id)
			if job.State != jobs.Completed || string(job.Result) != `"quick"` || job.Attempt != 2 || len(job.Attempts) != 1 || job.Progress.Note != "" {
				r.Errorf("the job is %+v; want the result of the second attempt", job)
			}
		}
		var rows int
		if err := r.db.NewRaw("SELECT count(*) FROM app").Scan(r.Context(), &rows); err != nil || rows > 0 || wrong.Load() > 0 {
			r.Errorf("%d rows of handlers that were too late, %v; %d handlers were not told", rows, err, wrong.Load())
		}
	})
}

// lateWord is what a handler says that has lost its lease.
func (r *rig) lateWord(way string, job *jobs.Job[note]) error {
	ctx := context.Background()
	switch way {
	case "fail":
		return errors.New("slow")
	case "snooze":
		return jobs.Snooze(time.Hour)
	case "progress":
		return job.Report(ctx, jobs.Progress{Note: "slow"})
	case "log":
		return job.Log(ctx, "slow")
	case "complete in a transaction":
		return r.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			if _, err := tx.NewRaw("INSERT INTO app (job) VALUES (?)", int64(job.ID)).Exec(ctx); err != nil {
				return err
			}
			return job.Complete(ctx, bunjobs.New(tx), "slow")
		})
	}
	return nil
}
