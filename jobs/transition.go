package jobs

import (
	"slices"
	"time"
)

// The life of a job, for stores: each method returns the job as it is after the
// call of a Store that the method is named for. A store reads, applies and
// writes under its own lock, so every store agrees on the rules.

// Begin returns when the job is due and its state if it is stored at an instant.
func (j *Insertion) Begin(now time.Time) (runAt time.Time, state State) {
	runAt = j.RunAt
	if runAt.IsZero() {
		runAt = now.Add(j.Delay.Truncate(time.Microsecond))
	}
	runAt = runAt.UTC().Truncate(time.Microsecond)
	if runAt.After(now) {
		return runAt, Scheduled
	}
	return runAt, Ready
}

// Created sets what storing the job at an instant decides.
func (j *Insertion) Created(now time.Time) {
	j.CreatedAt = now
	j.RunAt, j.State = j.Begin(now)
	j.UniqueKey = j.UniqueKeyAt(now)
}

// AfterCancel returns the job Cancelled, or an ErrConflict if it is Completed or
// Discarded.
func (j Info) AfterCancel(now time.Time) (Info, error) {
	switch j.State {
	case Completed, Discarded:
		return Info{}, ErrConflict
	case Cancelled:
		return j, nil
	case Scheduled, Ready, Running, Retryable:
	}
	j.State, j.FinishedAt = Cancelled, now
	return j, nil
}

// AfterRetry returns the job Ready, with one more attempt if it has none left, or
// an ErrConflict if it is Running or Completed.
func (j Info) AfterRetry(now time.Time) (Info, error) {
	switch j.State {
	case Running, Completed:
		return Info{}, ErrConflict
	case Ready:
		return j, nil
	case Scheduled, Retryable, Cancelled, Discarded:
	}
	j.State, j.RunAt, j.FinishedAt = Ready, now, time.Time{}
	j.MaxAttempts = max(j.MaxAttempts, j.Attempt+1)
	return j, nil
}

// AfterSettle returns a Running job as the outcome of its attempt leaves it. An
// error text becomes an element of Attempts; Ready and Scheduled take the attempt
// back.
func (j Info) AfterSettle(out Outcome, now time.Time) Info {
	if out.Error != "" {
		failed := Attempt{Number: j.Attempt, StartedAt: j.StartedAt, FinishedAt: now, Error: out.Error}
		j.Attempts = append(slices.Clip(j.Attempts), failed)
	}
	j.State, j.Result = out.State, out.Result
	switch {
	case out.State.Final():
		j.FinishedAt = now
	case out.State == Ready:
		j.Attempt--
	default:
		j.RunAt = now.Add(out.Delay.Truncate(time.Microsecond))
		if out.State == Scheduled {
			j.Attempt--
		}
	}
	return j
}

// AfterRescue returns a Running job whose worker's lease has run out: Ready, or
// Discarded if this was its last attempt, with the lost attempt in Attempts.
func (j Info) AfterRescue(now time.Time) Info {
	lost := Attempt{Number: j.Attempt, StartedAt: j.StartedAt, FinishedAt: now, Error: "the worker's lease ran out"}
	j.Attempts = append(slices.Clip(j.Attempts), lost)
	j.State = Ready
	if j.Attempt >= j.MaxAttempts {
		j.State, j.FinishedAt = Discarded, now
	}
	return j
}
