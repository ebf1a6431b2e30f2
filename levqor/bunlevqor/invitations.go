package bunlevqor

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor/identity"
)

// invitationRow is an invitation.
type invitationRow struct {
	ID        int64      `bun:"id"`
	Tenant    int64      `bun:"tenant_id"`
	Email     string     `bun:"email"`
	Canonical string     `bun:"email_canonical"`
	Role      string     `bun:"role"`
	Scopes    string     `bun:"scopes"`
	Inviter   string     `bun:"inviter"`
	Hash      []byte     `bun:"hash"`
	CreatedAt bundb.Time `bun:"created_at"`
	ExpiresAt bundb.Time `bun:"expires_at"`
}

const invitationColumns bun.Safe = "id, tenant_id, email, email_canonical, role, scopes, inviter, hash, created_at, expires_at"

func (r invitationRow) invitation() identity.Invitation {
	return identity.Invitation{
		ID: identity.InvitationID(r.ID), Tenant: identity.TenantID(r.Tenant), Email: identity.StoredEmail(r.Email, r.Canonical),
		Grant:   identity.Grant{Role: identity.Role(r.Role), Scopes: strings.Fields(r.Scopes)},
		Inviter: r.Inviter, Hash: r.Hash, CreatedAt: r.CreatedAt.Time, ExpiresAt: r.ExpiresAt.Time,
	}
}

// Whoever makes or takes an invitation holds the row of its tenant, after that of the
// user if there is one, so calls at once come one after the other.
var _ identity.InvitationStore = (*directory)(nil)

// PutInvitation implements [identity.InvitationStore].
func (s *directory) PutInvitation(ctx context.Context, i identity.Invitation, ttl time.Duration, most int, now time.Time) (identity.Invitation, error) {
	now = bundb.Clock(s.db, now)
	var made identity.Invitation
	err := s.inTx(ctx, func(ctx context.Context, tx *directory) error {
		if err := tx.lockTenant(ctx, i.Tenant); err != nil {
			return err
		}
		if i.Open() {
			if err := tx.hasNoOwner(ctx, i.Tenant); err != nil {
				return err
			}
		}
		err := tx.exec(ctx, bun.SafeQuery("DELETE FROM levqor_identity_invitation WHERE tenant_id = ? AND email_canonical = ?", i.Tenant, i.Email.Canonical()))
		if err != nil {
			return err
		}
		if err := tx.hasRoom(ctx, i, most, now); err != nil {
			return err
		}
		made, err = tx.insertInvitation(ctx, i, ttl, now)
		return err
	})
	return made, err
}

// PutFirstInvitation implements [identity.InvitationStore].
func (s *directory) PutFirstInvitation(ctx context.Context, i identity.Invitation, ttl time.Duration, now time.Time) (bool, error) {
	now = bundb.Clock(s.db, now)
	made := false
	err := s.inTx(ctx, func(ctx context.Context, tx *directory) error {
		made = false
		if err := tx.lockTenant(ctx, i.Tenant); err != nil {
			return err
		}
		n, err := tx.count(ctx, bun.SafeQuery(`
			SELECT (SELECT count(*) FROM levqor_identity_member WHERE tenant_id = ?0 AND role = ?1)
				+ (SELECT count(*) FROM levqor_identity_invitation WHERE tenant_id = ?0 AND email_canonical = '')`,
			i.Tenant, string(identity.RoleOwner)))
		if err != nil || n > 0 {
			return err
		}
		_, err = tx.insertInvitation(ctx, i, ttl, now)
		made = err == nil
		return err
	})
	return made, err
}

// FindInvitation implements [identity.InvitationStore].
func (s *directory) FindInvitation(ctx context.Context, id identity.InvitationID, now time.Time) (identity.Invitation, error) {
	return s.invitation(ctx, bun.SafeQuery("SELECT ? FROM levqor_identity_invitation AS i WHERE id = ? AND ?", invitationColumns, id, s.lives(now)))
}

// Invitations implements [identity.InvitationStore].
func (s *directory) Invitations(
	ctx context.Context, tenant identity.TenantID, before identity.InvitationID, limit int, now time.Time,
) ([]identity.Invitation, error) {
	var rows []invitationRow
	err := s.db.NewRaw(`
		SELECT ?0 FROM levqor_identity_invitation WHERE tenant_id = ?1 AND (?2 = 0 OR id < ?2) AND email_canonical <> '' AND expires_at > ?3
		ORDER BY id DESC LIMIT ?4`, invitationColumns, tenant, int64(before), bundb.Now(s.db, now), limit).Scan(ctx, &rows)
	if err != nil {
		return nil, bundb.Err(err)
	}
	all := make([]identity.Invitation, len(rows))
	for i, r := range rows {
		all[i] = r.invitation()
	}
	return all, nil
}

// RevokeInvitation implements [identity.InvitationStore].
func (s *directory) RevokeInvitation(ctx context.Context, tenant identity.TenantID, id identity.InvitationID, now time.Time) error {
	return s.find(ctx, bun.SafeQuery(`
		DELETE FROM levqor_identity_invitation WHERE tenant_id = ? AND id = ? AND email_canonical <> '' AND expires_at > ?
		RETURNING id`, tenant, id, bundb.Now(s.db, now)))
}

