package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Await waits until a job of the queue's tenant is over and returns its result.
// It returns ErrDiscarded with the text of the last error, ErrCancelled, an
// ErrInvalid for a result that is no R, the error of ctx, or what [Queue.Get]
// returns. It polls the store, at first every 5 ms and then less often, up to
// every 500 ms.
func Await[R any](ctx context.Context, q *Queue, id ID) (R, error) {
	var result R
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		info, err := q.Get(ctx, id)
		if err != nil {
			return result, err
		}
		switch info.State {
		case Completed:
			if err := decodeResult(info.Result, &result); err != nil {
				return result, fmt.Errorf("jobs: await %s: %w", id, err)
			}
			return result, nil
		case Cancelled:
			return result, fmt.Errorf("jobs: await %s: %w", id, ErrCancelled)
		case Discarded:
			return result, fmt.Errorf("jobs: await %s: %w: %s", id, ErrDiscarded, lastError(info))
		case Scheduled, Ready, Running, Retryable:
		}
		select {
		case <-ctx.Done():
			return result, fmt.Errorf("jobs: await %s: %w", id, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
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
