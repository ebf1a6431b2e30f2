package httpapi

import (
	"context"
	"maps"
	"slices"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
)

// GetJobCounts implements the operation.
func (s *server) GetJobCounts(ctx context.Context, _ oas.GetJobCountsRequestObject) (oas.GetJobCountsResponseObject, error) {
	counts, err := s.app.Jobs.ForTenant(caller(ctx).Tenant).Counts(ctx)
	return oas.GetJobCounts200JSONResponse(wireCounts(counts)), err
}

// GetAllJobCounts implements the operation.
func (s *server) GetAllJobCounts(ctx context.Context, _ oas.GetAllJobCountsRequestObject) (oas.GetAllJobCountsResponseObject, error) {
	counts, err := s.app.Queues.Counts(ctx)
	return oas.GetAllJobCounts200JSONResponse(wireCounts(counts)), err
}

// GetDeadLetters implements the operation.
func (s *server) GetDeadLetters(ctx context.Context, _ oas.GetDeadLettersRequestObject) (oas.GetDeadLettersResponseObject, error) {
	letters, err := s.app.Jobs.ForTenant(caller(ctx).Tenant).DeadLetters(ctx)
	wire := oas.GetDeadLetters200JSONResponse{Data: []client.DeadLetterGroup{}, Jobs: letters.Jobs, HasMore: letters.More}
	for _, g := range letters.Groups {
		wire.Data = append(wire.Data, client.DeadLetterGroup{
			Kind: g.Kind, Queue: g.Queue, Error: g.Error, Jobs: g.Jobs, FirstAt: g.FirstAt, LastAt: g.LastAt, NewestJobID: g.Newest.String(),
		})
	}
	return wire, err
}

func wireCounts(counts jobs.Counts) client.JobCounts {
	wire := client.JobCounts{CountedAt: optional(counts.CountedAt), Data: []client.QueueCounts{}}
	for _, queue := range slices.Sorted(maps.Keys(counts.Queues)) {
		n := counts.Queues[queue]
		wire.Data = append(wire.Data, client.QueueCounts{
			Queue: queue, Scheduled: n[jobs.Scheduled], Ready: n[jobs.Ready], Running: n[jobs.Running], Retryable: n[jobs.Retryable],
			Completed: n[jobs.Completed], Cancelled: n[jobs.Cancelled], Discarded: n[jobs.Discarded],
		})
	}
	return wire
}
