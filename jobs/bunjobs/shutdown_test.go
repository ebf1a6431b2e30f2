package bunjobs_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

// journal keeps what a worker logs.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// A worker is stopped that has claimed more than it has started. What has not started is
// ready at once, as if nobody had had it; what runs has its time; nothing is logged, since
// nothing went wrong. Package jobs has the same case with 10,000 jobs in memory.
func TestAWorkerThatStopsHandsBackWhatItHasNotStarted(t *testing.T) {
	const lanes, places, drain = 4, 10, 20 * time.Second
	onRigs(t, func(r *rig) {
		var running atomic.Int32
		var ran [lanes]atomic.Int32
		release := make(chan struct{})
		r.handle(func(_ context.Context, job *jobs.Job[note]) (string, error) {
			if ran[job.Queue[1]-'0'].Add(1) > 500 {
				running.Add(1)
				<-release
			}
			return "ok", nil // short jobs are claimed ahead
		}, nil)
		queues := map[string]int{}
		for i := range lanes {
			name := fmt.Sprint("q", i)
			queues[name] = places
			r.enqueue(5000, &jobs.EnqueueOptions{Queue: name})
		}
		var log journal
		stop := r.work(r.store, &jobs.WorkerOptions{Queues: queues, Drain: drain, Logger: log.logger()})
		var claimed int
		r.await("all places are taken, and more jobs are held", time.Minute, func() bool {
			if running.Load() > 0 { // what waits for a place is handed back after a second or two
				claimed = max(claimed, r.count(jobs.Running))
			}
			return running.Load() == lanes*places && claimed > lanes*places
		})

		begun := time.Now()
		stopped := make(chan struct{})
		go func() { defer close(stopped); stop() }()
		r.await("only what has started is held", drain/2, func() bool { return r.count(jobs.Running) == lanes*places })
		r.Logf("%d jobs were claimed, %d of them had started; the others were ready after %v", claimed, lanes*places, time.Since(begun))
		var touched int
		err := r.db.NewRaw("SELECT count(*) FROM levqor_jobs_live WHERE state <> 3 AND (attempt <> 0 OR attempts IS NOT NULL)").Scan(r.Context(), &touched)
		if err != nil || touched > 0 {
			r.Errorf("%d jobs have attempts that were none, %v", touched, err)
		}
		close(release)
		<-stopped
		if n := r.count(jobs.Running); n > 0 {
			r.Errorf("%d jobs are held by a worker that has gone", n)
		}
		if text := log.String(); text != "" {
			r.Errorf("a stop without trouble logs %s", text)
		}
	})
}
