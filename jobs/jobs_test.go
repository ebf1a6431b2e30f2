package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/levqor/sdk/jobs"
)

// add is a kind whose handler adds.
type add struct {
	A int    `json:"a"`
	B int    `json:"b"`
	S string `json:"s,omitempty"`
}

func (add) Kind() string { return "add" }

func (a add) Validate() error {
	if a.A < 0 {
		return &jobs.Error{Kind: jobs.ErrInvalid, Code: "too_small", Field: "/a", Detail: "must not be negative"}
	}
	return nil
}

// registry returns one with the kind add.
func registry(tb testing.TB) *jobs.Registry {
	tb.Helper()
	r := jobs.NewRegistry(nil)
	handle(tb, r, func(_ context.Context, job *jobs.Job[add]) (int, error) { return job.Args.A + job.Args.B, nil }, nil)
	return r
}

func handle[A jobs.Args, R any](tb testing.TB, r *jobs.Registry, fn jobs.Func[A, R], opts *jobs.KindOptions) {
	tb.Helper()
	if err := jobs.Handle(r, fn, opts); err != nil {
		tb.Fatalf("Handle = %v", err)
	}
}

// fields returns the fields that an error names, in order.
func fields(err error) string {
	var names []string
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) { //nolint:errorlint // walks the tree itself
		case *jobs.Error:
			names = append(names, e.Field+" "+e.Code)
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(err)
			}
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		}
	}
	walk(err)
	return strings.Join(names, ", ")
}

func TestEnqueueNamesWhatIsWrong(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		args jobs.Args
		opts *jobs.EnqueueOptions
		want string
	}{
		{"no arguments", nil, nil, "/args required"},
		{"an argument that its type refuses", add{A: -1}, nil, "/args/a too_small"},
		{"a queue with a space", add{}, &jobs.EnqueueOptions{Queue: "a b"}, "/queue invalid_character"},
		{"a priority past the last", add{}, &jobs.EnqueueOptions{Priority: 10}, "/priority too_large"},
		{"a priority before the first", add{}, &jobs.EnqueueOptions{Priority: -1}, "/priority too_small"},
		{"too many attempts", add{}, &jobs.EnqueueOptions{MaxAttempts: 1001}, "/max_attempts too_large"},
		{"a timeout below a millisecond", add{}, &jobs.EnqueueOptions{Timeout: 1}, "/timeout_seconds too_small"},
		{"a negative delay", add{}, &jobs.EnqueueOptions{Delay: -1}, "/delay_seconds too_small"},
		{"a delay and a time", add{}, &jobs.EnqueueOptions{Delay: 1, RunAt: now}, "/delay_seconds contradictory"},
		{"a time in the Middle Ages", add{}, &jobs.EnqueueOptions{RunAt: time.Date(1066, 1, 1, 0, 0, 0, 0, time.UTC)}, "/run_at out_of_range"},
		{"a time past the year 9999 in UTC", add{}, &jobs.EnqueueOptions{RunAt: time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -7200))}, "/run_at out_of_range"},
		{"several at once", add{A: -1}, &jobs.EnqueueOptions{Priority: 10}, "/priority too_large, /args/a too_small"},
		{"a tenant with a NUL", add{}, &jobs.EnqueueOptions{Tenant: "\x00"}, "/tenant invalid_character"},
		{"arguments that are not an object", text("x"), nil, "/args wrong_type"},
		{"arguments that are too long", add{S: strings.Repeat("x", 2000)}, nil, "/args too_long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := jobs.NewMemStore()
			q := jobs.New(store, registry(t), &jobs.Options{MaxArgs: 1000})
			_, err := q.Enqueue(t.Context(), tt.args, tt.opts)
			if !errors.Is(err, jobs.ErrInvalid) || fields(err) != tt.want {
				t.Errorf("Enqueue = %v\nfields %q, want %q", err, fields(err), tt.want)
			}
			if all, _ := store.List(t.Context(), jobs.ListQuery{Limit: 10}); len(all) > 0 {
				t.Errorf("%d jobs were stored", len(all))
			}
		})
	}
}

