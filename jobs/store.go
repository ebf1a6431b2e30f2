package jobs

import (
	"context"
	"time"
)

// Store keeps jobs. [MemStore] and package bunjobs implement it; package
// jobstest checks that an implementation keeps every promise made here.
//
// What holds for every method:
//
//   - It is safe for concurrent use, by several processes too where the store
//     outlives one.
//   - now is the instant that the call works with; the zero time means the
//     store's own clock, which is the only one that all processes share. Times
//     come back in UTC. Stores keep times and durations to the microsecond and
//     need not keep what is finer.
//   - Texts given to a store are valid UTF-8 and hold no NUL character, JSON
//     texts too, where it is written \u0000: [Queue], [Worker] and [Job] see to
//     it. Stores return them byte for byte.
//   - What a caller does later to what it gave or got changes no stored job.
//   - Errors wrap the kinds of this package. They print that alone, nothing of
//     the store's inner workings, and unwrap to the cause.
//   - A call whose context has ended returns the context's error, as errors.Is
//     tells it, and prints that alone. It has changed nothing if the context had
//     ended before the call, and else all that it was to change or nothing.
type Store interface {
	QueueStore
	WorkerStore
}

// QueueStore is the part of a [Store] that a [Queue] uses: taking jobs in,
// looking at them and stopping them. Each call is confined to one tenant.
type QueueStore interface {
	// Insert stores new jobs and sets State, CreatedAt and RunAt of each element.
	// A zero RunAt becomes the instant of the call plus Delay; a job whose RunAt
	// lies ahead is Scheduled, any other Ready. All jobs are stored or none: none
	// on an error, and none if an ID is taken, in which case the indexes of the
	// jobs with such IDs are returned. But a job that is Unique is not stored if the
	// tenant has one with the same UniqueKey that is not over, or over in one of the
	// states that count, be it of the same call: DuplicateOf is then set to that one.
	// Whatever becomes of a job, it keeps its Metadata.
	Insert(ctx context.Context, jobs []Insertion, now time.Time) (taken []int, err error)

	// Get returns a tenant's job. It returns ErrNotFound if there is none with
	// that ID or it belongs to another tenant.
	Get(ctx context.Context, tenant string, id ID) (Info, error)

	// List returns a tenant's jobs that match the query, the highest ID first,
	// and at most Limit of them.
	List(ctx context.Context, query ListQuery) ([]Info, error)

	// Cancel ends a job as Cancelled, whether it waits or runs; the worker that
	// holds it finds its lease lost. A Cancelled job is returned as it is. It
	// returns ErrConflict for a job that is Completed or Discarded and
	// ErrNotFound as Get does.
	Cancel(ctx context.Context, tenant string, id ID, now time.Time) (Info, error)

	// Retry makes a job Ready at once: one that is Scheduled or Retryable, or one
	// that is Cancelled or Discarded, which keeps its epoch and past attempts and
	// may then run at least once more. A Ready job is returned as it is. It
	// returns ErrConflict for a job that is Running or Completed, or over while
	// another with its UniqueKey is not, and ErrNotFound
	// as Get does.
	Retry(ctx context.Context, tenant string, id ID, now time.Time) (Info, error)

	// ChangeBatch changes those of a tenant's jobs that match a change, the lowest ID
	// first, and looks at Limit of them at most. It returns how many it changed, the
	// last ID that it looked at, 0 if there was none, and whether it reached the end.
	// Each job changes as [BulkChange.Apply] says; BulkRetry leaves those alone that
	// are over while another job with their UniqueKey is not.
	ChangeBatch(ctx context.Context, tenant string, change BulkChange, now time.Time) (BulkResult, error)
}

