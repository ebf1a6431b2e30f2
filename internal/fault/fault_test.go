package fault_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/levqor/sdk/internal/fault"
)

func TestErrorSaysFieldDetailAndKind(t *testing.T) {
	err := fault.Invalid("/url", "required", "must not be empty")
	if got, want := err.Error(), "/url: must not be empty: invalid"; got != want {
		t.Errorf("Error = %q, want %q", got, want)
	}
	if !errors.Is(err, fault.ErrInvalid) {
		t.Error("it is not of its kind")
	}
	if got := (&fault.Error{Kind: fault.ErrLimit}).Error(); got != "limit reached" {
		t.Errorf("Error = %q", got)
	}
}

func TestUnderMovesEveryFieldAndLeavesTheRest(t *testing.T) {
	both := fmt.Errorf("x: %w", errors.Join(fault.Invalid("/a", "one", ""), fault.Invalid("/b", "two", "")))
	all := fault.All(fault.Under("/args", both))
	if len(all) != 2 || all[0].Field != "/args/a" || all[1].Field != "/args/b" || all[1].Code != "two" {
		t.Errorf("Under gave %v", all)
	}
	if fault.All(both)[0].Field != "/a" {
		t.Error("Under changed its argument")
	}
	plain := errors.New("plain")
	if got := fault.Under("/args", plain); got != plain { //nolint:errorlint // the same value is the point
		t.Errorf("Under = %v, want the error as it is", got)
	}
}

func TestUnderLeavesNoErrorAlone(t *testing.T) {
	if err := fault.Under("/args", nil); err != nil {
		t.Errorf("Under = %v, want nil", err)
	}
}

func TestAllKeepsTheOrderOfATree(t *testing.T) {
	a, b, c := fault.Invalid("/a", "x", ""), fault.Invalid("/b", "x", ""), fault.Invalid("/c", "x", "")
	err := fmt.Errorf("outer: %w", errors.Join(a, fmt.Errorf("inner: %w", errors.Join(b, errors.New("plain"))), fault.Opaque(fault.ErrInvalid, c)))
	if got := fault.All(err); !slices.Equal(got, []*fault.Error{a, b, c}) {
		t.Errorf("All = %v, want a, b, c", got)
	}
}

// Each kind is told from every other, through whatever wraps it.
func TestKindsAreTold(t *testing.T) {
	kinds := []error{
		fault.ErrInvalid, fault.ErrUnauthenticated, fault.ErrForbidden, fault.ErrNotFound,
		fault.ErrConflict, fault.ErrLimit, fault.ErrUnavailable,
	}
	for i, kind := range kinds {
		for _, err := range []error{
			&fault.Error{Kind: kind},
			fault.Opaque(kind, errors.New("cause")),
			fault.Under("/x", &fault.Error{Kind: fmt.Errorf("refined: %w", kind)}),
		} {
			for k, other := range kinds {
				if got, want := errors.Is(err, other), i == k; got != want {
					t.Errorf("errors.Is(%v, %v) = %v", err, other, got)
				}
			}
		}
	}
}

func TestAllOfNothing(t *testing.T) {
	if got := fault.All(nil); got != nil {
		t.Errorf("All(nil) = %v", got)
	}
	if got := fault.All(errors.New("plain")); got != nil {
		t.Errorf("All of a plain error = %v", got)
	}
}

func TestOpaquePrintsItsKindAlone(t *testing.T) {
	cause := errors.New("password=hunter2")
	err := fmt.Errorf("store: %w", fault.Opaque(fault.ErrUnavailable, cause))
	if got, want := err.Error(), "store: unavailable"; got != want {
		t.Errorf("Error = %q, want %q", got, want)
	}
	if !errors.Is(err, fault.ErrUnavailable) || !errors.Is(err, cause) {
		t.Error("it does not unwrap to kind and cause")
	}
}

func TestCauseIsTheInnermostText(t *testing.T) {
	cause := errors.New("connection refused")
	for _, err := range []error{
		cause,
		fmt.Errorf("x: %w", fault.Opaque(fault.ErrUnavailable, fmt.Errorf("dial: %w", cause))),
		errors.Join(errors.New("first"), cause),
	} {
		if got := fault.Cause(err); got != "connection refused" {
			t.Errorf("Cause(%v) = %q", err, got)
		}
	}
}
