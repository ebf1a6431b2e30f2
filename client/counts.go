package client

import "context"

// JobCounts returns how many of the tenant's jobs each queue has in each state.
func (s *Service) JobCounts(ctx context.Context) (*JobCounts, error) {
	resp, err := s.api.GetJobCountsWithResponse(ctx)
	if err != nil {
		return nil, unreachable("get job counts", err)
	}
	return one("get job counts", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// AllJobCounts returns how many jobs of all tenants each queue has in each state; for
// operators.
func (s *Service) AllJobCounts(ctx context.Context) (*JobCounts, error) {
	resp, err := s.api.GetAllJobCountsWithResponse(ctx)
	if err != nil {
		return nil, unreachable("get all job counts", err)
	}
	return one("get all job counts", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// DeadLetters returns the tenant's latest discarded jobs, put together by what went
// wrong. To retry a group, call [Service.ChangeJobs] with its kind and queue and the state
// discarded.
func (s *Service) DeadLetters(ctx context.Context) (*DeadLetters, error) {
	resp, err := s.api.GetDeadLettersWithResponse(ctx)
	if err != nil {
		return nil, unreachable("get dead letters", err)
	}
	return one("get dead letters", resp.JSON200, resp.HTTPResponse, resp.Body)
}
