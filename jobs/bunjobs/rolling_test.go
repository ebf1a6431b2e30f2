package bunjobs_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// elder is a program of the first schema: its statements, as it sends them.
type elder struct {
	*testing.T
	db   *bun.DB
	last int64
	runs *sync.Map // how often each job ran, as *atomic.Int32
}

const elderNode = 7

func (e *elder) exec(statement string, args ...any) {
	if _, err := e.db.NewRaw(statement, args...).Exec(e.Context()); err != nil {
		e.Errorf("the elder program: %v", err)
	}
}

func (e *elder) join(lease time.Duration) {
	e.exec("INSERT INTO levqor_jobs_node (id, name, lease_until) VALUES (?, 'elder', ?)", elderNode, bundb.After(e.db, time.Time{}, lease))
}

func (e *elder) enqueue(n int) {
	for range n {
		e.last++
		e.exec(`INSERT INTO levqor_jobs_live
			(id, tenant, kind, queue, state, priority, args, fraction, note, attempt, max_attempts, timeout, created_at, run_at, epoch)
			VALUES (?0, '', 'note', 'default', 2, 5, '{"text":"x"}', 0, '', 0, 9, 60000000, ?1, ?1, 0)`, e.last, bundb.Now(e.db, time.Time{}))
	}
}

type elderLease struct {
	ID    int64 `bun:"id"`
	Epoch int64 `bun:"epoch"`
}

func (e *elder) claim(limit int) (leases []elderLease) {
	open, end := bundb.InArray(e.db)
	err := e.db.NewRaw(`
		WITH n AS (SELECT id FROM levqor_jobs_node WHERE id = ?0 AND lease_until > ?1 ?2)
		UPDATE levqor_jobs_live AS j
		SET state = 3, node = ?0, attempt = attempt + 1, epoch = epoch + 1, started_at = ?1, fraction = 0, note = ''
		WHERE EXISTS (SELECT 1 FROM n) AND j.id ?3
			SELECT id FROM levqor_jobs_live
			WHERE state = 2 AND queue = 'default' AND kind IN ('note')
			ORDER BY priority, run_at, id LIMIT ?4 ?5
		?6 RETURNING id, epoch`, elderNode, bundb.Now(e.db, time.Time{}), bundb.ForKeyShare(e.db), open, limit, bundb.SkipLocked(e.db), end).
		Scan(e.Context(), &leases)
	if err != nil {
		e.Errorf("the elder program claims: %v", err)
	}
	for _, l := range leases {
		ran(e.runs, l.ID)
	}
	return leases
}

const elderColumns = "id, tenant, kind, queue, priority, args, fraction, note, attempt, max_attempts, attempts, timeout, created_at, run_at, started_at, epoch"

// complete repeats what a deadlock with the migration ended, as that program does.
func (e *elder) complete(l elderLease) {
	err := bundb.InTx(e.Context(), e.db, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("INSERT INTO levqor_jobs_done (?0, state, finished_at) SELECT ?0, 5, ?1 FROM levqor_jobs_live WHERE id = ?2 AND epoch = ?3 AND state = 3",
			bun.Safe(elderColumns), bundb.Now(tx, time.Time{}), l.ID, l.Epoch).Exec(ctx)
		if err == nil {
			_, err = tx.NewRaw("DELETE FROM levqor_jobs_live WHERE id = ? AND epoch = ? AND state = 3", l.ID, l.Epoch).Exec(ctx)
		}
		return err
	})
	if err != nil {
		e.Errorf("the elder program completes: %v", err)
	}
}

// fail lets a job wait for its next attempt, which is due.
func (e *elder) fail(l elderLease) {
	e.exec("UPDATE levqor_jobs_live SET state = 4, attempts = '[]', run_at = ?, node = NULL WHERE id = ? AND epoch = ? AND state = 3",
		bundb.Now(e.db, time.Time{}), l.ID, l.Epoch)
}

func ran(runs *sync.Map, id int64) {
	n, _ := runs.LoadOrStore(id, new(atomic.Int32))
	n.(*atomic.Int32).Add(1)
}

// A program of the first schema enqueues and works while the database is migrated under it
// and programs of this one start beside it. In the end it dies with jobs in its hands.
// Each job is completed, and none runs more often than it failed.
func TestAnElderProgramWorksBesideThisOne(t *testing.T) {
	const part, failures, last = 150, 10, 5
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		url := fresh(t)
		old := &elder{T: t, db: dbtest.Open(t, url), runs: &sync.Map{}}
		if err := steps(t, 1).Migrate(t.Context(), old.db); err != nil {
			t.Fatal(err)
		}
		old.join(time.Hour)
		old.enqueue(part)
		var over atomic.Bool
		var elders sync.WaitGroup
		failed := map[int64]bool{}
		elders.Go(func() {
			for !over.Load() {
				for _, l := range old.claim(3) {
					if len(failed) < failures && !failed[l.ID] {
						failed[l.ID] = true
						old.fail(l)
					} else {
						old.complete(l)
					}
				}
				if old.last < 2*part {
					old.enqueue(2)
				}
			}
		})

		r := newRig(t, url) // migrates
		r.handle(func(_ context.Context, job *jobs.Job[note]) (string, error) {
			ran(old.runs, int64(job.ID))
			return "ok", nil
		}, nil)
		opts := &jobs.WorkerOptions{Queues: map[string]int{"default": 3}, Poll: 5 * time.Millisecond, Lease: time.Second, Heartbeat: 50 * time.Millisecond}
		defer r.work(r.store, opts)()
		defer r.work(bunjobs.New(r.db), opts)()
		for range part {
			r.enqueue(1, nil)
		}
		r.await("the elder program has enqueued all", 30*time.Second, func() bool { return r.count(jobs.States()...) == 3*part })
		over.Store(true)
		elders.Wait()
		old.enqueue(last)
		left := old.claim(last)
		r.exec("UPDATE levqor_jobs_node SET lease_until = ? WHERE id = ?", bundb.After(r.db, time.Time{}, -time.Second), elderNode)
		r.await("all jobs are completed", 30*time.Second, func() bool { return r.count(jobs.Completed) == 3*part+last })
		for _, l := range left {
			failed[l.ID] = true
		}
		old.runs.Range(func(id, n any) bool {
			want := int32(1)
			if failed[id.(int64)] {
				want = 2
			}
			if got := n.(*atomic.Int32).Load(); got != want {
				t.Errorf("job %d ran %d times, want %d", id, got, want)
			}
			return true
		})
		t.Logf("the elder program died with %d jobs", len(left))
	})
}
