package httpapi

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3gen"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
)

// kindSchemas knows the schema of each kind's arguments: the given one, or one
// derived from the Go type.
type kindSchemas struct {
	registry *jobs.Registry
	known    sync.Map // kind name → *openapi3.Schema
}

// check checks the arguments of a kind, as [parseJSON] returns them, against its schema. It
// returns jobs.ErrUnknownKind for a kind that is not registered, and for those that the service
// makes jobs of for itself.
func (k *kindSchemas) check(name string, args any) error {
	kind, err := k.registry.Kind(name)
	if err == nil && strings.HasPrefix(name, levqor.InternalKinds) {
		err = &fault.Error{Kind: jobs.ErrUnknownKind, Code: "unknown_kind", Field: "/kind", Detail: "is not a kind of this service"}
	}
	if err != nil {
		return err
	}
	schema, err := k.schema(kind)
	if err != nil {
		return err
	}
	return checkSchema(schema, args, "/args")
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
	return deriveSchema(kind.Args)
}

// deriveSchema returns the schema of the JSON that encoding/json decodes into a
// type. The walk is that of openapi3gen; what it leaves out or sees otherwise
// than the decoder is put right here, so nothing is refused that Go's own encoder
// writes. Where a schema cannot say it, anything passes and the decoder decides.
// So it is for a type that contains itself: of that, openapi3gen makes references
// which nobody resolves, or an endless recursion.
func deriveSchema(t reflect.Type) (*openapi3.Schema, error) {
	ref, err := openapi3gen.NewSchemaRefForValue(reflect.New(t).Interface(), nil,
		openapi3gen.UseAllExportedFields(),
		openapi3gen.ThrowErrorOnCycle(),
		openapi3gen.CreateFieldNameGenerator(func(f reflect.StructField, _ string) string { return jsonName(f) }),
		openapi3gen.SchemaCustomizer(asDecoded))
	if _, cyclic := errors.AsType[*openapi3gen.CycleError](err); cyclic {
		return openapi3.NewObjectSchema(), nil
	}
	if err != nil {
		return nil, err
	}
	return ref.Value, nil
}

// jsonName returns the name of a field in JSON.
func jsonName(f reflect.StructField) string {
	if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
		return name
	}
	return f.Name
}

// asDecoded makes s, the schema of t, say what the decoder takes. Null stands
// for a nil slice, map or interface.
func asDecoded(_ string, t reflect.Type, tag reflect.StructTag, s *openapi3.Schema) error {
	_, options, _ := strings.Cut(tag.Get("json"), ",")
	switch {
	case t == reflect.TypeFor[time.Time]():
	case implements[json.Unmarshaler](t), t == reflect.TypeFor[json.Number](), strings.Contains(options, "string"):
		*s = openapi3.Schema{Nullable: true}
	case implements[encoding.TextUnmarshaler](t):
		*s = openapi3.Schema{Type: &openapi3.Types{openapi3.TypeString}, Nullable: true}
	case t.Kind() == reflect.Struct:
		none := false
		s.Type, s.AdditionalProperties.Has = &openapi3.Types{openapi3.TypeObject}, &none
		freeShadowed(t, s)
	case t.Kind() == reflect.Array: // the decoder drops what is too much
		most := uint64(t.Len())
		s.Type, s.MaxItems = &openapi3.Types{openapi3.TypeArray}, &most
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Map, t.Kind() == reflect.Interface:
		s.Nullable = true
	}
	return nil
}

func implements[I any](t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[I]())
}

// freeShadowed lets any value pass for a name that several embedded structs
// have: which of them counts is a rule of encoding/json.
func freeShadowed(t reflect.Type, s *openapi3.Schema) {
	seen := map[string]bool{}
	for _, f := range reflect.VisibleFields(t) {
		name := jsonName(f)
		if seen[name] && s.Properties[name] != nil {
			s.Properties[name] = openapi3.NewSchemaRef("", &openapi3.Schema{Nullable: true})
		}
		seen[name] = true
	}
}