// WorkerStore is the part of a [Store] that a [Worker] uses. It serves every
// tenant.
//
// A worker process joins as a node. The node's lease covers all jobs that it
// has claimed, so one write keeps any number of them. When the lease runs out,
// Rescue gives the jobs to others; the epoch of each job then keeps the slow
// node from changing it.
type WorkerStore interface {
	// Join adds a node whose lease runs out after the given time. It returns
	// ErrConflict if the node is there.
	Join(ctx context.Context, node Node, lease time.Duration, now time.Time) error

	// Beat renews a node's lease, also one that has run out and was not yet
	// rescued, and returns those of held that the node has lost. Jobs Running
	// under the node that held lacks and that were claimed more than a lease ago
	// become Ready and do not count the attempt: the answer to their claim was
	// lost. Beat returns ErrLeaseLost if the node was rescued or never joined.
	Beat(ctx context.Context, node NodeID, lease time.Duration, held []Lease, now time.Time) (lost []ID, err error)

	// Leave removes a node. Jobs that it still holds become Ready at once and do
	// not count the attempt. It is no error if the node is gone.
	Leave(ctx context.Context, node NodeID, now time.Time) error

	// Claim takes up to Limit ready jobs of one queue and of the given kinds. The
	// tenants with such jobs share the places and take turns where there are more
	// of them than places; of a tenant's jobs, those go first whose
	// [Info.Turn] comes first, then by ID. The answer is in that order too. Where looking
	// at all would hold everyone up, a store may overlook for up to 5 s what became
	// ready after jobs of a later turn were claimed, if now is zero. Each
	// job becomes Running under the node,
	// with Attempt and Epoch one higher and StartedAt set. No job goes to two
	// callers. A node whose lease has run out gets none.
	Claim(ctx context.Context, claim Claim, now time.Time) ([]Info, error)

	// Settle records how attempts ended, each only if the job is Running under
	// the outcome's epoch. The result has one element for each outcome: nil, or
	// ErrLeaseLost where the job has moved on and was left alone. A job's Attempt
	// appears in Attempts if the outcome has an error text. If one of the outcomes is
	// Durable, all are on disk when Settle returns, also where the store is set up to
	// answer sooner. The slice is the caller's again when Settle returns.
	Settle(ctx context.Context, outcomes []Outcome, now time.Time) ([]error, error)

	// SaveProgress keeps what a running job tells about itself. It returns
	// ErrLeaseLost if the lease is not current.
	SaveProgress(ctx context.Context, lease Lease, progress Progress) error

	// Promote makes up to limit jobs Ready whose RunAt has come, the earliest
	// first, and returns how many.
	Promote(ctx context.Context, limit int, now time.Time) (int, error)

	// Rescue removes the nodes whose lease has run out and takes back their
	// jobs: each becomes Ready, or Discarded if it was the last attempt, with the
	// lost attempt in Attempts. It returns how many jobs it took back. It waits for
	// nobody: a job that another transaction is about to change stays with its node,
	// and the node there, until a later call.
	Rescue(ctx context.Context, now time.Time) (int, error)
}

// Insertion is a job to store.
type Insertion struct {
	// Info is the job, which belongs to the caller: [Insertion.Created] sets in it what
	// storing it decides, and stores keep a copy.
	*Info
	// Delay is added to the instant of the call where RunAt is zero.
	Delay time.Duration
	// Unique says what the job must not repeat; without a Key it may repeat any.
	Unique Unique
	// DuplicateOf is the job that this one would have repeated.
	DuplicateOf ID
}

// ListQuery selects jobs. Zero fields do not restrict, except Tenant, which
// always holds.
type ListQuery struct {
	// Tenant owns the jobs.
	Tenant string
	// States restricts to these states.
	States []State
	// Kind restricts to one kind.
	Kind string
	// Queue restricts to one queue.
	Queue string
	// Before restricts to jobs with a lower ID: the last one of the page before.
	Before ID
	// Limit is the size of the page, from 1 to 1000.
	Limit int
}

// NodeID identifies one run of a worker.
type NodeID int64

// Node is one run of a worker, as others see it.
type Node struct {
	// ID identifies the node.
	ID NodeID
	// Name helps people to find it, such as "host:pid".
	Name string
}

// Lease is the right to settle a job.
type Lease struct {
	// ID is the job.
	ID ID
	// Epoch is the job's epoch when it was claimed.
	Epoch int64
}

// Claim says which jobs a node wants.
type Claim struct {
	// Node claims the jobs.
	Node NodeID
	// Queue is where they wait.
	Queue string
	// Kinds are those that the node can run; others are left alone.
	Kinds []string
	// Limit is the highest number of jobs, at least 1.
	Limit int
}

// Outcome is how an attempt ended.
type Outcome struct {
	// Lease says which job, and proves the right to settle it.
	Lease Lease
	// Tenant and Queue are those of the job as it was claimed, so that a store need
	// not read them to count the job; both empty if the caller does not know them.
	Tenant, Queue string
	// State is what becomes of the job: Completed, Discarded, Retryable, Scheduled
	// for an attempt that does not count (snoozed), or Ready for one that does not
	// count either (handed back unstarted).
	State State
	// Result is the JSON text of a Completed job.
	Result []byte
	// Error is the text of a failure; empty for Completed and Ready.
	Error string
	// Delay is how long a Retryable or Scheduled job waits for its next attempt.
	Delay time.Duration
	// Durable outcomes must survive the death of the machine.
	Durable bool
}
