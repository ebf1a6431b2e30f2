package httpapi_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
)

// Report has fields of every sort that a schema is derived from.
type Report struct {
	Header
	*Footer
	Untagged string
	Time     time.Time         `json:"time"`
	Until    *time.Time        `json:"until"`
	Addr     netip.Addr        `json:"addr"`
	Bytes    []byte            `json:"bytes"`
	Raw      json.RawMessage   `json:"raw"`
	Any      any               `json:"any"`
	Number   json.Number       `json:"number"`
	Quoted   int               `json:"quoted,string"`
	Small    uint8             `json:"small"`
	Pair     [2]int            `json:"pair"`
	Parts    []Part            `json:"parts" validate:"dive"`
	ByName   map[string]Part   `json:"by_name" validate:"dive"`
	ByNumber map[int]*Part     `json:"by_number"`
	Labels   map[string]string `json:"labels" validate:"dive,max=2"`
	Odd      string            `json:"o.dd" validate:"max=2"`
	Color    string            `json:"color" validate:"omitempty,hexcolor|rgb"`
	Hidden   string            `json:"-"`
	Size     Size              `json:"size"`
	Level    string            `json:"level"` // hides that of Header
}

// Kind implements [jobs.Args].
func (Report) Kind() string { return "report" }

// Header is embedded by value.
type Header struct {
	Title string `json:"title" validate:"max=5"`
	Level int    `json:"level"`
}

// Footer is embedded by pointer.
type Footer struct {
	Note string `json:"note"`
}

// Part is a struct in structs, lists and maps.
type Part struct {
	Name string   `json:"name" validate:"max=5"`
	Tags []string `json:"tags" validate:"max=1"`
}

// Size writes itself as a text in JSON.
type Size struct{ W, H int }

// MarshalText implements [encoding.TextMarshaler].
func (Size) MarshalText() ([]byte, error) { return []byte("1x1"), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Size) UnmarshalText([]byte) error { s.W, s.H = 1, 1; return nil }

// Tree contains itself through a struct, Forest through a map alone.
type Tree struct {
	Value string  `json:"value"`
	Left  *Tree   `json:"left"`
	More  []Tree  `json:"more"`
	Trees *Forest `json:"trees"`
}

// Kind implements [jobs.Args].
func (Tree) Kind() string { return "tree" }

// Bag takes any fields and has no tags.
type Bag map[string]any

// Kind implements [jobs.Args].
func (Bag) Kind() string { return "bag" }

// Forest is a map of itself.
type Forest map[string]Forest

// newKinds returns a service with more kinds and without limits: a fuzzer would see little
// else.
func newKinds(tb testing.TB) *service {
	tb.Helper()
	none := guard.Policy{Limit: -1}
	s := newServiceWith(tb, levqor.MemStores(), guard.Limits{Reads: none, Writes: none, Bulk: none, Failures: none})
	report := func(context.Context, *jobs.Job[Report]) (any, error) { return nil, nil }
	tree := func(context.Context, *jobs.Job[Tree]) (any, error) { return nil, nil }
	bag := func(context.Context, *jobs.Job[Bag]) (any, error) { return nil, nil }
	for _, err := range []error{
		jobs.Handle(s.app.Registry, report, nil), jobs.Handle(s.app.Registry, tree, nil), jobs.Handle(s.app.Registry, bag, nil),
	} {
		if err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

func TestWhatGoEncodesIsTaken(t *testing.T) {
	s := newKinds(t)
	token := s.key("acme", "*")
	now := time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
	for name, args := range map[string]jobs.Args{
		"zero values": Report{Number: "0"},
		"all fields": Report{
			Header: Header{Title: "t"}, Footer: &Footer{Note: "n"}, Untagged: "u", Time: now, Until: &now,
			Addr: netip.MustParseAddr("192.0.2.1"), Bytes: []byte("b"), Raw: json.RawMessage(`[1,null]`), Any: map[string]any{"a": nil},
			Number: "1.5", Quoted: 7, Small: 255, Pair: [2]int{1, 2}, Parts: []Part{{Name: "p"}}, ByName: map[string]Part{"a": {}},
			ByNumber: map[int]*Part{-1: nil}, Labels: map[string]string{"a": "b"}, Level: "high",
		},
		"a map":  Bag{"a": nil, "b": []any{1, "c"}},
		"a leaf": Tree{},
		"a tree": Tree{Left: &Tree{Value: "l"}, More: []Tree{{More: []Tree{{}}}}, Trees: &Forest{"a": {"b": nil}}},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := json.Marshal(args)
			if err != nil {
				t.Fatal(err)
			}
			resp := s.create(token, name, `{"kind":"`+args.Kind()+`","args":`+string(raw)+`}`)
			if resp.StatusCode != 201 {
				t.Fatalf("%s is refused: %+v", raw, decode[client.Problem](t, resp))
			}
			if got := decode[client.Job](t, resp); string(got.Args) != string(raw) {
				t.Errorf("the job has the arguments %s, want %s", got.Args, raw)
			}
		})
	}
}

