package httpapi

import (
	"context"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
	"github.com/levqor/sdk/levqor/identity"
)

// ListMembers implements the operation.
func (s *server) ListMembers(ctx context.Context, req oas.ListMembersRequestObject) (oas.ListMembersResponseObject, error) {
	limit := limitOf(req.Params.Limit)
	after, err := s.lastID(ctx, "members", req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	page := client.MemberPage{Data: []client.Member{}}
	tenant, err := identity.ParseTenantID(caller(ctx).Tenant)
	if err != nil {
		return oas.ListMembers200JSONResponse{Body: page}, nil //nolint:nilerr // a tenant that the directory does not know has no members
	}
	all, err := s.app.Directory.Profiles(ctx, tenant, identity.UserID(after), limit+1)
	if err != nil {
		return nil, err
	}
	page.Data, page.HasMore = wirePage(all, limit, wireMember)
	if page.HasMore {
		page.NextCursor = s.idCursor(ctx, "members", int64(all[limit-1].User))
	}
	return oas.ListMembers200JSONResponse{Body: page}, nil
}

// GetMember implements the operation.
func (s *server) GetMember(ctx context.Context, req oas.GetMemberRequestObject) (oas.GetMemberResponseObject, error) {
	tenant, user, err := place(ctx, req.UserID)
	if err != nil {
		return nil, err
	}
	profile, err := s.app.Directory.FindProfile(ctx, tenant, user)
	wire := wireMember(profile)
	return oas.GetMember200JSONResponse{Body: wire, Headers: oas.GetMember200ResponseHeaders{ETag: etag(wire)}}, err
}

// UpdateMember implements the operation. Whoever else changes members of the tenant
// waits, so the member is still as If-Match says and may no more than the caller.
func (s *server) UpdateMember(ctx context.Context, req oas.UpdateMemberRequestObject) (oas.UpdateMemberResponseObject, error) {
	tenant, user, err := place(ctx, req.UserID)
	if err != nil {
		return nil, err
	}
	var changed identity.Profile
	err = s.app.ChangeMembers(ctx, caller(ctx), tenant, "members:write", func(ctx context.Context, tx levqor.Stores, people *identity.Directory) error {
		if changed, err = people.FindProfile(ctx, tenant, user); err != nil {
			return err
		}
		if err := unchanged(req.Params.IfMatch, wireMember(changed)); err != nil {
			return err
		}
		if changed.Member, err = people.ChangeRole(ctx, tenant, user, changedGrant(changed.Grant, req.Body)); err != nil {
			return err
		}
		return s.recordGrant(ctx, tx, guard.ActionMemberRoleChanged, user.String(), changed.Role)
	})
	wire := wireMember(changed)
	return oas.UpdateMember200JSONResponse{Body: wire, Headers: oas.UpdateMember200ResponseHeaders{ETag: etag(wire)}}, err
}

// RemoveMember implements the operation.
func (s *server) RemoveMember(ctx context.Context, req oas.RemoveMemberRequestObject) (oas.RemoveMemberResponseObject, error) {
	tenant, user, err := place(ctx, req.UserID)
	if err != nil {
		return nil, err
	}
	err = s.app.ChangeMembers(ctx, caller(ctx), tenant, "members:write", func(ctx context.Context, tx levqor.Stores, people *identity.Directory) error {
		if err := people.RemoveMember(ctx, tenant, user); err != nil {
			return err
		}
		return s.record(ctx, tx, guard.ActionMemberRemoved, user.String())
	})
	return oas.RemoveMember204Response{}, err
}

// place returns the caller's tenant and a user, who need not be a member of it.
func place(ctx context.Context, userID string) (identity.TenantID, identity.UserID, error) {
	tenant, err := identity.ParseTenantID(caller(ctx).Tenant)
	if err != nil {
		return 0, 0, err
	}
	user, err := identity.ParseUserID(userID)
	return tenant, user, err
}

// changedGrant returns a grant with what a change has in the place of what it had.
func changedGrant(g identity.Grant, change *client.MemberChange) identity.Grant {
	if change.Role != nil {
		g.Role = identity.Role(*change.Role)
	}
	if change.Scopes != nil {
		g.Scopes = *change.Scopes
	}
	return g
}

func wireMember(p identity.Profile) client.Member {
	return client.Member{
		UserID: p.User.String(), Email: p.Email.String(), Name: p.Name, Role: client.Role(p.Role), Scopes: append([]string{}, p.Scopes...),
		Disabled: !p.DisabledAt.IsZero(), CreatedAt: p.CreatedAt,
	}
}
