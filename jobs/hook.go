package jobs

import (
	"context"
	"slices"
)

// IntakeHook wraps every call that takes jobs in, such as to check them, count them or
// add to their options. It calls next once, with the entries as they are to be stored,
// and may change what it returns; or it returns an error, and no job is stored. Entries
// are not checked yet. It runs in the caller's goroutine and, if the caller has one, in
// its transaction: on SQLite, whose file has one writer, a hook that asks the database by
// other means waits for that transaction, and the transaction for the hook.
type IntakeHook func(ctx context.Context, entries []Entry, next func(ctx context.Context, entries []Entry) ([]Info, error)) ([]Info, error)

// ExecutionHook wraps every attempt of a job, such as to trace it or to put something
// into its context. It calls next once and returns its error or another, which then
// counts as the handler's; or it returns an error without, and the handler does not
// run. Secrets in the arguments read "[secret]".
type ExecutionHook func(ctx context.Context, job Info, next func(ctx context.Context) error) error

// intake runs the hooks around next, the first outermost.
func (r *Registry) intake(ctx context.Context, entries []Entry, next func(context.Context, []Entry) ([]Info, error)) ([]Info, error) {
	for _, hook := range slices.Backward(r.opts.Intake) {
		inner := next
		next = func(ctx context.Context, entries []Entry) ([]Info, error) { return hook(ctx, entries, inner) }
	}
	return next(ctx, entries)
}

// execution runs the hooks around an attempt, the first outermost.
func (r *Registry) execution(ctx context.Context, job Info, run func(ctx context.Context) ([]byte, error)) (result []byte, err error) {
	if len(r.opts.Execution) == 0 {
		return run(ctx)
	}
	return r.hooked(ctx, job, run)
}

// hooked is apart from execution, which then needs no copy of the job on the heap where
// there are no hooks.
func (r *Registry) hooked(ctx context.Context, job Info, run func(ctx context.Context) ([]byte, error)) (result []byte, err error) {
	next := func(ctx context.Context) (err error) {
		result, err = run(ctx)
		return err
	}
	job.Args = redact(job.Args)
	for _, hook := range slices.Backward(r.opts.Execution) {
		inner := next
		next = func(ctx context.Context) error { return hook(ctx, job.clone(), inner) }
	}
	err = next(ctx)
	return result, err
}