// strict is a kind whose Validate returns plain errors.
type strict struct{}

func (strict) Kind() string    { return "strict" }
func (strict) Validate() error { return errors.New("must be about something") }

func TestAPlainErrorOfValidateIsInvalid(t *testing.T) {
	_, err := jobs.New(jobs.NewMemStore(), jobs.NewRegistry(nil), nil).Enqueue(t.Context(), strict{}, nil)
	if want := "jobs: enqueue: /args: must be about something: invalid"; !errors.Is(err, jobs.ErrInvalid) || err.Error() != want {
		t.Errorf("Enqueue = %v, want %s", err, want)
	}
}

// rules is a Validator that refuses everything.
type rules struct{}

func (rules) Struct(any) error {
	return &jobs.Error{Kind: jobs.ErrInvalid, Code: "required", Field: "/b", Detail: "must be given"}
}

func TestTheValidatorOfTheRegistryIsAsked(t *testing.T) {
	q := jobs.New(jobs.NewMemStore(), jobs.NewRegistry(&jobs.RegistryOptions{Validator: rules{}}), nil)
	if _, err := q.Enqueue(t.Context(), add{}, nil); fields(err) != "/args/b required" {
		t.Errorf("Enqueue = %v, want the validator's words about /args/b", err)
	}
	if _, err := q.Enqueue(t.Context(), add{A: -1}, nil); fields(err) != "/args/a too_small" {
		t.Errorf("Enqueue = %v, want the type's own rules first", err)
	}
}

// nested is a kind, by pointer, whose arguments have arguments.
type nested struct {
	In   add             `json:"in"`
	Raw  json.RawMessage `json:"raw,omitempty"`
	List []add           `json:"list,omitempty"`
}

func (*nested) Kind() string { return "nested" }

func TestEnqueueJSONOfNestedArguments(t *testing.T) {
	r := jobs.NewRegistry(nil)
	handle(t, r, func(_ context.Context, job *jobs.Job[*nested]) (int, error) { return job.Args.In.A, nil }, nil)
	q := jobs.New(jobs.NewMemStore(), r, nil)
	for raw, want := range map[string]string{
		`{"in":{"c":1}}`:      "/args unknown_field", // the decoder does not say where
		`{"in":{"a":"x"}}`:    "/args/in/a wrong_type",
		`{"list":[{"a":{}}]}`: "/args/list/a wrong_type",
		`null`:                "/args wrong_type",
	} {
		if _, err := q.EnqueueJSON(t.Context(), "nested", []byte(raw), nil); fields(err) != want {
			t.Errorf("EnqueueJSON(%s) = %v; fields %q, want %q", raw, err, fields(err), want)
		}
	}
	if _, err := q.Enqueue(t.Context(), (*nested)(nil), nil); fields(err) != "/args required" {
		t.Errorf("Enqueue of a nil pointer = %v, want it refused", err)
	}
}

// What is no character cannot be stored in every database.
func TestArgumentsAndResultsAreValidText(t *testing.T) {
	inBubble(t, func(b *bench) {
		bad := json.RawMessage("\"\xff\\u0000\"")
		handle(t, b.registry, func(context.Context, *jobs.Job[*nested]) (json.RawMessage, error) { return bad, nil }, nil)
		info, err := b.queue.Enqueue(context.Background(), &nested{Raw: bad}, nil)
		if err != nil || !utf8.Valid(info.Args) || !strings.Contains(string(info.Args), `"raw":"�\u0000"`) {
			t.Errorf("Enqueue = %q, %v; want the byte replaced", info.Args, err)
		}
		defer work(t, b.store, b.registry, nil)()
		if got, err := jobs.Await[string](context.Background(), b.queue, info.ID); err != nil || got != "\uFFFD\x00" {
			t.Errorf("Await = %q, %v; want the byte replaced and the NUL kept", got, err)
		}
	})
}

