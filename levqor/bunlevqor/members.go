package bunlevqor

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor/identity"
)

// memberRow is a user's place in a tenant.
type memberRow struct {
	Tenant    int64      `bun:"tenant_id"`
	User      int64      `bun:"user_id"`
	Role      string     `bun:"role"`
	Scopes    string     `bun:"scopes"`
	CreatedAt bundb.Time `bun:"created_at"`
}

const memberColumns bun.Safe = "tenant_id, user_id, role, scopes, created_at"

// AddMember implements [identity.MemberStore].
func (s *directory) AddMember(ctx context.Context, member identity.Member, now time.Time) (identity.Member, error) {
	return s.addMember(ctx, member, now, func(context.Context, *directory) error { return nil })
}

// JoinMember implements [identity.MemberStore].
func (s *directory) JoinMember(ctx context.Context, member identity.Member, now time.Time) (identity.Member, error) {
	return s.addMember(ctx, member, now, func(ctx context.Context, tx *directory) error {
		return tx.refuseRemoved(ctx, member.Tenant, member.User)
	})
}

// addMember adds a member if allow lets it, once the tenant's row is held: whoever removes
// the user has done so, or waits.
func (s *directory) addMember(ctx context.Context, member identity.Member, now time.Time, allow func(context.Context, *directory) error) (identity.Member, error) {
	var added []memberRow
	err := s.inTx(ctx, func(ctx context.Context, tx *directory) error {
		if err := errors.Join(tx.keepUser(ctx, member.User), tx.lockTenant(ctx, member.Tenant)); err != nil {
			return err
		}
		if err := allow(ctx, tx); err != nil {
			return err
		}
		var err error
		added, err = tx.insertMember(ctx, member, now)
		return err
	})
	if err != nil {
		return identity.Member{}, err
	}
	if len(added) == 0 {
		return identity.Member{}, identity.ErrAlreadyMember
	}
	return added[0].member(), nil
}

// refuseRemoved returns ErrRemoved for a user who was removed from a tenant. Processes from
// before that was kept have added members without forgetting it.
func (s *directory) refuseRemoved(ctx context.Context, tenant identity.TenantID, user identity.UserID) error {
	err := s.find(ctx, bun.SafeQuery(`
		SELECT user_id FROM levqor_identity_removed WHERE tenant_id = ? AND user_id = ?
		AND NOT EXISTS (SELECT 1 FROM levqor_identity_member WHERE tenant_id = ? AND user_id = ?)`, tenant, user, tenant, user))
	switch {
	case err == nil:
		return identity.ErrRemoved
	case errors.Is(err, identity.ErrNotFound):
		return nil
	default:
		return err
	}
}

// insertMember stores a member who is none, and forgets that they were removed.
func (s *directory) insertMember(ctx context.Context, m identity.Member, now time.Time) ([]memberRow, error) {
	if err := s.exec(ctx, bun.SafeQuery("DELETE FROM levqor_identity_removed WHERE tenant_id = ? AND user_id = ?", m.Tenant, m.User)); err != nil {
		return nil, err
	}
	var added []memberRow
	err := s.db.NewRaw("INSERT INTO levqor_identity_member (?) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING ?",
		memberColumns, m.Tenant, m.User, string(m.Role), strings.Join(m.Scopes, " "), bundb.Now(s.db, now), memberColumns).Scan(ctx, &added)
	return added, err
}

// FindMember implements [identity.MemberStore].
func (s *directory) FindMember(ctx context.Context, tenant identity.TenantID, user identity.UserID) (identity.Member, error) {
	return s.member(ctx, bun.SafeQuery(`
		SELECT ? FROM levqor_identity_member WHERE tenant_id = ? AND user_id = ?
		AND EXISTS (SELECT 1 FROM levqor_identity_user WHERE id = ? AND disabled_at IS NULL)`, memberColumns, tenant, user, user))
}

