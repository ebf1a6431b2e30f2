package httpapi

import (
	"errors"
	"reflect"
	"strings"

	"github.com/go-playground/validator/v10"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
)

// NewValidator returns a validator of structs by their validate tags, in the
// language of github.com/go-playground/validator/v10. Its errors name fields by
// JSON pointers, as callers know them.
func NewValidator() jobs.Validator {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			return ""
		}
		return name
	})
	return tagValidator{v}
}

type tagValidator struct{ v *validator.Validate }

// Struct implements [jobs.Validator].
func (t tagValidator) Struct(s any) error {
	if v := reflect.Indirect(reflect.ValueOf(s)); v.Kind() != reflect.Struct {
		return nil // there are no tags to go by
	}
	err := t.v.Struct(s)
	var broken validator.ValidationErrors
	if !errors.As(err, &broken) {
		return err // nil, or a tag that does not make sense
	}
	faults := make([]error, len(broken))
	for i, b := range broken {
		code, detail := tagFault(b)
		faults[i] = fault.Invalid(tagPointer(b.Namespace()), code, detail)
	}
	return errors.Join(faults...)
}

// tagPointer turns Args.headers[2].name into /headers/2/name.
func tagPointer(namespace string) string {
	_, path, _ := strings.Cut(namespace, ".")
	return "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(path)
}

// tagFault names the common rules as the rest of the API does. Others keep
// their tag as the code.
func tagFault(b validator.FieldError) (code, detail string) {
	switch b.Tag() {
	case "required":
		return "required", "must be given"
	case "min", "gte":
		return "too_small", "must be at least " + b.Param()
	case "max", "lte":
		return "too_large", "must be at most " + b.Param()
	case "oneof":
		return "unknown_value", "must be one of " + b.Param()
	case "email", "url", "uri", "uuid", "e164", "hostname", "ip":
		return "invalid_format", "must be written as " + b.Tag()
	default:
		return b.Tag(), "breaks the rule " + strings.TrimSuffix(b.Tag()+" "+b.Param(), " ")
	}
}
