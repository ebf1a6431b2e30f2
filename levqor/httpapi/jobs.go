package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
)

// ListJobs implements the operation.
func (s *server) ListJobs(ctx context.Context, req oas.ListJobsRequestObject) (oas.ListJobsResponseObject, error) {
	tenant := caller(ctx).Tenant
	query, err := s.listQuery(tenant, req.Params)
	if err != nil {
		return nil, err
	}
	limit := query.Limit
	query.Limit++ // one more tells whether there is a next page
	infos, err := s.app.Jobs.ForTenant(tenant).List(ctx, query)
	if err != nil {
		return nil, err
	}
	var page client.JobPage
	page.Data, page.HasMore = wirePage(infos, limit, wireJob)
	if page.HasMore {
		page.NextCursor = new(s.cursor("jobs", tenant, jobFilters(query), binary.BigEndian.AppendUint64(nil, uint64(infos[limit-1].ID))))
	}
	return oas.ListJobs200JSONResponse{Body: page}, nil
}

// CreateJob implements the operation. The job and the answer to a repetition
// commit together.
func (s *server) CreateJob(ctx context.Context, req oas.CreateJobRequestObject) (oas.CreateJobResponseObject, error) {
	if err := s.schemas.check(req.Body.Kind, sentArgs(ctx)); err != nil {
		return nil, err
	}
	scope := scopeOf(ctx, "POST /api/v1/jobs", req.Params.IdempotencyKey)
	answer, replayed, err := s.app.Idempotency.Do(ctx, scope, fingerprint(body(ctx)), func(ctx context.Context, tx levqor.Stores) (levqor.Answer, error) {
		info, err := s.app.Jobs.ForTenant(scope.Tenant).With(tx.Jobs).EnqueueJSON(ctx, req.Body.Kind, req.Body.Args, enqueueOptions(req.Body))
		if err != nil {
			return levqor.Answer{}, err
		}
		answer, err := jobCreated(info.ID, wireJob(info))
		if info.Duplicate {
			answer.Status = http.StatusOK
		}
		return answer, err
	})
	return created{answer, replayed}, err
}

// GetJob implements the operation.
func (s *server) GetJob(ctx context.Context, req oas.GetJobRequestObject) (oas.GetJobResponseObject, error) {
	info, err := s.job(ctx, req.ID, (*jobs.Queue).Get)
	return oas.GetJob200JSONResponse(wireJob(info)), err
}

// CancelJob implements the operation.
func (s *server) CancelJob(ctx context.Context, req oas.CancelJobRequestObject) (oas.CancelJobResponseObject, error) {
	info, err := s.job(ctx, req.ID, (*jobs.Queue).Cancel)
	return oas.CancelJob200JSONResponse(wireJob(info)), err
}

// RetryJob implements the operation.
func (s *server) RetryJob(ctx context.Context, req oas.RetryJobRequestObject) (oas.RetryJobResponseObject, error) {
	info, err := s.job(ctx, req.ID, (*jobs.Queue).Retry)
	return oas.RetryJob200JSONResponse(wireJob(info)), err
}

// GetJobLog implements the operation.
func (s *server) GetJobLog(ctx context.Context, req oas.GetJobLogRequestObject) (oas.GetJobLogResponseObject, error) {
	id, err := jobs.ParseID(req.ID)
	if err != nil {
		return nil, err
	}
	lines, err := s.app.Jobs.ForTenant(caller(ctx).Tenant).Log(ctx, id, value(req.Params.After), limitOf(req.Params.Limit))
	log := oas.GetJobLog200JSONResponse{Data: []client.LogLine{}}
	for _, l := range lines {
		log.Data = append(log.Data, wireLine(l))
	}
	return log, err
}

// job does something with a job of the caller's tenant.
func (s *server) job(ctx context.Context, id string, do func(*jobs.Queue, context.Context, jobs.ID) (jobs.Info, error)) (jobs.Info, error) {
	parsed, err := jobs.ParseID(id)
	if err != nil {
		return jobs.Info{}, err
	}
	return do(s.app.Jobs.ForTenant(caller(ctx).Tenant), ctx, parsed)
}

func (s *server) listQuery(tenant string, p client.ListJobsParams) (jobs.ListQuery, error) {
	q := jobs.ListQuery{Limit: limitOf(p.Limit), Kind: value(p.Kind), Queue: value(p.Queue)}
	var err error
	if q.States, err = parseStates(p.State); err != nil || p.Cursor == nil {
		return q, err
	}
	last, err := s.parseCursor("jobs", tenant, jobFilters(q), *p.Cursor)
	if err != nil || len(last) != 8 {
		return q, errCursor
	}
	q.Before = jobs.ID(binary.BigEndian.Uint64(last))
	return q, nil
}

