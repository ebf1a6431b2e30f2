package bunlevqor

import (
	"context"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor/identity"
)

// userRow is a person.
type userRow struct {
	ID         int64      `bun:"id"`
	Email      string     `bun:"email"`
	Canonical  string     `bun:"email_canonical"`
	Name       string     `bun:"name"`
	CreatedAt  bundb.Time `bun:"created_at"`
	DisabledAt bundb.Time `bun:"disabled_at"`
	DeletedAt  bundb.Time `bun:"deleted_at"`
}

const userColumns bun.Safe = "id, email, email_canonical, name, created_at, disabled_at, deleted_at"

func (r userRow) user() identity.User {
	return identity.User{
		ID: identity.UserID(r.ID), Email: identity.StoredEmail(r.Email, r.Canonical), Name: r.Name,
		CreatedAt: r.CreatedAt.Time, DisabledAt: r.DisabledAt.Time, DeletedAt: r.DeletedAt.Time,
	}
}

// tenantRow is a tenant.
type tenantRow struct {
	ID        int64      `bun:"id"`
	Name      string     `bun:"name"`
	CreatedAt bundb.Time `bun:"created_at"`
	DeletedAt bundb.Time `bun:"deleted_at"`
}

const tenantColumns bun.Safe = "id, name, created_at, deleted_at"

func (r tenantRow) tenant() identity.Tenant {
	return identity.Tenant{ID: identity.TenantID(r.ID), Name: r.Name, CreatedAt: r.CreatedAt.Time, DeletedAt: r.DeletedAt.Time}
}

// directory keeps people and tenants. Whoever changes the members of a tenant holds its
// row, so that of two owners who leave at once the second one sees that the first has
// left. Rows are locked in one order, users before tenants and tenants by ID.
type directory struct{ db bun.IDB }

var _ identity.DirectoryStore = (*directory)(nil)

// EnsureUser implements [identity.UserStore]. The insertion waits for the end of another
// transaction that has inserted the same address; if that user is forgotten before it
// can be read, it is made again.
func (s *directory) EnsureUser(ctx context.Context, user identity.User, now time.Time) (identity.User, bool, error) {
	for {
		made, err := s.insertUser(ctx, user, now)
		if err != nil {
			return identity.User{}, false, err
		}
		if len(made) == 1 {
			return made[0].user(), true, nil
		}
		var there []userRow
		err = s.db.NewRaw("SELECT ? FROM levqor_identity_user WHERE email_canonical = ? OR id = ? ORDER BY email_canonical = ? DESC LIMIT 1",
			userColumns, user.Email.Canonical(), user.ID, user.Email.Canonical()).Scan(ctx, &there)
		if err != nil {
			return identity.User{}, false, bundb.Err(err)
		}
		if len(there) == 0 {
			continue
		}
		if there[0].Canonical != user.Email.Canonical() {
			return identity.User{}, false, identity.ErrConflict
		}
		if !there[0].DeletedAt.IsZero() {
			return identity.User{}, false, identity.ErrDeletionPending
		}
		return there[0].user(), false, nil
	}
}

// insertUser stores a user unless the address or the ID is there, and returns the row if it
// did. An undo is looked for after the insertion: that has waited for whoever left the
// address.
func (s *directory) insertUser(ctx context.Context, user identity.User, now time.Time) (made []userRow, err error) {
	now = bundb.Clock(s.db, now)
	err = s.inTx(ctx, func(ctx context.Context, tx *directory) error {
		made = nil
		err := tx.db.NewRaw(`
			INSERT INTO levqor_identity_user (id, email, email_canonical, name, created_at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO NOTHING RETURNING ?`,
			user.ID, user.Email.String(), user.Email.Canonical(), user.Name, bundb.Now(tx.db, now), userColumns).Scan(ctx, &made)
		if err != nil || len(made) == 0 {
			return err
		}
		return tx.notHeld(ctx, user.Email, user.ID, now)
	})
	return made, err
}

// FindUser implements [identity.UserStore].
func (s *directory) FindUser(ctx context.Context, id identity.UserID) (identity.User, error) {
	return s.user(ctx, bun.SafeQuery("SELECT ? FROM levqor_identity_user WHERE id = ? AND deleted_at IS NULL", userColumns, id))
}

// FindUserByEmail implements [identity.UserStore].
func (s *directory) FindUserByEmail(ctx context.Context, canonical string) (identity.User, error) {
	return s.user(ctx, bun.SafeQuery("SELECT ? FROM levqor_identity_user WHERE email_canonical = ? AND deleted_at IS NULL", userColumns, canonical))
}

