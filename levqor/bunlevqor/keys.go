package bunlevqor

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor/identity"
)

// keyRow is an API key.
type keyRow struct {
	bun.BaseModel `bun:"table:levqor_identity_key,alias:k"`

	ID        string     `bun:"id,pk"`
	Tenant    string     `bun:"tenant"`
	Name      string     `bun:"name"`
	Hash      []byte     `bun:"hash"`
	Scopes    string     `bun:"scopes"`
	CreatedAt bundb.Time `bun:"created_at"`
	ExpiresAt bundb.Time `bun:"expires_at"`
	RevokedAt bundb.Time `bun:"revoked_at"`
}

func (r *keyRow) key() identity.Key {
	return identity.Key{
		ID: r.ID, Tenant: r.Tenant, Name: r.Name, Hash: r.Hash, Scopes: strings.Fields(r.Scopes),
		CreatedAt: r.CreatedAt.Time, ExpiresAt: r.ExpiresAt.Time, RevokedAt: r.RevokedAt.Time,
	}
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
		INSERT INTO levqor_identity_key (id, tenant, name, hash, scopes, slot, created_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING
		RETURNING id, tenant, name, hash, scopes, created_at, expires_at, revoked_at`,
		key.ID, key.Tenant, key.Name, key.Hash, strings.Join(key.Scopes, " "), slot,
		bundb.Now(s.db, now), bundb.Time{Time: key.ExpiresAt}).Scan(ctx, stored)
}

// FindKey implements [identity.KeyStore].
func (s *keyStore) FindKey(ctx context.Context, id string, now time.Time) (identity.Key, bool, error) {
	var found struct {
		keyRow
		Current bool `bun:"current"`
	}
	err := s.db.NewRaw(`
		SELECT id, tenant, name, hash, scopes, created_at, expires_at, revoked_at,
			revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?) AS current
		FROM levqor_identity_key WHERE id = ?`, bundb.Now(s.db, now), id).Scan(ctx, &found)
	if err != nil {
		return identity.Key{}, false, bundb.Err(err)
	}
	return found.key(), found.Current, nil
}

// RevokeKey implements [identity.KeyStore].
func (s *keyStore) RevokeKey(ctx context.Context, tenant, id string, now time.Time) (identity.Key, error) {
	var revoked keyRow
	err := s.db.NewRaw(`
		UPDATE levqor_identity_key SET revoked_at = COALESCE(revoked_at, ?) WHERE tenant = ? AND id = ?
		RETURNING id, tenant, name, hash, scopes, created_at, expires_at, revoked_at`,
		bundb.Now(s.db, now), tenant, id).Scan(ctx, &revoked)
	if err != nil {
		return identity.Key{}, bundb.Err(err)
	}
	return revoked.key(), nil
}
