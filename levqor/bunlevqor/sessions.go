package bunlevqor

import (
	"context"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// sessionRow is somebody who has signed in.
type sessionRow struct {
	ID        int64      `bun:"id"`
	Hash      []byte     `bun:"hash"`
	User      int64      `bun:"user_id"`
	Tenant    int64      `bun:"tenant_id"`
	Level     int        `bun:"level"`
	Label     string     `bun:"label"`
	Address   string     `bun:"address"`
	Idle      int64      `bun:"idle"`
	Absolute  int64      `bun:"absolute"`
	CreatedAt bundb.Time `bun:"created_at"`
	SeenAt    bundb.Time `bun:"seen_at"`
	ProvenAt  bundb.Time `bun:"proven_at"`
	Vouched   int64      `bun:"vouched"`
	Provider  int64      `bun:"provider"`
}

// sessionColumns are those of a sessionRow. The column expires_at holds ExpiresAt for
// conditions alone.
const sessionColumns bun.Safe = "id, hash, user_id, tenant_id, level, label, address, idle, absolute, created_at, seen_at, proven_at, vouched, provider"

func (r *sessionRow) session() login.Session {
	return login.Session{
		ID: login.SessionID(r.ID), Hash: r.Hash, User: identity.UserID(r.User), Tenant: identity.TenantID(r.Tenant),
		Level: login.Level(r.Level), Device: device(r.Label, r.Address),
		Lifetime:  login.Lifetime{Idle: time.Duration(r.Idle) * time.Microsecond, Absolute: time.Duration(r.Absolute) * time.Microsecond},
		CreatedAt: r.CreatedAt.Time, SeenAt: r.SeenAt.Time, ProvenAt: r.ProvenAt.Time, Vouched: identity.TenantID(r.Vouched), Provider: identity.TenantID(r.Provider),
	}
}

type sessionStore struct{ db bun.IDB }

var _ login.SessionStore = (*sessionStore)(nil)

// InsertSession implements [login.SessionStore]. It holds the user's row, as whoever
// disables or deletes the user does: one of the two sees what the other did, and of
// insertions at once each counts what the one before has left.
func (s *sessionStore) InsertSession(ctx context.Context, session login.Session, old []byte, age time.Duration, now time.Time) (login.Session, error) {
	err := s.inTx(ctx, func(ctx context.Context, tx *sessionStore) error {
		var user int64
		err := tx.db.NewRaw("SELECT id FROM levqor_identity_user WHERE id = ? AND disabled_at IS NULL AND deleted_at IS NULL ?",
			session.User, bundb.ForUpdate(tx.db)).Scan(ctx, &user)
		if err != nil {
			return err
		}
		at, err := bundb.Instant(ctx, tx.db, now)
		if err != nil {
			return err
		}
		if err := tx.EndSession(ctx, old); err != nil {
			return err
		}
		if err := tx.makeRoom(ctx, session.User, at); err != nil {
			return err
		}
		session.CreatedAt, session.SeenAt, session.ProvenAt = at, at, at.Add(-age)
		return tx.insert(ctx, session)
	})
	if err != nil {
		return login.Session{}, err
	}
	return session, nil
}

// makeRoom ends so many of a user's oldest sessions that there is room for another.
func (s *sessionStore) makeRoom(ctx context.Context, user identity.UserID, at time.Time) error {
	return s.exec(ctx, bun.SafeQuery(`
		DELETE FROM levqor_login_session WHERE user_id = ?0 AND id NOT IN (
			SELECT id FROM levqor_login_session WHERE user_id = ?0 AND expires_at > ?1 ORDER BY created_at DESC, id DESC LIMIT ?2
		)`, user, bundb.Time{Time: at}, login.MaxSessions-1))
}

func (s *sessionStore) insert(ctx context.Context, n login.Session) error {
	inserted, err := bundb.Exec(ctx, s.db, bun.SafeQuery("INSERT INTO levqor_login_session (?, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		sessionColumns, n.ID, n.Hash, n.User, n.Tenant, n.Level, n.Device.Label, addressText(n.Device.Address),
		n.Lifetime.Idle.Microseconds(), n.Lifetime.Absolute.Microseconds(),
		bundb.Time{Time: n.CreatedAt}, bundb.Time{Time: n.SeenAt}, bundb.Time{Time: n.ProvenAt}, n.Vouched, n.Provider, bundb.Time{Time: n.ExpiresAt()}))
	if err == nil && inserted == 0 {
		return login.ErrConflict
	}
	return err
}

// foundRow is a session with its user and their place in its tenant.
type foundRow struct {
	sessionRow
	Email       string     `bun:"email"`
	Canonical   string     `bun:"email_canonical"`
	Name        string     `bun:"name"`
	UserSince   bundb.Time `bun:"user_since"`
	IsMember    bool       `bun:"is_member"`
	Role        string     `bun:"role"`
	Scopes      string     `bun:"scopes"`
	MemberSince bundb.Time `bun:"member_since"`
	At          bundb.Time `bun:"at"`
}

func (r *foundRow) found() login.FoundSession {
	f := login.FoundSession{
		Session: r.session(), At: r.At.Time,
		User: identity.User{ID: identity.UserID(r.User), Email: identity.StoredEmail(r.Email, r.Canonical), Name: r.Name, CreatedAt: r.UserSince.Time},
	}
	if r.IsMember {
		f.Member = memberRow{Tenant: r.Tenant, User: r.User, Role: r.Role, Scopes: r.Scopes, CreatedAt: r.MemberSince}.member()
	}
	return f
}

// FindSession implements [login.SessionStore]. Another statement a minute records the use.
func (s *sessionStore) FindSession(ctx context.Context, hash []byte, now time.Time) (login.FoundSession, error) {
	now = bundb.Clock(s.db, now)
	var row foundRow
	err := s.db.NewRaw(`
		SELECT s.*, u.email, u.email_canonical, u.name, u.created_at AS user_since,
			m.user_id IS NOT NULL AS is_member, COALESCE(m.role, '') AS role, COALESCE(m.scopes, '') AS scopes, m.created_at AS member_since,
			? AS at
		FROM (SELECT ? FROM levqor_login_session WHERE hash = ? AND expires_at > ?) AS s
		JOIN levqor_identity_user AS u ON u.id = s.user_id AND u.disabled_at IS NULL AND u.deleted_at IS NULL
		LEFT JOIN levqor_identity_member AS m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id`,
		bundb.Now(s.db, now), sessionColumns, hash, bundb.Now(s.db, now)).Scan(ctx, &row)
	if err != nil {
		return login.FoundSession{}, bundb.Err(err)
	}
	found := row.found()
	if !found.Session.Untouched(found.At) {
		return found, nil
	}
	touched := found.Session
	touched.SeenAt = found.At
	return found, bundb.Err(s.exec(ctx, bun.SafeQuery("UPDATE levqor_login_session SET seen_at = ?, expires_at = ? WHERE hash = ? AND seen_at < ?",
		bundb.Time{Time: touched.SeenAt}, bundb.Time{Time: touched.ExpiresAt()}, hash, bundb.Time{Time: touched.SeenAt})))
}

// RotateSession implements [login.SessionStore]. It holds the session's row alone, for which
// whoever disables its user waits.
func (s *sessionStore) RotateSession(ctx context.Context, hash []byte, r login.Rotation, now time.Time) (login.Session, error) {
	var rotated login.Session
	err := s.inTx(ctx, func(ctx context.Context, tx *sessionStore) error {
		at, err := bundb.Instant(ctx, tx.db, now)
		if err != nil {
			return err
		}
		var row sessionRow
		err = tx.db.NewRaw(`
			SELECT ? FROM levqor_login_session WHERE hash = ? AND expires_at > ?
			AND EXISTS (SELECT 1 FROM levqor_identity_user AS u WHERE u.id = user_id AND u.disabled_at IS NULL AND u.deleted_at IS NULL) ?`,
			sessionColumns, hash, bundb.Time{Time: at}, bundb.ForUpdate(tx.db)).Scan(ctx, &row)
		if err != nil {
			return err
		}
		if r.Switch && r.Tenant != 0 {
			if _, err := (&directory{tx.db}).FindMember(ctx, r.Tenant, identity.UserID(row.User)); err != nil {
				return err
			}
		}
		if rotated, err = row.session().Rotate(r, at); err != nil {
			return err
		}
		return tx.update(ctx, rotated)
	})
	if err != nil {
		return login.Session{}, err
	}
	return rotated, nil
}

func (s *sessionStore) update(ctx context.Context, n login.Session) error {
	return s.exec(ctx, bun.SafeQuery(`
		UPDATE levqor_login_session SET hash = ?, tenant_id = ?, level = ?, idle = ?, absolute = ?, seen_at = ?, proven_at = ?, vouched = ?, provider = ?, expires_at = ?
		WHERE id = ?`,
		n.Hash, n.Tenant, n.Level, n.Lifetime.Idle.Microseconds(), n.Lifetime.Absolute.Microseconds(),
		bundb.Time{Time: n.SeenAt}, bundb.Time{Time: n.ProvenAt}, n.Vouched, n.Provider, bundb.Time{Time: n.ExpiresAt()}, n.ID))
}

// EndSession implements [login.SessionStore].
func (s *sessionStore) EndSession(ctx context.Context, hash []byte) error {
	if len(hash) == 0 {
		return nil
	}
	return bundb.Err(s.exec(ctx, bun.SafeQuery("DELETE FROM levqor_login_session WHERE hash = ?", hash)))
}

// EndOneSession implements [login.SessionStore].
func (s *sessionStore) EndOneSession(ctx context.Context, user identity.UserID, id login.SessionID, now time.Time) error {
	n, err := bundb.Exec(ctx, s.db, bun.SafeQuery("DELETE FROM levqor_login_session WHERE user_id = ? AND id = ? AND expires_at > ?",
		user, id, bundb.Now(s.db, now)))
	if err == nil && n == 0 {
		return login.ErrNotFound
	}
	return bundb.Err(err)
}

// EndAllSessions implements [login.SessionStore].
func (s *sessionStore) EndAllSessions(ctx context.Context, user identity.UserID, except login.SessionID) error {
	return bundb.Err(s.exec(ctx, endSessions(user, except)))
}

// endSessions returns the statement that ends all sessions of a user but one.
func endSessions(user identity.UserID, except login.SessionID) schema.QueryAppender {
	return bun.SafeQuery("DELETE FROM levqor_login_session WHERE user_id = ? AND id <> ?", user, except)
}

// EndSessionsIn implements [login.SessionStore].
func (s *sessionStore) EndSessionsIn(ctx context.Context, tenant identity.TenantID, user identity.UserID, except login.SessionID) error {
	return bundb.Err(s.exec(ctx, bun.SafeQuery("DELETE FROM levqor_login_session WHERE tenant_id = ? AND user_id = ? AND id <> ?", tenant, user, except)))
}

// EndSessionsOfAll implements [login.SessionStore]. What is read decides whether there are
// more: what is deleted may be none of it, if another caller does the same.
func (s *sessionStore) EndSessionsOfAll(ctx context.Context, limit int) (ended int, more bool, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx *sessionStore) error {
		var ids []int64
		if err := tx.db.NewRaw("SELECT id FROM levqor_login_session ORDER BY id LIMIT ?", limit+1).Scan(ctx, &ids); err != nil {
			return err
		}
		if more = len(ids) > limit; more {
			ids = ids[:limit]
		}
		if len(ids) == 0 {
			return nil
		}
		ended, err = bundb.Exec(ctx, tx.db, bun.SafeQuery("DELETE FROM levqor_login_session WHERE id IN (?)", bun.List(ids)))
		return err
	})
	return ended, more, err
}

