package fuzz_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/pb33f/libopenapi"
	"github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/content"
	"github.com/pb33f/libopenapi-validator/schema_validation"
	"github.com/pb33f/libopenapi/datamodel/high/v3"

	"github.com/levqor/sdk"
)

// contract is openapi.yaml as two libraries read it.
type contract struct {
	doc      *openapi3.T
	model    *v3.Document
	other    validator.Validator
	schemas  schema_validation.SchemaValidator
	ops      []*operation
	mux      *http.ServeMux
	statuses map[string]int // of each problem code
}

// operation is one of the contract's.
type operation struct {
	*openapi3.Operation
	path, method string
	scope        string // empty if it is open to all, or to all people
	person       bool   // is for people alone
	stream       bool
	problems     []string
	body         *openapi3.Schema // nil if it has none
	collection   string           // the path before the first parameter
	route        *routers.Route
}

func (o *operation) lists(code string) bool { return slices.Contains(o.problems, code) }

// found is an operation as the mux finds it.
type found struct{ *operation }

// ServeHTTP implements [http.Handler]; the mux is asked, not used.
func (found) ServeHTTP(http.ResponseWriter, *http.Request) {}

func loadContract(t *testing.T) *contract {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(sdk.OpenAPI)
	if err == nil {
		err = doc.Validate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	second, err := libopenapi.NewDocument(sdk.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	model, err := second.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	c := &contract{
		doc: doc, model: &model.Model, other: validator.NewValidatorFromV3Model(&model.Model, config.WithFormatAssertions(), config.WithBodyDecoder(lines, content.TextDecoder())),
		schemas: schema_validation.NewSchemaValidator(config.WithFormatAssertions()),
		mux:     http.NewServeMux(), statuses: statusesOf(t, doc),
	}
	for _, path := range doc.Paths.InMatchingOrder() {
		for method, spec := range doc.Paths.Value(path).Operations() {
			op := newOperation(doc, path, method, spec)
			c.ops = append(c.ops, op)
			c.mux.Handle(method+" "+path, found{op})
		}
	}
	slices.SortFunc(c.ops, func(a, b *operation) int { return strings.Compare(a.OperationID, b.OperationID) })
	return c
}

func newOperation(doc *openapi3.T, path, method string, spec *openapi3.Operation) *operation {
	op := &operation{
		Operation: spec, path: path, method: method,
		route: &routers.Route{Spec: doc, Path: path, PathItem: doc.Paths.Value(path), Method: method, Operation: spec},
	}
	op.scope, _ = spec.Extensions["x-scope"].(string)
	op.person = spec.Extensions["x-caller"] == "person"
	op.stream, _ = spec.Extensions["x-stream"].(bool)
	listed, _ := spec.Extensions["x-problems"].([]any)
	for _, code := range listed {
		op.problems = append(op.problems, code.(string))
	}
	if spec.RequestBody != nil {
		op.body = spec.RequestBody.Value.Content["application/json"].Schema.Value
	}
	before, _, _ := strings.Cut(path, "{")
	op.collection = strings.TrimSuffix(before, "/")
	return op
}

var (
	statusText = regexp.MustCompile("(\\d{3}):((?:\\s*`\\w+`[,.]?)+)")
	codeText   = regexp.MustCompile("`(\\w+)`")
)

// statusesOf reads the status of each problem code from the only place that has it.
func statusesOf(t *testing.T, doc *openapi3.T) map[string]int {
	t.Helper()
	schema := doc.Components.Schemas["ProblemCode"].Value
	statuses := map[string]int{}
	for _, line := range statusText.FindAllStringSubmatch(schema.Description, -1) {
		status, err := strconv.Atoi(line[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range codeText.FindAllStringSubmatch(line[2], -1) {
			statuses[code[1]] = status
		}
	}
	for _, code := range schema.Enum {
		if statuses[code.(string)] == 0 {
			t.Fatalf("the description of ProblemCode names no status for %v", code)
		}
	}
	return statuses
}

// find returns the operation that a request belongs to, nil if there is none.
func (c *contract) find(r *http.Request) *operation {
	handler, _ := c.mux.Handler(r)
	op, _ := handler.(found)
	return op.operation
}

// valid returns what either validator has against an answer.
func (c *contract) valid(r *http.Request, op *operation, a *answer) error {
	header := a.header.Clone()
	err := openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: op.route},
		Status:                 a.status, Header: header, Body: io.NopCloser(bytes.NewReader(a.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		err = fmt.Errorf("kin-openapi: %w", err)
	}
	resp := &http.Response{StatusCode: a.status, Header: header, Body: io.NopCloser(bytes.NewReader(a.body)), Request: r}
	item := c.model.Paths.PathItems.GetOrZero(op.path)
	if ok, broken := c.other.GetResponseBodyValidator().ValidateResponseBodyWithPathItem(r, resp, item, op.path); !ok {
		for _, b := range broken {
			err = errors.Join(err, fmt.Errorf("libopenapi: %w", b))
		}
	}
	return err
}

// lines is the content type of answers that hold a value on each line: a text for the
// validators, and looked at line by line.
const lines = "application/x-ndjson"

// events are the schemas of what streams send, as the operations' descriptions say.
var events = map[string]string{"job": "Job", "end": "Job", "log": "LogLine", "gone": ""}

// validEvent returns what either validator has against the data of an event.
func (c *contract) validEvent(event string, data []byte) error {
	name, known := events[event]
	if !known {
		return fmt.Errorf("an event %q", event)
	}
	if name == "" {
		return nil
	}
	return c.validData(name, data)
}

// validData returns what either validator has against JSON of a schema.
func (c *contract) validData(name string, data []byte) error {
	value, err := parse(data)
	if err == nil {
		err = c.doc.Components.Schemas[name].Value.VisitJSON(value, openapi3.MultiErrors(), openapi3.VisitAsResponse())
	}
	if err != nil {
		err = fmt.Errorf("kin-openapi: %w", err)
	}
	schema := c.model.Components.Schemas.GetOrZero(name).Schema()
	if ok, broken := c.schemas.ValidateSchemaBytesWithVersion(schema, data, 3.0); !ok {
		for _, b := range broken {
			err = errors.Join(err, fmt.Errorf("libopenapi: %w", b))
		}
	}
	return err
}

// registerTexts makes kin-openapi take what is no JSON as a text.
func registerTexts() {
	text := func(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
		raw, err := io.ReadAll(body)
		return string(raw), err
	}
	openapi3filter.RegisterBodyDecoder("application/openapi+yaml", text)
	openapi3filter.RegisterBodyDecoder(lines, text)
	openapi3filter.RegisterBodyDecoder("text/event-stream", text)
}

// A validator that takes everything would prove nothing.
func TestBothValidatorsRefuseWhatTheContractDoesNotAllow(t *testing.T) {
	registerTexts()
	spec := loadContract(t)
	r := httptest.NewRequest(http.MethodGet, "/api/v1/jobs/job_00000000001/log", http.NoBody)
	op := spec.find(r)
	for name, a := range map[string]*answer{
		"a wrong type":           {status: 200, body: []byte(`{"data":[{"line":"1","attempt":1,"at":"2030-01-02T03:04:05Z","text":""}]}`)},
		"a missing field":        {status: 200, body: []byte(`{"data":[{"line":1,"attempt":1,"text":""}]}`)},
		"a time that is none":    {status: 200, body: []byte(`{"data":[{"line":1,"attempt":1,"at":"soon","text":""}]}`)},
		"null for a list":        {status: 200, body: []byte(`{"data":null}`)},
		"no JSON":                {status: 200, body: []byte(`{`)},
		"an unknown code":        {status: 404, body: []byte(`{"type":"x","title":"x","status":404,"code":"gone_fishing","request_id":"x"}`)},
		"a problem without code": {status: 404, body: []byte(`{"type":"x","title":"x","status":404,"request_id":"x"}`)},
	} {
		a.header = http.Header{"Content-Type": {"application/json"}, "Request-Id": {"x"}}
		if a.status >= http.StatusBadRequest {
			a.header.Set("Content-Type", "application/problem+json")
		}
		refusedByBoth(t, name, spec.valid(r, op, a))
	}
	refusedByBoth(t, "an event with a wrong type", spec.validEvent("log", []byte(`{"line":"1","attempt":1,"at":"2030-01-02T03:04:05Z","text":""}`)))
	if err := spec.validEvent("log", []byte(`{"line":1,"attempt":1,"at":"2030-01-02T03:04:05Z","text":""}`)); err != nil {
		t.Errorf("a good event: %v", err)
	}
}

func refusedByBoth(t *testing.T, name string, err error) {
	t.Helper()
	for _, who := range []string{"kin-openapi: ", "libopenapi: "} {
		if err == nil || !strings.Contains(err.Error(), who) {
			t.Errorf("%s does not refuse %s: %v", who, name, err)
		}
	}
}
