package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
)

// deprecation returns the headers that tell callers of an operation that it is going to
// end: nil for one that stays. An operation that is deprecated has x-deprecated-at and
// x-sunset, dates of RFC 3339, and may have x-successor, the path of what comes in its
// place. Whoever reads a log of its client learns of it without reading ours: RFC 9745
// (Deprecation), RFC 8594 (Sunset), RFC 8288 (Link).
func deprecation(op *openapi3.Operation) (http.Header, error) {
	given := [...]any{op.Extensions["x-deprecated-at"], op.Extensions["x-sunset"], op.Extensions["x-successor"]}
	if !op.Deprecated {
		if given != [3]any{} {
			return nil, fmt.Errorf("httpapi: operation %s has dates of an end and is not deprecated", op.OperationID)
		}
		return nil, nil //nolint:nilnil // no headers
	}
	since, err := date(given[0])
	sunset, alsoErr := date(given[1])
	if err := errors.Join(err, alsoErr); err != nil {
		return nil, fmt.Errorf("httpapi: operation %s is deprecated: x-deprecated-at and x-sunset: %w", op.OperationID, err)
	}
	if !sunset.After(since) {
		return nil, fmt.Errorf("httpapi: operation %s ends before it is deprecated", op.OperationID)
	}
	h := http.Header{}
	h.Set("Deprecation", "@"+strconv.FormatInt(since.Unix(), 10))
	h.Set("Sunset", sunset.UTC().Format(http.TimeFormat))
	h.Add("Link", `</api/v1/openapi.yaml>; rel="deprecation"; type="application/openapi+yaml"`)
	if successor, ok := given[2].(string); ok {
		h.Add("Link", "<"+(&url.URL{Path: successor}).EscapedPath()+`>; rel="successor-version"`)
	}
	return h, nil
}

func date(v any) (time.Time, error) {
	text, _ := v.(string)
	return time.Parse(time.RFC3339, text)
}

// linkNext names the next page of a list in the header Link, wherever an answer has a
// cursor: one place for all lists, so none can forget it.
func linkNext(next oas.StrictHandlerFunc, _ string) oas.StrictHandlerFunc {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
		response, err := next(ctx, w, r, request)
		if cursor := nextCursor(response); err == nil && cursor != "" && r.Method == http.MethodGet {
			query := r.URL.Query()
			query.Set("cursor", cursor)
			w.Header().Add("Link", "<"+r.URL.EscapedPath()+"?"+query.Encode()+`>; rel="next"`)
		}
		return response, err
	}
}

// nextCursor returns the cursor in the body of a page; empty if there is none.
func nextCursor(response any) string {
	v := reflect.ValueOf(response)
	for _, name := range []string{"Body", "NextCursor"} {
		if v.Kind() != reflect.Struct {
			return ""
		}
		v = v.FieldByName(name)
	}
	if !v.IsValid() {
		return ""
	}
	cursor, _ := v.Interface().(*string)
	return value(cursor)
}
