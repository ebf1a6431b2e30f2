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
	var page client.SchedulePage
	page.Data, page.HasMore = wirePage(all, limit, s.wireSchedule)
	if page.HasMore {
		page.NextCursor = new(s.cursor("schedules", tenant, nil, []byte(all[limit-1].Name)))
	}
	return oas.ListSchedules200JSONResponse{Body: page}, nil
}

// PutSchedule implements the operation.
func (s *server) PutSchedule(ctx context.Context, req oas.PutScheduleRequestObject) (oas.PutScheduleResponseObject, error) {
	if err := s.schemas.check(req.Body.Kind, sentArgs(ctx)); err != nil {
		return nil, err
	}
	plan, err := planOf(req.Body)
	if err != nil {
		return nil, err
	}
	schedules := s.schedules(ctx)
	if match := req.Params.IfMatch; match != nil {
		schedules = schedules.OnlyIf(func(before jobs.Schedule) error { return s.unchangedSchedule(match, before) })
	}
	schedule, err := schedules.PutJSON(ctx, req.Name, plan, req.Body.Kind, req.Body.Args)
	wire := s.wireSchedule(schedule)
	return oas.PutSchedule200JSONResponse{Body: wire, Headers: oas.PutSchedule200ResponseHeaders{ETag: scheduleTag(schedule, wire)}}, err
}

// GetSchedule implements the operation.
func (s *server) GetSchedule(ctx context.Context, req oas.GetScheduleRequestObject) (oas.GetScheduleResponseObject, error) {
	schedule, err := s.schedules(ctx).Get(ctx, req.Name)
	wire := s.wireSchedule(schedule)
	return oas.GetSchedule200JSONResponse{Body: wire, Headers: oas.GetSchedule200ResponseHeaders{ETag: scheduleTag(schedule, wire)}}, err
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

// unchangedSchedule is unchanged for a schedule; one that is not there has no version.
func (s *server) unchangedSchedule(ifMatch *string, before jobs.Schedule) error {
	if before.Version == 0 {
		return errPrecondition
	}
	return unchanged(ifMatch, scheduleSettings(before, s.wireSchedule(before)))
}

func scheduleTag(schedule jobs.Schedule, wire client.Schedule) string {
	return etagOf(scheduleSettings(schedule, wire), wire)
}

// scheduleSettings leaves out what changes when a schedule fires, and has what nobody is
// shown: secrets that were put meanwhile look as those before, and are not to be replaced
// unseen. It has none of their digits, which a caller might try to guess by the tag.
func scheduleSettings(schedule jobs.Schedule, wire client.Schedule) any {
	wire.NextAt, wire.LastAt, wire.Upcoming = nil, nil, nil
	return struct {
		Wire client.Schedule
		Seal string
	}{wire, schedule.Seal}
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
