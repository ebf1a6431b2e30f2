package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/openapi3gen"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
)

// A fault about a parameter has a Field such as "query:limit"; one about the
// body has a JSON pointer.
func parameterField(in, name string) string { return in + ":" + name }

// checkSchema returns a fault for everything about value that breaks the schema,
// with pointers below the given one.
func checkSchema(schema *openapi3.Schema, value any, pointer string) error {
	return errors.Join(schemaErrors(schema.VisitJSON(value, openapi3.MultiErrors(), openapi3.VisitAsRequest()), pointer)...)
}

// schemaErrors turns the validator's errors, whose texts may repeat what the
// caller sent, into faults.
func schemaErrors(err error, pointer string) []error {
	if multi, ok := errors.AsType[openapi3.MultiError](err); ok {
		var all []error
		for _, e := range multi {
			all = append(all, schemaErrors(e, pointer)...)
		}
		return all
	}
	var broken *openapi3.SchemaError
	if !errors.As(err, &broken) {
		if err == nil {
			return nil
		}
		return []error{fault.Invalid(pointer, "invalid", "is not valid")}
	}
	for _, token := range broken.JSONPointer() {
		pointer += "/" + escapePointer(token)
	}
	code, detail := describe(broken)
	if code == "unknown_field" {
		pointer += "/" + escapePointer(unknownField(broken.Reason))
	}
	return []error{fault.Invalid(pointer, code, detail)}
}

// describe returns the code and the sentence for a broken rule.
func describe(e *openapi3.SchemaError) (code, detail string) {
	s := e.Schema
	switch e.SchemaField {
	case "required":
		return "required", "must be given"
	case "properties", "additionalProperties":
		return "unknown_field", "is not a field of this object"
	case "type":
		return "wrong_type", "must be " + typeName(s)
	case "nullable":
		return "wrong_type", "must not be null"
	case "enum":
		return "unknown_value", "must be one of the listed values"
	case "minLength":
		return "too_short", fmt.Sprintf("must have at least %d characters", s.MinLength)
	case "maxLength":
		return "too_long", fmt.Sprintf("must have at most %d characters", *s.MaxLength)
	case "minItems":
		return "too_short", fmt.Sprintf("must have at least %d elements", s.MinItems)
	case "maxItems":
		return "too_long", fmt.Sprintf("must have at most %d elements", *s.MaxItems)
	case "minimum":
		return "too_small", "must be at least " + number(s.Min)
	case "maximum":
		return "too_large", "must be at most " + number(s.Max)
	case "pattern":
		return "invalid_format", "has a character that is not allowed"
	case "format":
		return "invalid_format", "must be written as " + s.Format
	default:
		return "invalid", "is not valid"
	}
}

func typeName(s *openapi3.Schema) string {
	names := s.Type.Slice()
	if len(names) == 0 {
		return "of another type"
	}
	if slices.Contains([]string{"array", "integer", "object"}, names[0]) {
		return "an " + names[0]
	}
	return "a " + names[0]
}

func number(n *float64) string { return strconv.FormatFloat(*n, 'f', -1, 64) }

var quoted = regexp.MustCompile(`^property ("(?:[^"\\]|\\.)*") is unsupported$`)

// unknownField finds the name in the only text that has it.
func unknownField(reason string) string {
	m := quoted.FindStringSubmatch(reason)
	if m == nil {
		return ""
	}
	name, err := strconv.Unquote(m[1])
	if err != nil {
		return ""
	}
	return name
}

// parameterErrors turns the validator's errors about parameters into faults.
func parameterErrors(err error) []error {
	// A type assertion: the error about a parameter wraps such a list as well.
	if multi, ok := err.(openapi3.MultiError); ok { //nolint:errorlint // see above
		var all []error
		for _, e := range multi {
			all = append(all, parameterErrors(e)...)
		}
		return all
	}
	if err == nil {
		return nil
	}
	var req *openapi3filter.RequestError
	if !errors.As(err, &req) || req.Parameter == nil {
		return []error{fault.Invalid("", "invalid", "is not valid")}
	}
	if req.Parameter.Name == "Idempotency-Key" && errors.Is(req.Err, openapi3filter.ErrInvalidRequired) {
		return []error{errKeyRequired}
	}
	field := parameterField(req.Parameter.In, req.Parameter.Name)
	if errors.Is(req.Err, openapi3filter.ErrInvalidRequired) {
		return []error{fault.Invalid(field, "required", "must be given")}
	}
	if broken, ok := errors.AsType[*openapi3.SchemaError](req.Err); ok {
		code, detail := describe(broken)
		return []error{fault.Invalid(field, code, detail)}
	}
	return []error{fault.Invalid(field, "wrong_type", "has the wrong form")}
}

// parseQuery refuses what net/url would drop without a word.
func parseQuery(raw string) (url.Values, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fault.Invalid(parameterField("query", ""), "invalid_format", "is not a query string")
	}
	return query, nil
}

// unknownParameters refuses parameters that the operation does not have, and
// several values where it takes one.
func unknownParameters(query url.Values, op *operation) error {
	var errs []error
	for name, values := range query {
		p := op.route.Operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name)
		if p == nil {
			errs = append(errs, fault.Invalid(parameterField("query", name), "unknown_parameter", "is not a parameter of this operation"))
		} else if len(values) > 1 && !p.Schema.Value.Type.Is("array") {
			errs = append(errs, fault.Invalid(parameterField("query", name), "duplicate_parameter", "must not appear twice"))
		}
	}
	return errors.Join(errs...)
}

// kindSchemas knows the schema of each kind's arguments: the given one, or one
// derived from the Go type.
type kindSchemas struct {
	registry *jobs.Registry
	known    sync.Map // kind name → *openapi3.Schema
}

// check checks the arguments of a kind against its schema. It returns
// jobs.ErrUnknownKind for a kind that is not registered.
func (k *kindSchemas) check(name string, args []byte) error {
	kind, err := k.registry.Kind(name)
	if err != nil {
		return err
	}
	schema, err := k.schema(kind)
	if err != nil {
		return err
	}
	value, err := parseJSON(args)
	if err != nil {
		return fault.Under("/args", err)
	}
	return checkSchema(schema, value, "/args")
}

func (k *kindSchemas) schema(kind jobs.Kind) (*openapi3.Schema, error) {
	if known, ok := k.known.Load(kind.Name); ok {
		return known.(*openapi3.Schema), nil //nolint:forcetypeassert // only schemas are stored
	}
	schema, err := schemaOf(kind)
	if err != nil {
		return nil, fmt.Errorf("httpapi: schema of kind %s: %w", kind.Name, err)
	}
	k.known.Store(kind.Name, schema)
	return schema, nil
}

func schemaOf(kind jobs.Kind) (*openapi3.Schema, error) {
	if kind.Options.Schema != nil {
		schema := &openapi3.Schema{}
		return schema, json.Unmarshal(kind.Options.Schema, schema)
	}
	ref, err := openapi3gen.NewSchemaRefForValue(reflect.New(kind.Args).Interface(), nil)
	if err != nil {
		return nil, err
	}
	return ref.Value, nil
}
