package levqortest

import (
	"context"
	"errors"
	"time"

	"github.com/levqor/sdk/levqor"
)

// meanwhile runs first in a transaction and then in another, which comes as far as it can
// before the one of first ends.
func (e *env) meanwhile(first, then func(ctx context.Context, tx levqor.Stores) error) {
	e.Helper()
	var ended func()
	e.inTx(func(ctx context.Context, tx levqor.Stores) error {
		err := first(ctx, tx)
		ended = e.comes(then)
		return err
	})
	ended()
}

// comes runs fn in a transaction beside that of its caller, returns when it has come as far
// as it can, and returns what waits for its end. It is undone if fn returns errBoom.
func (e *env) comes(fn func(ctx context.Context, tx levqor.Stores) error) (ended func()) {
	begun, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		first := true
		err := e.InTx(e.ctx, func(ctx context.Context, tx levqor.Stores) error {
			if first {
				close(begun)
			}
			first = false
			return fn(ctx, tx)
		})
		if err != nil && !errors.Is(err, errBoom) {
			e.Errorf("the transaction that came meanwhile: %v", err)
		}
	}()
	select {
	case <-begun:
		time.Sleep(50 * time.Millisecond) // it runs until it has to wait, if it has to
	case <-time.After(100 * time.Millisecond): // it waits for the one writer that there may be
	}
	return func() { <-done }
}
