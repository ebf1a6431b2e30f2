package jobs

import (
	"context"
	"fmt"
	"time"
)

// DeadLetters are a tenant's latest Discarded jobs, put together by how they ended. To
// retry all of a group, call [Queue.ChangeMany] with BulkRetry and a Filter of its Kind,
// its Queue and the state Discarded; that is for all errors.
type DeadLetters struct {
	// Groups are ordered by their Newest, the highest first.
	Groups []DeadLetterGroup
	// Jobs is how many jobs were looked at: those with the highest IDs, up to 1000.
	Jobs int
	// More reports that there are others.
	More bool
}

// DeadLetterGroup are Discarded jobs of one kind and queue whose last attempts failed
// with the same text.
type DeadLetterGroup struct {
	// Kind is the kind of the jobs.
	Kind string
	// Queue is where they waited.
	Queue string
	// Error is the beginning of the text of the last failure: its first 512 characters.
	Error string
	// Jobs is how many there are among those that were looked at.
	Jobs int
	// FirstAt is when the first of them was discarded.
	FirstAt time.Time
	// LastAt is when the last of them was discarded.
	LastAt time.Time
	// Newest is the highest ID.
	Newest ID
}

// DeadLetter is a Discarded job, with no more of it than tells what went wrong.
type DeadLetter struct {
	// ID is the job.
	ID ID
	// Kind is its kind.
	Kind string
	// Queue is where it waited.
	Queue string
	// Error is the beginning of the text of its last failure, [DeadLetterText]
	// characters at most; empty for a job that was discarded without one.
	Error string
	// FinishedAt is when it was discarded.
	FinishedAt time.Time
}

// DeadLetterText is how many characters of an error a [DeadLetter] has.
const DeadLetterText = 512

// maxDeadLetters bounds the jobs that are looked at.
const maxDeadLetters = 1000

// DeadLetterStore finds Discarded jobs. What holds for every method of a [Store] holds
// here too.
type DeadLetterStore interface {
	// ListDead returns a tenant's Discarded jobs, the highest ID first, and at most limit
	// of them. It takes the same time however many other jobs there are.
	ListDead(ctx context.Context, tenant string, limit int) ([]DeadLetter, error)
}

// DeadLetters groups the tenant's latest Discarded jobs by what went wrong. It returns
// ErrUnavailable also if the store cannot find them.
func (q *Queue) DeadLetters(ctx context.Context) (DeadLetters, error) {
	store, ok := q.store.(DeadLetterStore)
	if !ok {
		return DeadLetters{}, fmt.Errorf("jobs: dead letters: the store does not find them: %w", ErrUnavailable)
	}
	all, err := store.ListDead(ctx, q.tenant, maxDeadLetters+1)
	if err != nil {
		return DeadLetters{}, fmt.Errorf("jobs: dead letters: %w", err)
	}
	letters := DeadLetters{Jobs: min(len(all), maxDeadLetters), More: len(all) > maxDeadLetters}
	letters.Groups = groupDead(all[:letters.Jobs])
	return letters, nil
}

// groupDead puts jobs together, which come with the highest ID first.
func groupDead(all []DeadLetter) []DeadLetterGroup {
	var groups []DeadLetterGroup
	index := map[DeadLetter]int{}
	for _, letter := range all {
		alike := DeadLetter{Kind: letter.Kind, Queue: letter.Queue, Error: letter.Error}
		i, known := index[alike]
		if !known {
			i = len(groups)
			index[alike] = i
			groups = append(groups, DeadLetterGroup{
				Kind: letter.Kind, Queue: letter.Queue, Error: letter.Error, Newest: letter.ID,
				FirstAt: letter.FinishedAt, LastAt: letter.FinishedAt,
			})
		}
		g := &groups[i]
		g.Jobs++
		g.LastAt = later(g.LastAt, letter.FinishedAt)
		if letter.FinishedAt.Before(g.FirstAt) {
			g.FirstAt = letter.FinishedAt
		}
	}
	return groups
}
