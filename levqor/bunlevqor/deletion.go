package bunlevqor

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor/identity"
)

// Instant implements [identity.DeletionStore].
func (s *directory) Instant(ctx context.Context, now time.Time) (time.Time, error) {
	at, err := bundb.Instant(ctx, s.db, now)
	return at, bundb.Err(err)
}

// DeleteTenant implements [identity.DeletionStore].
func (s *directory) DeleteTenant(ctx context.Context, id identity.TenantID, now time.Time) (identity.Tenant, error) {
	if id == identity.OwnerTenantID {
		return identity.Tenant{}, identity.ErrOwnerTenant
	}
	var deleted identity.Tenant
	err := s.inTx(ctx, func(ctx context.Context, tx *directory) error {
		var err error
		deleted, err = tx.endTenant(ctx, id, nil, bundb.Clock(tx.db, now))
		return err
	})
	return deleted, err
}

// endTenant begins the deletion of a tenant, with that of a user unless it is nil. The
// update holds the tenant's row, so no member is added meanwhile.
func (s *directory) endTenant(ctx context.Context, id identity.TenantID, with any, now time.Time) (identity.Tenant, error) {
	tenant, err := s.tenant(ctx, bun.SafeQuery(`
		UPDATE levqor_identity_tenant SET deleted_at = COALESCE(deleted_at, ?),
			deleted_with = CASE WHEN deleted_at IS NULL THEN ? ELSE deleted_with END
		WHERE id = ? RETURNING ?`, bundb.Now(s.db, now), with, id, tenantColumns))
	if err != nil {
		return identity.Tenant{}, err
	}
	if err := s.exec(ctx, bun.SafeQuery("DELETE FROM levqor_identity_member WHERE tenant_id = ?", id)); err != nil {
		return identity.Tenant{}, err
	}
	if err := s.exec(ctx, bun.SafeQuery("DELETE FROM levqor_identity_invitation WHERE tenant_id = ?", id)); err != nil {
		return identity.Tenant{}, err
	}
	return tenant, s.exec(ctx, bun.SafeQuery("UPDATE levqor_identity_key SET revoked_at = ? WHERE tenant = ? AND revoked_at IS NULL",
		bundb.Now(s.db, now), id.String()))
}

// ForgetTenant implements [identity.DeletionStore].
func (s *directory) ForgetTenant(ctx context.Context, id identity.TenantID) error {
	return s.inTx(ctx, func(ctx context.Context, tx *directory) error {
		if err := tx.forget(ctx, "levqor_identity_tenant", int64(id)); err != nil {
			return err
		}
		return tx.exec(ctx, bun.SafeQuery("DELETE FROM levqor_identity_removed WHERE tenant_id = ?", id))
	})
}

// DeleteUser implements [identity.DeletionStore].
func (s *directory) DeleteUser(ctx context.Context, id identity.UserID, now time.Time) (identity.User, []identity.Tenant, error) {
	var user identity.User
	var tenants []identity.Tenant
	err := s.inTx(ctx, func(ctx context.Context, tx *directory) error {
		now := bundb.Clock(tx.db, now)
		if err := tx.leaveAll(ctx, id, now); err != nil {
			return err
		}
		if err := tx.endMade(ctx, id, 0, time.Time{}, now); err != nil {
			return err
		}
		err := tx.exec(ctx, endSessions(id, 0))
		if err != nil {
			return err
		}
		user, err = tx.user(ctx, bun.SafeQuery("UPDATE levqor_identity_user SET deleted_at = COALESCE(deleted_at, ?) WHERE id = ? RETURNING ?",
			bundb.Now(tx.db, now), id, userColumns))
		if err != nil {
			return err
		}
		tenants, err = tx.tenants(ctx, bun.SafeQuery("SELECT ? FROM levqor_identity_tenant WHERE deleted_with = ? ORDER BY id", tenantColumns, id))
		return err
	})
	if err != nil {
		return identity.User{}, nil, err
	}
	return user, tenants, nil
}

// leaveAll ends all places of a user, whose row it holds so that none is added, and the
// tenants that would have no member left.
func (s *directory) leaveAll(ctx context.Context, id identity.UserID, now time.Time) error {
	if err := s.find(ctx, bun.SafeQuery("SELECT id FROM levqor_identity_user WHERE id = ? ?", id, bundb.ForUpdate(s.db))); err != nil {
		return err
	}
	if err := s.lockTenantsOf(ctx, id); err != nil {
		return err
	}
	var all []place // as they are now that nobody changes them any more
	if err := s.db.NewRaw("?", places(id)).Scan(ctx, &all); err != nil {
		return err
	}
	for _, p := range all {
		if p.isLastOwner() && !p.goesWithUser() {
			return identity.ErrLastOwner
		}
	}
	for _, p := range all {
		if !p.goesWithUser() {
			continue
		}
		if _, err := s.endTenant(ctx, identity.TenantID(p.Tenant), int64(id), now); err != nil {
			return err
		}
	}
	return s.exec(ctx, bun.SafeQuery("DELETE FROM levqor_identity_member WHERE user_id = ?", id))
}

