//go:build unix

package faults_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// worker is a child that works off jobs.
type worker struct {
	task
	db *database
}

// work runs jobs until ctx ends.
func work(ctx context.Context, t task, db *database) error {
	w := &worker{t, db}
	registry, err := w.registry()
	if err != nil {
		return err
	}
	store := &tellingStore{Store: bunjobs.New(db), quiet: t.Quiet}
	if t.Quiet {
		go store.tellSums(t.Period)
	}
	runner, err := jobs.NewWorker(store, registry, &jobs.WorkerOptions{
		Queues: map[string]int{jobs.DefaultQueue: t.Places}, Lease: t.Lease, Heartbeat: t.Heartbeat, Drain: t.Drain,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	say("begun", 0, 0, "")
	return runner.Run(ctx)
}

func (w *worker) registry() (*jobs.Registry, error) {
	registry := jobs.NewRegistry(nil)
	err := jobs.Handle(registry, func(ctx context.Context, job *jobs.Job[step]) (end, error) {
		w.tell("run", job.Info)
		if job.Args.Completes {
			return end{}, w.complete(context.WithoutCancel(ctx), job)
		}
		return w.pass(ctx, job.Info, job.Args)
	}, nil)
	return registry, errors.Join(err, jobs.Handle(registry, func(ctx context.Context, job *jobs.Job[paid]) (end, error) {
		w.tell("run", job.Info)
		return w.pass(ctx, job.Info, job.Args.step)
	}, &jobs.KindOptions{Paid: true}))
}

func (w *worker) tell(word string, info jobs.Info) {
	if !w.Quiet {
		say(word, info.ID, info.Epoch, info.Kind)
	}
}

// pass spends the time of a run.
func (w *worker) pass(ctx context.Context, info jobs.Info, args step) (end, error) {
	result := end{os.Getpid(), info.Epoch}
	if args.Gates != "" {
		gate := filepath.Join(args.Gates, strconv.FormatInt(info.Epoch, 10))
		for !exists(gate) {
			time.Sleep(5 * time.Millisecond)
		}
	}
	if !args.Obeys {
		time.Sleep(args.Lasts)
		return result, nil
	}
	select {
	case <-time.After(args.Lasts):
		return result, nil
	case <-ctx.Done():
		return result, ctx.Err()
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// complete ends a job in a transaction of the handler's own.
func (w *worker) complete(ctx context.Context, job *jobs.Job[step]) error {
	if !job.Args.Early {
		_, _ = w.pass(ctx, job.Info, job.Args) // does not obey
	}
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "INSERT INTO effect (job, pid) VALUES (?, ?)", int64(job.ID), os.Getpid()); err != nil {
		return err
	}
	if job.Args.Early {
		_, _ = w.pass(ctx, job.Info, job.Args) // does not obey
	}
	if err := job.Complete(ctx, bunjobs.New(tx), end{os.Getpid(), job.Epoch}); err != nil {
		say("refused", job.ID, job.Epoch, strconv.FormatBool(errors.Is(err, jobs.ErrLeaseLost)))
		return err
	}
	say("accepted", job.ID, job.Epoch, "")
	return tx.Commit()
}

// tellingStore tells what the database has acknowledged.
type tellingStore struct {
	*bunjobs.Store
	quiet bool
	sum   atomic.Int64
}

// Settle implements [jobs.WorkerStore].
func (s *tellingStore) Settle(ctx context.Context, outcomes []jobs.Outcome, now time.Time) ([]error, error) {
	results, err := s.Store.Settle(ctx, outcomes, now)
	for i, lost := range results {
		if lost == nil && err == nil {
			s.sum.Add(1)
		}
		if !s.quiet && err == nil {
			say(map[bool]string{true: "settled", false: "late"}[lost == nil], outcomes[i].Lease.ID, outcomes[i].Lease.Epoch, outcomes[i].State.String())
		}
	}
	return results, err
}

func (s *tellingStore) tellSums(period time.Duration) {
	for range time.Tick(period) {
		raw, _ := os.ReadFile("/proc/self/statm") // none on other systems than Linux
		pages := append(strings.Fields(string(raw)), "0", "0")[1]
		say("sum", 0, s.sum.Load(), fmt.Sprintf("%d %s", runtime.NumGoroutine(), pages))
	}
}

// enqueue stores jobs at a fixed rate until ctx ends.
func enqueue(ctx context.Context, t task, db *database) error {
	queue := jobs.New(bunjobs.New(db), jobs.NewRegistry(nil), nil)
	var args jobs.Args = t.Job
	if t.Paid {
		args = paid{t.Job}
	}
	entries := make([]jobs.Entry, t.Batch)
	for i := range entries {
		entries[i] = jobs.Entry{Args: args, Options: &jobs.EnqueueOptions{MaxAttempts: 1000}}
	}
	tick := time.NewTicker(time.Second * time.Duration(t.Batch) / time.Duration(t.Rate))
	defer tick.Stop()
	sum := int64(0)
	for {
		select {
		case <-ctx.Done():
			say("stored", 0, sum, "")
			return nil
		case <-tick.C:
		}
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		infos, err := queue.EnqueueMany(call, entries)
		cancel()
		if err != nil {
			say("failed", 0, 0, fmt.Sprint(err, ": ", fault.Cause(err)))
			continue
		}
		sum += int64(len(infos))
		if !t.Quiet {
			acknowledge(infos)
		}
	}
}

func acknowledge(infos []jobs.Info) {
	var b strings.Builder
	for _, info := range infos {
		b.WriteString(line("ack", info.ID, 0, info.Kind))
	}
	fmt.Fprint(os.Stdout, b.String())
}

// schedule fires the schedules of the database until ctx ends.
func schedule(ctx context.Context, t task, db *database) error {
	registry, err := (&worker{t, db}).registry()
	if err != nil {
		return err
	}
	store := bunjobs.New(db)
	say("begun", 0, 0, "")
	return jobs.NewSchedules(store, jobs.New(store, registry, nil), &jobs.SchedulesOptions{
		Worker: &jobs.WorkerOptions{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))},
	}).Run(ctx)
}
