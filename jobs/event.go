package jobs

import (
	"fmt"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

// EventType says what happened.
type EventType uint8

// The events of jobs. What a [Worker] did is told when the store has recorded it.
const (
	// EventEnqueued tells of a job that was stored.
	EventEnqueued EventType = iota + 1
	// EventStarted tells of an attempt whose handler was called.
	EventStarted
	// EventProgressed tells of a running job that reported its progress.
	EventProgressed
	// EventCompleted tells of a job that has a result.
	EventCompleted
	// EventRetrying tells of an attempt that failed, of a job that will be tried again.
	EventRetrying
	// EventSnoozed tells of a job that asked to run later, without an attempt counted.
	EventSnoozed
	// EventReturned tells of a job that a worker gave back without an attempt counted,
	// because it shuts down or its places became free too slowly.
	EventReturned
	// EventDiscarded tells of a job that used up its attempts or failed for good.
	EventDiscarded
	// EventCancelled tells of a job that a caller stopped.
	EventCancelled
	// EventRetried tells of a job that a caller made ready at once.
	EventRetried
)

// The events of many jobs at once, of which the store tells how many there were.
const (
	// EventJobsChanged tells of a bulk change.
	EventJobsChanged EventType = iota + 11
	// EventJobsRescued tells of jobs that were taken over from workers that died.
	EventJobsRescued
)

// The events of queues.
const (
	// EventQueuePaused tells of a queue that was paused.
	EventQueuePaused EventType = iota + 13
	// EventQueueResumed tells of a queue that was resumed.
	EventQueueResumed
	// EventQueueChanged tells of a queue whose settings were put.
	EventQueueChanged
)

var eventNames = [...]string{
	EventEnqueued:     "job.enqueued",
	EventStarted:      "job.started",
	EventProgressed:   "job.progressed",
	EventCompleted:    "job.completed",
	EventRetrying:     "job.retrying",
	EventSnoozed:      "job.snoozed",
	EventReturned:     "job.returned",
	EventDiscarded:    "job.discarded",
	EventCancelled:    "job.cancelled",
	EventRetried:      "job.retried",
	EventJobsChanged:  "jobs.changed",
	EventJobsRescued:  "jobs.rescued",
	EventQueuePaused:  "queue.paused",
	EventQueueResumed: "queue.resumed",
	EventQueueChanged: "queue.changed",
}

// EventTypes lists every type: those of a job in the order of its life, those of many
// jobs, those of queues.
func EventTypes() []EventType {
	all := make([]EventType, 0, len(eventNames))
	for t := EventEnqueued; int(t) < len(eventNames); t++ {
		all = append(all, t)
	}
	return all
}

// String returns the name used on the wire, such as "job.completed".
func (t EventType) String() string {
	if t == 0 || int(t) >= len(eventNames) {
		return fmt.Sprintf("EventType(%d)", uint8(t))
	}
	return eventNames[t]
}

// ParseEventType returns the type with the given name, or an ErrInvalid.
func ParseEventType(name string) (EventType, error) {
	for _, t := range EventTypes() {
		if t.String() == name {
			return t, nil
		}
	}
	return 0, invalid("/type", "unknown_event", "is not a type of event")
}

// Event is something that this process did with jobs. See [Registry.Subscribe].
type Event struct {
	// Type says what happened.
	Type EventType
	// At is when, by the clock of this process, unless options replace it.
	At time.Time
	// Job is the job as it was left, in events of a job. Secrets in its arguments read
	// "[secret]". Of an attempt's outcome, times are those of At, where the store has
	// its own, and the Result of a job that was completed with [Job.Complete] is missing.
	// Subscribers share the memory that it points to and must not change it.
	Job Info
	// Tenant owns the jobs, in events of a job and in EventJobsChanged.
	Tenant string
	// Queue is the queue's name, in events of a job and of a queue.
	Queue string
	// Count is how many jobs, in events of many.
	Count int
}

// outcomeEvents says what the outcome of an attempt is called.
var outcomeEvents = map[State]EventType{
	Completed: EventCompleted,
	Discarded: EventDiscarded,
	Retryable: EventRetrying,
	Scheduled: EventSnoozed,
	Ready:     EventReturned,
}

// tell tells of the outcome of an attempt that the store has answered with err.
func (r *run) tell(a *attempt, out *Outcome, err error) {
	if r.registry.events.quiet() {
		return
	}
	ended := *out
	if err != nil {
		if !a.settled.Load() || out.Error != errUncommitted.Error() {
			return // nothing was recorded
		}
		ended = Outcome{Lease: out.Lease, State: Completed} // in the handler's transaction
	}
	after := a.info.AfterSettle(ended, timeid.Instant(r.now()))
	r.registry.events.job(outcomeEvents[ended.State], r.now(), &after)
}
