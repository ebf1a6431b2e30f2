package fault_test

import (
	"errors"
	"fmt"
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