// RenameUser implements [identity.UserStore].
func (s *directory) RenameUser(ctx context.Context, id identity.UserID, name string) (identity.User, error) {
	return s.changeUser(ctx, id, bun.SafeQuery("name = ?", name))
}

// DisableUser implements [identity.UserStore].
func (s *directory) DisableUser(ctx context.Context, id identity.UserID, now time.Time) (identity.User, error) {
	var disabled identity.User
	err := s.inTx(ctx, func(ctx context.Context, tx *directory) error {
		var err error
		if disabled, err = tx.changeUser(ctx, id, bun.SafeQuery("disabled_at = COALESCE(disabled_at, ?)", bundb.Now(tx.db, now))); err != nil {
			return err
		}
		if err := tx.lockTenantsOf(ctx, id); err != nil {
			return err
		}
		if err := tx.endMade(ctx, id, 0, time.Time{}, now); err != nil {
			return err
		}
		return tx.exec(ctx, endSessions(id, 0))
	})
	return disabled, err
}

// EnableUser implements [identity.UserStore].
func (s *directory) EnableUser(ctx context.Context, id identity.UserID) (identity.User, error) {
	return s.changeUser(ctx, id, bun.SafeQuery("disabled_at = NULL"))
}

func (s *directory) changeUser(ctx context.Context, id identity.UserID, change schema.QueryAppender) (identity.User, error) {
	return s.user(ctx, bun.SafeQuery("UPDATE levqor_identity_user SET ? WHERE id = ? AND deleted_at IS NULL RETURNING ?", change, id, userColumns))
}

func (s *directory) user(ctx context.Context, query schema.QueryAppender) (identity.User, error) {
	var row userRow
	if err := s.db.NewRaw("?", query).Scan(ctx, &row); err != nil {
		return identity.User{}, bundb.Err(err)
	}
	return row.user(), nil
}

// CreateTenant implements [identity.TenantStore].
func (s *directory) CreateTenant(ctx context.Context, tenant identity.Tenant, owner identity.UserID, now time.Time) (identity.Tenant, error) {
	now = bundb.Clock(s.db, now)
	err := s.inTx(ctx, func(ctx context.Context, tx *directory) error {
		if err := tx.keepUser(ctx, owner); err != nil {
			return err
		}
		var made []tenantRow
		err := tx.db.NewRaw("INSERT INTO levqor_identity_tenant (id, name, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING ?",
			tenant.ID, tenant.Name, bundb.Now(tx.db, now), tenantColumns).Scan(ctx, &made)
		if err != nil {
			return err
		}
		if len(made) == 0 {
			return identity.ErrConflict
		}
		tenant = made[0].tenant()
		_, err = tx.insertMember(ctx, identity.Member{Tenant: tenant.ID, User: owner, Grant: identity.Grant{Role: identity.RoleOwner}}, now)
		return err
	})
	if err != nil {
		return identity.Tenant{}, err
	}
	return tenant, nil
}

// FindTenant implements [identity.TenantStore].
func (s *directory) FindTenant(ctx context.Context, id identity.TenantID) (identity.Tenant, error) {
	return s.tenant(ctx, bun.SafeQuery("SELECT ? FROM levqor_identity_tenant WHERE id = ? AND deleted_at IS NULL", tenantColumns, id))
}

// RenameTenant implements [identity.TenantStore].
func (s *directory) RenameTenant(ctx context.Context, id identity.TenantID, name string) (identity.Tenant, error) {
	return s.tenant(ctx, bun.SafeQuery("UPDATE levqor_identity_tenant SET name = ? WHERE id = ? AND deleted_at IS NULL RETURNING ?", name, id, tenantColumns))
}

// TenantsOf implements [identity.TenantStore].
func (s *directory) TenantsOf(ctx context.Context, user identity.UserID, after identity.TenantID, limit int) ([]identity.Tenant, error) {
	return s.tenants(ctx, bun.SafeQuery(`
		SELECT ? FROM levqor_identity_tenant WHERE id IN (
			SELECT tenant_id FROM levqor_identity_member WHERE user_id = ? AND tenant_id > ? ORDER BY tenant_id LIMIT ?
		) ORDER BY id`, tenantColumns, user, after, limit))
}

func (s *directory) tenant(ctx context.Context, query schema.QueryAppender) (identity.Tenant, error) {
	var row tenantRow
	if err := s.db.NewRaw("?", query).Scan(ctx, &row); err != nil {
		return identity.Tenant{}, bundb.Err(err)
	}
	return row.tenant(), nil
}

