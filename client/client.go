// Package client calls a Levqor service.
//
//	c, err := client.New("https://levqor.example.com", &client.Options{Key: key})
//	job, err := c.CreateJob(ctx, client.NewJob{Kind: "http.request", Args: args}, "")
//	job, err = c.WaitJob(ctx, job.ID)
//	var result struct{ Status int }
//	err = json.Unmarshal(job.Result, &result)
//
// [Service] holds what most programs need: typed errors, retries, paging and
// waiting. Below it lies the generated client, [ClientWithResponses], one method
// per operation of openapi.yaml.
package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"net/http"
	"time"
)

//go:generate go tool -modfile=../internal/tools/go.mod oapi-codegen -config oapi.yaml ../openapi.yaml

// Options configure a [Service]. The zero value of each field means its default.
type Options struct {
	// Key is the API key. Default: none, for the public operations.
	Key string
	// HTTPClient sends the requests. Its redirect policy is replaced: the service
	// sends none, and a key must not follow one. Default: a client with a
	// timeout of a minute.
	HTTPClient *http.Client
	// Retries is how often a request is sent again that got no answer, 429 or
	// 503, if sending it twice is harmless: it reads or puts, or has an idempotency
	// key. Waits double from 100 ms, or are what Retry-After says, up to 30 s: an answer
	// that asks for more, or for more than the context has left, is returned as it is. -1
	// means never. Default: 3.
	Retries int
}

// Service is a Levqor service. It is safe for concurrent use.
type Service struct {
	api     *ClientWithResponses
	streams *ClientWithResponses // without a timeout
}

// New returns the service at a base URL, such as "https://levqor.example.com".
// Options may be nil. It returns an error if the URL cannot be parsed.
func New(baseURL string, opts *Options) (*Service, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Retries == 0 {
		o.Retries = 3
	}
	httpClient := &http.Client{Timeout: time.Minute}
	if o.HTTPClient != nil {
		c := *o.HTTPClient
		httpClient = &c
	}
	httpClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	patient := *httpClient
	patient.Timeout = 0
	api, err := newAPI(baseURL, httpClient, &o)
	streams, alsoErr := newAPI(baseURL, &patient, &o)
	if err := cmp.Or(err, alsoErr); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return &Service{api: api, streams: streams}, nil
}

func newAPI(baseURL string, httpClient *http.Client, o *Options) (*ClientWithResponses, error) {
	return NewClientWithResponses(baseURL,
		WithHTTPClient(&retrier{client: httpClient, retries: o.Retries}),
		WithRequestEditorFn(func(_ context.Context, req *http.Request) error {
			if o.Key != "" {
				req.Header.Set("Authorization", "Bearer "+o.Key)
			}
			return nil
		}))
}

// API returns the generated client, with this service's key and retries.
func (s *Service) API() *ClientWithResponses { return s.api }

// CreateJob creates a job. Requests with the same idempotency key create one;
// for an empty one a random key is made, which still covers the retries of this
// call. Where the job is to be unique and is there already, that one is returned with
// Duplicate set. It returns ErrInvalid with the wrong fields, or another *[Error].
func (s *Service) CreateJob(ctx context.Context, job NewJob, idempotencyKey string) (*Job, error) {
	if idempotencyKey == "" {
		idempotencyKey = rand.Text()
	}
	resp, err := s.api.CreateJobWithResponse(ctx, &CreateJobParams{IdempotencyKey: idempotencyKey}, job)
	if err != nil {
		return nil, unreachable("create job", err)
	}
	if resp.JSON200 != nil { // it was there already
		return resp.JSON200, nil
	}
	return one("create job", resp.JSON201, resp.HTTPResponse, resp.Body)
}

// GetJob returns a job, or ErrNotFound.
func (s *Service) GetJob(ctx context.Context, id string) (*Job, error) {
	resp, err := s.api.GetJobWithResponse(ctx, id)
	if err != nil {
		return nil, unreachable("get job", err)
	}
	return one("get job", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// JobLog returns lines of a job's log, by the parameters; nil means the first 20. It
// returns ErrNotFound if there is no such job.
func (s *Service) JobLog(ctx context.Context, id string, params *GetJobLogParams) ([]LogLine, error) {
	resp, err := s.api.GetJobLogWithResponse(ctx, id, params)
	if err != nil {
		return nil, unreachable("get job log", err)
	}
	log, err := one("get job log", resp.JSON200, resp.HTTPResponse, resp.Body)
	if err != nil {
		return nil, err
	}
	return log.Data, nil
}

// CancelJob ends a job. It returns ErrNotFound, or ErrConflict for one that is
// completed or discarded.
func (s *Service) CancelJob(ctx context.Context, id string) (*Job, error) {
	resp, err := s.api.CancelJobWithResponse(ctx, id)
	if err != nil {
		return nil, unreachable("cancel job", err)
	}
	return one("cancel job", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// RetryJob makes a job ready at once. It returns ErrNotFound, or ErrConflict for
// one that runs or has completed.
func (s *Service) RetryJob(ctx context.Context, id string) (*Job, error) {
	resp, err := s.api.RetryJobWithResponse(ctx, id)
	if err != nil {
		return nil, unreachable("retry job", err)
	}
	return one("retry job", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// ChangeJobs cancels, retries, reprioritizes or moves all jobs that match, request
// after request until all is done, and returns how many it changed. With an error,
// such as that of ctx, that is how many were changed before. The cursor of the change
// is where it begins.
func (s *Service) ChangeJobs(ctx context.Context, change BulkChange) (changed int, err error) {
	for {
		resp, err := s.api.ChangeJobsWithResponse(ctx, change)
		if err != nil {
			return changed, unreachable("change jobs", err)
		}
		result, err := one("change jobs", resp.JSON200, resp.HTTPResponse, resp.Body)
		if err != nil {
			return changed, err
		}
		changed += result.Changed
		if result.NextCursor == nil {
			return changed, nil
		}
		change.Cursor = result.NextCursor
	}
}

// Jobs goes through all jobs that match, the newest first, page by page. The
// cursor of the filter is where it begins; nil goes through all. It ends after
// the first error.
func (s *Service) Jobs(ctx context.Context, filter *ListJobsParams) iter.Seq2[Job, error] {
	var params ListJobsParams
	if filter != nil {
		params = *filter
	}
	return pages(func(cursor *string) ([]Job, *string, error) {
		params := params
		if cursor != nil {
			params.Cursor = cursor
		}
		resp, err := s.api.ListJobsWithResponse(ctx, &params)
		if err != nil {
			return nil, nil, unreachable("list jobs", err)
		}
		page, err := one("list jobs", resp.JSON200, resp.HTTPResponse, resp.Body)
		if err != nil {
			return nil, nil, err
		}
		return page.Data, page.NextCursor, nil
	})
}

// Final reports whether a job in this state is over.
func (s JobState) Final() bool {
	return s == JobStateCompleted || s == JobStateCancelled || s == JobStateDiscarded
}

// WaitJob returns a job when it is over, however it ended, or the error of ctx.
// It asks at first every 50 ms and then less often, up to every 2 s; see
// [Service.WatchJob] for a way to be told.
func (s *Service) WaitJob(ctx context.Context, id string) (*Job, error) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		job, err := s.GetJob(ctx, id)
		if err != nil || job.State.Final() {
			return job, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("client: wait for job: %w", context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}
