package bunlevqor

import (
	"context"
	"net/netip"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// linkRow is a login link.
type linkRow struct {
	ID         string     `bun:"id"`
	Email      string     `bun:"email"`
	Canonical  string     `bun:"email_canonical"`
	User       int64      `bun:"user_id"`
	Label      string     `bun:"label"`
	Address    string     `bun:"address"`
	SecretHash []byte     `bun:"secret_hash"`
	CodeHash   []byte     `bun:"code_hash"`
	CookieHash []byte     `bun:"cookie_hash"`
	MatchHash  []byte     `bun:"match_hash"`
	Mailed     bool       `bun:"mailed"`
	Tries      int        `bun:"tries"`
	CreatedAt  bundb.Time `bun:"created_at"`
	ExpiresAt  bundb.Time `bun:"expires_at"`
}

// linkColumns are those of a linkRow.
const linkColumns bun.Safe = `id, email, email_canonical, user_id, label, address, secret_hash, code_hash, cookie_hash, match_hash,
	slot IS NOT NULL AS mailed, tries, created_at, expires_at`

func (r linkRow) link() login.Link {
	return login.Link{
		ID: r.ID, Email: identity.StoredEmail(r.Email, r.Canonical), User: identity.UserID(r.User), Device: device(r.Label, r.Address),
		SecretHash: r.SecretHash, CodeHash: r.CodeHash, CookieHash: r.CookieHash, MatchHash: r.MatchHash,
		Mailed: r.Mailed, Tries: r.Tries, CreatedAt: r.CreatedAt.Time, ExpiresAt: r.ExpiresAt.Time,
	}
}

// device reads what is kept of a device. An address that somebody has spoilt by hand is
// unknown.
func device(label, address string) login.Device {
	addr, _ := netip.ParseAddr(address)
	return login.Device{Label: label, Address: addr}
}

func addressText(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}

type linkStore struct{ db bun.IDB }

var _ login.LinkStore = (*linkStore)(nil)

// InsertLink implements [login.LinkStore]. An address has [login.MaxMailedInAll] slots, and
// with each network [login.MaxMailed], of which no two links can have the same: a link with
// mail takes one of both, and one that finds no room takes none. The insertion waits for the
// end of another transaction that takes what it has chosen, and then chooses again.
func (s *linkStore) InsertLink(ctx context.Context, link login.Link, now time.Time) (login.Link, error) {
	now = bundb.Clock(s.db, now)
	var stored login.Link
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		_, err := bundb.Exec(ctx, tx, bun.SafeQuery("UPDATE levqor_login_link SET slot = NULL, network_slot = NULL WHERE email_canonical = ? AND slot IS NOT NULL AND expires_at < ?",
			link.Email.Canonical(), bundb.Now(tx, now)))
		if err != nil {
			return err
		}
		stored, err = insertLink(ctx, tx, link, now)
		return err
	})
	return stored, bundb.Err(err)
}

// The slots of an address with a network, [login.MaxMailed], and of an address alone,
// [login.MaxMailedInAll].
const (
	networkSlots bun.Safe = "(1), (2), (3)"
	addressSlots bun.Safe = "(1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15), (16), (17), (18), (19), (20)"
)

// insertLink has WHERE true since SQLite reads the ON after a FROM as that of a join.
func insertLink(ctx context.Context, tx bun.Tx, link login.Link, now time.Time) (login.Link, error) {
	for {
		var stored []linkRow
		err := tx.NewRaw(`
			INSERT INTO levqor_login_link (id, email, email_canonical, label, address, secret_hash, code_hash, cookie_hash, match_hash, network, slot, network_slot, tries, created_at, expires_at, user_id)
			SELECT ?0, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?12,
				CASE WHEN free.network_slot IS NOT NULL THEN free.slot END, CASE WHEN free.slot IS NOT NULL THEN free.network_slot END, 0, ?9, ?10, ?15
			FROM (SELECT
				(SELECT min(column1) FROM (VALUES ?13) AS slots
				 WHERE NOT EXISTS (SELECT 1 FROM levqor_login_link WHERE email_canonical = ?2 AND slot = column1)) AS slot,
				(SELECT min(column1) FROM (VALUES ?14) AS slots
				 WHERE NOT EXISTS (SELECT 1 FROM levqor_login_link WHERE email_canonical = ?2 AND network = ?12 AND network_slot = column1)) AS network_slot
			) AS free WHERE true
			ON CONFLICT DO NOTHING RETURNING ?11`,
			link.ID, link.Email.String(), link.Email.Canonical(), link.Device.Label, addressText(link.Device.Address),
			link.SecretHash, link.CodeHash, link.CookieHash, link.MatchHash,
			bundb.Now(tx, now), bundb.After(tx, now, login.LinkTTL), linkColumns,
			link.Device.Network(), addressSlots, networkSlots, link.User).Scan(ctx, &stored)
		if err != nil {
			return login.Link{}, err
		}
		if len(stored) == 1 {
			return stored[0].link(), nil
		}
		var taken []string
		if err := tx.NewRaw("SELECT id FROM levqor_login_link WHERE id = ?", link.ID).Scan(ctx, &taken); err != nil {
			return login.Link{}, err
		}
		if len(taken) > 0 {
			return login.Link{}, login.ErrConflict
		}
	}
}