// text is a kind whose arguments are no object.
type text string

func (text) Kind() string { return "text" }

func TestEnqueueManyStoresAllOrNone(t *testing.T) {
	store := jobs.NewMemStore()
	q := jobs.New(store, registry(t), nil)
	_, err := q.EnqueueMany(t.Context(), []jobs.Entry{{Args: add{}}, {Args: add{A: -1}}, {Args: add{}, Options: &jobs.EnqueueOptions{Priority: 99}}})
	if got, want := fields(err), "/1/args/a too_small, /2/priority too_large"; got != want {
		t.Errorf("fields %q, want %q", got, want)
	}
	if all, _ := store.List(t.Context(), jobs.ListQuery{Limit: 10}); len(all) > 0 {
		t.Errorf("%d jobs were stored", len(all))
	}
	infos, err := q.EnqueueMany(t.Context(), []jobs.Entry{{Args: add{A: 1}}, {Args: add{A: 2}}})
	if err != nil || len(infos) != 2 || infos[0].State != jobs.Ready || string(infos[1].Args) != `{"a":2,"b":0}` {
		t.Errorf("EnqueueMany = %+v, %v", infos, err)
	}
}

func TestEnqueueTakesTheKindsDefaults(t *testing.T) {
	r := jobs.NewRegistry(nil)
	handle(t, r, func(context.Context, *jobs.Job[add]) (int, error) { return 0, nil },
		&jobs.KindOptions{Queue: "slow", Priority: 8, MaxAttempts: 2, Timeout: time.Hour})
	q := jobs.New(jobs.NewMemStore(), r, nil)
	info, err := q.Enqueue(t.Context(), add{}, nil)
	if err != nil || info.Queue != "slow" || info.Priority != 8 || info.MaxAttempts != 2 || info.Timeout != time.Hour {
		t.Errorf("Enqueue = %+v, %v; want the kind's defaults", info, err)
	}
	info, err = q.Enqueue(t.Context(), add{}, &jobs.EnqueueOptions{Queue: "fast", Priority: 1, MaxAttempts: 1, Timeout: jobs.NoTimeout})
	if err != nil || info.Queue != "fast" || info.Priority != 1 || info.MaxAttempts != 1 || info.Timeout != jobs.NoTimeout {
		t.Errorf("Enqueue = %+v, %v; want the options", info, err)
	}
}

func TestEnqueueJSON(t *testing.T) {
	q := jobs.New(jobs.NewMemStore(), registry(t), nil)
	info, err := q.EnqueueJSON(t.Context(), "add", []byte(`{"b":2,"a":1}`), nil)
	if err != nil || string(info.Args) != `{"a":1,"b":2}` {
		t.Errorf("EnqueueJSON = %s, %v", info.Args, err)
	}
	for raw, want := range map[string]string{
		`{"a":"x"}`:     "/args/a wrong_type",
		`{"c":1}`:       "/args/c unknown_field",
		`{"a":-1}`:      "/args/a too_small",
		`{"a":1} x`:     "/args trailing_data",
		`{"a":1}]`:      "/args trailing_data",
		`{`:             "/args invalid_json",
		`[]`:            "/args wrong_type",
		`null`:          "/args wrong_type",
		` null `:        "/args wrong_type",
		`{"a/~b":1}`:    "/args/a~1~0b unknown_field",
		"{\"s\":\"\xff": "/args invalid_json",
	} {
		if _, err := q.EnqueueJSON(t.Context(), "add", []byte(raw), nil); !errors.Is(err, jobs.ErrInvalid) || fields(err) != want {
			t.Errorf("EnqueueJSON(%s) = %v; fields %q, want %q", raw, err, fields(err), want)
		}
	}
	if _, err := q.EnqueueJSON(t.Context(), "nope", []byte(`{}`), nil); !errors.Is(err, jobs.ErrUnknownKind) || fields(err) != "/kind unknown_kind" {
		t.Errorf("EnqueueJSON = %v, want ErrUnknownKind at /kind", err)
	}
}

