package httpapi

import (
	"context"
	"time"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
)

// ListQueues implements the operation.
func (s *server) ListQueues(ctx context.Context, _ oas.ListQueuesRequestObject) (oas.ListQueuesResponseObject, error) {
	all, err := s.app.Queues.List(ctx)
	list := oas.ListQueues200JSONResponse{Data: []client.Queue{}}
	for _, settings := range all {
		list.Data = append(list.Data, wireQueue(settings))
	}
	return list, err
}

// GetQueue implements the operation.
func (s *server) GetQueue(ctx context.Context, req oas.GetQueueRequestObject) (oas.GetQueueResponseObject, error) {
	settings, err := s.app.Queues.Get(ctx, req.Queue)
	wire := wireQueue(settings)
	return oas.GetQueue200JSONResponse{Body: wire, Headers: oas.GetQueue200ResponseHeaders{ETag: etag(wire)}}, err
}

// PutQueue implements the operation.
func (s *server) PutQueue(ctx context.Context, req oas.PutQueueRequestObject) (oas.PutQueueResponseObject, error) {
	b := req.Body
	settings := jobs.QueueSettings{
		Queue: req.Queue, Paused: value(b.Paused), MaxRunning: value(b.MaxRunning), MaxPerTenant: value(b.MaxPerTenant),
		MaxPerKey: value(b.MaxPerKey), Rate: rateOf(b.Rate), RatePerKey: rateOf(b.RatePerKey), Weights: b.Weights,
	}
	queues := s.app.Queues
	if match := req.Params.IfMatch; match != nil && !holdsTag(*match, "*") { // a queue always has a version
		queues = queues.OnlyIf(func(before jobs.QueueSettings) error { return unchanged(match, wireQueue(before)) })
	}
	err := queues.Put(ctx, settings)
	wire := wireQueue(settings)
	return oas.PutQueue200JSONResponse{Body: wire, Headers: oas.PutQueue200ResponseHeaders{ETag: etag(wire)}}, err
}

// PauseQueue implements the operation.
func (s *server) PauseQueue(ctx context.Context, req oas.PauseQueueRequestObject) (oas.PauseQueueResponseObject, error) {
	settings, err := s.changedQueue(ctx, req.Queue, s.app.Queues.Pause)
	return oas.PauseQueue200JSONResponse(wireQueue(settings)), err
}

// ResumeQueue implements the operation.
func (s *server) ResumeQueue(ctx context.Context, req oas.ResumeQueueRequestObject) (oas.ResumeQueueResponseObject, error) {
	settings, err := s.changedQueue(ctx, req.Queue, s.app.Queues.Resume)
	return oas.ResumeQueue200JSONResponse(wireQueue(settings)), err
}

// GetJobsHealth implements the operation.
func (s *server) GetJobsHealth(ctx context.Context, _ oas.GetJobsHealthRequestObject) (oas.GetJobsHealthResponseObject, error) {
	h, err := s.app.JobsHealth(ctx)
	return oas.GetJobsHealth200JSONResponse{
		OldestReadySeconds: h.OldestReady.Seconds(), OldestReadyQueue: optional(h.OldestReadyQueue), Nodes: h.Nodes,
		LeaseLagSeconds: h.LeaseLag.Seconds(), DueLagSeconds: h.DueLag.Seconds(),
		OldestTransactionSeconds: h.OldestTransaction.Seconds(), ClockSkewSeconds: h.ClockSkew.Seconds(),
	}, err
}

// changedQueue returns the settings of a queue after a change.
func (s *server) changedQueue(ctx context.Context, queue string, change func(context.Context, string) error) (jobs.QueueSettings, error) {
	if err := change(ctx, queue); err != nil {
		return jobs.QueueSettings{}, err
	}
	return s.app.Queues.Get(ctx, queue)
}

func rateOf(r *client.Rate) jobs.Rate {
	if r == nil {
		return jobs.Rate{}
	}
	return jobs.Rate{Count: r.Count, Per: seconds(r.PerSeconds).Truncate(time.Microsecond)} // what stores keep
}

func wireQueue(s jobs.QueueSettings) client.Queue {
	return client.Queue{
		Queue: s.Queue, Paused: s.Paused, MaxRunning: optional(s.MaxRunning), MaxPerTenant: optional(s.MaxPerTenant),
		MaxPerKey: optional(s.MaxPerKey), Rate: wireRate(s.Rate), RatePerKey: wireRate(s.RatePerKey), Weights: s.Weights,
	}
}

func wireRate(r jobs.Rate) *client.Rate {
	if r.Count == 0 {
		return nil
	}
	return &client.Rate{Count: r.Count, PerSeconds: r.Per.Round(time.Microsecond).Seconds()}
}
