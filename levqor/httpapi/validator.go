package httpapi

import (
	"errors"
	"reflect"
	"regexp"
	"strconv"
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
	v.RegisterTagNameFunc(namespaceName)
	return tagValidator{v}
}

type tagValidator struct{ v *validator.Validate }

// Struct implements [jobs.Validator].
func (t tagValidator) Struct(s any) error {
	v := reflect.Indirect(reflect.ValueOf(s))
	if v.Kind() != reflect.Struct {
		return nil // there are no tags to go by
	}
	err := t.v.Struct(s)
	var broken validator.ValidationErrors
	if !errors.As(err, &broken) {
		return err // nil, or a tag that does not make sense
	}
	root := v.Type().Name()
	faults := make([]error, len(broken))
	for i, b := range broken {
		code, detail := tagFault(b)
		faults[i] = fault.Invalid(tagPointer(strings.TrimPrefix(b.Namespace(), root+".")), code, detail)
	}
	return errors.Join(faults...)
}

// The validator joins names to a namespace such as to[1].email. Names that hold
// its separators are hidden in it, and embedded structs, whose fields JSON
// promotes, have a name of their own that is left out again.
const embedded = "\x00"

var (
	hide = strings.NewReplacer(".", "\x01", "[", "\x02")
	show = strings.NewReplacer("\x01", ".", "\x02", "[")
)

func namespaceName(f reflect.StructField) string {
	if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); f.Anonymous && name == "" {
		return embedded
	}
	return hide.Replace(jsonName(f))
}

// tagPointer turns the namespace to[1].email into /to/1/email.
func tagPointer(namespace string) string {
	var pointer strings.Builder
	for rest := "." + namespace; rest != ""; {
		var part string
		if key, ok := strings.CutPrefix(rest, "["); ok {
			part, rest = cutKey(key)
		} else {
			part, rest = cutName(rest[1:])
		}
		if part != embedded {
			pointer.WriteString("/" + escapePointer(show.Replace(part)))
		}
	}
	return pointer.String()
}

func cutName(s string) (name, rest string) {
	if i := strings.IndexAny(s, ".["); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// cutKey cuts after the first bracket that can close the key of a map: the key
// may hold anything.
func cutKey(s string) (key, rest string) {
	for i := range len(s) {
		if s[i] == ']' && (i+1 == len(s) || s[i+1] == '.' || s[i+1] == '[') {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

var plainTag = regexp.MustCompile(`^[a-z0-9_]+$`)

// tagFault names the common rules as the rest of the API does. Others keep
// their tag as the code.
func tagFault(b validator.FieldError) (code, detail string) {
	switch tag := b.Tag(); tag {
	case "required":
		return "required", "must be given"
	case "min", "gte":
		return boundFault(b, "too_small", "too_short", "must be at least ", "must have at least ")
	case "max", "lte":
		return boundFault(b, "too_large", "too_long", "must be at most ", "must have at most ")
	case "oneof":
		return "unknown_value", "must be one of " + b.Param()
	case "email", "url", "uri", "uuid", "e164", "hostname", "ip":
		return "invalid_format", "must be written as " + tag
	default:
		detail = "breaks the rule " + strings.TrimSuffix(tag+" "+b.Param(), " ")
		if !plainTag.MatchString(tag) { // a choice of rules
			tag = "invalid"
		}
		return tag, detail
	}
}

// boundFault tells a bound on a number from one on a length.
func boundFault(b validator.FieldError, number, length, is, has string) (code, detail string) {
	noun := "element"
	switch b.Kind() {
	case reflect.String:
		noun = "character"
	case reflect.Slice, reflect.Array, reflect.Map:
	default:
		return number, is + b.Param()
	}
	n, err := strconv.ParseUint(b.Param(), 10, 64)
	if err != nil {
		return length, "has the wrong length"
	}
	return length, has + count(n, noun)
}
