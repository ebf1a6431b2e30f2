package bunlevqor

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

// assemble puts domains into their connections, in the order of their names: databases
// have orders of texts of their own.
func assemble(rows []connectionRow, domains []domainRow) []sso.Connection {
	slices.SortFunc(domains, func(a, b domainRow) int { return cmp.Compare(a.Domain, b.Domain) })
	var all []sso.Connection
	for _, r := range rows {
		c := r.connection()
		for _, d := range domains {
			if d.Connection == r.ID {
				c.Domains = append(c.Domains, sso.Domain{Name: d.Domain, Token: d.Token, VerifiedAt: d.VerifiedAt.Time})
			}
		}
		all = append(all, c)
	}
	return all
}

// subjectRow is a provider's subject who is a user.
type subjectRow struct {
	Issuer    string     `bun:"issuer"`
	Subject   string     `bun:"subject"`
	User      int64      `bun:"user_id"`
	Tenant    int64      `bun:"tenant_id"`
	CreatedAt bundb.Time `bun:"created_at"`
}

const subjectColumns bun.Safe = "issuer, subject, user_id, tenant_id, created_at"

func (r subjectRow) link() sso.Link {
	return sso.Link{Issuer: r.Issuer, Subject: r.Subject, User: identity.UserID(r.User), Tenant: identity.TenantID(r.Tenant), CreatedAt: r.CreatedAt.Time}
}

// FindLink implements [sso.LinkStore].
func (s *ssoStore) FindLink(ctx context.Context, tenant identity.TenantID, issuer, subject string) (sso.Link, error) {
	var row subjectRow
	err := s.db.NewRaw("SELECT ? FROM levqor_sso_link WHERE tenant_id = ? AND issuer = ? AND subject = ?", subjectColumns, tenant, issuer, subject).Scan(ctx, &row)
	if err != nil {
		return sso.Link{}, bundb.Err(err)
	}
	return row.link(), nil
}

// InsertLink implements [sso.LinkStore].
func (s *ssoStore) InsertLink(ctx context.Context, link sso.Link, now time.Time) (sso.Link, error) {
	var rows []subjectRow
	err := s.db.NewRaw("INSERT INTO levqor_sso_link (?) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING ?",
		subjectColumns, link.Issuer, link.Subject, link.User, link.Tenant, bundb.Now(s.db, now), subjectColumns).Scan(ctx, &rows)
	if err != nil {
		return sso.Link{}, bundb.Err(err)
	}
	if len(rows) == 0 {
		return sso.Link{}, sso.ErrConflict
	}
	return rows[0].link(), nil
}

// Unlink implements [sso.LinkStore].
func (s *ssoStore) Unlink(ctx context.Context, tenant identity.TenantID, user identity.UserID) error {
	n, err := bundb.Exec(ctx, s.db, bun.SafeQuery("DELETE FROM levqor_sso_link WHERE tenant_id = ? AND user_id = ?", tenant, user))
	if err == nil && n == 0 {
		return sso.ErrNotFound
	}
	return bundb.Err(err)
}

// UnlinkSince implements [sso.LinkStore].
func (s *ssoStore) UnlinkSince(ctx context.Context, user identity.UserID, since time.Time) error {
	_, err := bundb.Exec(ctx, s.db, bun.SafeQuery("DELETE FROM levqor_sso_link WHERE user_id = ? AND created_at >= ?", user, bundb.Time{Time: since}))
	return bundb.Err(err)
}

// EraseUser implements [sso.LinkStore].
func (s *ssoStore) EraseUser(ctx context.Context, user identity.UserID) error {
	_, err := bundb.Exec(ctx, s.db, bun.SafeQuery("DELETE FROM levqor_sso_link WHERE user_id = ?", user))
	return bundb.Err(err)
}

// BeginFlow implements [sso.FlowStore].
func (s *ssoStore) BeginFlow(ctx context.Context, flow sso.Flow, ttl time.Duration, now time.Time) error {
	n, err := bundb.Exec(ctx, s.db, bun.SafeQuery("INSERT INTO levqor_sso_flow (hash, connection_id, return_path, max_age, expires_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		flow.Hash, flow.Connection, flow.ReturnPath, flow.MaxAge.Microseconds(), bundb.After(s.db, now, ttl)))
	if err == nil && n == 0 {
		return sso.ErrConflict
	}
	return bundb.Err(err)
}

// TakeFlow implements [sso.FlowStore]. Of statements at once one finds the row; the others
// wait for its end.
func (s *ssoStore) TakeFlow(ctx context.Context, hash []byte, now time.Time) (sso.Flow, error) {
	var row struct {
		Hash       []byte `bun:"hash"`
		Connection int64  `bun:"connection_id"`
		ReturnPath string `bun:"return_path"`
		MaxAge     int64  `bun:"max_age"`
	}
	err := s.db.NewRaw("DELETE FROM levqor_sso_flow WHERE hash = ? AND expires_at > ? RETURNING hash, connection_id, return_path, max_age",
		hash, bundb.Now(s.db, now)).Scan(ctx, &row)
	if err != nil {
		return sso.Flow{}, bundb.Err(err)
	}
	return sso.Flow{Hash: row.Hash, Connection: sso.ConnectionID(row.Connection), ReturnPath: row.ReturnPath, MaxAge: time.Duration(row.MaxAge) * time.Microsecond}, nil
}

// DeleteExpiredFlows implements [sso.FlowStore].
func (s *ssoStore) DeleteExpiredFlows(ctx context.Context, limit int, now time.Time) (int, error) {
	return deleteSome(ctx, s.db, "levqor_sso_flow", "hash", limit, bun.SafeQuery("expires_at <= ?", bundb.Now(s.db, now)))
}
