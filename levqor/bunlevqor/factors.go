package bunlevqor

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
)

// factorStore keeps second factors. Whoever adds or removes some of a user holds the
// user's row, so that no two count them at the same time and nothing is added while the
// user is deleted.
type factorStore struct{ db bun.IDB }

var _ factor.Store = (*factorStore)(nil)

// PutPendingTOTP implements [factor.TOTPStore].
func (s *factorStore) PutPendingTOTP(ctx context.Context, user identity.UserID, sealed string, ttl time.Duration, now time.Time) error {
	return s.forUser(ctx, user, func(ctx context.Context, tx *factorStore) error {
		return tx.exec(ctx, `
			INSERT INTO levqor_factor_totp (user_id, last_step, pending, pending_until) VALUES (?, 0, ?, ?)
			ON CONFLICT (user_id) DO UPDATE SET pending = EXCLUDED.pending, pending_until = EXCLUDED.pending_until`,
			user, sealed, bundb.After(tx.db, now, ttl))
	})
}

// FindTOTP implements [factor.TOTPStore].
func (s *factorStore) FindTOTP(ctx context.Context, user identity.UserID, now time.Time) (factor.TOTP, time.Time, error) {
	now = bundb.Clock(s.db, now)
	var row struct {
		Secret      string     `bun:"secret"`
		LastStep    int64      `bun:"last_step"`
		ConfirmedAt bundb.Time `bun:"confirmed_at"`
		Pending     string     `bun:"pending"`
		At          bundb.Time `bun:"at"`
	}
	at := bundb.Now(s.db, now)
	err := s.db.NewRaw(`
		SELECT secret, last_step, confirmed_at, CASE WHEN pending_until > ? THEN pending END AS pending, ? AS at
		FROM levqor_factor_totp WHERE user_id = ? AND (secret IS NOT NULL OR pending_until > ?)`, at, at, user, at).Scan(ctx, &row)
	if err != nil {
		return factor.TOTP{}, time.Time{}, bundb.Err(err)
	}
	return factor.TOTP{Secret: row.Secret, LastStep: row.LastStep, ConfirmedAt: row.ConfirmedAt.Time, Pending: row.Pending}, row.At.Time, nil
}

// ConfirmTOTP implements [factor.TOTPStore].
func (s *factorStore) ConfirmTOTP(ctx context.Context, user identity.UserID, sealed string, step int64, now time.Time) error {
	now = bundb.Clock(s.db, now)
	return s.change(ctx, factor.ErrNotFound, `
		UPDATE levqor_factor_totp SET secret = pending, last_step = ?, confirmed_at = ?, pending = NULL, pending_until = NULL
		WHERE user_id = ? AND pending = ? AND pending_until > ?`,
		step, bundb.Now(s.db, now), user, sealed, bundb.Now(s.db, now))
}

// UseTOTPStep implements [factor.TOTPStore].
func (s *factorStore) UseTOTPStep(ctx context.Context, user identity.UserID, sealed string, step int64) error {
	return s.change(ctx, factor.ErrReplayed, "UPDATE levqor_factor_totp SET last_step = ? WHERE user_id = ? AND secret = ? AND last_step < ?",
		step, user, sealed, step)
}

