package jobs

import (
	"context"
	"fmt"
	"iter"
	"slices"
)

// maxWatched bounds the jobs of a [Queue.WatchList], which reads all of them at each
// look.
const maxWatched = 100

// Listed is a change of a list of jobs.
type Listed struct {
	// Job is a job that has come or changed; of one that is gone, its ID alone.
	Job Info
	// Gone tells that the job is not in the list any more: it does not match, or newer
	// ones have taken its place.
	Gone bool
}

// WatchList yields the jobs that [Queue.List] returns for a query, and then each one
// that changes, comes or goes, until ctx ends. Of what is found by one look, jobs that
// are gone are yielded first, and then the others, the oldest first; the list itself is
// in the order of IDs, the highest first. A job changes as for [Queue.Watch], and what
// holds there of looks and errors holds here, but for at most 10 looks a second. It
// returns ErrInvalid for a limit outside 1 to 100 or an unknown state.
func (q *Queue) WatchList(ctx context.Context, query ListQuery) iter.Seq2[Listed, error] {
	return func(yield func(Listed, error) bool) {
		err := checkRange("/limit", query.Limit, maxWatched)
		if err == nil {
			woken, stop := watch(&q.registry.events, &q.registry.events.tenants, q.tenant)
			defer stop()
			l := listWatcher{queue: q, query: query, yield: yield}
			err = listPace.repeat(ctx, woken, func() (glance, error) { return l.look(ctx) })
		}
		if err != nil {
			yield(Listed{}, fmt.Errorf("jobs: watch list: %w", err))
		}
	}
}

// listWatcher is one WatchList.
type listWatcher struct {
	queue *Queue
	query ListQuery
	yield func(Listed, error) bool
	known map[ID]mark // the list as it was yielded
}

// look yields how the list differs from what is known of it.
func (l *listWatcher) look(ctx context.Context) (glance, error) {
	call, cancel := context.WithTimeout(ctx, storeTimeout)
	jobs, err := l.queue.List(call, l.query)
	cancel()
	if err != nil {
		return same, err
	}
	before := l.known
	l.known = make(map[ID]mark, len(jobs))
	for i := range jobs {
		l.known[jobs[i].ID] = markOf(&jobs[i])
	}
	seen := same
	for id := range before {
		if _, still := l.known[id]; still {
			continue
		}
		if seen = changed; !l.yield(Listed{Job: Info{ID: id}, Gone: true}, nil) {
			return enough, nil
		}
	}
	for _, job := range slices.Backward(jobs) {
		if before[job.ID] == l.known[job.ID] {
			continue
		}
		if seen = changed; !l.yield(Listed{Job: job}, nil) {
			return enough, nil
		}
	}
	return seen, nil
}
