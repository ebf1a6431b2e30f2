package jobs

import (
	"context"
	"encoding/json"
	"fmt"
)

// Await waits until a job of the queue's tenant is over and returns its result.
// It returns ErrDiscarded with the text of the last error, ErrCancelled, an
// ErrInvalid for a result that is no R, the error of ctx, or ErrNotFound. The end of a
// job that runs in this process, through the same registry, is known at once; for others
// it looks at the store, at first after 5 ms and then less and less often, down to every
// 500 ms. It waits while the store is away.
func Await[R any](ctx context.Context, q *Queue, id ID) (R, error) {
	var result R
	var job Info
	err := q.watch(ctx, id, awaitPace, func(_ context.Context, now Info, _ bool) (glance, error) {
		job = now
		if job.State.Final() {
			return enough, nil
		}
		return same, nil
	})
	if err == nil {
		err = ending(job, &result)
	}
	if err != nil {
		return result, fmt.Errorf("jobs: await %s: %w", id, err)
	}
	return result, nil
}

// ending decodes the result of a job that is over, or returns how else it ended.
func ending(job Info, result any) error {
	switch job.State {
	case Cancelled:
		return ErrCancelled
	case Discarded:
		return fmt.Errorf("%w: %s", ErrDiscarded, lastError(job))
	case Scheduled, Ready, Running, Retryable, Completed:
	}
	return decodeResult(job.Result, result)
}

func decodeResult(raw []byte, result any) error {
	if raw == nil {
		return nil
	}
	if err := json.Unmarshal(raw, result); err != nil {
		return fmt.Errorf("result is not of the awaited type: %w", ErrInvalid)
	}
	return nil
}

func lastError(info Info) string {
	if len(info.Attempts) == 0 {
		return "no attempt was made"
	}
	return info.Attempts[len(info.Attempts)-1].Error
}
