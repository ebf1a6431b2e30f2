package levqor

import (
	"context"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

// IdempotencyTTL is how long an answer is kept.
const IdempotencyTTL = 24 * time.Hour

// Idempotency makes requests that are sent twice take effect once.
//
// The record and the effect commit in one transaction. So there is no state
// "running" that a crash could leave behind: either both are there, or neither
// and the next request does the work. A second request that comes while the
// first is at work waits for it and gets its answer.
type Idempotency struct {
	stores Stores
	now    func() time.Time
}

// Do runs effect, unless it has run for this scope within the last
// [IdempotencyTTL]: then the answer of that time is returned, with true. Effect
// works on the stores that it is given; if it returns an error, that error is
// returned, nothing is kept, and the key is free again.
//
// Do returns an ErrInvalid for a key that is not 1 to 255 printable ASCII
// characters, and ErrKeyReused if the fingerprint is another than it was.
func (i *Idempotency) Do(
	ctx context.Context, scope IdempotencyScope, fingerprint []byte,
	effect func(ctx context.Context, tx Stores) (Answer, error),
) (answer Answer, replayed bool, err error) {
	if err := checkKey(scope.Key); err != nil {
		return Answer{}, false, fmt.Errorf("levqor: idempotency: %w", err)
	}
	err = i.stores.InTx(ctx, func(ctx context.Context, tx Stores) error {
		record := IdempotencyRecord{Scope: scope, Fingerprint: fingerprint}
		before, found, err := tx.Idempotency.Begin(ctx, record, IdempotencyTTL, i.now())
		if err != nil {
			return fmt.Errorf("levqor: idempotency: %w", err)
		}
		if found {
			answer, replayed = before.Answer, true
			return sameRequest(before.Fingerprint, fingerprint)
		}
		if answer, err = effect(ctx, tx); err != nil {
			return err
		}
		replayed = false
		return tx.Idempotency.Finish(ctx, scope, answer)
	})
	if err != nil {
		return Answer{}, false, err
	}
	return answer, replayed, nil
}

func sameRequest(before, now []byte) error {
	if subtle.ConstantTimeCompare(before, now) == 1 {
		return nil
	}
	return &fault.Error{Kind: ErrKeyReused, Code: "idempotency_key_reused"}
}

func checkKey(key string) error {
	valid := key != "" && len(key) <= 255
	for _, c := range []byte(key) {
		valid = valid && c >= ' ' && c <= '~'
	}
	if valid {
		return nil
	}
	return fault.Invalid("/idempotency_key", "idempotency_key_invalid", "must be 1 to 255 printable ASCII characters")
}
