package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

// EnqueueOptions override the defaults of a job's kind. The zero value of each
// field means the kind's default, or the package's where this process has not
// registered the kind.
type EnqueueOptions struct {
	// Tenant owns the job. Default: the queue's tenant. A queue made by
	// [Queue.ForTenant] refuses any other.
	Tenant string
	// Queue is where the job waits.
	Queue string
	// Priority orders the job within its queue, 1 first to 9 last.
	Priority int
	// MaxAttempts bounds how often it is tried, 1 to 1000.
	MaxAttempts int
	// Timeout bounds one attempt; [NoTimeout] for no bound.
	Timeout time.Duration
	// RunAt is the earliest time to run. Default: now. An instant that has passed
	// means now but sorts before younger jobs.
	RunAt time.Time
	// Delay is how long to wait at least, by the store's clock. It excludes RunAt.
	Delay time.Duration
	// LimitKey is what the queue's limits per key count the job by, such as the host
	// that it calls: up to 256 bytes. Among the jobs of a tenant those with different
	// keys share the places. Default: none.
	LimitKey string
	// Metadata are labels that travel with the job, for hooks, such as the context of
	// a trace, and for people: at most [MaxMetadata] entries. Names are 1 to 64
	// letters, digits and the characters _ . : - /, values at most
	// [MaxMetadataValue] bytes of text. Default: none.
	Metadata map[string]string
	// Unique keeps the job from repeating another. Default: it may repeat any.
	Unique *Unique
}

// Entry is one job of an [Queue.EnqueueMany].
type Entry struct {
	// Args say what is to be done.
	Args Args
	// Options may be nil.
	Options *EnqueueOptions
}

// Enqueue stores a job and returns it. Options may be nil. If the job is to be unique
// and is there, that one is returned with Duplicate set. It returns an
// ErrInvalid that names each wrong field below "/args" or among the options; the
// job is then not stored.
func (q *Queue) Enqueue(ctx context.Context, args Args, opts *EnqueueOptions) (Info, error) {
	infos, err := q.EnqueueMany(ctx, []Entry{{Args: args, Options: opts}})
	if err != nil {
		return Info{}, err
	}
	if len(infos) == 0 {
		return Info{}, errors.New("jobs: enqueue: an intake hook took the job away and returned no error")
	}
	return infos[0], nil
}

// EnqueueMany stores all of the jobs or none, and returns them in order. Those that
// are to be unique and are there are returned with Duplicate set and do not keep the
// others from being stored; of one that cannot be read any more ID, Tenant and Kind are
// told alone, or an error if nothing was stored. The field of an ErrInvalid begins with the index of the job,
// such as "/3/args/url", where there is more than one. Of a thousand jobs and more some
// are checked and written as JSON at the same time, so their arguments share nothing that
// these methods change.
func (q *Queue) EnqueueMany(ctx context.Context, entries []Entry) ([]Info, error) {
	return q.registry.intake(ctx, entries, q.enqueueMany)
}

func (q *Queue) enqueueMany(ctx context.Context, entries []Entry) ([]Info, error) {
	infos, batch := make([]Info, len(entries)), make([]Insertion, len(entries))
	now := q.clock()
	for i := range batch {
		batch[i].Info = &infos[i]
		batch[i].ID = q.ids.next(now)
	}
	err := inHalves(len(batch), func(i int) error { return among(entries, i, q.complete(&batch[i], entries[i])) })
	if err == nil {
		err = q.insert(ctx, entries, batch)
	}
	if err == nil {
		err = q.present(ctx, infos, batch)
	}
	if err != nil {
		return nil, fmt.Errorf("jobs: enqueue: %w", err)
	}
	return infos, nil
}

// sharedBatch is how many jobs are worth a second goroutine.
const sharedBatch = 1000

// inHalves calls do for each index below n and returns the errors, those of lower indexes
// first. Of a long batch another goroutine takes one half, since the store has nothing to
// do before all jobs are known to be sound. It returns when both have ended, and passes a
// panic on.
func inHalves(n int, do func(i int) error) error {
	if n < sharedBatch {
		return errors.Join(each(0, n, do)...)
	}
	var low, high []error
	func() {
		ended := make(chan any, 1)
		go func() {
			var how any = errors.New("jobs: the goroutine was ended by a method of the arguments")
			defer func() {
				if p := recover(); p != nil {
					how = p
				}
				ended <- how
			}()
			low = each(0, n/2, do)
			how = nil
		}()
		defer func() {
			if p := <-ended; p != nil {
				panic(p)
			}
		}()
		high = each(n/2, n, do)
	}()
	return errors.Join(append(low, high...)...)
}

