package bunlevqor

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor/identity"
)

// keyRow is an API key.
type keyRow struct {
	bun.BaseModel `bun:"table:levqor_identity_key,alias:k"`

	ID            string     `bun:"id,pk"`
	Tenant        string     `bun:"tenant"`
	Name          string     `bun:"name"`
	Environment   string     `bun:"environment"`
	LastFour      string     `bun:"last_four"`
	Creator       string     `bun:"creator"`
	Hash          []byte     `bun:"hash"`
	OldHash       []byte     `bun:"old_hash"`
	Scopes        string     `bun:"scopes"`
	Networks      string     `bun:"networks"`
	CreatedAt     bundb.Time `bun:"created_at"`
	ExpiresAt     bundb.Time `bun:"expires_at"`
	RevokedAt     bundb.Time `bun:"revoked_at"`
	LastUsedAt    bundb.Time `bun:"last_used_at"`
	RotatedAt     bundb.Time `bun:"rotated_at"`
	RetiringUntil bundb.Time `bun:"retiring_until"`
}

// keyColumns are those of a keyRow.
const keyColumns = bun.Safe(`id, tenant, name, environment, last_four, creator, hash, old_hash, scopes, networks,
	created_at, expires_at, revoked_at, last_used_at, rotated_at, retiring_until`)

func (r *keyRow) key() identity.Key {
	return identity.Key{
		ID: r.ID, Tenant: r.Tenant, Name: r.Name, Environment: r.Environment, LastFour: r.LastFour, Creator: r.Creator,
		Hash: r.Hash, OldHash: r.OldHash, Scopes: strings.Fields(r.Scopes), AllowedNetworks: parseNetworks(r.Networks),
		CreatedAt: r.CreatedAt.Time, ExpiresAt: r.ExpiresAt.Time, RevokedAt: r.RevokedAt.Time,
		LastUsedAt: r.LastUsedAt.Time, RotatedAt: r.RotatedAt.Time, RetiringUntil: r.RetiringUntil.Time,
	}
}

// parseNetworks reads the networks of a key. One that somebody has spoilt by hand
// stays as one that holds no address: without it the key might be good anywhere.
func parseNetworks(text string) []netip.Prefix {
	var networks []netip.Prefix
	for word := range strings.FieldsSeq(text) {
		network, err := netip.ParsePrefix(word)
		if err != nil {
			network = netip.Prefix{}
		}
		networks = append(networks, network)
	}
	return networks
}

func networksText(networks []netip.Prefix) string {
	words := make([]string, len(networks))
	for i, n := range networks {
		words[i] = n.String()
	}
	return strings.Join(words, " ")
}

type keyStore struct{ db bun.IDB }

var _ identity.KeyStore = (*keyStore)(nil)

// InsertKey implements [identity.KeyStore].
func (s *keyStore) InsertKey(ctx context.Context, key identity.Key, now time.Time) (identity.Key, error) {
	var stored []keyRow
	if err := s.insert(ctx, key, nil, now, &stored); err != nil {
		return identity.Key{}, bundb.Err(err)
	}
	if len(stored) == 0 {
		return identity.Key{}, identity.ErrConflict
	}
	return stored[0].key(), nil
}

// InsertOwnerKey implements [identity.KeyStore].
func (s *keyStore) InsertOwnerKey(ctx context.Context, key identity.Key, now time.Time) (bool, error) {
	var stored []keyRow
	err := s.insert(ctx, key, "owner", now, &stored)
	return len(stored) == 1, bundb.Err(err)
}

// insert stores a key unless its ID or its slot, of which there is one each, is
// taken.
func (s *keyStore) insert(ctx context.Context, key identity.Key, slot any, now time.Time, stored *[]keyRow) error {
	return s.db.NewRaw(`
		INSERT INTO levqor_identity_key (id, tenant, name, environment, last_four, creator, hash, scopes, networks, slot, created_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING
		RETURNING ?`,
		key.ID, key.Tenant, key.Name, key.Environment, key.LastFour, key.Creator, key.Hash, strings.Join(key.Scopes, " "),
		networksText(key.AllowedNetworks), slot, bundb.Now(s.db, now), bundb.Time{Time: key.ExpiresAt}, keyColumns).Scan(ctx, stored)
}

// FindKey implements [identity.KeyStore].
func (s *keyStore) FindKey(ctx context.Context, id string, now time.Time) (identity.Key, time.Time, error) {
	var found struct {
		keyRow
		At bundb.Time `bun:"at"`
	}
	err := s.db.NewRaw("SELECT ?, ? AS at FROM levqor_identity_key WHERE id = ?", keyColumns, bundb.Now(s.db, now), id).Scan(ctx, &found)
	if err != nil {
		return identity.Key{}, time.Time{}, bundb.Err(err)
	}
	return found.key(), found.At.Time, nil
}

