package pgxjobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/levqor/sdk/internal/fault"
)

// opaque returns an error as stores do: it prints its kind alone and unwraps to the
// driver's. Whatever goes wrong with signals, they are away.
func opaque(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, fault.ErrUnavailable) {
		return err
	}
	return fault.Opaque(fault.ErrUnavailable, err)
}

func invalid(code, detail string) error {
	return fmt.Errorf("pgxjobs: open: %w", fault.Invalid("/signals_url", code, detail))
}
