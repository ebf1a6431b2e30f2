package bunlevqor

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor/identity"
)

// undoRow is what leads a user back to an address.
type undoRow struct {
	ID        int64      `bun:"id"`
	User      int64      `bun:"user_id"`
	Email     string     `bun:"email"`
	Canonical string     `bun:"email_canonical"`
	Hash      []byte     `bun:"hash"`
	Step      int        `bun:"step"`
	CreatedAt bundb.Time `bun:"created_at"`
	ExpiresAt bundb.Time `bun:"expires_at"`
}

const undoColumns bun.Safe = "id, user_id, email, email_canonical, hash, step, created_at, expires_at"

func (r *undoRow) undo() identity.Undo {
	return identity.Undo{
		ID: identity.UndoID(r.ID), User: identity.UserID(r.User), Email: identity.StoredEmail(r.Email, r.Canonical), Hash: r.Hash,
		Step: r.Step, CreatedAt: r.CreatedAt.Time, ExpiresAt: r.ExpiresAt.Time,
	}
}

// ChangeAddress implements [identity.AddressStore]. The update waits for the end of another
// transaction in which somebody takes the address or leaves it, so whether an undo leads
// back to it is looked at after that.
func (s *directory) ChangeAddress(ctx context.Context, undo identity.Undo, to identity.Email, now time.Time) (identity.User, identity.Undo, error) {
	var changed identity.User
	err := s.inTx(ctx, func(ctx context.Context, tx *directory) error {
		before, err := tx.user(ctx, bun.SafeQuery("SELECT ? FROM levqor_identity_user WHERE id = ? AND disabled_at IS NULL AND deleted_at IS NULL ?",
			userColumns, undo.User, bundb.ForUpdate(tx.db)))
		if err != nil {
			return err
		}
		if undo.CreatedAt, err = bundb.Instant(ctx, tx.db, now); err != nil {
			return err
		}
		undo.Email, undo.ExpiresAt = before.Email, undo.CreatedAt.Add(identity.UndoTTL)
		if changed, err = tx.setAddress(ctx, undo.User, to); err != nil {
			return err
		}
		if err := tx.notHeld(ctx, to, undo.User, undo.CreatedAt); err != nil {
			return inUse(err)
		}
		undo, err = tx.insertUndo(ctx, undo)
		return err
	})
	if err != nil {
		return identity.User{}, identity.Undo{}, err
	}
	return changed, undo, nil
}

// setAddress gives a user an address that no other user has.
func (s *directory) setAddress(ctx context.Context, id identity.UserID, to identity.Email) (identity.User, error) {
	user, err := s.changeUser(ctx, id, bun.SafeQuery("email = ?, email_canonical = ?", to.String(), to.Canonical()))
	return user, inUse(err)
}

// inUse returns ErrAddressInUse for what is a conflict about an address.
func inUse(err error) error {
	if errors.Is(err, identity.ErrConflict) {
		return identity.ErrAddressInUse
	}
	return err
}

// notHeld returns ErrAddressHeld if an open undo of another user leads back to an address.
func (s *directory) notHeld(ctx context.Context, email identity.Email, user identity.UserID, now time.Time) error {
	var held []int64
	err := s.db.NewRaw("SELECT id FROM levqor_identity_undo WHERE email_canonical = ? AND user_id <> ? AND expires_at > ? LIMIT 1",
		email.Canonical(), user, bundb.Now(s.db, now)).Scan(ctx, &held)
	if err == nil && len(held) > 0 {
		return identity.ErrAddressHeld
	}
	return err
}

