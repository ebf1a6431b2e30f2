package bunlevqor

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

// connectionRow is a tenant's identity provider.
type connectionRow struct {
	ID           int64      `bun:"id"`
	Tenant       int64      `bun:"tenant_id"`
	Issuer       string     `bun:"issuer"`
	ClientID     string     `bun:"client_id"`
	ClientSecret string     `bun:"client_secret"`
	Role         string     `bun:"role"`
	Required     bool       `bun:"required"`
	TrustMFA     bool       `bun:"trust_mfa"`
	TrustEmail   bool       `bun:"trust_email"`
	CreatedAt    bundb.Time `bun:"created_at"`
}

const connectionColumns bun.Safe = "id, tenant_id, issuer, client_id, client_secret, role, required, trust_mfa, trust_email, created_at"

func (r connectionRow) connection() sso.Connection {
	return sso.Connection{
		ID: sso.ConnectionID(r.ID), Tenant: identity.TenantID(r.Tenant), Issuer: r.Issuer, ClientID: r.ClientID, ClientSecret: r.ClientSecret,
		Role: identity.Role(r.Role), Required: r.Required, TrustMFA: r.TrustMFA, TrustEmail: r.TrustEmail, CreatedAt: r.CreatedAt.Time,
	}
}

// domainRow is a domain that a connection has claimed.
type domainRow struct {
	Connection int64      `bun:"connection_id"`
	Domain     string     `bun:"domain"`
	Token      string     `bun:"token"`
	VerifiedAt bundb.Time `bun:"verified_at"`
}

// ssoStore keeps connections, links and flows. Whoever adds a connection holds its
// tenant's row, and whoever changes one holds its own.
type ssoStore struct{ db bun.IDB }

var _ sso.Store = (*ssoStore)(nil)

