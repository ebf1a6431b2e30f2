package guard

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

// Limits are the policies of a service. Of each the zero value means its default, field by
// field; a negative Limit means that there is none.
type Limits struct {
	// Reads holds for each API key or user and operations that change nothing. Default: "read",
	// 6,000 a minute.
	Reads Policy
	// Writes holds for each API key or user and operations that change something. Default:
	// "write", 3,000 a minute.
	Writes Policy
	// Bulk holds for each API key or user and operations that go through very much. Default:
	// "bulk", 600 a minute.
	Bulk Policy
	// Protected holds for each API key or user and operations that are worth most to
	// whoever has stolen one: making keys, exports. Default: "protected", 20 a minute.
	Protected Policy
	// Failures holds for each client address, an IPv4 address or the /64 of an IPv6 one,
	// and requests whose API key is missing or wrong. Right keys are not counted and never
	// refused, so nobody can lock others out. Default: "failure", 60 a minute.
	Failures Policy
}

// WithDefaults returns the limits with defaults in the place of zero values, or an
// ErrInvalid that names each wrong field.
func (l Limits) WithDefaults() (Limits, error) {
	var errs []error
	for _, p := range []struct {
		policy   *Policy
		field    string
		fallback Policy
	}{
		{&l.Reads, "/reads", Policy{"read", 6000, time.Minute}},
		{&l.Writes, "/writes", Policy{"write", 3000, time.Minute}},
		{&l.Bulk, "/bulk", Policy{"bulk", 600, time.Minute}},
		{&l.Protected, "/protected", Policy{"protected", 20, time.Minute}},
		{&l.Failures, "/failures", Policy{"failure", 60, time.Minute}},
	} {
		if p.policy.None() {
			continue
		}
		p.policy.Name = cmp.Or(p.policy.Name, p.fallback.Name)
		p.policy.Limit = cmp.Or(p.policy.Limit, p.fallback.Limit)
		p.policy.Window = cmp.Or(p.policy.Window, p.fallback.Window)
		if err := p.policy.Validate(); err != nil {
			errs = append(errs, fault.Under(p.field, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Limits{}, fmt.Errorf("guard: limits: %w", err)
	}
	return l, nil
}

// None reports whether the policy stands for no limit at all.
func (p Policy) None() bool { return p.Limit < 0 }
