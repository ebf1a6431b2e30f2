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

// ResealSecrets starts a job that seals anew, by the current secret of the service, what
// an old one has sealed, and returns it, or the one that is at it; its caller is an
// operator. Once it is completed the old secret can be removed.
func (s *Service) ResealSecrets(ctx context.Context) (*Job, error) {
	resp, err := s.api.ResealSecretsWithResponse(ctx)
	if err != nil {
		return nil, unreachable("reseal secrets", err)
	}
	return one("reseal secrets", resp.JSON202, resp.HTTPResponse, resp.Body)
}

// JobsHealth tells an operator whether jobs are worked off.
func (s *Service) JobsHealth(ctx context.Context) (*JobsHealth, error) {
	resp, err := s.api.GetJobsHealthWithResponse(ctx)
	if err != nil {
		return nil, unreachable("get jobs health", err)
	}
	return one("get jobs health", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// GetQueue returns the settings of a queue, empty where it has none, and their version,
// for [Service.PutQueue].
func (s *Service) GetQueue(ctx context.Context, queue string) (*Queue, string, error) {
	resp, err := s.api.GetQueueWithResponse(ctx, queue)
	if err != nil {
		return nil, "", unreachable("get queue", err)
	}
	settings, err := one("get queue", resp.JSON200, resp.HTTPResponse, resp.Body)
	return settings, resp.HTTPResponse.Header.Get("ETag"), err
}

// PutQueue stores the settings of a queue in the place of those that it has; only if they
// are still of a version, unless that is empty. It returns ErrInvalid with the wrong
// fields, ErrConflict for another version, or another *[Error].
func (s *Service) PutQueue(ctx context.Context, queue, version string, settings QueueSettings) (*Queue, error) {
	resp, err := s.api.PutQueueWithResponse(ctx, queue, &PutQueueParams{IfMatch: given(version)}, settings)
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
