// Package fault defines the kinds of errors that every package of the SDK
// shares, and the error value that carries a field.
//
// Domain packages re-export the kinds they return and refine them, as os and
// io/fs re-export internal/oserror, so errors.Is gives the same answer in
// process and through the generated client.
package fault

import (
	"errors"
	"strings"
)

// The kinds. A worker retries only ErrLimit, ErrUnavailable and errors of no
// kind; HTTP maps each kind to one status.
var (
	// ErrInvalid reports that a value given by the caller is wrong (HTTP 400).
	ErrInvalid = errors.New("invalid")
	// ErrUnauthenticated reports that the caller is not known (HTTP 401).
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrForbidden reports that the caller is known and may not (HTTP 403).
	ErrForbidden = errors.New("forbidden")
	// ErrNotFound reports that there is no such thing, or that it is not the
	// caller's (HTTP 404).
	ErrNotFound = errors.New("not found")
	// ErrConflict reports that the state has moved on (HTTP 409).
	ErrConflict = errors.New("conflict")
	// ErrLimit reports that a quota or rate is used up (HTTP 429).
	ErrLimit = errors.New("limit reached")
	// ErrUnavailable reports that a database or provider is down (HTTP 503).
	ErrUnavailable = errors.New("unavailable")
)

// Error is an error that a caller may see: what kind it is, a stable code for
// programs, the field it is about and a sentence for people. It never holds the
// rejected value, SQL, paths or secrets.
type Error struct {
	// Kind is one of the sentinels of this package or of a domain.
	Kind error
	// Code is stable snake_case, such as "unknown_kind".
	Code string
	// Field is the JSON pointer of the value, such as "/args/url"; empty when
	// the error is about no single field.
	Field string
	// Detail says in one sentence what is wrong.
	Detail string
}

// Error joins field, detail and kind.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Field != "" {
		b.WriteString(e.Field)
		b.WriteString(": ")
	}
	if e.Detail != "" {
		b.WriteString(e.Detail)
		b.WriteString(": ")
	}
	b.WriteString(e.Kind.Error())
	return b.String()
}

// Unwrap returns the kind, so errors.Is finds it.
func (e *Error) Unwrap() error { return e.Kind }

// Invalid returns an ErrInvalid about field.
func Invalid(field, code, detail string) *Error {
	return &Error{Kind: ErrInvalid, Code: code, Field: field, Detail: detail}
}

// Under returns err with each *Error in it moved below the JSON pointer prefix:
// an error about "/url" under "/args" is about "/args/url". Other errors are
// returned as they are.
func Under(prefix string, err error) error {
	all := All(err)
	if len(all) == 0 {
		return err
	}
	moved := make([]error, len(all))
	for i, e := range all {
		c := *e
		c.Field = prefix + c.Field
		moved[i] = &c
	}
	return errors.Join(moved...)
}

// All returns every *Error that err is, wraps or joins, in order.
func All(err error) []*Error {
	switch e := err.(type) { //nolint:errorlint // walks the tree itself
	case nil:
		return nil
	case *Error:
		return []*Error{e}
	case interface{ Unwrap() []error }:
		var all []*Error
		for _, err := range e.Unwrap() {
			all = append(all, All(err)...)
		}
		return all
	default:
		return All(errors.Unwrap(err))
	}
}

// Opaque returns an error that prints only what kind it is and still unwraps to
// both kind and cause. Stores return it, so driver text reaches the operator's
// log through errors.As and never a caller.
func Opaque(kind, cause error) error { return &opaque{kind, cause} }

type opaque struct{ kind, cause error }

func (e *opaque) Error() string   { return e.kind.Error() }
func (e *opaque) Unwrap() []error { return []error{e.kind, e.cause} }

// Cause returns the text of the innermost error, which [Opaque] hides from
// callers and operators need in their log. Of joined errors it takes the last.
func Cause(err error) string {
	for {
		inner := err
		switch e := err.(type) { //nolint:errorlint // walks the tree itself
		case interface{ Unwrap() []error }:
			if all := e.Unwrap(); len(all) > 0 {
				inner = all[len(all)-1]
			}
		case interface{ Unwrap() error }:
			if next := e.Unwrap(); next != nil {
				inner = next
			}
		}
		if inner == err { //nolint:errorlint // the same value is the end of the walk
			return err.Error()
		}
		err = inner
	}
}