// ListKeys implements [identity.KeyStore]. The comparison of lines walks along the
// index: nearly all keys have an instant of their own.
func (s *keyStore) ListKeys(ctx context.Context, tenant string, q identity.KeyQuery) ([]identity.Key, error) {
	var rows []keyRow
	query := s.db.NewSelect().Model(&rows).ColumnExpr("?", keyColumns).Where("tenant = ?", tenant).
		OrderExpr("created_at DESC, id DESC").Limit(int64(q.Limit))
	if q.Before.ID != "" {
		query = query.Where("(created_at, id) < (?, ?)", bundb.Time{Time: q.Before.CreatedAt}, q.Before.ID)
	}
	if !q.WithRevoked {
		query = query.Where("revoked_at IS NULL")
	}
	if err := query.Scan(ctx); err != nil {
		return nil, bundb.Err(err)
	}
	var keys []identity.Key
	for _, r := range rows {
		keys = append(keys, r.key())
	}
	return keys, nil
}

// UpdateKey implements [identity.KeyStore].
func (s *keyStore) UpdateKey(ctx context.Context, tenant, id string, c identity.KeyChange) (identity.Key, error) {
	var networks *string
	if c.AllowedNetworks != nil {
		networks = new(networksText(*c.AllowedNetworks))
	}
	var changed []keyRow
	err := s.db.NewRaw(`
		UPDATE levqor_identity_key SET name = COALESCE(?, name), networks = COALESCE(?, networks)
		WHERE tenant = ? AND id = ? AND revoked_at IS NULL
		RETURNING ?`, c.Name, networks, tenant, id, keyColumns).Scan(ctx, &changed)
	return s.changed(ctx, tenant, id, changed, time.Time{}, err)
}

// RotateKey implements [identity.KeyStore]. Of statements at once one finds the row as
// it was; the others wait for its end and look again.
func (s *keyStore) RotateKey(ctx context.Context, tenant, id string, r identity.KeyRotation, now time.Time) (identity.Key, error) {
	now = bundb.Clock(s.db, now)
	var changed []keyRow
	err := s.db.NewRaw(`
		UPDATE levqor_identity_key SET hash = ?0, last_four = ?1, rotated_at = ?2,
			old_hash = CASE WHEN ?3 THEN hash END, retiring_until = CASE WHEN ?3 THEN ?4 END
		WHERE tenant = ?5 AND id = ?6 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)
			AND (retiring_until IS NULL OR retiring_until <= ?2)
		RETURNING ?7`,
		r.Hash, r.LastFour, bundb.Now(s.db, now), r.Overlap > 0, bundb.After(s.db, now, r.Overlap), tenant, id, keyColumns).Scan(ctx, &changed)
	return s.changed(ctx, tenant, id, changed, now, err)
}

// changed returns the key that a statement has changed, or why there was none.
func (s *keyStore) changed(ctx context.Context, tenant, id string, rows []keyRow, now time.Time, err error) (identity.Key, error) {
	if err != nil {
		return identity.Key{}, bundb.Err(err)
	}
	if len(rows) == 1 {
		return rows[0].key(), nil
	}
	key, at, err := s.FindKey(ctx, id, now)
	switch {
	case err != nil:
		return identity.Key{}, err
	case key.Tenant != tenant:
		return identity.Key{}, identity.ErrNotFound
	case errors.Is(key.MayRotate(at), identity.ErrRotating):
		return identity.Key{}, identity.ErrRotating
	default:
		return identity.Key{}, identity.ErrConflict
	}
}

// TouchKeys implements [identity.KeyStore]. It waits for no other change of a key, and
// takes keys in one order, so two processes cannot wait for each other.
func (s *keyStore) TouchKeys(ctx context.Context, ids []string, now time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	now = bundb.Clock(s.db, now)
	open, end := bundb.InArray(s.db)
	_, err := s.db.NewRaw(`
		UPDATE levqor_identity_key SET last_used_at = ? WHERE id ?
			SELECT id FROM levqor_identity_key WHERE id IN (?) AND (last_used_at IS NULL OR last_used_at <= ?) ORDER BY id ?
		?`, bundb.Now(s.db, now), open, bun.List(ids), bundb.After(s.db, now, -identity.TouchInterval), bundb.SkipLocked(s.db), end).Exec(ctx)
	return bundb.Err(err)
}

// RehashKeys implements [identity.KeyHashStore]. Each key is a transaction of its own, so
// none waits for the others; a key comes here once in the life of a secret.
func (s *keyStore) RehashKeys(ctx context.Context, all []identity.Rehash) error {
	for _, r := range all {
		_, err := s.db.NewRaw(`
			UPDATE levqor_identity_key SET
				hash = CASE WHEN hash = ?1 THEN ?2 ELSE hash END, old_hash = CASE WHEN old_hash = ?1 THEN ?2 ELSE old_hash END
			WHERE id = ?0 AND (hash = ?1 OR old_hash = ?1)`, r.ID, r.From, r.To).Exec(ctx)
		if err != nil {
			return bundb.Err(err)
		}
	}
	return nil
}

// RevokeKey implements [identity.KeyStore].
func (s *keyStore) RevokeKey(ctx context.Context, tenant, id string, now time.Time) (identity.Key, error) {
	var revoked keyRow
	err := s.db.NewRaw(`
		UPDATE levqor_identity_key SET revoked_at = COALESCE(revoked_at, ?) WHERE tenant = ? AND id = ?
		RETURNING ?`, bundb.Now(s.db, now), tenant, id, keyColumns).Scan(ctx, &revoked)
	if err != nil {
		return identity.Key{}, bundb.Err(err)
	}
	return revoked.key(), nil
}