func each(from, to int, do func(i int) error) (errs []error) {
	for i := from; i < to; i++ {
		if err := do(i); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// among returns an error about one of the entries with its index before the fields, if
// there are others.
func among(entries []Entry, i int, err error) error {
	if err == nil || len(entries) == 1 {
		return err
	}
	return fault.Under(fmt.Sprintf("/%d", i), err)
}

// EnqueueJSON stores a job whose arguments come as the JSON text of a registered
// kind, and returns it. It returns an ErrUnknownKind for any other kind, and an
// ErrInvalid as Enqueue does, also for fields that the kind does not know.
func (q *Queue) EnqueueJSON(ctx context.Context, kind string, args []byte, opts *EnqueueOptions) (Info, error) {
	k, err := q.registry.Kind(kind)
	if err != nil {
		return Info{}, err
	}
	decoded, err := k.decode(args)
	if err != nil {
		return Info{}, fmt.Errorf("jobs: enqueue: %w", fault.Under("/args", err))
	}
	return q.Enqueue(ctx, decoded, opts)
}

// complete checks a job that has an ID and fills in all else.
func (q *Queue) complete(in *Insertion, e Entry) (err error) {
	if err := q.prepare(in, e); err != nil {
		return err
	}
	in.Args, err = q.seal(in.Kind, in.ID, e.Args)
	return err
}

// prepare checks a job and fills in all but its ID and arguments.
func (q *Queue) prepare(in *Insertion, e Entry) error {
	args, opts := e.Args, e.Options
	if v := reflect.ValueOf(args); args == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return invalid("/args", "required", "must not be nil")
	}
	if opts == nil {
		opts = &EnqueueOptions{}
	}
	name := args.Kind()
	kind, _ := q.registry.lookup(name)
	o := kind.Options
	o.setDefaults()
	// Field by field: a batch is new, and setting all of each costs a third of the time.
	in.Tenant, in.Kind, in.Queue = cmp.Or(opts.Tenant, q.tenant), name, cmp.Or(opts.Queue, o.Queue)
	in.Priority, in.MaxAttempts = cmp.Or(opts.Priority, o.Priority), cmp.Or(opts.MaxAttempts, o.MaxAttempts)
	in.Timeout, in.RunAt, in.Delay, in.LimitKey = cmp.Or(opts.Timeout, o.Timeout), opts.RunAt, opts.Delay, opts.LimitKey
	in.Metadata = ownMetadata(opts.Metadata)
	var wrong problems
	q.checkOptions(&wrong, in, opts)
	wrong.add(opts.Unique.validate())
	wrong.add(fault.Under("/args", q.registry.validate(args)))
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	var err error
	in.Unique, err = opts.Unique.rule(name, args)
	return err
}

func (q *Queue) checkOptions(wrong *problems, p *Insertion, opts *EnqueueOptions) {
	wrong.add(checkName("/kind", p.Kind))
	wrong.add(checkOptional("/tenant", p.Tenant))
	wrong.add(checkName("/queue", p.Queue))
	wrong.add(checkRange("/priority", p.Priority, 9))
	wrong.add(checkRange("/max_attempts", p.MaxAttempts, 1000))
	wrong.add(checkTimeout("/timeout_seconds", p.Timeout))
	wrong.add(checkMetadata(opts.Metadata))
	if p.LimitKey != "" && (len(p.LimitKey) > maxLimitKey || storable(p.LimitKey, maxLimitKey) != p.LimitKey) {
		wrong.add(invalid("/limit_key", "invalid", fmt.Sprintf("must be at most %d bytes of text", maxLimitKey)))
	}
	if q.tenant != "" && p.Tenant != q.tenant {
		wrong.add(invalid("/tenant", "other_tenant", "is not the tenant of this queue"))
	}
	if opts.Delay < 0 {
		wrong.add(invalid("/delay_seconds", "too_small", "must not be negative"))
	}
	if opts.Delay != 0 && !opts.RunAt.IsZero() {
		wrong.add(invalid("/delay_seconds", "contradictory", "excludes run_at"))
	}
	if y := opts.RunAt.UTC().Year(); !opts.RunAt.IsZero() && (y < 1970 || y > 9999) {
		wrong.add(invalid("/run_at", "out_of_range", "must lie between the years 1970 and 9999"))
	}
}

// maxLimitKey bounds [EnqueueOptions.LimitKey], in bytes.
const maxLimitKey = 256

// insert stores jobs. IDs that are taken are replaced; a second collision in a row is
// next to impossible, a third is a broken store.
func (q *Queue) insert(ctx context.Context, entries []Entry, batch []Insertion) error {
	for range 3 {
		taken, err := q.store.Insert(ctx, batch, q.now())
		if err != nil {
			return err
		}
		if len(taken) == 0 {
			q.tellStored(batch)
			return nil
		}
		for _, i := range taken {
			in := &batch[i]
			in.ID = q.ids.next(q.clock())
			if in.Args, err = q.seal(in.Kind, in.ID, entries[i].Args); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("no free job ID: %w", ErrConflict)
}

// present makes of the jobs of a batch what the caller sees. It returns an error only if
// none was stored: else that would hide those that were.
func (q *Queue) present(ctx context.Context, infos []Info, batch []Insertion) error {
	for i := range batch {
		if id := batch[i].DuplicateOf; id != 0 {
			there, err := q.store.Get(ctx, infos[i].Tenant, id)
			if err != nil && !anyStored(batch) {
				return err
			}
			if err != nil {
				there = Info{ID: id, Tenant: infos[i].Tenant, Kind: infos[i].Kind}
			}
			there.Duplicate = true
			infos[i] = there
		}
		infos[i].Args = redact(infos[i].Args)
	}
	return nil
}

// anyStored reports whether not all jobs of a batch repeat others.
func anyStored(batch []Insertion) bool {
	for i := range batch {
		if batch[i].DuplicateOf == 0 {
			return true
		}
	}
	return false
}

// seal returns the stored form of the arguments of the job id. Secrets are sealed for
// that job alone.
func (q *Queue) seal(kind string, id ID, args Args) ([]byte, error) {
	raw, err := sealArgs(q.registry.opts.Sealer, kind, id, args)
	if err != nil {
		return nil, fault.Under("/args", err)
	}
	if !isObject(raw) {
		return nil, invalid("/args", "wrong_type", "must be a JSON object")
	}
	if len(raw) > q.opts.MaxArgs {
		return nil, invalid("/args", "too_long", fmt.Sprintf("must be at most %d bytes of JSON", q.opts.MaxArgs))
	}
	return raw, nil
}
