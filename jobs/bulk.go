package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Operation is what a bulk change does with each job.
type Operation uint8

// The operations.
const (
	// BulkCancel ends jobs that are not over, as [Queue.Cancel] does.
	BulkCancel Operation = iota + 1
	// BulkRetry makes jobs ready at once that wait for their time, were cancelled or
	// were discarded, as [Queue.Retry] does. Those whose unique place was taken stay.
	BulkRetry
	// BulkReprioritize gives jobs that wait another priority.
	BulkReprioritize
	// BulkMove puts jobs that wait into another queue.
	BulkMove
)

var operations = [...]struct {
	name   string
	states []State // those that the operation changes
}{
	BulkCancel:       {"cancel", []State{Scheduled, Ready, Running, Retryable}},
	BulkRetry:        {"retry", []State{Scheduled, Retryable, Cancelled, Discarded}},
	BulkReprioritize: {"reprioritize", []State{Scheduled, Ready, Retryable}},
	BulkMove:         {"move", []State{Scheduled, Ready, Retryable}},
}

// String returns the name used on the wire, such as "cancel".
func (o Operation) String() string {
	if o == 0 || int(o) >= len(operations) {
		return fmt.Sprintf("Operation(%d)", uint8(o))
	}
	return operations[o].name
}

// ParseOperation returns the operation with the given name, or an ErrInvalid.
func ParseOperation(name string) (Operation, error) {
	for o, known := range operations {
		if known.name == name && name != "" {
			return Operation(o), nil
		}
	}
	return 0, invalid("/operation", "unknown_operation", "must be cancel, retry, reprioritize or move")
}

// Filter selects jobs of a tenant. Zero fields do not restrict.
type Filter struct {
	// States restricts to these, of those that the operation changes.
	States []State
	// Kind restricts to one kind.
	Kind string
	// Queue restricts to one queue.
	Queue string
	// CreatedFrom restricts to jobs created at that instant or later.
	CreatedFrom time.Time
	// CreatedBefore restricts to jobs created earlier.
	CreatedBefore time.Time
}

// BulkChange is one change of many jobs.
type BulkChange struct {
	// Operation says what to do.
	Operation Operation
	// Filter selects the jobs.
	Filter Filter
	// Priority is the new one for BulkReprioritize, 1 to 9.
	Priority int
	// Queue is the new one for BulkMove.
	Queue string
	// After restricts to jobs with a higher ID: where an earlier call ended.
	After ID
	// Limit is how many jobs to look at, at least 1. Default: all.
	Limit int
}

// BulkResult is what a bulk change did.
type BulkResult struct {
	// Changed is how many jobs it changed.
	Changed int
	// Last is the ID of the last job that it looked at: what After has to be to go on.
	Last ID
	// Done reports that no further job matches.
	Done bool
}

// SerialStore is the ability of a store to say that its calls wait for each other.
type SerialStore interface {
	// Serial reports whether a call holds up all others for as long as it takes.
	Serial() bool
}

// How many jobs are changed by one call of the store, which holds locks meanwhile: beside
// calls of 250 the claims of others took twice as long on PostgreSQL, beside calls of 100
// a tenth longer, at the 99th percentile. Where a call holds up all others it looks at
// fewer if it took longer than bulkTime, and at more if it took less than half of that.
// Between two calls the store is left to others for twice as long as the last one took, up
// to bulkPause.
const (
	maxBulk, minBulk = 100, 20
	bulkTime         = 500 * time.Microsecond
	bulkPause        = 20 * time.Millisecond
)

// maxBulkConflicts is how often a batch is tried again.
const maxBulkConflicts = 3

// bulkSize returns how many jobs the next call looks at, after one took so long.
func bulkSize(size int, took time.Duration) int {
	switch {
	case took > bulkTime:
		return max(minBulk, size/2)
	case took < bulkTime/2:
		return min(maxBulk, 2*size)
	default:
		return size
	}
}

