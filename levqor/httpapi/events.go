package httpapi

import (
	"context"
	"iter"
	"strconv"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
)

// WatchJob implements the operation.
func (s *server) WatchJob(ctx context.Context, req oas.WatchJobRequestObject) (oas.WatchJobResponseObject, error) {
	info, err := s.job(ctx, req.ID, (*jobs.Queue).Get) // a job that is not there is an answer, not a stream
	if err != nil {
		return nil, err
	}
	queue := s.app.Jobs.ForTenant(caller(ctx).Tenant)
	return stream{s, ctx, func(ctx context.Context) iter.Seq2[message, error] {
		return jobMessages(queue.Follow(ctx, info.ID, value(req.Params.LastEventID)))
	}}, nil
}

// WatchJobs implements the operation.
func (s *server) WatchJobs(ctx context.Context, req oas.WatchJobsRequestObject) (oas.WatchJobsResponseObject, error) {
	states, err := parseStates(req.Params.State)
	if err != nil {
		return nil, err
	}
	query := jobs.ListQuery{States: states, Kind: value(req.Params.Kind), Queue: value(req.Params.Queue), Limit: limitOf(req.Params.Limit)}
	queue := s.app.Jobs.ForTenant(caller(ctx).Tenant)
	return stream{s, ctx, func(ctx context.Context) iter.Seq2[message, error] { return listMessages(queue.WatchList(ctx, query)) }}, nil
}

func jobMessages(followed iter.Seq2[jobs.Followed, error]) iter.Seq2[message, error] {
	return func(yield func(message, error) bool) {
		for f, err := range followed {
			if err != nil {
				yield(message{}, err)
				return
			}
			for _, line := range f.Lines {
				if !yield(message{event: "log", id: strconv.Itoa(line.Line), data: wireLine(line)}, nil) {
					return
				}
			}
			if len(f.Lines) > 0 {
				continue
			}
			m := message{event: "job", data: wireJob(f.Job)}
			if f.Job.State.Final() {
				m.event = "end"
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

func listMessages(changes iter.Seq2[jobs.Listed, error]) iter.Seq2[message, error] {
	return func(yield func(message, error) bool) {
		for l, err := range changes {
			m := message{event: "job", data: wireJob(l.Job)}
			if l.Gone {
				m = message{event: "gone", data: map[string]string{"id": l.Job.ID.String()}}
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

func wireLine(l jobs.LogLine) client.LogLine {
	return client.LogLine{Line: l.Line, Attempt: l.Attempt, At: l.At, Text: l.Text}
}