func TestTenantsAreApart(t *testing.T) {
	root := jobs.New(jobs.NewMemStore(), registry(t), nil)
	a, b := root.ForTenant("a"), root.ForTenant("b")
	info, err := a.Enqueue(t.Context(), add{}, nil)
	if err != nil || info.Tenant != "a" {
		t.Fatalf("Enqueue = %+v, %v", info, err)
	}
	if _, err := a.Enqueue(t.Context(), add{}, &jobs.EnqueueOptions{Tenant: "b"}); fields(err) != "/tenant other_tenant" {
		t.Errorf("Enqueue for another tenant = %v", err)
	}
	if info, err := root.Enqueue(t.Context(), add{}, &jobs.EnqueueOptions{Tenant: "b"}); err != nil || info.Tenant != "b" {
		t.Errorf("Enqueue = %+v, %v; want the tenant of the options", info, err)
	}
	for name, call := range map[string]func() error{
		"Get":    func() error { _, err := b.Get(t.Context(), info.ID); return err },
		"Cancel": func() error { _, err := b.Cancel(t.Context(), info.ID); return err },
		"Retry":  func() error { _, err := b.Retry(t.Context(), info.ID); return err },
	} {
		if err := call(); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("%s of another tenant's job = %v, want ErrNotFound", name, err)
		}
	}
	if all, err := b.List(t.Context(), jobs.ListQuery{Tenant: "a", Limit: 10}); err != nil || len(all) != 1 || all[0].Tenant != "b" {
		t.Errorf("List = %v, %v; want the queue's own tenant whatever the query says", all, err)
	}
}

func TestListNamesWhatIsWrong(t *testing.T) {
	q := jobs.New(jobs.NewMemStore(), registry(t), nil)
	for want, query := range map[string]jobs.ListQuery{
		"/limit too_small":     {},
		"/limit too_large":     {Limit: 1001},
		"/state unknown_state": {Limit: 1, States: []jobs.State{99}},
		"/kind invalid_character, /queue invalid_character": {Limit: 1, Kind: "a\x00", Queue: "ä"},
	} {
		if _, err := q.List(t.Context(), query); fields(err) != want {
			t.Errorf("List = %v, want %q", err, want)
		}
	}
}

func TestHandleNamesWhatIsWrong(t *testing.T) {
	nothing := func(context.Context, *jobs.Job[add]) (int, error) { return 0, nil }
	r := registry(t)
	if err := jobs.Handle(r, nothing, nil); !errors.Is(err, jobs.ErrConflict) {
		t.Errorf("Handle of a known kind = %v, want ErrConflict", err)
	}
	err := jobs.Handle(jobs.NewRegistry(nil), nothing, &jobs.KindOptions{Priority: 10, Queue: "ä", MaxAttempts: -1, Timeout: -5})
	if got, want := fields(err), "/queue invalid_character, /priority too_large, /max_attempts too_small, /timeout too_small"; got != want {
		t.Errorf("Handle names %q, want %q", got, want)
	}
	if _, err := r.Kind("nope"); !errors.Is(err, jobs.ErrUnknownKind) {
		t.Errorf("Kind = %v, want ErrUnknownKind", err)
	}
	if kinds := r.Kinds(); len(kinds) != 1 || kinds[0].Name != "add" || kinds[0].Options.MaxAttempts != 12 {
		t.Errorf("Kinds = %+v", kinds)
	}
}

// secretArgs carry two secrets.
type secretArgs struct {
	Tokens []string `json:"tokens"`
	Plain  string   `json:"plain"`
}

func (secretArgs) Kind() string { return "secret" }

func (s secretArgs) Secrets() []*string {
	var all []*string
	for i := range s.Tokens {
		all = append(all, &s.Tokens[i])
	}
	return all
}

