package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

// Args are the arguments of a job: a type that marshals to a JSON object and
// names its kind. Kind must work on the zero value. Args that also have a method
// Validate() error are checked before they are stored: what it returns is an
// ErrInvalid, about the fields that its [*Error] values name or else about the
// whole. Args that implement [SecretHolder] have their secrets encrypted.
type Args interface {
	// Kind names what is to be done, such as "http.request": 1 to 64 letters,
	// digits and the characters _ . : - /.
	Kind() string
}

// Func handles one attempt of a job. It may run more than once for the same
// job: after an error, after a crash of its process, and at the same time as a
// late earlier attempt of a process that hung. What it returns is stored only
// while its lease holds.
//
// An error is retried with backoff until the attempts are used up. An error of
// the SDK that says invalid, unauthenticated, forbidden or not found, or one that
// [Permanent] wraps, ends the job at once. The context ends at the timeout, when
// the job is cancelled, when the lease is lost, and when the worker stops.
type Func[A Args, R any] func(ctx context.Context, job *Job[A]) (R, error)

// KindOptions are the defaults of a kind. The zero value of each field means
// the default given with it.
type KindOptions struct {
	// Queue is where jobs of this kind wait. Default: "default".
	Queue string
	// Priority orders them within the queue, 1 first to 9 last. Default: 5.
	Priority int
	// MaxAttempts bounds how often a job is tried, 1 to 1000. Default: 12.
	MaxAttempts int
	// Timeout bounds one attempt. Default: 10 minutes; [NoTimeout] for no bound.
	Timeout time.Duration
	// Backoff returns how long to wait after the given failed attempt, counted
	// from 1. Default: [Backoff].
	Backoff func(attempt int) time.Duration
	// Paid jobs cost money each time that they run, so a crash must repeat as few as
	// can be: how an attempt ended is stored by itself and on disk before its place
	// goes to another job. Those of other kinds are stored many at a time.
	// Default: false.
	Paid bool
	// Schema is the JSON Schema of the arguments, in the dialect of OpenAPI 3.0,
	// for callers that send JSON. Default: derived from the Go type by the
	// package that serves HTTP.
	Schema []byte
}

// NoTimeout is the timeout that lets an attempt run as long as it likes.
const NoTimeout time.Duration = -1

// Kind describes a registered kind.
type Kind struct {
	// Name is what Args.Kind returns.
	Name string
	// Options are the kind's defaults, with every field set but Schema.
	Options KindOptions
	// Args is the Go type of the arguments.
	Args reflect.Type

	decode func(args []byte) (Args, error)
	run    func(ctx context.Context, w *Worker, info Info, settled func()) (result []byte, err error)
}

// Validator checks a struct, such as by its validate tags.
type Validator interface {
	// Struct returns an error that is or joins [*Error] values where s breaks a
	// rule.
	Struct(s any) error
}

// RegistryOptions configure a [Registry]. All fields are optional.
type RegistryOptions struct {
	// Validator checks arguments before they are stored. Default: none.
	Validator Validator
	// Sealer encrypts the secrets of args that implement [SecretHolder]. Without
	// one, such args are refused if they hold a secret.
	Sealer Sealer
	// Intake hooks wrap what takes jobs in, the first outermost. Schedules store
	// theirs without. Default: none.
	Intake []IntakeHook
	// Execution hooks wrap each attempt, the first outermost. Default: none.
	Execution []ExecutionHook
	// Signals tell workers of other processes what this one stores and cancels, if
	// they have them too. Default: none; they find it by looking.
	Signals Signals
	// Logger gets what [Registry.SendSignals] cannot tell a caller; a worker uses its
	// own. Default: discard.
	Logger *slog.Logger
}

// Registry knows the kinds of jobs that a program can run. A queue and a worker
// that share one also share wake-ups: what the queue stores, the worker takes at
// once; and what both do is told to whoever subscribes or watches. It is safe for concurrent use.
type Registry struct {
	opts RegistryOptions

	kinds  sync.Map      // from names to *Kind; read for each job by many goroutines
	wakes  wakes[string] // by queue
	runs   runs
	events events
	// outbox holds what is to be told to other processes.
	outbox outbox
}

// NewRegistry returns an empty registry. Options may be nil.
func NewRegistry(opts *RegistryOptions) *Registry {
	r := &Registry{outbox: newOutbox(rand.Int64())}
	if opts != nil {
		r.opts = *opts
	}
	if r.opts.Logger == nil {
		r.opts.Logger = slog.New(slog.DiscardHandler)
	}
	return r
}