// AcceptInvitation implements [identity.InvitationStore].
func (s *directory) AcceptInvitation(ctx context.Context, id identity.InvitationID, user identity.UserID, now time.Time) (identity.Member, error) {
	now = bundb.Clock(s.db, now)
	var member identity.Member
	err := s.inTx(ctx, func(ctx context.Context, tx *directory) error {
		offered, err := tx.FindInvitation(ctx, id, now)
		if err != nil {
			return err
		}
		if err := tx.keepUser(ctx, user); err != nil {
			return err
		}
		if err := tx.lockTenant(ctx, offered.Tenant); err != nil {
			return err
		}
		taken, err := tx.invitation(ctx, bun.SafeQuery("DELETE FROM levqor_identity_invitation AS i WHERE id = ? AND ? RETURNING ?", id, tx.lives(now), invitationColumns))
		if err != nil {
			return err
		}
		member, err = tx.join(ctx, taken, user, now)
		return err
	})
	return member, err
}

// join makes a user what an invitation offers.
func (s *directory) join(ctx context.Context, i identity.Invitation, user identity.UserID, now time.Time) (identity.Member, error) {
	if _, err := s.insertMember(ctx, identity.Member{Tenant: i.Tenant, User: user, Grant: i.Grant}, now); err != nil {
		return identity.Member{}, err
	}
	if i.Open() {
		err := s.exec(ctx, bun.SafeQuery("UPDATE levqor_identity_member SET role = ? WHERE tenant_id = ? AND user_id = ?", string(i.Role), i.Tenant, user))
		if err != nil {
			return identity.Member{}, err
		}
	}
	return s.member(ctx, bun.SafeQuery("SELECT ? FROM levqor_identity_member WHERE tenant_id = ? AND user_id = ?", memberColumns, i.Tenant, user))
}

// DeleteExpiredInvitations implements [identity.InvitationStore].
func (s *directory) DeleteExpiredInvitations(ctx context.Context, limit int, now time.Time) (int, error) {
	return deleteSome(ctx, s.db, "levqor_identity_invitation", "id", limit, bun.SafeQuery("expires_at <= ? AND email_canonical <> ''", bundb.Now(s.db, now)))
}

// lives returns the condition that an invitation, which is called i, lives.
func (s *directory) lives(now time.Time) schema.QueryAppender {
	return bun.SafeQuery(`i.expires_at > ? AND (i.email_canonical <> '' OR NOT EXISTS (
		SELECT 1 FROM levqor_identity_member AS m WHERE m.tenant_id = i.tenant_id AND m.role = ?))`, bundb.Now(s.db, now), string(identity.RoleOwner))
}

func (s *directory) hasNoOwner(ctx context.Context, tenant identity.TenantID) error {
	n, err := s.count(ctx, bun.SafeQuery("SELECT count(*) FROM levqor_identity_member WHERE tenant_id = ? AND role = ?", tenant, string(identity.RoleOwner)))
	if err == nil && n > 0 {
		err = identity.ErrHasOwner
	}
	return err
}

// hasRoom returns ErrTooManyInvitations if a tenant has no room for another invitation.
func (s *directory) hasRoom(ctx context.Context, i identity.Invitation, most int, now time.Time) error {
	n, err := s.count(ctx, bun.SafeQuery("SELECT count(*) FROM levqor_identity_invitation WHERE tenant_id = ? AND email_canonical <> '' AND expires_at > ?",
		i.Tenant, bundb.Now(s.db, now)))
	if err == nil && n >= most && !i.Open() {
		err = identity.ErrTooManyInvitations
	}
	return err
}

func (s *directory) insertInvitation(ctx context.Context, i identity.Invitation, ttl time.Duration, now time.Time) (identity.Invitation, error) {
	var made []invitationRow
	err := s.db.NewRaw("INSERT INTO levqor_identity_invitation (?) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING ?",
		invitationColumns, i.ID, i.Tenant, i.Email.String(), i.Email.Canonical(), string(i.Role), strings.Join(i.Scopes, " "), i.Inviter, i.Hash,
		bundb.Now(s.db, now), bundb.After(s.db, now, ttl), invitationColumns).Scan(ctx, &made)
	if err != nil {
		return identity.Invitation{}, err
	}
	if len(made) == 0 {
		return identity.Invitation{}, identity.ErrConflict
	}
	return made[0].invitation(), nil
}

func (s *directory) invitation(ctx context.Context, query schema.QueryAppender) (identity.Invitation, error) {
	var row invitationRow
	if err := s.db.NewRaw("?", query).Scan(ctx, &row); err != nil {
		return identity.Invitation{}, bundb.Err(err)
	}
	return row.invitation(), nil
}

func (s *directory) count(ctx context.Context, query schema.QueryAppender) (int, error) {
	var n int
	err := s.db.NewRaw("?", query).Scan(ctx, &n)
	return n, err
}
