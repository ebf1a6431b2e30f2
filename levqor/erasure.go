package levqor

import (
	"context"
	"errors"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor/identity"
)

// workEraser ends the work of a deleted tenant: it deletes the schedules, so that they
// store no more jobs, cancels the jobs that are not over, and deletes them all.
type workEraser struct {
	jobs      *jobs.Queue
	schedules *jobs.Schedules
}

// answerEraser removes the answers that were kept for a deleted tenant's repetitions, which
// hold what it has made.
type answerEraser struct{ records IdempotencyStore }

// EraseTenant implements [identity.TenantEraser].
func (e answerEraser) EraseTenant(ctx context.Context, tenant identity.Tenant) error {
	for {
		n, err := e.records.DeleteTenant(ctx, tenant.ID.String(), tidyBatch)
		if err != nil || n < tidyBatch {
			return err
		}
	}
}

// schedulesErased is how many schedules are read at a time.
const schedulesErased = 100

// EraseTenant implements [identity.TenantEraser].
func (e workEraser) EraseTenant(ctx context.Context, tenant identity.Tenant) error {
	schedules := e.schedules.ForTenant(tenant.ID.String())
	for {
		some, err := schedules.List(ctx, "", schedulesErased)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			break
		}
		for _, s := range some {
			if err := schedules.Delete(ctx, s.Name); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
	}
	queue := e.jobs.ForTenant(tenant.ID.String())
	if _, err := queue.ChangeMany(ctx, jobs.BulkChange{Operation: jobs.BulkCancel}); err != nil {
		return err
	}
	return queue.Forget(ctx)
}