func TestArgsThatTheTypeDoesNotKnowAreRefused(t *testing.T) {
	s := newKinds(t)
	token := s.key("acme", "*")
	for _, tt := range []struct{ name, kind, args, fields string }{
		{"a field of an embedded struct", "report", `{"title":7}`, "#/args/title wrong_type"},
		{"a field of an embedded pointer", "report", `{"note":7}`, "#/args/note wrong_type"},
		{"a field without a tag", "report", `{"Untagged":7}`, "#/args/Untagged wrong_type"},
		{"a field in another case", "report", `{"untagged":"u"}`, "#/args/untagged unknown_field"},
		{"a field that JSON leaves out", "report", `{"Hidden":"x"}`, "#/args/Hidden unknown_field"},
		{"an embedded struct by its name", "report", `{"Header":{}}`, "#/args/Header unknown_field"},
		{"a hidden field by its other type", "report", `{"level":7}`, "#/args/level wrong_type"},
		{"a time that is none", "report", `{"until":"2030-02-30T00:00:00Z"}`, "#/args/until invalid_format"},
		{"a text that is no address", "report", `{"addr":7}`, "#/args/addr wrong_type"},
		{"bytes that are not base64", "report", `{"bytes":"!"}`, "#/args/bytes invalid_format"},
		{"a number out of its type", "report", `{"small":256}`, "#/args/small too_large"},
		{"an array that is too long", "report", `{"pair":[1,2,3]}`, "#/args/pair too_long"},
		{"an unknown field in a list", "report", `{"parts":[{},{"x":1}]}`, "#/args/parts/1/x unknown_field"},
		{"an unknown field in a map", "report", `{"by_name":{"a/b":{"x":1}}}`, "#/args/by_name/a~1b/x unknown_field"},
		{"a null in a map of structs", "report", `{"by_name":{"a":null}}`, "#/args/by_name/a wrong_type"},
		{"a tag of an embedded struct", "report", `{"title":"123456"}`, "#/args/title too_long"},
		{"tags in a list", "report", `{"parts":[{"name":"123456","tags":["a","b"]}]}`, "#/args/parts/0/name too_long, #/args/parts/0/tags too_long"},
		{"a tag in a map with a strange key", "report", `{"by_name":{"a.b[0] c/d~":{"name":"123456"}}}`, "#/args/by_name/a.b%5B0%5D%20c~1d~0/name too_long"},
		{"a tag on the values of a map", "report", `{"labels":{"a.b":"123"}}`, "#/args/labels/a.b too_long"},
		{"a tag of a name with a dot", "report", `{"o.dd":"123"}`, "#/args/o.dd too_long"},
		{"a choice of tags", "report", `{"color":"x"}`, "#/args/color invalid"},
		{"a wrong type deep in a tree", "tree", `{"left":{"value":7}}`, "#/args/left/value wrong_type"},
		{"an unknown field of a tree", "tree", `{"x":7}`, "#/args/x unknown_field"},
		{"a tree that is a list", "tree", `[]`, "#/args wrong_type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp := s.create(token, "k", `{"kind":"`+tt.kind+`","args":`+tt.args+`}`)
			if p := decode[client.Problem](t, resp); resp.StatusCode != 400 || fieldsOf(p) != tt.fields {
				t.Errorf("the answer is %d %q, want %q", resp.StatusCode, fieldsOf(p), tt.fields)
			}
		})
	}
	all, err := s.stores.Jobs.List(t.Context(), jobs.ListQuery{Tenant: "acme", Limit: 10})
	if err != nil || len(all) > 0 {
		t.Errorf("%d jobs were stored, %v", len(all), err)
	}
}
