package httpapi

import (
	"context"
	"encoding/hex"
	"net/http"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

// ListSSOConnections implements the operation.
func (s *server) ListSSOConnections(ctx context.Context, _ oas.ListSSOConnectionsRequestObject) (oas.ListSSOConnectionsResponseObject, error) {
	list := oas.ListSSOConnections200JSONResponse{Data: []client.SSOConnection{}}
	tenant, err := identity.ParseTenantID(caller(ctx).Tenant)
	if err != nil {
		return list, nil //nolint:nilerr // a tenant that the directory does not know has no connections
	}
	all, err := s.app.SSO.List(ctx, tenant)
	for _, c := range all {
		list.Data = append(list.Data, wireConnection(c))
	}
	return list, err
}

// CreateSSOConnection implements the operation. The connection and the answer to a
// repetition commit together.
func (s *server) CreateSSOConnection(ctx context.Context, req oas.CreateSSOConnectionRequestObject) (oas.CreateSSOConnectionResponseObject, error) {
	n := newConnection(req.Body)
	scope := scopeOf(ctx, "POST /api/v1/sso-connections", req.Params.IdempotencyKey)
	asked := *req.Body // by a keyed hash of the secret: the fingerprint is kept beside what else was sent
	asked.ClientSecret = hex.EncodeToString(s.app.KeyRing.MAC("sso-fingerprint", []byte(n.ClientSecret)))
	answer, replayed, err := s.app.Idempotency.Do(ctx, scope, fingerprint(asked), func(ctx context.Context, tx levqor.Stores) (levqor.Answer, error) {
		made, err := s.app.AddConnection(ctx, tx, caller(ctx), n)
		if err == nil {
			err = s.recordConnection(ctx, tx, guard.ActionSSOCreated, sso.Connection{}, made)
		}
		if err != nil {
			return levqor.Answer{}, err
		}
		return answerCreated(wireConnection(made), "/api/v1/sso-connections/"+made.ID.String())
	})
	return created{answer, replayed}, err
}

// GetSSOConnection implements the operation.
func (s *server) GetSSOConnection(ctx context.Context, req oas.GetSSOConnectionRequestObject) (oas.GetSSOConnectionResponseObject, error) {
	tenant, id, err := ownConnection(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	found, err := s.app.SSO.Get(ctx, tenant, id)
	wire := wireConnection(found)
	return oas.GetSSOConnection200JSONResponse{Body: wire, Headers: oas.GetSSOConnection200ResponseHeaders{ETag: etag(wire)}}, err
}

// UpdateSSOConnection implements the operation. Whoever else changes the tenant waits, so
// the connection is still as If-Match says.
func (s *server) UpdateSSOConnection(ctx context.Context, req oas.UpdateSSOConnectionRequestObject) (oas.UpdateSSOConnectionResponseObject, error) {
	_, id, err := ownConnection(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	var before, changed sso.Connection
	same := func(c sso.Connection) error { before = c; return unchanged(req.Params.IfMatch, wireConnection(c)) }
	err = s.app.InTx(ctx, func(ctx context.Context, tx levqor.Stores) error {
		if changed, err = s.app.ChangeConnection(ctx, tx, caller(ctx), id, same, connectionChange(req.Body)); err != nil {
			return err
		}
		return s.recordConnection(ctx, tx, guard.ActionSSOChanged, before, changed)
	})
	wire := wireConnection(changed)
	return oas.UpdateSSOConnection200JSONResponse{Body: wire, Headers: oas.UpdateSSOConnection200ResponseHeaders{ETag: etag(wire)}}, err
}

// DeleteSSOConnection implements the operation.
func (s *server) DeleteSSOConnection(ctx context.Context, req oas.DeleteSSOConnectionRequestObject) (oas.DeleteSSOConnectionResponseObject, error) {
	_, id, err := ownConnection(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	err = s.app.InTx(ctx, func(ctx context.Context, tx levqor.Stores) error {
		if err := s.app.RemoveConnection(ctx, tx, caller(ctx), id); err != nil {
			return err
		}
		return s.record(ctx, tx, guard.ActionSSODeleted, id.String())
	})
	return oas.DeleteSSOConnection204Response{}, err
}

// VerifySSODomain implements the operation. The DNS is asked before the transaction, which
// it would hold up.
func (s *server) VerifySSODomain(ctx context.Context, req oas.VerifySSODomainRequestObject) (oas.VerifySSODomainResponseObject, error) {
	_, id, err := ownConnection(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	proven, err := s.app.ProveDomain(ctx, caller(ctx), id, req.Body.Domain)
	if err != nil {
		return nil, err
	}
	var verified sso.Connection
	err = s.app.InTx(ctx, func(ctx context.Context, tx levqor.Stores) error {
		if verified, err = s.app.KeepDomain(ctx, tx, caller(ctx), id, proven); err != nil {
			return err
		}
		e := s.event(ctx, guard.ActionSSOVerified, id.String())
		e.Detail = map[string]string{"domain": proven.Name}
		return s.recordEvent(ctx, tx, e)
	})
	wire := wireConnection(verified)
	return oas.VerifySSODomain200JSONResponse{Body: wire, Headers: oas.VerifySSODomain200ResponseHeaders{ETag: etag(wire)}}, err
}

// DropSSODomain implements the operation.
func (s *server) DropSSODomain(ctx context.Context, req oas.DropSSODomainRequestObject) (oas.DropSSODomainResponseObject, error) {
	return oas.DropSSODomain204Response{}, s.app.DropDomain(ctx, req.Domain, s.event(ctx, guard.ActionSSODomainDropped, ""))
}

// UnlinkMember implements the operation.
func (s *server) UnlinkMember(ctx context.Context, req oas.UnlinkMemberRequestObject) (oas.UnlinkMemberResponseObject, error) {
	_, user, err := place(ctx, req.UserID)
	if err != nil {
		return nil, err
	}
	err = s.app.InTx(ctx, func(ctx context.Context, tx levqor.Stores) error {
		if err := s.app.UnlinkMember(ctx, tx, caller(ctx), user); err != nil {
			return err
		}
		return s.record(ctx, tx, guard.ActionSSOUnlinked, user.String())
	})
	return oas.UnlinkMember204Response{}, err
}

// ownConnection returns the caller's tenant and the ID of a connection, which need not be
// one of it.
func ownConnection(ctx context.Context, text string) (identity.TenantID, sso.ConnectionID, error) {
	tenant, err := identity.ParseTenantID(caller(ctx).Tenant)
	if err != nil {
		return 0, 0, err
	}
	id, err := sso.ParseConnectionID(text)
	return tenant, id, err
}

// recordConnection records what decides who may sign in, and how.
func (s *server) recordConnection(ctx context.Context, tx levqor.Stores, action guard.Action, before, c sso.Connection) error {
	e := s.event(ctx, action, c.ID.String())
	e.Detail = levqor.ConnectionChangeDetail(before, c)
	return s.recordEvent(ctx, tx, e)
}

// VisitCreateSSOConnectionResponse implements the generated interface.
func (c created) VisitCreateSSOConnectionResponse(w http.ResponseWriter) error { return c.write(w) }

func newConnection(n *client.NewSSOConnection) sso.NewConnection {
	return sso.NewConnection{
		Issuer: n.Issuer, ClientID: n.ClientID, ClientSecret: n.ClientSecret, Domains: n.Domains,
		Role: identity.Role(n.Role), Required: value(n.Required), TrustMFA: value(n.TrustMFA), TrustEmail: value(n.TrustEmail),
	}
}

func connectionChange(c *client.SSOConnectionChange) sso.ConnectionChange {
	return sso.ConnectionChange{
		ClientID: c.ClientID, ClientSecret: c.ClientSecret, Domains: c.Domains,
		Role: (*identity.Role)(c.Role), Required: c.Required, TrustMFA: c.TrustMFA, TrustEmail: c.TrustEmail,
	}
}

func wireConnection(c sso.Connection) client.SSOConnection {
	wire := client.SSOConnection{
		ID: c.ID.String(), Issuer: c.Issuer, ClientID: c.ClientID, Domains: []client.SSODomain{},
		Role: client.SSORole(c.Role), Required: c.Required, TrustMFA: c.TrustMFA, TrustEmail: c.TrustEmail, CreatedAt: c.CreatedAt,
	}
	for _, d := range c.Domains {
		wire.Domains = append(wire.Domains, client.SSODomain{Name: d.Name, RecordName: d.RecordName(), RecordValue: d.RecordValue(), VerifiedAt: optional(d.VerifiedAt)})
	}
	return wire
}
