package jobs

import "fmt"

// State says where a job is in its life. The values are stored; their order is
// frozen.
type State uint8

// The states. A job starts in Scheduled or Ready and ends in one of the last
// three, which are final: only Retry leaves them.
const (
	// Scheduled jobs wait for their first RunAt.
	Scheduled State = iota + 1
	// Ready jobs may be claimed at once.
	Ready
	// Running jobs are held by a worker under a lease.
	Running
	// Retryable jobs have failed and wait for the RunAt of their next attempt.
	Retryable
	// Completed jobs have a result.
	Completed
	// Cancelled jobs were stopped by a caller before they completed.
	Cancelled
	// Discarded jobs used up their attempts or failed for good.
	Discarded
)

var stateNames = [...]string{
	Scheduled: "scheduled",
	Ready:     "ready",
	Running:   "running",
	Retryable: "retryable",
	Completed: "completed",
	Cancelled: "cancelled",
	Discarded: "discarded",
}

// States lists every state in the order of a job's life.
func States() []State {
	return []State{Scheduled, Ready, Running, Retryable, Completed, Cancelled, Discarded}
}

// Final reports whether a job in this state is over.
func (s State) Final() bool { return s >= Completed }

// String returns the name used on the wire, such as "ready".
func (s State) String() string {
	if s == 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", uint8(s))
	}
	return stateNames[s]
}

// ParseState returns the state with the given name, or an ErrInvalid.
func ParseState(name string) (State, error) {
	for _, s := range States() {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, invalid("/state", "unknown_state", "is not a job state")
}