// DropVouches implements [login.VouchStore].
func (s *sessionStore) DropVouches(ctx context.Context, tenant identity.TenantID) error {
	return bundb.Err(s.exec(ctx, bun.SafeQuery("UPDATE levqor_login_session SET vouched = 0 WHERE vouched = ? AND vouched <> 0", tenant)))
}

// EndProvidedSessions implements [login.VouchStore].
func (s *sessionStore) EndProvidedSessions(ctx context.Context, tenant identity.TenantID, user identity.UserID) error {
	return s.inTx(ctx, func(ctx context.Context, tx *sessionStore) error {
		if err := tx.exec(ctx, bun.SafeQuery("DELETE FROM levqor_login_session WHERE user_id = ? AND provider = ?", user, tenant)); err != nil {
			return err
		}
		return tx.exec(ctx, bun.SafeQuery("UPDATE levqor_login_session SET vouched = 0 WHERE user_id = ? AND vouched = ?", user, tenant))
	})
}

// ListSessions implements [login.SessionStore].
func (s *sessionStore) ListSessions(ctx context.Context, user identity.UserID, now time.Time) ([]login.Session, error) {
	var rows []sessionRow
	err := s.db.NewRaw("SELECT ? FROM levqor_login_session WHERE user_id = ? AND expires_at > ? ORDER BY created_at DESC, id DESC",
		sessionColumns, user, bundb.Now(s.db, now)).Scan(ctx, &rows)
	if err != nil {
		return nil, bundb.Err(err)
	}
	all := make([]login.Session, len(rows))
	for i := range rows {
		all[i] = rows[i].session()
	}
	return all, nil
}

// DeleteExpiredSessions implements [login.SessionStore].
func (s *sessionStore) DeleteExpiredSessions(ctx context.Context, limit int, now time.Time) (int, error) {
	return deleteSome(ctx, s.db, "levqor_login_session", "id", limit, bun.SafeQuery("expires_at <= ? ORDER BY expires_at", bundb.Now(s.db, now)))
}

func (s *sessionStore) exec(ctx context.Context, statement schema.QueryAppender) error {
	_, err := bundb.Exec(ctx, s.db, statement)
	return err
}

func (s *sessionStore) inTx(ctx context.Context, fn func(ctx context.Context, tx *sessionStore) error) error {
	return bundb.Err(bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error { return fn(ctx, &sessionStore{tx}) }))
}
