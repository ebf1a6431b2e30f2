package bunlevqor

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
)

// passkeyRow is a passkey.
type passkeyRow struct {
	ID             []byte     `bun:"id"`
	User           int64      `bun:"user_id"`
	Name           string     `bun:"name"`
	PublicKey      []byte     `bun:"public_key"`
	SignCount      uint32     `bun:"sign_count"`
	AAGUID         []byte     `bun:"aaguid"`
	Transports     string     `bun:"transports"`
	BackupEligible bool       `bun:"backup_eligible"`
	BackedUp       bool       `bun:"backed_up"`
	CreatedAt      bundb.Time `bun:"created_at"`
	LastUsedAt     bundb.Time `bun:"last_used_at"`
}

const passkeyColumns bun.Safe = "id, user_id, name, public_key, sign_count, aaguid, transports, backup_eligible, backed_up, created_at, last_used_at" //nolint:gosec // names of columns

func (r passkeyRow) passkey() factor.Passkey {
	p := factor.Passkey{
		ID: r.ID, User: identity.UserID(r.User), Name: r.Name, PublicKey: r.PublicKey, SignCount: r.SignCount,
		Transports: strings.Fields(r.Transports), BackupEligible: r.BackupEligible, BackedUp: r.BackedUp,
		CreatedAt: r.CreatedAt.Time, LastUsedAt: r.LastUsedAt.Time,
	}
	copy(p.AAGUID[:], r.AAGUID)
	return p
}

// AddPasskey implements [factor.PasskeyStore].
func (s *factorStore) AddPasskey(ctx context.Context, p factor.Passkey, now time.Time) (factor.Passkey, error) {
	var added []passkeyRow
	err := s.forUser(ctx, p.User, func(ctx context.Context, tx *factorStore) error {
		err := tx.db.NewRaw("INSERT INTO levqor_factor_passkey (?) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT DO NOTHING RETURNING ?",
			passkeyColumns, p.ID, p.User, p.Name, p.PublicKey, p.SignCount, p.AAGUID[:], strings.Join(p.Transports, " "),
			p.BackupEligible, p.BackedUp, bundb.Now(tx.db, now), passkeyColumns).Scan(ctx, &added)
		if err != nil {
			return err
		}
		if len(added) == 0 {
			return factor.ErrPasskeyTaken
		}
		held, err := tx.Held(ctx, p.User)
		if err == nil && held.Passkeys > factor.MaxPasskeys {
			err = factor.ErrTooManyPasskeys
		}
		return err
	})
	if err != nil {
		return factor.Passkey{}, err
	}
	return added[0].passkey(), nil
}

// FindPasskey implements [factor.PasskeyStore].
func (s *factorStore) FindPasskey(ctx context.Context, id []byte) (factor.Passkey, error) {
	return s.passkey(ctx, bun.SafeQuery("SELECT ? FROM levqor_factor_passkey WHERE id = ?", passkeyColumns, id))
}

// Passkeys implements [factor.PasskeyStore].
func (s *factorStore) Passkeys(ctx context.Context, user identity.UserID) ([]factor.Passkey, error) {
	var rows []passkeyRow
	err := s.db.NewRaw("SELECT ? FROM levqor_factor_passkey WHERE user_id = ? ORDER BY created_at, id", passkeyColumns, user).Scan(ctx, &rows)
	if err != nil {
		return nil, bundb.Err(err)
	}
	all := make([]factor.Passkey, len(rows))
	for i, r := range rows {
		all[i] = r.passkey()
	}
	return all, nil
}

// RenamePasskey implements [factor.PasskeyStore].
func (s *factorStore) RenamePasskey(ctx context.Context, user identity.UserID, id []byte, name string) (factor.Passkey, error) {
	return s.passkey(ctx, bun.SafeQuery("UPDATE levqor_factor_passkey SET name = ? WHERE user_id = ? AND id = ? RETURNING ?", name, user, id, passkeyColumns))
}

// UsePasskey implements [factor.PasskeyStore]. The condition is [factor.PasskeyUse.Grown].
func (s *factorStore) UsePasskey(ctx context.Context, user identity.UserID, id []byte, use factor.PasskeyUse, now time.Time) (factor.Passkey, error) {
	var used []passkeyRow
	err := s.db.NewRaw(`
		UPDATE levqor_factor_passkey SET sign_count = ?, backed_up = ?, last_used_at = ?
		WHERE user_id = ? AND id = ? AND (sign_count < ? OR sign_count = 0 AND ? = 0) RETURNING ?`,
		use.SignCount, use.BackedUp, bundb.Now(s.db, now), user, id, use.SignCount, use.SignCount, passkeyColumns).Scan(ctx, &used)
	if err != nil {
		return factor.Passkey{}, bundb.Err(err)
	}
	if len(used) == 1 {
		return used[0].passkey(), nil
	}
	_, err = s.passkey(ctx, bun.SafeQuery("SELECT ? FROM levqor_factor_passkey WHERE user_id = ? AND id = ?", passkeyColumns, user, id))
	if err == nil {
		err = factor.ErrCloned
	}
	return factor.Passkey{}, err
}

func (s *factorStore) passkey(ctx context.Context, query schema.QueryAppender) (factor.Passkey, error) {
	var row passkeyRow
	if err := s.db.NewRaw("?", query).Scan(ctx, &row); err != nil {
		return factor.Passkey{}, bundb.Err(err)
	}
	return row.passkey(), nil
}

// AddCeremony implements [factor.CeremonyStore].
func (s *factorStore) AddCeremony(ctx context.Context, c factor.Ceremony, ttl time.Duration, now time.Time) error {
	add := func(ctx context.Context, tx *factorStore) error {
		return tx.exec(ctx, "INSERT INTO levqor_factor_ceremony (hash, user_id, purpose, data, expires_at) VALUES (?, ?, ?, ?, ?)",
			c.Hash, c.User, string(c.Purpose), c.Data, bundb.After(tx.db, now, ttl))
	}
	if c.User == 0 {
		return bundb.Err(add(ctx, s))
	}
	return s.forUser(ctx, c.User, add)
}

// TakeCeremony implements [factor.CeremonyStore].
func (s *factorStore) TakeCeremony(ctx context.Context, hash []byte, now time.Time) (factor.Ceremony, error) {
	var row struct {
		User    int64  `bun:"user_id"`
		Purpose string `bun:"purpose"`
		Data    []byte `bun:"data"`
	}
	err := s.db.NewRaw("DELETE FROM levqor_factor_ceremony WHERE hash = ? AND expires_at > ? RETURNING user_id, purpose, data",
		hash, bundb.Now(s.db, now)).Scan(ctx, &row)
	if err != nil {
		return factor.Ceremony{}, bundb.Err(err)
	}
	return factor.Ceremony{Hash: hash, User: identity.UserID(row.User), Purpose: factor.CeremonyPurpose(row.Purpose), Data: row.Data}, nil
}

// DeleteExpiredCeremonies implements [factor.CeremonyStore].
func (s *factorStore) DeleteExpiredCeremonies(ctx context.Context, limit int, now time.Time) (int, error) {
	return deleteSome(ctx, s.db, "levqor_factor_ceremony", "hash", limit, bun.SafeQuery("expires_at <= ?", bundb.Now(s.db, now)))
}