// ChangeMember implements [identity.MemberStore].
func (s *directory) ChangeMember(ctx context.Context, tenant identity.TenantID, user identity.UserID, grant identity.Grant) (identity.Member, error) {
	var changed identity.Member
	err := s.inTx(ctx, func(ctx context.Context, tx *directory) error {
		if err := tx.lockMember(ctx, tenant, user, grant.Role == identity.RoleOwner); err != nil {
			return err
		}
		var err error
		changed, err = tx.member(ctx, bun.SafeQuery("UPDATE levqor_identity_member SET role = ?, scopes = ? WHERE tenant_id = ? AND user_id = ? RETURNING ?",
			string(grant.Role), strings.Join(grant.Scopes, " "), tenant, user, memberColumns))
		return err
	})
	return changed, err
}

// RemoveMember implements [identity.MemberStore].
func (s *directory) RemoveMember(ctx context.Context, tenant identity.TenantID, user identity.UserID, now time.Time) error {
	return s.inTx(ctx, func(ctx context.Context, tx *directory) error {
		if err := tx.lockMember(ctx, tenant, user, false); err != nil {
			return err
		}
		if err := tx.exec(ctx, bun.SafeQuery("DELETE FROM levqor_identity_member WHERE tenant_id = ? AND user_id = ?", tenant, user)); err != nil {
			return err
		}
		err := tx.exec(ctx, bun.SafeQuery("INSERT INTO levqor_identity_removed (tenant_id, user_id, removed_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			tenant, user, bundb.Now(tx.db, now)))
		if err != nil {
			return err
		}
		return tx.endMade(ctx, user, tenant, time.Time{}, now)
	})
}

// Members implements [identity.MemberStore].
func (s *directory) Members(ctx context.Context, tenant identity.TenantID, after identity.UserID, limit int) ([]identity.Member, error) {
	var rows []memberRow
	err := s.db.NewRaw("SELECT ? FROM levqor_identity_member WHERE tenant_id = ? AND user_id > ? ORDER BY user_id LIMIT ?",
		memberColumns, tenant, after, limit).Scan(ctx, &rows)
	if err != nil {
		return nil, bundb.Err(err)
	}
	all := make([]identity.Member, len(rows))
	for i, r := range rows {
		all[i] = r.member()
	}
	return all, nil
}

// Profiles implements [identity.MemberStore].
func (s *directory) Profiles(ctx context.Context, tenant identity.TenantID, after identity.UserID, limit int) ([]identity.Profile, error) {
	var rows []struct {
		memberRow
		Email      string     `bun:"email"`
		Canonical  string     `bun:"email_canonical"`
		Name       string     `bun:"name"`
		DisabledAt bundb.Time `bun:"disabled_at"`
	}
	err := s.db.NewRaw(`
		SELECT m.tenant_id, m.user_id, m.role, m.scopes, m.created_at, u.email, u.email_canonical, u.name, u.disabled_at
		FROM levqor_identity_member AS m JOIN levqor_identity_user AS u ON u.id = m.user_id
		WHERE m.tenant_id = ? AND m.user_id > ? ORDER BY m.user_id LIMIT ?`, tenant, after, limit).Scan(ctx, &rows)
	if err != nil {
		return nil, bundb.Err(err)
	}
	all := make([]identity.Profile, len(rows))
	for i, r := range rows {
		all[i] = identity.Profile{Member: r.member(), Email: identity.StoredEmail(r.Email, r.Canonical), Name: r.Name, DisabledAt: r.DisabledAt.Time}
	}
	return all, nil
}

func (r memberRow) member() identity.Member {
	return identity.Member{
		Tenant: identity.TenantID(r.Tenant), User: identity.UserID(r.User), CreatedAt: r.CreatedAt.Time,
		Grant: identity.Grant{Role: identity.Role(r.Role), Scopes: strings.Fields(r.Scopes)},
	}
}

func (s *directory) member(ctx context.Context, query schema.QueryAppender) (identity.Member, error) {
	var row memberRow
	if err := s.db.NewRaw("?", query).Scan(ctx, &row); err != nil {
		return identity.Member{}, bundb.Err(err)
	}
	return row.member(), nil
}