// jobFilters are what a cursor of the list holds for.
func jobFilters(q jobs.ListQuery) any { return []any{q.States, q.Kind, q.Queue} }

func enqueueOptions(b *client.CreateJobJSONRequestBody) *jobs.EnqueueOptions {
	opts := &jobs.EnqueueOptions{Queue: value(b.Queue), Priority: value(b.Priority), MaxAttempts: value(b.MaxAttempts), RunAt: value(b.RunAt), LimitKey: value(b.LimitKey), Metadata: b.Metadata}
	if u := b.Unique; u != nil {
		opts.Unique = &jobs.Unique{Key: value(u.Key), Period: seconds(value(u.PeriodSeconds))}
		for _, name := range u.Over {
			state, _ := jobs.ParseState(string(name)) // the contract lists them
			opts.Unique.Over = append(opts.Unique.Over, state)
		}
	}
	opts.Timeout = seconds(value(b.TimeoutSeconds))
	opts.Delay = seconds(value(b.DelaySeconds))
	return opts
}

// fingerprint returns the same hash for requests that differ only in white space
// and the order of keys, of what [parseJSON] returned.
func fingerprint(value any) []byte {
	raw, err := json.Marshal(value) // sorts keys
	if err != nil {
		panic(err) // it was JSON when it came in
	}
	sum := sha256.Sum256(raw)
	return sum[:]
}

// unquote accepts a key as a structured field, in quotes, as well as bare.
func unquote(key string) string {
	if len(key) > 1 && strings.HasPrefix(key, `"`) && strings.HasSuffix(key, `"`) {
		return key[1 : len(key)-1]
	}
	return key
}

// scopeOf returns where an idempotency key of the caller holds.
func scopeOf(ctx context.Context, operation, key string) levqor.IdempotencyScope {
	p := caller(ctx)
	return levqor.IdempotencyScope{Tenant: p.Tenant, Caller: p.ID(), Operation: operation, Key: unquote(key)}
}

func jobCreated(id jobs.ID, wire any) (levqor.Answer, error) {
	body, err := json.Marshal(wire)
	return levqor.Answer{
		Status: http.StatusCreated,
		Header: map[string]string{"Location": "/api/v1/jobs/" + id.String()},
		Body:   body,
	}, err
}

// created writes an answer as it was given the first time.
type created struct {
	levqor.Answer
	replayed bool
}

// VisitCreateJobResponse implements the generated interface.
func (c created) VisitCreateJobResponse(w http.ResponseWriter) error { return c.write(w) }

func (c created) write(w http.ResponseWriter) error {
	h := w.Header()
	for name, value := range c.Header {
		h.Set(name, value)
	}
	h.Set("Content-Type", "application/json")
	if c.replayed {
		h.Set("Idempotent-Replayed", "true")
	}
	w.WriteHeader(c.Status)
	_, err := w.Write(c.Body)
	return err
}

func wireJob(j jobs.Info) client.Job {
	wire := client.Job{
		ID: j.ID.String(), Kind: j.Kind, Queue: j.Queue, State: client.JobState(j.State.String()), Priority: j.Priority,
		Args: wireArgs(j.Args), Result: wireResult(j.Result), Attempt: j.Attempt, MaxAttempts: j.MaxAttempts, Attempts: wireAttempts(j.Attempts),
		CreatedAt: j.CreatedAt, RunAt: j.RunAt, StartedAt: optional(j.StartedAt), FinishedAt: optional(j.FinishedAt), LimitKey: optional(j.LimitKey),
		Metadata: j.Metadata,
	}
	if j.Duplicate {
		wire.Duplicate = &j.Duplicate
	}
	if j.Progress != (jobs.Progress{}) {
		wire.Progress = &client.Progress{Fraction: j.Progress.Fraction, Note: j.Progress.Note}
	}
	if j.Timeout > 0 {
		s := j.Timeout.Seconds()
		wire.TimeoutSeconds = &s
	}
	return wire
}

// wireArgs returns the arguments, or none where somebody has spoilt them by hand: the
// other jobs of a list must stay readable. The job's failed attempt tells.
func wireArgs(raw []byte) []byte {
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) && json.Valid(raw) {
		return raw
	}
	return []byte("{}")
}

func wireResult(raw []byte) []byte {
	if json.Valid(raw) {
		return raw
	}
	return nil
}

func wireAttempts(all []jobs.Attempt) []client.Attempt {
	wire := make([]client.Attempt, len(all))
	for i, a := range all {
		wire[i] = client.Attempt{Number: a.Number, StartedAt: a.StartedAt, FinishedAt: a.FinishedAt, Error: a.Error}
	}
	return wire
}

// optional returns nil for the zero value, which the wire leaves out.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// value returns what p points to, and the zero value for nil.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
