package jobs

import (
	"context"
	"fmt"
	"iter"
)

// followBatch bounds the lines that are read at once.
const followBatch = 100

// Followed is what [Queue.Follow] yields: a change of the job, or lines of its log.
type Followed struct {
	// Job is the job.
	Job Info
	// Lines are new lines of its log, at most 100; none where the job has changed.
	Lines []LogLine
}

// Follow is [Queue.Watch] with the lines of the job's log that come after a given one, 0
// for the first. What was written before the job was over is yielded before its final
// state, which is the last. On a store that keeps no logs there are no lines.
func (q *Queue) Follow(ctx context.Context, id ID, after int) iter.Seq2[Followed, error] {
	return func(yield func(Followed, error) bool) {
		f := follower{queue: q, id: id, after: after, yield: yield}
		if err := q.watch(ctx, id, watchPace, f.look); err != nil {
			yield(Followed{}, fmt.Errorf("jobs: follow %s: %w", id, err))
		}
	}
}

// follower is one Follow.
type follower struct {
	queue *Queue
	id    ID
	after int // the last line that was yielded
	yield func(Followed, error) bool
}

// look yields what is new about a job.
func (f *follower) look(ctx context.Context, job Info, differs bool) (glance, error) {
	seen := same
	if differs && !job.State.Final() {
		if seen = changed; !f.yield(Followed{Job: job}, nil) {
			return enough, nil
		}
	}
	for full := true; full; {
		lines, err := f.lines(ctx)
		if err != nil {
			return seen, err
		}
		if len(lines) > 0 {
			f.after = lines[len(lines)-1].Line
			if seen = changed; !f.yield(Followed{Job: job, Lines: lines}, nil) {
				return enough, nil
			}
		}
		full = len(lines) == followBatch
	}
	if job.State.Final() {
		f.yield(Followed{Job: job}, nil)
		return enough, nil
	}
	return seen, nil
}

func (f *follower) lines(ctx context.Context) ([]LogLine, error) {
	logs, ok := f.queue.store.(LogStore)
	if !ok {
		return nil, nil
	}
	call, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return logs.ListLog(call, f.queue.tenant, f.id, f.after, followBatch)
}