// ChangeMany changes all of the tenant's jobs that match, in the order of their IDs
// and in batches that commit each for itself, so that workers are not held up. If it
// ends with an error, such as that of its context, the result says what was done and
// where to go on. It returns an ErrInvalid for a change that contradicts itself.
func (q *Queue) ChangeMany(ctx context.Context, change BulkChange) (result BulkResult, err error) {
	result.Last = change.After
	if err := change.validate(); err != nil {
		return result, fmt.Errorf("jobs: change many: %w", err)
	}
	if change.Operation == BulkCancel {
		defer func() {
			if result.Changed > 0 {
				q.wakeCancelled(anySubject)
			}
		}()
	}
	store, ok := q.store.(SerialStore)
	serial := ok && store.Serial()
	left, size, conflicts := change.Limit, maxBulk, 0
	for {
		change.After, change.Limit = result.Last, size
		if left > 0 {
			change.Limit = min(left, size)
		}
		begun := time.Now() //nolint:forbidigo // how long a call takes is no matter of the store's clock
		batch, err := q.store.ChangeBatch(ctx, q.tenant, change, q.now())
		took := time.Since(begun) //nolint:forbidigo // see above
		if errors.Is(err, ErrConflict) && conflicts < maxBulkConflicts {
			conflicts++ // a job of the batch had its unique place taken meanwhile: the next look sees it
			continue
		}
		if err != nil {
			return result, fmt.Errorf("jobs: change many: %w", err)
		}
		conflicts = 0
		q.tellChanged(change.Operation, batch.Changed)
		result.add(batch)
		if left -= change.Limit; batch.Done || left == 0 {
			return result, nil
		}
		if serial {
			size = bulkSize(size, took)
		}
		sleep(ctx, min(2*took, bulkPause)) // the next call finds a context that has ended
	}
}

// add adds what the next batch did.
func (r *BulkResult) add(batch BulkResult) {
	r.Changed += batch.Changed
	r.Done = batch.Done
	if batch.Last != 0 {
		r.Last = batch.Last
	}
}

// tellChanged tells those who watch or wait for work that jobs were changed.
func (q *Queue) tellChanged(op Operation, n int) {
	if n == 0 {
		return
	}
	q.told(func() {
		q.registry.events.many(EventJobsChanged, q.now(), q.tenant, n)
		if op != BulkCancel {
			q.registry.Wake()
		}
	})
}

func (c *BulkChange) validate() error {
	if c.Operation == 0 || int(c.Operation) >= len(operations) {
		return invalid("/operation", "unknown_operation", "must be cancel, retry, reprioritize or move")
	}
	var errs []error
	for _, state := range c.Filter.States {
		if !slices.Contains(operations[c.Operation].states, state) {
			errs = append(errs, invalid("/filter/states", "contradictory", fmt.Sprintf("holds %s, which the operation does not change", state)))
		}
	}
	errs = append(errs, checkOptional("/filter/kind", c.Filter.Kind), checkOptional("/filter/queue", c.Filter.Queue))
	if f := c.Filter; !f.CreatedFrom.IsZero() && !f.CreatedBefore.IsZero() && !f.CreatedFrom.Before(f.CreatedBefore) {
		errs = append(errs, invalid("/filter/created_before", "contradictory", "must be later than created_from"))
	}
	if c.Operation == BulkReprioritize {
		errs = append(errs, checkRange("/priority", c.Priority, 9))
	} else if c.Priority != 0 {
		errs = append(errs, invalid("/priority", "contradictory", "goes with reprioritize alone"))
	}
	if c.Operation == BulkMove {
		errs = append(errs, checkName("/queue", c.Queue))
	} else if c.Queue != "" {
		errs = append(errs, invalid("/queue", "contradictory", "goes with move alone"))
	}
	if c.Limit < 0 {
		errs = append(errs, invalid("/limit", "too_small", "must not be negative"))
	}
	return errors.Join(errs...)
}

// States returns the states of the jobs that the change is for, for stores.
func (c *BulkChange) States() []State {
	if len(c.Filter.States) > 0 {
		return c.Filter.States
	}
	return operations[c.Operation].states
}

// Matches reports whether the change is for a job of the tenant, for stores that hold
// all of them in memory.
func (c *BulkChange) Matches(tenant string, job Info) bool {
	f := c.Filter
	return job.Tenant == tenant && job.ID > c.After && slices.Contains(c.States(), job.State) &&
		(f.Kind == "" || job.Kind == f.Kind) && (f.Queue == "" || job.Queue == f.Queue) &&
		(f.CreatedFrom.IsZero() || !job.CreatedAt.Before(f.CreatedFrom)) &&
		(f.CreatedBefore.IsZero() || job.CreatedAt.Before(f.CreatedBefore))
}

// Apply returns a job that the change is for as it is afterwards, for stores.
func (c *BulkChange) Apply(job Info, now time.Time) (Info, error) {
	switch c.Operation {
	case BulkCancel:
		return job.AfterCancel(now)
	case BulkRetry:
		return job.AfterRetry(now)
	case BulkReprioritize:
		job.Priority = c.Priority
	case BulkMove:
		job.Queue = c.Queue
	}
	return job, nil
}
