package levqor

import (
	"context"
	"errors"
	"time"

	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
)

// telling returns stores that have a user told by mail when their second factors change, in
// the transaction of the change and whoever makes it: pages, an undo, or a host by itself.
func (a *App) telling(s Stores) Stores {
	inTx := s.Tx
	s.Factors = &tellingFactors{s.Factors, a, inTx}
	s.Tx = func(ctx context.Context, fn func(context.Context, Stores) error) error {
		return inTx(ctx, func(ctx context.Context, tx Stores) error { return fn(ctx, a.telling(tx)) })
	}
	return s
}

// tellingFactors are second factors whose users are told of what changes.
type tellingFactors struct {
	factor.Store
	app  *App
	inTx func(ctx context.Context, fn func(context.Context, Stores) error) error // with stores that tell nobody
}

// change changes the factors of a user and has them told, unless it tells nothing.
func (s *tellingFactors) change(ctx context.Context, user identity.UserID, change func(context.Context, factor.Store) (factorChange, error)) error {
	return s.inTx(ctx, func(ctx context.Context, tx Stores) error {
		what, err := change(ctx, tx.Factors)
		if err != nil || what == "" {
			return err
		}
		return s.app.tellOfFactors(ctx, tx, user, what)
	})
}

// ConfirmTOTP implements [factor.TOTPStore].
func (s *tellingFactors) ConfirmTOTP(ctx context.Context, user identity.UserID, sealed string, step int64, now time.Time) error {
	return s.change(ctx, user, func(ctx context.Context, tx factor.Store) (factorChange, error) {
		held, err := tx.Held(ctx, user)
		if err != nil {
			return "", err
		}
		if held.TOTP {
			return appReplaced, tx.ConfirmTOTP(ctx, user, sealed, step, now)
		}
		return appAdded, tx.ConfirmTOTP(ctx, user, sealed, step, now)
	})
}

// AddPasskey implements [factor.PasskeyStore].
func (s *tellingFactors) AddPasskey(ctx context.Context, passkey factor.Passkey, now time.Time) (added factor.Passkey, err error) {
	err = s.change(ctx, passkey.User, func(ctx context.Context, tx factor.Store) (factorChange, error) {
		var err error
		added, err = tx.AddPasskey(ctx, passkey, now)
		return passkeyAdded, err
	})
	return added, err
}

// ReplaceRecoveryCodes implements [factor.RecoveryStore].
func (s *tellingFactors) ReplaceRecoveryCodes(ctx context.Context, user identity.UserID, hashes [][]byte, now time.Time) error {
	return s.change(ctx, user, func(ctx context.Context, tx factor.Store) (factorChange, error) {
		return codesReplaced, tx.ReplaceRecoveryCodes(ctx, user, hashes, now)
	})
}

// UseRecoveryCode implements [factor.RecoveryStore].
func (s *tellingFactors) UseRecoveryCode(ctx context.Context, user identity.UserID, hash []byte) (left int, err error) {
	err = s.change(ctx, user, func(ctx context.Context, tx factor.Store) (factorChange, error) {
		var err error
		left, err = tx.UseRecoveryCode(ctx, user, hash)
		return codeUsed, err
	})
	return left, err
}

// RemoveTOTP implements [factor.HeldStore].
func (s *tellingFactors) RemoveTOTP(ctx context.Context, user identity.UserID, least int) error {
	return s.change(ctx, user, func(ctx context.Context, tx factor.Store) (factorChange, error) {
		return appRemoved, tx.RemoveTOTP(ctx, user, least)
	})
}

// RemovePasskey implements [factor.HeldStore].
func (s *tellingFactors) RemovePasskey(ctx context.Context, user identity.UserID, id []byte, least int) error {
	return s.change(ctx, user, func(ctx context.Context, tx factor.Store) (factorChange, error) {
		return passkeyRemoved, tx.RemovePasskey(ctx, user, id, least)
	})
}

// RemoveSince implements [factor.HeldStore].
func (s *tellingFactors) RemoveSince(ctx context.Context, user identity.UserID, since time.Time) (factor.Held, error) {
	return s.remove(ctx, user, laterRemoved, func(ctx context.Context, tx factor.Store) (factor.Held, error) {
		return tx.RemoveSince(ctx, user, since)
	})
}

// RemoveAll implements [factor.HeldStore].
func (s *tellingFactors) RemoveAll(ctx context.Context, user identity.UserID) (factor.Held, error) {
	return s.remove(ctx, user, allRemoved, func(ctx context.Context, tx factor.Store) (factor.Held, error) {
		return tx.RemoveAll(ctx, user)
	})
}

// remove removes factors of a user, who is told if there were any.
func (s *tellingFactors) remove(
	ctx context.Context, user identity.UserID, what factorChange, remove func(context.Context, factor.Store) (factor.Held, error),
) (removed factor.Held, err error) {
	err = s.change(ctx, user, func(ctx context.Context, tx factor.Store) (factorChange, error) {
		var err error
		if removed, err = remove(ctx, tx); removed == (factor.Held{}) {
			return "", err
		}
		return what, err
	})
	return removed, err
}

// tellOfFactors has a change mailed to the address that the user has now: whoever changes
// that next, and the factors before, does not get the mail. Users whose deletion has begun
// are told nothing.
func (a *App) tellOfFactors(ctx context.Context, tx Stores, id identity.UserID, what factorChange) error {
	user, err := tx.Directory.FindUser(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = a.Jobs.With(tx.Jobs).Enqueue(ctx, factorMail{user.Email.String(), what}, nil)
	return err
}
