package levqor_test

import (
	"context"
	"errors"
	"testing"

	"github.com/levqor/sdk/levqor"
)

func TestRunAllEndsAllPartsWithTheFirst(t *testing.T) {
	broken, late := errors.New("broken"), errors.New("late")
	ended := 0
	waits := func(ctx context.Context) error {
		<-ctx.Done()
		ended++ // RunAll waits, so nobody else counts at the end
		return late
	}
	err := levqor.RunAll(t.Context(), waits, func(context.Context) error { return broken })
	if !errors.Is(err, broken) || !errors.Is(err, late) || ended != 1 {
		t.Errorf("RunAll = %v after %d other parts have ended", err, ended)
	}
	if err := levqor.RunAll(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Errorf("RunAll of an orderly end = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := levqor.RunAll(ctx, waits); !errors.Is(err, late) {
		t.Errorf("RunAll after its end = %v", err)
	}
}