func (s *directory) tenants(ctx context.Context, query schema.QueryAppender) ([]identity.Tenant, error) {
	var rows []tenantRow
	if err := s.db.NewRaw("?", query).Scan(ctx, &rows); err != nil {
		return nil, bundb.Err(err)
	}
	all := make([]identity.Tenant, len(rows))
	for i, r := range rows {
		all[i] = r.tenant()
	}
	return all, nil
}

// Tenants implements [identity.TenantStore].
func (s *directory) Tenants(ctx context.Context, after identity.TenantID, limit int) ([]identity.Tenant, error) {
	return s.tenants(ctx, bun.SafeQuery("SELECT ? FROM levqor_identity_tenant WHERE id > ? AND deleted_at IS NULL ORDER BY id LIMIT ?", tenantColumns, after, limit))
}

// HoldTenant implements [identity.TenantStore].
func (s *directory) HoldTenant(ctx context.Context, id identity.TenantID) error {
	return s.lockTenant(ctx, id)
}

// keepUser keeps a user from being deleted until the transaction ends.
func (s *directory) keepUser(ctx context.Context, id identity.UserID) error {
	return s.find(ctx, bun.SafeQuery("SELECT id FROM levqor_identity_user WHERE id = ? AND deleted_at IS NULL ?", id, bundb.ForKeyShare(s.db)))
}

// lockTenant holds a tenant's row until the transaction ends.
func (s *directory) lockTenant(ctx context.Context, id identity.TenantID) error {
	return s.find(ctx, bun.SafeQuery("SELECT id FROM levqor_identity_tenant WHERE id = ? AND deleted_at IS NULL ?", id, bundb.ForUpdate(s.db)))
}

// lockTenantsOf holds the rows of all tenants of a user, whose own row is held: whoever
// makes a key or an invitation there has done so, or sees then what the user may no more.
func (s *directory) lockTenantsOf(ctx context.Context, user identity.UserID) error {
	return s.exec(ctx, bun.SafeQuery("SELECT id FROM levqor_identity_tenant WHERE id IN (SELECT tenant_id FROM levqor_identity_member WHERE user_id = ?) ORDER BY id ?",
		user, bundb.ForUpdate(s.db)))
}

// lockMember holds the row of a member's tenant and returns ErrLastOwner for its last
// owner unless the member stays one.
func (s *directory) lockMember(ctx context.Context, tenant identity.TenantID, user identity.UserID, staysOwner bool) error {
	if err := s.lockTenant(ctx, tenant); err != nil {
		return err
	}
	var row place
	if err := s.db.NewRaw("? AND tenant_id = ?", places(user), tenant).Scan(ctx, &row); err != nil {
		return err
	}
	if row.isLastOwner() && !staysOwner {
		return identity.ErrLastOwner
	}
	return nil
}

// place is what decides whether a user may leave a tenant.
type place struct {
	Tenant int64  `bun:"tenant_id"`
	Role   string `bun:"role"`
	// Others are the other members, Owners those who are owners and not disabled.
	Others int `bun:"others"`
	Owners int `bun:"owners"`
}

// places returns the query for all places of a user.
func places(user identity.UserID) schema.QueryAppender {
	return bun.SafeQuery(`
		SELECT tenant_id, role,
			(SELECT count(*) FROM levqor_identity_member AS o WHERE o.tenant_id = m.tenant_id AND o.user_id <> m.user_id) AS others,
			(SELECT count(*) FROM levqor_identity_member AS o JOIN levqor_identity_user AS u ON u.id = o.user_id
			 WHERE o.tenant_id = m.tenant_id AND o.user_id <> m.user_id AND o.role = ? AND u.disabled_at IS NULL) AS owners
		FROM levqor_identity_member AS m WHERE user_id = ?`, string(identity.RoleOwner), user)
}

func (p place) isLastOwner() bool { return p.Role == string(identity.RoleOwner) && p.Owners == 0 }

// goesWithUser reports whether the tenant is deleted with the user.
func (p place) goesWithUser() bool {
	return p.Others == 0 && identity.TenantID(p.Tenant) != identity.OwnerTenantID
}

// find returns ErrNotFound if a query finds no ID.
func (s *directory) find(ctx context.Context, query schema.QueryAppender) error {
	var id int64
	return bundb.Err(s.db.NewRaw("?", query).Scan(ctx, &id))
}

func (s *directory) exec(ctx context.Context, statement schema.QueryAppender) error {
	_, err := bundb.Exec(ctx, s.db, statement)
	return err
}

func (s *directory) inTx(ctx context.Context, fn func(ctx context.Context, tx *directory) error) error {
	return bundb.Err(bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error { return fn(ctx, &directory{tx}) }))
}