// CreateConnection implements [sso.ConnectionStore].
func (s *ssoStore) CreateConnection(ctx context.Context, c sso.Connection, now time.Time) (sso.Connection, error) {
	return s.inTx(ctx, func(ctx context.Context, tx *ssoStore) (sso.Connection, error) {
		if err := (&directory{tx.db}).lockTenant(ctx, c.Tenant); err != nil {
			return sso.Connection{}, err
		}
		var there int
		if err := tx.db.NewRaw("SELECT count(*) FROM levqor_sso_connection WHERE tenant_id = ?", c.Tenant).Scan(ctx, &there); err != nil {
			return sso.Connection{}, err
		}
		if there >= sso.MaxConnections {
			return sso.Connection{}, sso.ErrTooManyConnections
		}
		n, err := bundb.Exec(ctx, tx.db, bun.SafeQuery("INSERT INTO levqor_sso_connection (?) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			connectionColumns, c.ID, c.Tenant, c.Issuer, c.ClientID, c.ClientSecret, string(c.Role), c.Required, c.TrustMFA, c.TrustEmail, bundb.Now(tx.db, now)))
		if err != nil {
			return sso.Connection{}, err
		}
		if n == 0 {
			return sso.Connection{}, sso.ErrConflict
		}
		if err := tx.addDomains(ctx, c.ID, c.Domains); err != nil {
			return sso.Connection{}, err
		}
		return tx.FindConnection(ctx, c.ID)
	})
}

// addDomains stores domains that the connection has not claimed.
func (s *ssoStore) addDomains(ctx context.Context, id sso.ConnectionID, domains []sso.Domain) error {
	for _, d := range domains {
		_, err := bundb.Exec(ctx, s.db, bun.SafeQuery("INSERT INTO levqor_sso_domain (connection_id, domain, token) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			id, d.Name, d.Token))
		if err != nil {
			return err
		}
	}
	return nil
}

// FindConnection implements [sso.ConnectionStore].
func (s *ssoStore) FindConnection(ctx context.Context, id sso.ConnectionID) (sso.Connection, error) {
	return s.one(s.connections(ctx, bun.SafeQuery("id = ?", id)))
}

// FindByDomain implements [sso.ConnectionStore].
func (s *ssoStore) FindByDomain(ctx context.Context, domain string) (sso.Connection, error) {
	return s.one(s.connections(ctx, bun.SafeQuery("id = (SELECT connection_id FROM levqor_sso_domain WHERE domain = ? AND verified_at IS NOT NULL)", domain)))
}

// ListConnections implements [sso.ConnectionStore].
func (s *ssoStore) ListConnections(ctx context.Context, tenant identity.TenantID) ([]sso.Connection, error) {
	return s.connections(ctx, bun.SafeQuery("tenant_id = ?", tenant))
}

func (s *ssoStore) one(found []sso.Connection, err error) (sso.Connection, error) {
	if err != nil {
		return sso.Connection{}, err
	}
	if len(found) == 0 {
		return sso.Connection{}, sso.ErrNotFound
	}
	return found[0], nil
}

// connections returns the few that a condition holds for, with their domains.
func (s *ssoStore) connections(ctx context.Context, match schema.QueryAppender) ([]sso.Connection, error) {
	var rows []connectionRow
	if err := s.db.NewRaw("SELECT ? FROM levqor_sso_connection WHERE ? ORDER BY id", connectionColumns, match).Scan(ctx, &rows); err != nil {
		return nil, bundb.Err(err)
	}
	var domains []domainRow
	err := s.db.NewRaw(`
		SELECT connection_id, domain, token, verified_at FROM levqor_sso_domain
		WHERE connection_id IN (SELECT id FROM levqor_sso_connection WHERE ?)`, match).Scan(ctx, &domains)
	if err != nil {
		return nil, bundb.Err(err)
	}
	return assemble(rows, domains), nil
}

// UpdateConnection implements [sso.ConnectionStore].
func (s *ssoStore) UpdateConnection(ctx context.Context, tenant identity.TenantID, id sso.ConnectionID, c sso.Change) (sso.Connection, error) {
	return s.inTx(ctx, func(ctx context.Context, tx *ssoStore) (sso.Connection, error) {
		if err := tx.unlinkClient(ctx, tenant, id, c.ClientID); err != nil {
			return sso.Connection{}, err
		}
		n, err := bundb.Exec(ctx, tx.db, bun.SafeQuery(`
			UPDATE levqor_sso_connection SET client_id = COALESCE(?, client_id), client_secret = COALESCE(?, client_secret),
				role = COALESCE(?, role), required = COALESCE(?, required), trust_mfa = COALESCE(?, trust_mfa),
				trust_email = COALESCE(?, trust_email)
			WHERE tenant_id = ? AND id = ?`, c.ClientID, c.ClientSecret, (*string)(c.Role), c.Required, c.TrustMFA, c.TrustEmail, tenant, id))
		if err != nil {
			return sso.Connection{}, err
		}
		if n == 0 {
			return sso.Connection{}, sso.ErrNotFound
		}
		if c.Domains != nil {
			if err := tx.replaceDomains(ctx, id, *c.Domains); err != nil {
				return sso.Connection{}, err
			}
		}
		return tx.FindConnection(ctx, id)
	})
}

// unlinkClient ends a tenant's links at the issuer of its connection unless that has the
// client already.
func (s *ssoStore) unlinkClient(ctx context.Context, tenant identity.TenantID, id sso.ConnectionID, client *string) error {
	if client == nil {
		return nil
	}
	_, err := bundb.Exec(ctx, s.db, bun.SafeQuery(`
		DELETE FROM levqor_sso_link WHERE tenant_id = ?
		AND issuer = (SELECT issuer FROM levqor_sso_connection WHERE tenant_id = ? AND id = ? AND client_id <> ?)`, tenant, tenant, id, *client))
	return err
}

func (s *ssoStore) replaceDomains(ctx context.Context, id sso.ConnectionID, domains []sso.Domain) error {
	keep := []string{""} // no domain's name: a list must not be empty
	for _, d := range domains {
		keep = append(keep, d.Name)
	}
	_, err := bundb.Exec(ctx, s.db, bun.SafeQuery("DELETE FROM levqor_sso_domain WHERE connection_id = ? AND domain NOT IN (?)", id, bun.List(keep)))
	return errors.Join(err, s.addDomains(ctx, id, domains))
}

// DeleteConnection implements [sso.ConnectionStore].
func (s *ssoStore) DeleteConnection(ctx context.Context, tenant identity.TenantID, id sso.ConnectionID) error {
	_, err := s.inTx(ctx, func(ctx context.Context, tx *ssoStore) (sso.Connection, error) {
		n, err := bundb.Exec(ctx, tx.db, bun.SafeQuery("DELETE FROM levqor_sso_connection WHERE tenant_id = ? AND id = ?", tenant, id))
		if err != nil {
			return sso.Connection{}, err
		}
		if n == 0 {
			return sso.Connection{}, sso.ErrNotFound
		}
		_, err = bundb.Exec(ctx, tx.db, bun.SafeQuery("DELETE FROM levqor_sso_domain WHERE connection_id = ?", id))
		return sso.Connection{}, err
	})
	return err
}

// VerifyDomain implements [sso.ConnectionStore]. Of connections at once the index lets one
// through; the others wait for its end.
func (s *ssoStore) VerifyDomain(ctx context.Context, tenant identity.TenantID, id sso.ConnectionID, proof sso.Proof, now time.Time) (sso.Connection, error) {
	return s.inTx(ctx, func(ctx context.Context, tx *ssoStore) (sso.Connection, error) {
		_, err := bundb.Exec(ctx, tx.db, bun.SafeQuery("UPDATE levqor_sso_domain SET verified_at = NULL WHERE connection_id = ? AND connection_id <> ? AND domain = ?",
			proof.From, id, proof.Name))
		if err != nil {
			return sso.Connection{}, err
		}
		n, err := bundb.Exec(ctx, tx.db, bun.SafeQuery(`
			UPDATE levqor_sso_domain SET verified_at = COALESCE(verified_at, ?) WHERE connection_id = ? AND domain = ? AND token = ?
			AND EXISTS (SELECT 1 FROM levqor_sso_connection WHERE tenant_id = ? AND id = ?)`,
			bundb.Now(tx.db, now), id, proof.Name, proof.Token, tenant, id))
		if errors.Is(bundb.Err(err), sso.ErrConflict) {
			return sso.Connection{}, sso.ErrDomainTaken
		}
		if err != nil {
			return sso.Connection{}, err
		}
		if n == 0 {
			return sso.Connection{}, sso.ErrNotFound
		}
		return tx.FindConnection(ctx, id)
	})
}

// EraseTenant implements [sso.ConnectionStore].
func (s *ssoStore) EraseTenant(ctx context.Context, tenant identity.TenantID) error {
	_, err := s.inTx(ctx, func(ctx context.Context, tx *ssoStore) (sso.Connection, error) {
		for _, statement := range []string{
			"DELETE FROM levqor_sso_domain WHERE connection_id IN (SELECT id FROM levqor_sso_connection WHERE tenant_id = ?)",
			"DELETE FROM levqor_sso_connection WHERE tenant_id = ?",
			"DELETE FROM levqor_sso_link WHERE tenant_id = ?",
		} {
			if _, err := bundb.Exec(ctx, tx.db, bun.SafeQuery(statement, tenant)); err != nil {
				return sso.Connection{}, err
			}
		}
		return sso.Connection{}, nil
	})
	return err
}

func (s *ssoStore) inTx(ctx context.Context, fn func(ctx context.Context, tx *ssoStore) (sso.Connection, error)) (sso.Connection, error) {
	var done sso.Connection
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) (err error) {
		done, err = fn(ctx, &ssoStore{tx})
		return err
	})
	if err != nil {
		return sso.Connection{}, bundb.Err(err)
	}
	return done, nil
}