// Handle registers fn for the kind of A. Options may be nil. It returns an
// ErrInvalid if the kind's name or an option is out of range and an ErrConflict
// if the kind is registered already.
func Handle[A Args, R any](r *Registry, fn Func[A, R], opts *KindOptions) error {
	var zero A
	kind := &Kind{Name: zero.Kind(), Args: reflect.TypeFor[A]()}
	if opts != nil {
		kind.Options = *opts
	}
	kind.Options.setDefaults()
	if err := kind.Options.validate(kind.Name); err != nil {
		return fmt.Errorf("jobs: handle %s: %w", kind.Name, err)
	}
	kind.decode = func(raw []byte) (Args, error) {
		var args A
		err := unmarshalStrict(raw, &args)
		return args, err
	}
	kind.run = func(ctx context.Context, w *Worker, info Info, settled func()) ([]byte, error) {
		job := &Job[A]{Info: info, worker: w, settled: settled}
		if err := decodeArgs(r.opts.Sealer, info, &job.Args); err != nil {
			return nil, Permanent(err)
		}
		result, err := fn(ctx, job)
		if err != nil {
			return nil, err
		}
		return encodeResult(result)
	}

	if _, ok := r.kinds.LoadOrStore(kind.Name, kind); ok {
		return fmt.Errorf("jobs: handle %s: registered already: %w", kind.Name, ErrConflict)
	}
	return nil
}

// Kind returns the kind with the given name, or an ErrUnknownKind.
func (r *Registry) Kind(name string) (Kind, error) {
	if kind, ok := r.lookup(name); ok {
		return *kind, nil
	}
	return Kind{}, fmt.Errorf("jobs: %w", errUnknownKind())
}

// Kinds returns all registered kinds, ordered by name.
func (r *Registry) Kinds() []Kind {
	var all []Kind
	r.kinds.Range(func(_, v any) bool {
		kind, ok := v.(*Kind)
		if ok {
			all = append(all, *kind)
		}
		return ok
	})
	slices.SortFunc(all, func(a, b Kind) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// lookup returns the kind with the given name, or one without anything. Nobody may change
// it.
func (r *Registry) lookup(name string) (*Kind, bool) {
	v, _ := r.kinds.Load(name)
	if kind, ok := v.(*Kind); ok {
		return kind, true
	}
	return &Kind{}, false
}

// validate checks args by their own rules and then by the Validator's.
func (r *Registry) validate(args any) error {
	if v, ok := args.(interface{ Validate() error }); ok {
		err := v.Validate()
		if err != nil && len(fault.All(err)) == 0 {
			return invalid("", "invalid", storable(err.Error(), 256))
		}
		if err != nil {
			return err
		}
	}
	if r.opts.Validator == nil {
		return nil
	}
	return r.opts.Validator.Struct(args)
}

func (o *KindOptions) setDefaults() {
	if o.Queue == "" {
		o.Queue = DefaultQueue
	}
	if o.Priority == 0 {
		o.Priority = 5
	}
	if o.MaxAttempts == 0 {
		o.MaxAttempts = 12
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Minute
	}
	if o.Backoff == nil {
		o.Backoff = Backoff
	}
}

func (o *KindOptions) validate(kind string) error {
	return errors.Join(
		checkName("/kind", kind),
		checkName("/queue", o.Queue),
		checkRange("/priority", o.Priority, 9),
		checkRange("/max_attempts", o.MaxAttempts, 1000),
		checkTimeout("/timeout", o.Timeout),
	)
}

func errUnknownKind() error {
	return &Error{Kind: ErrUnknownKind, Code: "unknown_kind", Field: "/kind", Detail: "is not a kind that this service runs"}
}

// unmarshalStrict decodes one JSON object and refuses fields that v lacks.
func unmarshalStrict(raw []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return strictError(raw, err)
	}
	if _, end := dec.Token(); !errors.Is(end, io.EOF) {
		return invalid("", "trailing_data", "must not be followed by more data")
	}
	if !isObject(raw) { // null decodes into anything
		return invalid("", "wrong_type", "must be a JSON object")
	}
	return nil
}

func isObject(raw []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) }

// strictError says in our words what the decoder did not like.
func strictError(raw []byte, err error) error {
	if typeErr, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return invalid(pointer(typeErr.Field), "wrong_type", "has the wrong type")
	}
	// encoding/json has no type for this error; the name is in its text alone,
	// and without the path to it.
	if quoted, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		var top map[string]json.RawMessage
		name, _ := strconv.Unquote(quoted)
		if json.Unmarshal(raw, &top) != nil || top[name] == nil {
			return invalid("", "unknown_field", "has a field that these arguments do not know")
		}
		return invalid("/"+pointerEscaper.Replace(name), "unknown_field", "is not a field of these arguments")
	}
	return invalid("", "invalid_json", "is not the JSON of the kind's arguments")
}
