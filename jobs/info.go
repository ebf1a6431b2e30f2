package jobs

import "time"

// Info is a job as its store knows it.
type Info struct {
	// ID identifies the job.
	ID ID
	// Tenant owns the job; empty in a program with a single tenant.
	Tenant string
	// Kind names what is to be done and so which handler runs it.
	Kind string
	// Queue is the line that the job stands in.
	Queue string
	// State says where the job is in its life.
	State State
	// Priority orders the jobs of a queue, 1 first to 9 last.
	Priority int
	// Args is the JSON text of the arguments. Secrets in it read "[secret]"
	// wherever a [Queue] returns it.
	Args []byte
	// Result is the JSON text that the handler returned; nil until the job has
	// completed and for handlers that return nothing.
	Result []byte
	// Progress is what the running handler last told.
	Progress Progress
	// Attempt counts the attempts that have begun.
	Attempt int
	// MaxAttempts is the number of attempts after which the job is discarded.
	MaxAttempts int
	// Attempts lists the attempts that have failed, the oldest first.
	Attempts []Attempt
	// Timeout bounds one attempt; [NoTimeout] means no bound.
	Timeout time.Duration
	// CreatedAt is when the job was stored.
	CreatedAt time.Time
	// RunAt is the earliest time of the next attempt.
	RunAt time.Time
	// StartedAt is when the latest attempt began; zero before the first.
	StartedAt time.Time
	// FinishedAt is when the job reached its final state; zero before.
	FinishedAt time.Time
	// LimitKey is what limits per key count the job by; empty for none. See
	// [QueueSettings].
	LimitKey string
	// UniqueKey is what the job is unique by among those of its tenant that are not
	// over; empty if it is not. See [Unique].
	UniqueKey string
	// Metadata are the job's labels; see [EnqueueOptions]. Nil for none.
	Metadata map[string]string
	// Duplicate is set in what [Queue.Enqueue] returns, and nowhere else, where the
	// job was there already.
	Duplicate bool
	// Epoch is the lease epoch. It grows by one each time a worker takes the job
	// and never goes back, so it tells the holder of the lease from every
	// earlier one.
	Epoch int64
}

// Attempt is one attempt that failed.
type Attempt struct {
	// Number counts from 1.
	Number int
	// StartedAt is when a worker took the job.
	StartedAt time.Time
	// FinishedAt is when the failure was recorded.
	FinishedAt time.Time
	// Error is the text of the handler's error, at most 4 KiB.
	Error string
}

// Progress is how far a running job has come, in the handler's own words.
type Progress struct {
	// Fraction lies between 0 and 1.
	Fraction float64
	// Note is a short text for people, at most 256 bytes.
	Note string
}