// FindLink implements [login.LinkStore].
func (s *linkStore) FindLink(ctx context.Context, id string, now time.Time) (login.Link, error) {
	return s.link(ctx, bun.SafeQuery("SELECT ? FROM levqor_login_link WHERE id = ? AND ?", linkColumns, id, s.live(now)))
}

// TryLink implements [login.LinkStore]. Of statements at once each counts on what the one
// before has left.
func (s *linkStore) TryLink(ctx context.Context, id string, now time.Time) (login.Link, error) {
	return s.link(ctx, bun.SafeQuery("UPDATE levqor_login_link SET tries = tries + 1 WHERE id = ? AND ? RETURNING ?", id, s.live(now), linkColumns))
}

// UseLink implements [login.LinkStore]. It takes all links that it ends in one order, as
// EndLinks does, so that two that are used at once do not wait for each other; the second one
// finds them ended. Were those of the user left to another statement, users who move to
// addresses that others have asked for too could wait for each other.
func (s *linkStore) UseLink(ctx context.Context, id string, user identity.UserID, now time.Time) (login.Link, error) {
	now = bundb.Clock(s.db, now)
	var used login.Link
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		open, end := bundb.InArray(tx)
		var ended []linkRow
		err := tx.NewRaw(`
			UPDATE levqor_login_link SET ended_at = ?0, slot = NULL, network_slot = NULL WHERE ended_at IS NULL AND id ?1
				SELECT id FROM levqor_login_link WHERE ended_at IS NULL AND expires_at >= ?0 AND (
					email_canonical = (SELECT email_canonical FROM levqor_login_link WHERE id = ?2 AND user_id = ?6 AND slot IS NOT NULL AND ended_at IS NULL AND expires_at >= ?0)
					OR user_id <> 0 AND user_id = (SELECT user_id FROM levqor_login_link WHERE id = ?2 AND user_id = ?6)
				) ORDER BY id ?3
			?4 RETURNING ?5`, bundb.Now(tx, now), open, id, bundb.ForUpdate(tx), end, linkColumns, user).Scan(ctx, &ended)
		if err != nil {
			return err
		}
		for _, row := range ended {
			if row.ID == id {
				used = row.link()
				used.Mailed = true
				return nil
			}
		}
		return login.ErrNotFound // and undo what another call left over
	})
	return used, bundb.Err(err)
}

// EndLinks implements [login.LinkStore]. It takes links in the order in which UseLink does.
func (s *linkStore) EndLinks(ctx context.Context, user identity.UserID, addresses []identity.Email, now time.Time) error {
	canonical := make([]string, len(addresses))
	for i, address := range addresses {
		canonical[i] = address.Canonical()
	}
	open, end := bundb.InArray(s.db)
	_, err := bundb.Exec(ctx, s.db, bun.SafeQuery(`
		UPDATE levqor_login_link SET ended_at = ?, slot = NULL, network_slot = NULL WHERE ended_at IS NULL AND id ?
			SELECT id FROM levqor_login_link WHERE ended_at IS NULL AND (user_id = ? AND user_id <> 0 OR email_canonical IN (?)) ORDER BY id ?
		?`, bundb.Now(s.db, now), open, user, bun.List(canonical), bundb.ForUpdate(s.db), end))
	return bundb.Err(err)
}

// DeleteExpiredLinks implements [login.LinkStore].
func (s *linkStore) DeleteExpiredLinks(ctx context.Context, limit int, now time.Time) (int, error) {
	return deleteSome(ctx, s.db, "levqor_login_link", "id", limit, bun.SafeQuery("expires_at < ? ORDER BY expires_at", bundb.Now(s.db, now)))
}

func (s *linkStore) live(now time.Time) schema.QueryAppender {
	return bun.SafeQuery("ended_at IS NULL AND tries < ? AND expires_at >= ?", login.MaxTries, bundb.Now(s.db, now))
}

func (s *linkStore) link(ctx context.Context, query schema.QueryAppender) (login.Link, error) {
	var row linkRow
	if err := s.db.NewRaw("?", query).Scan(ctx, &row); err != nil {
		return login.Link{}, bundb.Err(err)
	}
	return row.link(), nil
}