// ReplaceRecoveryCodes implements [factor.RecoveryStore].
func (s *factorStore) ReplaceRecoveryCodes(ctx context.Context, user identity.UserID, hashes [][]byte, now time.Time) error {
	return s.forUser(ctx, user, func(ctx context.Context, tx *factorStore) error {
		if err := tx.exec(ctx, "DELETE FROM levqor_factor_recovery WHERE user_id = ?", user); err != nil {
			return err
		}
		for _, hash := range hashes {
			err := tx.exec(ctx, "INSERT INTO levqor_factor_recovery (user_id, hash, created_at) VALUES (?, ?, ?)", user, hash, bundb.Now(tx.db, now))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// RecoveryCodes implements [factor.RecoveryStore].
func (s *factorStore) RecoveryCodes(ctx context.Context, user identity.UserID) ([][]byte, error) {
	var hashes [][]byte
	err := s.db.NewRaw("SELECT hash FROM levqor_factor_recovery WHERE user_id = ?", user).Scan(ctx, &hashes)
	return hashes, bundb.Err(err)
}

// UseRecoveryCode implements [factor.RecoveryStore].
func (s *factorStore) UseRecoveryCode(ctx context.Context, user identity.UserID, hash []byte) (left int, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx *factorStore) error {
		if err := tx.change(ctx, factor.ErrNotFound, "DELETE FROM levqor_factor_recovery WHERE user_id = ? AND hash = ?", user, hash); err != nil {
			return err
		}
		held, err := tx.Held(ctx, user)
		left = held.RecoveryCodes
		return err
	})
	return left, err
}

// Held implements [factor.HeldStore].
func (s *factorStore) Held(ctx context.Context, user identity.UserID) (factor.Held, error) {
	var row struct {
		TOTP          bool `bun:"totp"`
		Passkeys      int  `bun:"passkeys"`
		RecoveryCodes int  `bun:"recovery_codes"`
	}
	err := s.db.NewRaw(`
		SELECT EXISTS (SELECT 1 FROM levqor_factor_totp WHERE user_id = ? AND secret IS NOT NULL) AS totp,
			(SELECT count(*) FROM levqor_factor_passkey WHERE user_id = ?) AS passkeys,
			(SELECT count(*) FROM levqor_factor_recovery WHERE user_id = ?) AS recovery_codes`, user, user, user).Scan(ctx, &row)
	return factor.Held(row), bundb.Err(err)
}

// RemoveTOTP implements [factor.HeldStore].
func (s *factorStore) RemoveTOTP(ctx context.Context, user identity.UserID, least int) error {
	return s.remove(ctx, user, least, "DELETE FROM levqor_factor_totp WHERE user_id = ? AND secret IS NOT NULL", user)
}

// RemovePasskey implements [factor.HeldStore].
func (s *factorStore) RemovePasskey(ctx context.Context, user identity.UserID, id []byte, least int) error {
	return s.remove(ctx, user, least, "DELETE FROM levqor_factor_passkey WHERE user_id = ? AND id = ?", user, id)
}

// remove removes one factor of a user, unless fewer than least would be left, and the
// recovery codes with the last one.
func (s *factorStore) remove(ctx context.Context, user identity.UserID, least int, statement string, args ...any) error {
	return s.inTx(ctx, func(ctx context.Context, tx *factorStore) error {
		if err := tx.holdUser(ctx, user); err != nil {
			return err
		}
		if err := tx.change(ctx, factor.ErrNotFound, statement, args...); err != nil {
			return err
		}
		held, err := tx.Held(ctx, user)
		switch {
		case err != nil:
			return err
		case held.Count() < least:
			return factor.ErrFactorRequired
		case held.Any():
			return nil
		default:
			return tx.exec(ctx, "DELETE FROM levqor_factor_recovery WHERE user_id = ?", user)
		}
	})
}

// RemoveSince implements [factor.HeldStore].
func (s *factorStore) RemoveSince(ctx context.Context, user identity.UserID, since time.Time) (removed factor.Held, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx *factorStore) error {
		if err := tx.holdUser(ctx, user); err != nil {
			return err
		}
		before, err := tx.Held(ctx, user)
		if err != nil {
			return err
		}
		at := bundb.Time{Time: since}
		err = errors.Join(
			tx.exec(ctx, "DELETE FROM levqor_factor_totp WHERE user_id = ? AND (secret IS NULL OR confirmed_at >= ?)", user, at),
			tx.exec(ctx, "UPDATE levqor_factor_totp SET pending = NULL, pending_until = NULL WHERE user_id = ?", user),
			tx.exec(ctx, "DELETE FROM levqor_factor_passkey WHERE user_id = ? AND created_at >= ?", user, at),
			tx.exec(ctx, "DELETE FROM levqor_factor_ceremony WHERE user_id = ?", user),
			tx.exec(ctx, `DELETE FROM levqor_factor_recovery WHERE user_id = ?0 AND (created_at >= ?1 OR NOT EXISTS (
				SELECT 1 FROM levqor_factor_totp WHERE user_id = ?0 UNION ALL SELECT 1 FROM levqor_factor_passkey WHERE user_id = ?0))`, user, at))
		if err != nil {
			return err
		}
		after, err := tx.Held(ctx, user)
		removed = before.Less(after)
		return err
	})
	return removed, err
}

// RemoveAll implements [factor.HeldStore].
func (s *factorStore) RemoveAll(ctx context.Context, user identity.UserID) (held factor.Held, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx *factorStore) error {
		if err := tx.holdUser(ctx, user); err != nil {
			return err
		}
		var err error
		if held, err = tx.Held(ctx, user); err != nil {
			return err
		}
		for _, table := range []bun.Ident{"levqor_factor_totp", "levqor_factor_recovery", "levqor_factor_passkey", "levqor_factor_ceremony"} {
			if err := tx.exec(ctx, "DELETE FROM ? WHERE user_id = ?", table, user); err != nil {
				return err
			}
		}
		return nil
	})
	return held, err
}

// forUser runs fn while it holds the row of a user whose deletion has not begun.
func (s *factorStore) forUser(ctx context.Context, user identity.UserID, fn func(ctx context.Context, tx *factorStore) error) error {
	return s.inTx(ctx, func(ctx context.Context, tx *factorStore) error {
		people := directory{tx.db}
		err := people.find(ctx, bun.SafeQuery("SELECT id FROM levqor_identity_user WHERE id = ? AND deleted_at IS NULL ?", user, bundb.ForUpdate(tx.db)))
		if err != nil {
			return err
		}
		return fn(ctx, tx)
	})
}

// holdUser holds the row of a user, if there is one, until the transaction ends.
func (s *factorStore) holdUser(ctx context.Context, user identity.UserID) error {
	return s.exec(ctx, "SELECT id FROM levqor_identity_user WHERE id = ? ?", user, bundb.ForUpdate(s.db))
}

func (s *factorStore) exec(ctx context.Context, statement string, args ...any) error {
	_, err := bundb.Exec(ctx, s.db, bun.SafeQuery(statement, args...))
	return err
}

// change runs a statement that changes one row, and returns otherwise if there is none.
func (s *factorStore) change(ctx context.Context, otherwise error, statement string, args ...any) error {
	n, err := bundb.Exec(ctx, s.db, bun.SafeQuery(statement, args...))
	if err != nil {
		return bundb.Err(err)
	}
	if n == 0 {
		return otherwise
	}
	return nil
}

func (s *factorStore) inTx(ctx context.Context, fn func(ctx context.Context, tx *factorStore) error) error {
	return bundb.Err(bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error { return fn(ctx, &factorStore{tx}) }))
}
