package bunlevqor

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

// ListSealedTOTP implements [factor.SealedStore].
func (s *factorStore) ListSealedTOTP(ctx context.Context, after identity.UserID, limit int) ([]factor.SealedTOTP, error) {
	var rows []struct {
		User    int64  `bun:"user_id"`
		Secret  string `bun:"secret"`
		Pending string `bun:"pending"`
	}
	err := s.db.NewRaw(`
		SELECT user_id, secret, pending FROM levqor_factor_totp WHERE user_id > ? AND (secret IS NOT NULL OR pending IS NOT NULL)
		ORDER BY user_id LIMIT ?`, after, limit).Scan(ctx, &rows)
	if err != nil {
		return nil, bundb.Err(err)
	}
	var all []factor.SealedTOTP
	for _, row := range rows {
		for _, sealed := range []string{row.Secret, row.Pending} {
			if sealed != "" {
				all = append(all, factor.SealedTOTP{User: identity.UserID(row.User), Sealed: sealed})
			}
		}
	}
	return all, nil
}

// ReplaceSealedTOTP implements [factor.SealedStore]. One statement looks at both places, so
// that a secret that is confirmed meanwhile is not missed.
func (s *factorStore) ReplaceSealedTOTP(ctx context.Context, seen factor.SealedTOTP, sealed string) error {
	return bundb.Err(s.exec(ctx, `
		UPDATE levqor_factor_totp SET
			secret = CASE WHEN secret = ? THEN ? ELSE secret END,
			pending = CASE WHEN pending = ? THEN ? ELSE pending END
		WHERE user_id = ? AND (secret = ? OR pending = ?)`,
		seen.Sealed, sealed, seen.Sealed, sealed, seen.User, seen.Sealed, seen.Sealed))
}

// ListSealed implements [sso.SealedStore].
func (s *ssoStore) ListSealed(ctx context.Context, after sso.ConnectionID, limit int) ([]sso.SealedSecret, error) {
	var rows []connectionRow
	err := s.db.NewRaw("SELECT id, client_secret FROM levqor_sso_connection WHERE id > ? ORDER BY id LIMIT ?", after, limit).Scan(ctx, &rows)
	if err != nil {
		return nil, bundb.Err(err)
	}
	var all []sso.SealedSecret
	for _, row := range rows {
		all = append(all, sso.SealedSecret{ID: sso.ConnectionID(row.ID), Sealed: row.ClientSecret})
	}
	return all, nil
}

// ReplaceSealed implements [sso.SealedStore].
func (s *ssoStore) ReplaceSealed(ctx context.Context, seen sso.SealedSecret, sealed string) error {
	_, err := bundb.Exec(ctx, s.db, bun.SafeQuery("UPDATE levqor_sso_connection SET client_secret = ? WHERE id = ? AND client_secret = ?",
		sealed, seen.ID, seen.Sealed))
	return bundb.Err(err)
}
