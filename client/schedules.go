package client

import (
	"context"
	"crypto/rand"
	"iter"
	"net/http"
)

// PutSchedule stores recurring work, in the place of the schedule with that name if
// there is one; only in the place of one that is still of a version, unless that is empty.
// It returns ErrInvalid with the wrong fields, ErrConflict for another version, or another
// *[Error].
func (s *Service) PutSchedule(ctx context.Context, name, version string, schedule NewSchedule) (*Schedule, error) {
	resp, err := s.api.PutScheduleWithResponse(ctx, name, &PutScheduleParams{IfMatch: given(version)}, schedule)
	if err != nil {
		return nil, unreachable("put schedule", err)
	}
	return one("put schedule", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// GetSchedule returns a schedule with its next times and its version, for
// [Service.PutSchedule]; or ErrNotFound.
func (s *Service) GetSchedule(ctx context.Context, name string) (*Schedule, string, error) {
	resp, err := s.api.GetScheduleWithResponse(ctx, name)
	if err != nil {
		return nil, "", unreachable("get schedule", err)
	}
	schedule, err := one("get schedule", resp.JSON200, resp.HTTPResponse, resp.Body)
	return schedule, resp.HTTPResponse.Header.Get("ETag"), err
}

// DeleteSchedule removes a schedule; its jobs stay. It returns ErrNotFound if there
// is none.
func (s *Service) DeleteSchedule(ctx context.Context, name string) error {
	resp, err := s.api.DeleteScheduleWithResponse(ctx, name)
	if err != nil {
		return unreachable("delete schedule", err)
	}
	if resp.StatusCode() == http.StatusNoContent {
		return nil
	}
	_, err = one[Schedule]("delete schedule", nil, resp.HTTPResponse, resp.Body)
	return err
}

// PauseSchedule keeps a schedule from firing until it is resumed. It returns
// ErrNotFound if there is none.
func (s *Service) PauseSchedule(ctx context.Context, name string) (*Schedule, error) {
	resp, err := s.api.PauseScheduleWithResponse(ctx, name)
	if err != nil {
		return nil, unreachable("pause schedule", err)
	}
	return one("pause schedule", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// ResumeSchedule lets a paused schedule fire again, from now on. It returns
// ErrNotFound if there is none.
func (s *Service) ResumeSchedule(ctx context.Context, name string) (*Schedule, error) {
	resp, err := s.api.ResumeScheduleWithResponse(ctx, name)
	if err != nil {
		return nil, unreachable("resume schedule", err)
	}
	return one("resume schedule", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// RunSchedule stores a job of a schedule at once. Requests with the same idempotency
// key store one; for an empty one a random key is made, which still covers the
// retries of this call. It returns ErrNotFound if there is no such schedule.
func (s *Service) RunSchedule(ctx context.Context, name, idempotencyKey string) (*Fire, error) {
	if idempotencyKey == "" {
		idempotencyKey = rand.Text()
	}
	resp, err := s.api.RunScheduleWithResponse(ctx, name, &RunScheduleParams{IdempotencyKey: idempotencyKey})
	if err != nil {
		return nil, unreachable("run schedule", err)
	}
	return one("run schedule", resp.JSON201, resp.HTTPResponse, resp.Body)
}

// Fires returns the latest times that a schedule has fired for, by the parameters;
// nil means the latest 20. It returns ErrNotFound if there is no such schedule.
func (s *Service) Fires(ctx context.Context, name string, params *ListFiresParams) ([]Fire, error) {
	resp, err := s.api.ListFiresWithResponse(ctx, name, params)
	if err != nil {
		return nil, unreachable("list fires", err)
	}
	list, err := one("list fires", resp.JSON200, resp.HTTPResponse, resp.Body)
	if err != nil {
		return nil, err
	}
	return list.Data, nil
}

// Schedules goes through all schedules in the order of their names. It ends after
// the first error.
func (s *Service) Schedules(ctx context.Context) iter.Seq2[Schedule, error] {
	return pages(func(cursor *string) ([]Schedule, *string, error) {
		resp, err := s.api.ListSchedulesWithResponse(ctx, &ListSchedulesParams{Cursor: cursor})
		if err != nil {
			return nil, nil, unreachable("list schedules", err)
		}
		page, err := one("list schedules", resp.JSON200, resp.HTTPResponse, resp.Body)
		if err != nil {
			return nil, nil, err
		}
		return page.Data, page.NextCursor, nil
	})
}

// pages goes through the elements of all pages of a list. It ends after the first
// error.
func pages[T any](get func(cursor *string) (page []T, next *string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := (*string)(nil); ; {
			page, next, err := get(cursor)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, element := range page {
				if !yield(element, nil) {
					return
				}
			}
			if next == nil {
				return
			}
			cursor = next
		}
	}
}
