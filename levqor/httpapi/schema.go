package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/levqor/sdk/internal/fault"
)

// A fault about a parameter has a Field such as "query:limit"; one about the
// body has a JSON pointer.
func parameterField(in, name string) string { return in + ":" + name }

// checkSchema returns a fault for everything about value that breaks the schema,
// with pointers below the given one.
func checkSchema(schema *openapi3.Schema, value any, pointer string) error {
	err := schema.VisitJSON(value, openapi3.MultiErrors(), openapi3.VisitAsRequest(),
		openapi3.WithStringFormatValidator("date-time", dateTime))
	return errors.Join(schemaErrors(err, pointer)...)
}

// dateTime takes what the decoder takes. The validator's own pattern lets leap
// seconds pass, which Go has none of.
var dateTime = openapi3.NewCallbackValidator(func(s string) error { return new(time.Time).UnmarshalText([]byte(s)) })

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
		return "too_short", "must have at least " + count(s.MinLength, "character")
	case "maxLength":
		return "too_long", "must have at most " + count(*s.MaxLength, "character")
	case "minItems":
		return "too_short", "must have at least " + count(s.MinItems, "element")
	case "maxItems":
		return "too_long", "must have at most " + count(*s.MaxItems, "element")
	case "maxProperties":
		return "too_long", fmt.Sprintf("must have at most %d entries", *s.MaxProps)
	case "minimum":
		return "too_small", "must be at least " + number(s.Min)
	case "maximum":
		return "too_large", "must be at most " + number(s.Max)
	case "pattern":
		return "invalid_format", "does not match the pattern of this field"
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

func count(n uint64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
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

// repeatedHeaders refuses several values of a header that is a parameter: the
// validator and the operation could each take another one.
func repeatedHeaders(h http.Header, op *operation) error {
	var errs []error
	for _, p := range op.route.Operation.Parameters {
		if p.Value.In == openapi3.ParameterInHeader && len(h.Values(p.Value.Name)) > 1 {
			errs = append(errs, fault.Invalid(parameterField("header", p.Value.Name), "duplicate_parameter", "must not appear twice"))
		}
	}
	return errors.Join(errs...)
}
