package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
	"github.com/levqor/sdk/levqor/identity"
)

// ListInvitations implements the operation.
func (s *server) ListInvitations(ctx context.Context, req oas.ListInvitationsRequestObject) (oas.ListInvitationsResponseObject, error) {
	limit := limitOf(req.Params.Limit)
	before, err := s.lastID(ctx, "invitations", req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	page := client.InvitationPage{Data: []client.Invitation{}}
	tenant, err := identity.ParseTenantID(caller(ctx).Tenant)
	if err != nil {
		return oas.ListInvitations200JSONResponse{Body: page}, nil //nolint:nilerr // a tenant that the directory does not know has no invitations
	}
	all, err := s.app.Invitations.List(ctx, tenant, identity.InvitationID(before), limit+1)
	if err != nil {
		return nil, err
	}
	page.Data, page.HasMore = wirePage(all, limit, wireInvitation)
	if page.HasMore {
		page.NextCursor = s.idCursor(ctx, "invitations", int64(all[limit-1].ID))
	}
	return oas.ListInvitations200JSONResponse{Body: page}, nil
}

// CreateInvitation implements the operation. The invitation, the job that mails it and
// the answer to a repetition commit together.
func (s *server) CreateInvitation(ctx context.Context, req oas.CreateInvitationRequestObject) (oas.CreateInvitationResponseObject, error) {
	email, err := parseEmail(req.Body.Email, "/email")
	if err != nil {
		return nil, err
	}
	grant := identity.Grant{Role: identity.Role(req.Body.Role), Scopes: req.Body.Scopes}
	scope := scopeOf(ctx, "POST /api/v1/invitations", req.Params.IdempotencyKey)
	answer, replayed, err := s.app.Idempotency.Do(ctx, scope, fingerprint(body(ctx)), func(ctx context.Context, tx levqor.Stores) (levqor.Answer, error) {
		made, err := s.app.Invite(ctx, tx, caller(ctx), email, grant)
		if err == nil {
			err = s.recordGrant(ctx, tx, guard.ActionInvitationSent, made.ID.String(), made.Role)
		}
		if err != nil {
			return levqor.Answer{}, err
		}
		return answerCreated(wireInvitation(made), "")
	})
	return created{answer, replayed}, err
}

// RevokeInvitation implements the operation.
func (s *server) RevokeInvitation(ctx context.Context, req oas.RevokeInvitationRequestObject) (oas.RevokeInvitationResponseObject, error) {
	tenant, err := identity.ParseTenantID(caller(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	id, err := identity.ParseInvitationID(req.ID)
	if err != nil {
		return nil, err
	}
	err = s.app.InTx(ctx, func(ctx context.Context, tx levqor.Stores) error {
		if err := s.app.Invitations.With(tx.Invitations, tx.Directory).ForCaller(caller(ctx)).Revoke(ctx, tenant, id); err != nil {
			return err
		}
		return s.record(ctx, tx, guard.ActionInvitationRevoked, id.String())
	})
	return oas.RevokeInvitation204Response{}, err
}

// CreateOwnerLink implements the operation. The answer to a repetition lacks the link,
// which is kept nowhere.
func (s *server) CreateOwnerLink(ctx context.Context, req oas.CreateOwnerLinkRequestObject) (oas.CreateOwnerLinkResponseObject, error) {
	var whole client.OwnerLink
	scope := scopeOf(ctx, "POST /api/v1/owner-link", req.Params.IdempotencyKey)
	answer, replayed, err := s.app.Idempotency.Do(ctx, scope, fingerprint(nil), func(ctx context.Context, tx levqor.Stores) (levqor.Answer, error) {
		made, link, err := s.app.NewOwnerLink(ctx, tx, caller(ctx))
		if errors.Is(err, identity.ErrScopeNotHeld) {
			err = &scopeError{identity.AllScopes}
		}
		if err == nil {
			err = s.record(ctx, tx, guard.ActionOwnerLinkCreated, made.ID.String())
		}
		if err != nil {
			return levqor.Answer{}, err
		}
		whole = client.OwnerLink{URL: &link, ExpiresAt: made.ExpiresAt}
		return answerCreated(client.OwnerLink{ExpiresAt: made.ExpiresAt}, "")
	})
	if err == nil && !replayed {
		answer.Body, err = json.Marshal(whole)
	}
	return created{answer, replayed}, err
}

// VisitCreateInvitationResponse implements the generated interface.
func (c created) VisitCreateInvitationResponse(w http.ResponseWriter) error { return c.write(w) }

// VisitCreateOwnerLinkResponse implements the generated interface.
func (c created) VisitCreateOwnerLinkResponse(w http.ResponseWriter) error { return c.write(w) }

func wireInvitation(i identity.Invitation) client.Invitation {
	return client.Invitation{
		ID: i.ID.String(), Email: i.Email.String(), Role: client.Role(i.Role), Scopes: append([]string{}, i.Scopes...),
		InvitedBy: optional(i.Inviter), CreatedAt: i.CreatedAt, ExpiresAt: i.ExpiresAt,
	}
}
