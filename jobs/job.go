package jobs

import (
	"context"
	"fmt"
)

// Job is what a handler works on: one attempt of a job with decoded arguments.
type Job[A Args] struct {
	// Info is the job as it was claimed.
	Info
	// Args are the decoded arguments, with their secrets readable. They shadow
	// the JSON text in Info.
	Args A

	worker  *Worker
	settled func()
}

// maxNote bounds the note of a [Progress], in bytes.
const maxNote = 256

// Report stores how far the job has come, for callers that watch it. Each call
// is one write. It returns ErrInvalid for a fraction outside 0 to 1 or a note
// over 256 bytes, and ErrLeaseLost if the job is no longer this attempt's; the
// handler should then stop. What is no character in the note is replaced by
// U+FFFD.
func (j *Job[A]) Report(ctx context.Context, p Progress) error {
	if !(p.Fraction >= 0 && p.Fraction <= 1) { // refuses NaN too
		return fmt.Errorf("jobs: report %s: %w", j.ID, invalid("/fraction", "out_of_range", "must be between 0 and 1"))
	}
	if len(p.Note) > maxNote {
		return fmt.Errorf("jobs: report %s: %w", j.ID, invalid("/note", "too_long", fmt.Sprintf("must be at most %d bytes", maxNote)))
	}
	p.Note = storable(p.Note, maxNote)
	if err := j.worker.store.SaveProgress(ctx, j.lease(), p); err != nil {
		return fmt.Errorf("jobs: report %s: %w", j.ID, err)
	}
	after := j.Info
	after.Progress = p
	j.worker.registry.events.job(EventProgressed, j.worker.now(), &after)
	return nil
}

// Complete records the result on the given store, which is bound to the
// handler's own transaction, so that the handler's rows and the job's completion
// commit together. The handler must return nil afterwards; what it returns is
// then not stored again. It returns ErrLeaseLost if the job is no longer this
// attempt's: the handler must roll back.
func (j *Job[A]) Complete(ctx context.Context, store WorkerStore, result any) error {
	raw, err := encodeResult(result)
	if err != nil {
		return fmt.Errorf("jobs: complete %s: %w", j.ID, err)
	}
	lost, err := store.Settle(ctx, []Outcome{{Lease: j.lease(), Tenant: j.Tenant, Queue: j.Queue, State: Completed, Result: raw}}, j.worker.now())
	if err == nil {
		err = lost[0]
	}
	if err != nil {
		return fmt.Errorf("jobs: complete %s: %w", j.ID, err)
	}
	j.settled()
	return nil
}

func (j *Job[A]) lease() Lease { return Lease{ID: j.ID, Epoch: j.Epoch} }

// MaxResult bounds the JSON text of a result, in bytes.
const MaxResult = 8 << 20

// encodeResult returns the JSON text of what a handler returned, nil for nothing.
func encodeResult(v any) ([]byte, error) {
	if v == nil || v == struct{}{} {
		return nil, nil
	}
	raw, err := marshal(v)
	if err != nil {
		return nil, Permanent(fmt.Errorf("result cannot be written as JSON: %w", err))
	}
	if len(raw) > MaxResult {
		return nil, Permanent(fmt.Errorf("result is larger than %d bytes", MaxResult))
	}
	return raw, nil
}