// insertUndo stores an undo above all others of its user, whose row is held.
func (s *directory) insertUndo(ctx context.Context, undo identity.Undo) (identity.Undo, error) {
	var there struct {
		Open int `bun:"open"`
		Last int `bun:"last"`
	}
	at := bundb.Time{Time: undo.CreatedAt}
	err := s.db.NewRaw("SELECT count(CASE WHEN expires_at > ? THEN 1 END) AS open, COALESCE(max(step), 0) AS last FROM levqor_identity_undo WHERE user_id = ?",
		at, undo.User).Scan(ctx, &there)
	if err != nil {
		return identity.Undo{}, err
	}
	if there.Open >= identity.MaxUndos {
		return identity.Undo{}, identity.ErrTooManyUndos
	}
	undo.Step = there.Last + 1
	n, err := bundb.Exec(ctx, s.db, bun.SafeQuery("INSERT INTO levqor_identity_undo (?) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		undoColumns, undo.ID, undo.User, undo.Email.String(), undo.Email.Canonical(), undo.Hash, undo.Step, at, bundb.Time{Time: undo.ExpiresAt}))
	if err == nil && n == 0 {
		err = identity.ErrConflict
	}
	return undo, err
}

// FindUndo implements [identity.AddressStore].
func (s *directory) FindUndo(ctx context.Context, id identity.UndoID, now time.Time) (identity.Undo, error) {
	return s.undo(ctx, bun.SafeQuery("id = ?", id), now)
}

// FindUndoByAddress implements [identity.AddressStore].
func (s *directory) FindUndoByAddress(ctx context.Context, canonical string, now time.Time) (identity.Undo, error) {
	return s.undo(ctx, bun.SafeQuery("email_canonical = ?", canonical), now)
}

// undo returns the last undo of those that are open.
func (s *directory) undo(ctx context.Context, which schema.QueryAppender, now time.Time) (identity.Undo, error) {
	var row undoRow
	err := s.db.NewRaw(`
		SELECT ? FROM levqor_identity_undo AS n WHERE ? AND expires_at > ?
		AND EXISTS (SELECT 1 FROM levqor_identity_user AS u WHERE u.id = n.user_id AND u.deleted_at IS NULL) ORDER BY step DESC LIMIT 1`,
		undoColumns, which, bundb.Now(s.db, now)).Scan(ctx, &row)
	if err != nil {
		return identity.Undo{}, bundb.Err(err)
	}
	return row.undo(), nil
}

// UndoAddress implements [identity.AddressStore]. It holds the user's row, as all do who
// change the address, before it looks whether the undo is still there.
func (s *directory) UndoAddress(ctx context.Context, id identity.UndoID, now time.Time) (identity.User, error) {
	var user identity.User
	err := s.inTx(ctx, func(ctx context.Context, tx *directory) error {
		now := bundb.Clock(tx.db, now)
		undo, err := tx.FindUndo(ctx, id, now)
		if err != nil {
			return err
		}
		if err := tx.HoldUser(ctx, undo.User); err != nil {
			return err
		}
		if _, err := tx.FindUndo(ctx, id, now); err != nil { // another caller was first
			return err
		}
		if user, err = tx.setAddress(ctx, undo.User, undo.Email); err != nil {
			return err
		}
		if err := tx.endMade(ctx, undo.User, 0, undo.CreatedAt, now); err != nil {
			return err
		}
		return tx.exec(ctx, bun.SafeQuery("DELETE FROM levqor_identity_undo WHERE user_id = ? AND step >= ?", undo.User, undo.Step))
	})
	if err != nil {
		return identity.User{}, err
	}
	return user, nil
}

// DeleteExpiredUndos implements [identity.AddressStore].
func (s *directory) DeleteExpiredUndos(ctx context.Context, limit int, now time.Time) (int, error) {
	return deleteSome(ctx, s.db, "levqor_identity_undo", "id", limit, bun.SafeQuery("expires_at <= ? ORDER BY expires_at", bundb.Now(s.db, now)))
}

// HoldUser implements [identity.UserStore].
func (s *directory) HoldUser(ctx context.Context, id identity.UserID) error {
	return s.find(ctx, bun.SafeQuery("SELECT id FROM levqor_identity_user WHERE id = ? AND deleted_at IS NULL ?", id, bundb.ForUpdate(s.db)))
}