// endMade ends what a user, and the keys that they have made, have made in a tenant, or in
// all if it is 0, since an instant, or ever if that is zero: it revokes API keys and removes
// invitations. A key that was revoked before may have made others that were not.
func (s *directory) endMade(ctx context.Context, by identity.UserID, in identity.TenantID, since, now time.Time) error {
	ever, from := since.IsZero(), bundb.Time{Time: since}
	made := bun.SafeQuery(`
		WITH RECURSIVE made (id, tenant) AS (
			SELECT id, tenant FROM levqor_identity_key WHERE creator = ? AND (? = 0 OR tenant = ?) AND (? OR created_at >= ?)
			UNION SELECT k.id, k.tenant FROM levqor_identity_key AS k JOIN made ON k.creator = made.id AND k.tenant = made.tenant
		)`, by.String(), in, in.String(), ever, from)
	err := s.exec(ctx, bun.SafeQuery("? UPDATE levqor_identity_key SET revoked_at = ? WHERE id IN (SELECT id FROM made) AND revoked_at IS NULL", made, bundb.Now(s.db, now)))
	if err != nil {
		return err
	}
	return s.exec(ctx, bun.SafeQuery("? DELETE FROM levqor_identity_invitation WHERE (inviter = ? OR inviter IN (SELECT id FROM made)) AND (? = 0 OR tenant_id = ?) AND (? OR created_at >= ?)",
		made, by.String(), in, in, ever, from))
}

// ForgetUser implements [identity.DeletionStore].
func (s *directory) ForgetUser(ctx context.Context, id identity.UserID) error {
	return s.inTx(ctx, func(ctx context.Context, tx *directory) error {
		if err := tx.forget(ctx, "levqor_identity_user", int64(id)); err != nil {
			return err
		}
		if err := tx.exec(ctx, bun.SafeQuery("DELETE FROM levqor_identity_removed WHERE user_id = ?", id)); err != nil {
			return err
		}
		if err := tx.exec(ctx, bun.SafeQuery("DELETE FROM levqor_login_link WHERE user_id = ? AND user_id <> 0", id)); err != nil {
			return err
		}
		return tx.exec(ctx, bun.SafeQuery("DELETE FROM levqor_identity_undo WHERE user_id = ?", id))
	})
}

// forget removes a row whose deletion has begun.
func (s *directory) forget(ctx context.Context, table bun.Ident, id int64) error {
	return s.inTx(ctx, func(ctx context.Context, tx *directory) error {
		n, err := bundb.Exec(ctx, tx.db, bun.SafeQuery("DELETE FROM ? WHERE id = ? AND deleted_at IS NOT NULL", table, id))
		if err != nil || n > 0 {
			return err
		}
		var there []int64
		if err := tx.db.NewRaw("SELECT id FROM ? WHERE id = ?", table, id).Scan(ctx, &there); err != nil {
			return err
		}
		if len(there) > 0 {
			return identity.ErrConflict
		}
		return nil
	})
}

// DeletedTenants implements [identity.DeletionStore].
func (s *directory) DeletedTenants(ctx context.Context, after identity.TenantID, limit int) ([]identity.Tenant, error) {
	return s.tenants(ctx, bun.SafeQuery("SELECT ? FROM levqor_identity_tenant WHERE deleted_at IS NOT NULL AND id > ? ORDER BY id LIMIT ?",
		tenantColumns, after, limit))
}

// DeletedUsers implements [identity.DeletionStore].
func (s *directory) DeletedUsers(ctx context.Context, after identity.UserID, limit int) ([]identity.User, error) {
	var rows []userRow
	err := s.db.NewRaw("SELECT ? FROM levqor_identity_user WHERE deleted_at IS NOT NULL AND id > ? ORDER BY id LIMIT ?",
		userColumns, after, limit).Scan(ctx, &rows)
	if err != nil {
		return nil, bundb.Err(err)
	}
	all := make([]identity.User, len(rows))
	for i, r := range rows {
		all[i] = r.user()
	}
	return all, nil
}