// reverser is a Sealer for tests: it hides nothing but proves what is opened.
type reverser struct{}

func (reverser) Seal(plain, aad []byte) (string, error) { return fmt.Sprintf("%x.%x", plain, aad), nil }

func (reverser) Open(sealed string, aad []byte) ([]byte, error) {
	var plain, got []byte
	if _, err := fmt.Sscanf(strings.Replace(sealed, ".", " ", 1), "%x %x", &plain, &got); err != nil || string(got) != string(aad) {
		return nil, jobs.ErrInvalid
	}
	return plain, nil
}

func TestSecretsAreSealedAndNeverShown(t *testing.T) {
	r := jobs.NewRegistry(&jobs.RegistryOptions{Sealer: reverser{}})
	seen := make(chan []string, 1)
	handle(t, r, func(_ context.Context, job *jobs.Job[secretArgs]) (struct{}, error) {
		seen <- job.Args.Tokens
		return struct{}{}, nil
	}, nil)
	store := jobs.NewMemStore()
	q := jobs.New(store, r, nil)
	args := secretArgs{Tokens: []string{"alpha", "beta"}, Plain: "gamma"}
	info, err := q.Enqueue(t.Context(), args, nil)
	if err != nil {
		t.Fatal(err)
	}
	if args.Tokens[0] != "alpha" {
		t.Error("Enqueue changed the caller's value")
	}
	stored, err := store.Get(t.Context(), "", info.ID)
	if err != nil || strings.Contains(string(stored.Args), "alpha") || !strings.Contains(string(stored.Args), "gamma") {
		t.Errorf("stored: %s, %v; want the secrets sealed and the rest not", stored.Args, err)
	}
	got, err := q.Get(t.Context(), info.ID)
	if err != nil {
		t.Fatal(err)
	}
	list, err := q.List(t.Context(), jobs.ListQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"tokens":["[secret]","[secret]"],"plain":"gamma"}`
	for what, args := range map[string][]byte{"Enqueue": info.Args, "Get": got.Args, "List": list[0].Args} {
		if string(args) != want {
			t.Errorf("%s shows %s, want %s", what, args, want)
		}
	}
	defer work(t, store, r, nil)()
	if tokens := <-seen; strings.Join(tokens, " ") != "alpha beta" {
		t.Errorf("the handler saw %q", tokens)
	}
}

func TestSecretsNeedASealer(t *testing.T) {
	q := jobs.New(jobs.NewMemStore(), jobs.NewRegistry(nil), nil)
	if _, err := q.Enqueue(t.Context(), secretArgs{Tokens: []string{"x"}}, nil); fields(err) != "/args no_sealer" {
		t.Errorf("Enqueue = %v, want it refused", err)
	}
	if _, err := q.Enqueue(t.Context(), secretArgs{}, nil); err != nil {
		t.Errorf("Enqueue without a secret = %v", err)
	}
}

func TestASealedValueOfAnotherJobDoesNotOpen(t *testing.T) {
	r := jobs.NewRegistry(&jobs.RegistryOptions{Sealer: reverser{}})
	handle(t, r, func(context.Context, *jobs.Job[secretArgs]) (struct{}, error) { return struct{}{}, nil }, nil)
	store := jobs.NewMemStore()
	q := jobs.New(store, r, nil)
	info, err := q.Enqueue(t.Context(), secretArgs{Tokens: []string{"x"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := store.Get(t.Context(), "", info.ID)
	if err != nil {
		t.Fatal(err)
	}
	stored.ID++
	if _, err := store.Insert(t.Context(), []jobs.Insertion{{Info: &stored}}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	defer work(t, store, r, nil)()
	if _, err := jobs.Await[struct{}](t.Context(), q, stored.ID); !errors.Is(err, jobs.ErrDiscarded) {
		t.Errorf("Await = %v, want the copied job discarded", err)
	}
}
