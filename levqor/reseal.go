package levqor

import (
	"context"
	"fmt"

	"github.com/levqor/sdk/jobs"
)

// ResealKind is the kind of the job that runs [App.Reseal].
const ResealKind = "levqor.reseal"

// ResealReport says what [App.Reseal] has done.
type ResealReport struct {
	// Resealed is how many values it has sealed anew; a job or a schedule is one, and so is
	// the secret of an authenticator app or of an identity provider.
	Resealed int `json:"resealed"`
	// Unreadable is how many no secret of the ring opens: sealed by one that is gone, or
	// texts of callers that look sealed. They are as they were.
	Unreadable int `json:"unreadable"`
}

// ResealStep seals anew what a room or a host keeps sealed by [KeyRing.Sealer].
type ResealStep struct {
	// Name says what of, such as "webhooks".
	Name string
	// Run seals by the current secret all that an old one sealed, in batches, and calls
	// tell with what it has done so far after each. It fences each change against others,
	// since the service runs meanwhile, and may be interrupted and called again: sealer
	// tells what is done.
	Run func(ctx context.Context, sealer jobs.KeyedSealer, tell func(ResealReport)) (ResealReport, error)
}

// resealSteps is all that is sealed.
func (a *App) resealSteps() []ResealStep {
	own := []ResealStep{
		{Name: "jobs", Run: a.resealJobs},
		resealRoom("authenticator apps", a.Factors.Reseal),
		resealRoom("identity providers", a.SSO.Reseal),
	}
	return append(own, a.opts.ResealSteps...)
}

// Reseal seals by the current secret all that an old one sealed. What is hashed it does not
// reach: API keys that were not used since, recovery codes, open invitations and entries of
// the security log still need [Options.OldSecrets], which says what ends without. The service may
// run meanwhile, on any number of nodes that all have the current secret; those that still
// seal by another one should be gone. What is interrupted is called again and skips what is
// done. It returns what was done, also with an error.
func (a *App) Reseal(ctx context.Context) (ResealReport, error) {
	return a.reseal(ctx, func(ResealReport) error { return nil })
}

// reseal calls tell after each batch; an error of it ends the work.
func (a *App) reseal(ctx context.Context, tell func(ResealReport) error) (ResealReport, error) {
	var total ResealReport
	for _, step := range a.resealSteps() {
		stepCtx, stop := context.WithCancelCause(ctx)
		done, err := step.Run(stepCtx, a.KeyRing.Sealer(), func(r ResealReport) {
			if err := tell(total.plus(r)); err != nil {
				stop(err)
			}
		})
		cause := context.Cause(stepCtx)
		stop(nil)
		total = total.plus(done)
		if err == nil {
			err = cause
		}
		if err != nil {
			return total, fmt.Errorf("levqor: reseal %s: %w", step.Name, err)
		}
	}
	return total, nil
}

func (r ResealReport) plus(other ResealReport) ResealReport {
	return ResealReport{Resealed: r.Resealed + other.Resealed, Unreadable: r.Unreadable + other.Unreadable}
}

func (a *App) resealJobs(ctx context.Context, _ jobs.KeyedSealer, tell func(ResealReport)) (ResealReport, error) {
	done, err := a.Registry.Reseal(ctx, a.stores.Sealed, func(r jobs.ResealReport) { tell(ResealReport(r)) })
	return ResealReport(done), err
}

// resealBatch bounds what is read at once.
const resealBatch = 200

// sealAnew returns what is to be stored in the place of a sealed value that is bound to aad.
type sealAnew = func(sealed string, aad []byte) (string, error)

// resealRoom returns the step of a room that gives its sealed values one by one, by their
// holders, until there is none after the last.
func resealRoom[ID ~int64](name string, next func(ctx context.Context, after ID, limit int, seal sealAnew) (ID, error)) ResealStep {
	return ResealStep{Name: name, Run: func(ctx context.Context, sealer jobs.KeyedSealer, tell func(ResealReport)) (ResealReport, error) {
		var done ResealReport
		for last := ID(0); ; tell(done) {
			var err error
			if last, err = next(ctx, last, resealBatch, sealBy(sealer, &done)); err != nil || last == 0 {
				return done, err
			}
		}
	}}
}

// sealBy seals by the sealer's current key what another one sealed, and counts it.
func sealBy(sealer jobs.KeyedSealer, done *ResealReport) sealAnew {
	return func(sealed string, aad []byte) (string, error) {
		if _, current := sealer.Sealed(sealed); current {
			return sealed, nil
		}
		plain, err := sealer.Open(sealed, aad)
		if err != nil {
			done.Unreadable++
			return sealed, nil //nolint:nilerr // it stays as it is, and the others are sealed anew
		}
		done.Resealed++
		return sealer.Seal(plain, aad)
	}
}

// resealArgs are those of the job that runs [App.Reseal].
type resealArgs struct{}

// Kind implements [jobs.Args].
func (resealArgs) Kind() string { return ResealKind }

// StartReseal stores a job that runs [App.Reseal], unless one of the tenant waits or runs:
// then that one is returned with Duplicate set.
func (a *App) StartReseal(ctx context.Context, tenant string) (jobs.Info, error) {
	return a.Jobs.ForTenant(tenant).Enqueue(ctx, resealArgs{}, &jobs.EnqueueOptions{Unique: &jobs.Unique{}})
}

// handleReseal registers the job. It takes as long as there is something to do.
func (a *App) handleReseal() error {
	return jobs.Handle(a.Registry, func(ctx context.Context, job *jobs.Job[resealArgs]) (ResealReport, error) {
		return a.reseal(ctx, func(r ResealReport) error {
			return job.Report(ctx, jobs.Progress{Note: fmt.Sprintf("%d sealed anew, %d unreadable", r.Resealed, r.Unreadable)})
		})
	}, &jobs.KindOptions{Timeout: jobs.NoTimeout})
}
