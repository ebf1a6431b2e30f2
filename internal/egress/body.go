package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// ReadBody reads at most n bytes of r and reports whether r holds more. It
// takes one byte beyond n to learn that, and does not close r. With an error
// it returns the bytes read until then. A negative n counts as 0.
func ReadBody(r io.Reader, n int64) (body []byte, truncated bool, err error) {
	n = max(n, 0)
	body, err = io.ReadAll(io.LimitReader(r, n))
	if err != nil {
		return body, false, bodyError(err)
	}
	if int64(len(body)) < n {
		return body, false, nil
	}
	var next [1]byte
	if _, err := io.ReadFull(r, next[:]); err != nil {
		return body, false, bodyError(err)
	}
	return body, true, nil
}

func bodyError(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	if isTimeout(err) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("egress: read body: %w", err)
	}
	return fmt.Errorf("egress: read body: %w: %w", ErrResponse, err)
}
