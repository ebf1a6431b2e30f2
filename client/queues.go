package client

import "context"

// Queues returns the settings of all queues that have some.
func (s *Service) Queues(ctx context.Context) ([]Queue, error) {
	resp, err := s.api.ListQueuesWithResponse(ctx)
	if err != nil {
		return nil, unreachable("list queues", err)
	}
	list, err := one("list queues", resp.JSON200, resp.HTTPResponse, resp.Body)
	if err != nil {
		return nil, err
	}
	return list.Data, nil
}

// JobsHealth tells an operator whether jobs are worked off.
func (s *Service) JobsHealth(ctx context.Context) (*JobsHealth, error) {
	resp, err := s.api.GetJobsHealthWithResponse(ctx)
	if err != nil {
		return nil, unreachable("get jobs health", err)
	}
	return one("get jobs health", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// GetQueue returns the settings of a queue, empty where it has none.
func (s *Service) GetQueue(ctx context.Context, queue string) (*Queue, error) {
	resp, err := s.api.GetQueueWithResponse(ctx, queue)
	if err != nil {
		return nil, unreachable("get queue", err)
	}
	return one("get queue", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// PutQueue stores the settings of a queue in the place of those that it has. It
// returns ErrInvalid with the wrong fields, or another *[Error].
func (s *Service) PutQueue(ctx context.Context, queue string, settings QueueSettings) (*Queue, error) {
	resp, err := s.api.PutQueueWithResponse(ctx, queue, settings)
	if err != nil {
		return nil, unreachable("put queue", err)
	}
	return one("put queue", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// PauseQueue keeps the jobs of a queue from starting.
func (s *Service) PauseQueue(ctx context.Context, queue string) (*Queue, error) {
	resp, err := s.api.PauseQueueWithResponse(ctx, queue)
	if err != nil {
		return nil, unreachable("pause queue", err)
	}
	return one("pause queue", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// ResumeQueue lets the jobs of a queue start again.
func (s *Service) ResumeQueue(ctx context.Context, queue string) (*Queue, error) {
	resp, err := s.api.ResumeQueueWithResponse(ctx, queue)
	if err != nil {
		return nil, unreachable("resume queue", err)
	}
	return one("resume queue", resp.JSON200, resp.HTTPResponse, resp.Body)
}
