package httpapi

import (
	"context"
	"encoding/binary"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
)

// bulkLimit bounds the jobs that one request looks at.
const bulkLimit = 10_000

// ChangeJobs implements the operation.
func (s *server) ChangeJobs(ctx context.Context, req oas.ChangeJobsRequestObject) (oas.ChangeJobsResponseObject, error) {
	tenant := caller(ctx).Tenant
	change, err := s.bulkChange(tenant, req.Body)
	if err != nil {
		return nil, err
	}
	result, err := s.app.Jobs.ForTenant(tenant).ChangeMany(ctx, change)
	if err != nil {
		return nil, err
	}
	wire := oas.ChangeJobs200JSONResponse{Changed: result.Changed, HasMore: !result.Done}
	if wire.HasMore {
		next := s.cursor("bulk", tenant, bulkFilters(change), binary.BigEndian.AppendUint64(nil, uint64(result.Last)))
		wire.NextCursor = &next
	}
	return wire, nil
}

func (s *server) bulkChange(tenant string, b *client.BulkChange) (jobs.BulkChange, error) {
	operation, err := jobs.ParseOperation(string(b.Operation))
	if err != nil {
		return jobs.BulkChange{}, err
	}
	f := b.Filter
	change := jobs.BulkChange{Operation: operation, Priority: value(b.Priority), Queue: value(b.Queue), Limit: bulkLimit, Filter: jobs.Filter{
		Kind: value(f.Kind), Queue: value(f.Queue), CreatedFrom: value(f.CreatedFrom), CreatedBefore: value(f.CreatedBefore),
	}}
	if change.Filter.States, err = parseStates(f.States); err != nil || b.Cursor == nil {
		return change, err
	}
	last, err := s.parseCursor("bulk", tenant, bulkFilters(change), *b.Cursor)
	if err != nil || len(last) != 8 {
		return change, errCursor
	}
	change.After = jobs.ID(binary.BigEndian.Uint64(last))
	return change, nil
}

// bulkFilters are what a cursor of the change holds for.
func bulkFilters(c jobs.BulkChange) any { return []any{c.Operation, c.Filter, c.Priority, c.Queue} }

func parseStates(names []client.JobState) ([]jobs.State, error) {
	var states []jobs.State
	for _, name := range names {
		state, err := jobs.ParseState(string(name))
		if err != nil {
			return nil, err
		}
		states = append(states, state)
	}
	return states, nil
}
