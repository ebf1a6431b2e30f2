package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
)

// ListSchedules implements the operation.
func (s *server) ListSchedules(ctx context.Context, req oas.ListSchedulesRequestObject) (oas.ListSchedulesResponseObject, error) {
	tenant, limit, after := caller(ctx).Tenant, limitOf(req.Params.Limit), ""
	if req.Params.Cursor != nil {
		last, err := s.parseCursor("schedules", tenant, nil, *req.Params.Cursor)
		if err != nil {
			return nil, err
		}
		after = string(last)
	}
	all, err := s.schedules(ctx).List(ctx, after, limit+1)
	if err != nil {
		return nil, err
	}
	page := oas.ListSchedules200JSONResponse{Data: []client.Schedule{}, HasMore: len(all) > limit}
	for _, schedule := range all[:min(limit, len(all))] {
		page.Data = append(page.Data, s.wireSchedule(schedule))
	}
	if page.HasMore {
		next := s.cursor("schedules", tenant, nil, []byte(all[limit-1].Name))
		page.NextCursor = &next
	}
	return page, nil
}

// PutSchedule implements the operation.
func (s *server) PutSchedule(ctx context.Context, req oas.PutScheduleRequestObject) (oas.PutScheduleResponseObject, error) {
	if err := s.schemas.check(req.Body.Kind, req.Body.Args); err != nil {
		return nil, err
	}
	plan, err := planOf(req.Body)
	if err != nil {
		return nil, err
	}
	schedule, err := s.schedules(ctx).PutJSON(ctx, req.Name, plan, req.Body.Kind, req.Body.Args)
	return oas.PutSchedule200JSONResponse(s.wireSchedule(schedule)), err
}

// GetSchedule implements the operation.
func (s *server) GetSchedule(ctx context.Context, req oas.GetScheduleRequestObject) (oas.GetScheduleResponseObject, error) {
	schedule, err := s.schedules(ctx).Get(ctx, req.Name)
	return oas.GetSchedule200JSONResponse(s.wireSchedule(schedule)), err
}

// DeleteSchedule implements the operation.
func (s *server) DeleteSchedule(ctx context.Context, req oas.DeleteScheduleRequestObject) (oas.DeleteScheduleResponseObject, error) {
	return oas.DeleteSchedule204Response{}, s.schedules(ctx).Delete(ctx, req.Name)
}

// PauseSchedule implements the operation.
func (s *server) PauseSchedule(ctx context.Context, req oas.PauseScheduleRequestObject) (oas.PauseScheduleResponseObject, error) {
	schedule, err := s.schedules(ctx).Pause(ctx, req.Name)
	return oas.PauseSchedule200JSONResponse(s.wireSchedule(schedule)), err
}

// ResumeSchedule implements the operation.
func (s *server) ResumeSchedule(ctx context.Context, req oas.ResumeScheduleRequestObject) (oas.ResumeScheduleResponseObject, error) {
	schedule, err := s.schedules(ctx).Resume(ctx, req.Name)
	return oas.ResumeSchedule200JSONResponse(s.wireSchedule(schedule)), err
}

// RunSchedule implements the operation. The job and the answer to a repetition
// commit together.
func (s *server) RunSchedule(ctx context.Context, req oas.RunScheduleRequestObject) (oas.RunScheduleResponseObject, error) {
	scope := scopeOf(ctx, "POST /api/v1/schedules/{name}/run", req.Params.IdempotencyKey)
	answer, replayed, err := s.app.Idempotency.Do(ctx, scope, fingerprint(req.Name), func(ctx context.Context, tx levqor.Stores) (levqor.Answer, error) {
		fire, err := s.schedules(ctx).With(tx.Schedules, tx.Jobs).RunNow(ctx, req.Name)
		if err != nil {
			return levqor.Answer{}, err
		}
		return jobCreated(fire.Job, wireFire(fire))
	})
	return created{answer, replayed}, err
}

// ListFires implements the operation.
func (s *server) ListFires(ctx context.Context, req oas.ListFiresRequestObject) (oas.ListFiresResponseObject, error) {
	fires, err := s.schedules(ctx).Fires(ctx, req.Name, value(req.Params.Before), limitOf(req.Params.Limit))
	list := oas.ListFires200JSONResponse{Data: []client.Fire{}}
	for _, fire := range fires {
		list.Data = append(list.Data, wireFire(fire))
	}
	return list, err
}

// schedules returns those of the caller's tenant.
func (s *server) schedules(ctx context.Context) *jobs.Schedules {
	return s.app.Schedules.ForTenant(caller(ctx).Tenant)
}

func planOf(b *client.NewSchedule) (jobs.Plan, error) {
	plan := jobs.Plan{Spec: b.Spec, TimeZone: value(b.TimeZone), MaxCatchUp: value(b.MaxCatchUp), Options: &jobs.EnqueueOptions{
		Queue: value(b.Queue), Priority: value(b.Priority), MaxAttempts: value(b.MaxAttempts), Timeout: seconds(value(b.TimeoutSeconds)),
		LimitKey: value(b.LimitKey), Metadata: b.Metadata,
	}}
	if b.CatchUp == nil {
		return plan, nil
	}
	policy, err := jobs.ParseCatchUp(string(*b.CatchUp))
	plan.CatchUp = policy
	return plan, err
}

// upcomingTimes is how many next times a schedule shows.
const upcomingTimes = 5

func (s *server) wireSchedule(schedule jobs.Schedule) client.Schedule {
	wire := client.Schedule{
		Name: schedule.Name, Spec: schedule.Spec, TimeZone: schedule.TimeZone,
		CatchUp: client.CatchUp(schedule.CatchUp.String()), MaxCatchUp: schedule.MaxCatchUp,
		Kind: schedule.Kind, Args: json.RawMessage(schedule.Args), Queue: schedule.Queue, Priority: schedule.Priority,
		MaxAttempts: schedule.MaxAttempts, Paused: schedule.Paused, LimitKey: optional(schedule.LimitKey), Metadata: schedule.Metadata,
		NextAt: optional(schedule.NextAt), LastAt: optional(schedule.LastAt), CreatedAt: schedule.CreatedAt,
	}
	if wire.TimeZone == "" {
		wire.TimeZone = "UTC"
	}
	if schedule.Timeout > 0 {
		n := schedule.Timeout.Seconds()
		wire.TimeoutSeconds = &n
	}
	next, _ := s.app.Schedules.Next(schedule, upcomingTimes) // none where this node cannot read the plan
	wire.Upcoming = append([]time.Time{}, next...)
	return wire
}

func wireFire(fire jobs.Fire) client.Fire { return client.Fire{At: fire.At, JobID: fire.Job.String()} }

// VisitRunScheduleResponse implements the generated interface.
func (c created) VisitRunScheduleResponse(w http.ResponseWriter) error { return c.write(w) }
