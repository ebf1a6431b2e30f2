package jobs

import (
	"context"
	"fmt"
	"time"
)

// LogLine is what a handler wrote about a job.
type LogLine struct {
	// Line counts from 1 within the job.
	Line int
	// Attempt is the attempt that wrote it.
	Attempt int
	// At is when it was stored.
	At time.Time
	// Text is what was written, at most 4 KiB.
	Text string
}

// KeptLogLines is how many lines of a job a store keeps: the latest.
const KeptLogLines = 1000

// maxLogText bounds a line of a job's log, in bytes.
const maxLogText = 4 << 10

// LogStore keeps the logs of jobs. What holds for every method of a [Store] holds here
// too.
type LogStore interface {
	// AppendLog adds a line to the log of a running job and forgets all but the latest
	// KeptLogLines. It returns ErrLeaseLost if the lease is not current.
	AppendLog(ctx context.Context, lease Lease, text string, now time.Time) error

	// ListLog returns lines of a tenant's job that come after a given one, in their
	// order, and at most limit of them. It returns ErrNotFound as Get does.
	ListLog(ctx context.Context, tenant string, id ID, after, limit int) ([]LogLine, error)
}

// Log adds a line to the job's log, for those who look at the job later. Each call is
// one write. What is longer than 4 KiB is cut off, and what is no character replaced by
// U+FFFD. It returns ErrLeaseLost if the job is no longer this attempt's, and
// ErrUnavailable also if the worker's store keeps no logs.
func (j *Job[A]) Log(ctx context.Context, text string) error {
	logs, ok := j.worker.store.(LogStore)
	if !ok {
		return fmt.Errorf("jobs: log %s: the store keeps no logs: %w", j.ID, ErrUnavailable)
	}
	if err := logs.AppendLog(ctx, j.lease(), storable(text, maxLogText), j.worker.now()); err != nil {
		return fmt.Errorf("jobs: log %s: %w", j.ID, err)
	}
	j.worker.registry.events.logged(j.ID)
	return nil
}

// Log returns lines of a job's log that come after a given one, 0 for the first, at most
// limit of them. It returns an ErrInvalid for a limit outside 1 to 1000, ErrNotFound,
// and ErrUnavailable also if the store keeps no logs.
func (q *Queue) Log(ctx context.Context, id ID, after, limit int) ([]LogLine, error) {
	logs, ok := q.store.(LogStore)
	err := checkRange("/limit", limit, 1000)
	if !ok {
		err = fmt.Errorf("the store keeps no logs: %w", ErrUnavailable)
	}
	var lines []LogLine
	if err == nil {
		lines, err = logs.ListLog(ctx, q.tenant, id, after, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("jobs: log of %s: %w", id, err)
	}
	return lines, nil
}
