package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/levqor/sdk/internal/fault"
)

// maxDepth bounds how deeply JSON values may nest.
const maxDepth = 64

// parseJSON reads exactly one JSON value and refuses what encoding/json lets
// pass: duplicate keys, of which two readers may see different ones; data after
// the value; bytes that are not UTF-8; and deep nesting. Numbers keep their
// digits, as [json.Number].
func parseJSON(raw []byte) (any, error) {
	if !utf8.Valid(raw) {
		return nil, fault.Invalid("", "invalid_json", "must be JSON in UTF-8")
	}
	p := parser{json.NewDecoder(bytes.NewReader(raw))}
	p.dec.UseNumber()
	v, err := p.value("", 0)
	if err != nil {
		return nil, err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.Invalid("", "trailing_data", "must not be followed by more data")
	}
	return v, nil
}

type parser struct{ dec *json.Decoder }

func (p parser) value(pointer string, depth int) (any, error) {
	token, err := p.dec.Token()
	if err != nil {
		return nil, fault.Invalid("", "invalid_json", "must be JSON")
	}
	delim, composite := token.(json.Delim)
	if !composite {
		return token, nil
	}
	if depth == maxDepth {
		return nil, fault.Invalid(pointer, "too_deep", fmt.Sprintf("must not nest deeper than %d levels", maxDepth))
	}
	if delim == '{' {
		return p.object(pointer, depth)
	}
	return p.array(pointer, depth)
}

func (p parser) object(pointer string, depth int) (any, error) {
	object := map[string]any{}
	for p.dec.More() {
		token, err := p.dec.Token()
		key, ok := token.(string)
		if err != nil || !ok {
			return nil, fault.Invalid("", "invalid_json", "must be JSON")
		}
		at := pointer + "/" + escapePointer(key)
		if _, twice := object[key]; twice {
			return nil, fault.Invalid(at, "duplicate_key", "must not appear twice")
		}
		if object[key], err = p.value(at, depth+1); err != nil {
			return nil, err
		}
	}
	return object, p.end()
}

func (p parser) array(pointer string, depth int) (any, error) {
	array := []any{}
	for p.dec.More() {
		v, err := p.value(fmt.Sprintf("%s/%d", pointer, len(array)), depth+1)
		if err != nil {
			return nil, err
		}
		array = append(array, v)
	}
	return array, p.end()
}

// end reads the closing bracket.
func (p parser) end() error {
	if _, err := p.dec.Token(); err != nil {
		return fault.Invalid("", "invalid_json", "must be JSON")
	}
	return nil
}

// escapePointer writes a key as a token of a JSON pointer, see RFC 6901 §3.
func escapePointer(key string) string { return pointerEscaper.Replace(key) }

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")
