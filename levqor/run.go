package levqor

import (
	"context"
	"errors"
)

// RunAll runs the parts of a program, such as [App.Run] and a server, until ctx ends or
// one of them returns, tells the others by their context, and waits for all of them. It
// returns what they returned, joined.
func RunAll(ctx context.Context, parts ...func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error)
	for _, part := range parts {
		go func() {
			defer stop()
			ended <- part(ctx)
		}()
	}
	var err error
	for range parts {
		err = errors.Join(err, <-ended)
	}
	return err
}
