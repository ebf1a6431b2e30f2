package client

import (
	"context"
	"crypto/rand"
	"iter"
	"net/http"
)

// Members goes through the members of the caller's tenant, page by page. It ends after
// the first error.
func (s *Service) Members(ctx context.Context) iter.Seq2[Member, error] {
	return pages(func(cursor *string) ([]Member, *string, error) {
		resp, err := s.api.ListMembersWithResponse(ctx, &ListMembersParams{Cursor: cursor})
		if err != nil {
			return nil, nil, unreachable("list members", err)
		}
		page, err := one("list members", resp.JSON200, resp.HTTPResponse, resp.Body)
		if err != nil {
			return nil, nil, err
		}
		return page.Data, page.NextCursor, nil
	})
}

// GetMember returns a member of the caller's tenant and the version of what it says, for
// [Service.UpdateMember]; or ErrNotFound.
func (s *Service) GetMember(ctx context.Context, userID string) (*Member, string, error) {
	resp, err := s.api.GetMemberWithResponse(ctx, userID)
	if err != nil {
		return nil, "", unreachable("get member", err)
	}
	member, err := one("get member", resp.JSON200, resp.HTTPResponse, resp.Body)
	return member, resp.HTTPResponse.Header.Get("ETag"), err
}

// UpdateMember changes what a member may do, at once; only if the member is still of a
// version, unless that is empty. It returns ErrNotFound, ErrForbidden for a scope that
// the caller does not hold, and ErrConflict for another version and for the last owner.
func (s *Service) UpdateMember(ctx context.Context, userID, version string, change MemberChange) (*Member, error) {
	resp, err := s.api.UpdateMemberWithResponse(ctx, userID, &UpdateMemberParams{IfMatch: given(version)}, change)
	if err != nil {
		return nil, unreachable("update member", err)
	}
	return one("update member", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// RemoveMember ends a user's place in the caller's tenant. It returns ErrNotFound,
// ErrForbidden for a member who holds a scope that the caller does not, and ErrConflict
// for the last owner.
func (s *Service) RemoveMember(ctx context.Context, userID string) error {
	resp, err := s.api.RemoveMemberWithResponse(ctx, userID)
	if err != nil {
		return unreachable("remove member", err)
	}
	return nothing("remove member", resp.HTTPResponse, resp.Body)
}

// Invite mails an invitation to the caller's tenant. Requests with the same idempotency
// key make one; for an empty one a random key is made. It returns ErrInvalid with the
// wrong fields, and ErrForbidden for a scope that the caller does not hold.
func (s *Service) Invite(ctx context.Context, invitation NewInvitation, idempotencyKey string) (*Invitation, error) {
	resp, err := s.api.CreateInvitationWithResponse(ctx, &CreateInvitationParams{IdempotencyKey: keyOr(idempotencyKey)}, invitation)
	if err != nil {
		return nil, unreachable("invite", err)
	}
	return one("invite", resp.JSON201, resp.HTTPResponse, resp.Body)
}

// Invitations goes through the invitations that can be accepted, the newest first, page
// by page. It ends after the first error.
func (s *Service) Invitations(ctx context.Context) iter.Seq2[Invitation, error] {
	return pages(func(cursor *string) ([]Invitation, *string, error) {
		resp, err := s.api.ListInvitationsWithResponse(ctx, &ListInvitationsParams{Cursor: cursor})
		if err != nil {
			return nil, nil, unreachable("list invitations", err)
		}
		page, err := one("list invitations", resp.JSON200, resp.HTTPResponse, resp.Body)
		if err != nil {
			return nil, nil, err
		}
		return page.Data, page.NextCursor, nil
	})
}

// RevokeInvitation ends an invitation. It returns ErrNotFound, and ErrForbidden for one
// with a scope that the caller does not hold.
func (s *Service) RevokeInvitation(ctx context.Context, id string) error {
	resp, err := s.api.RevokeInvitationWithResponse(ctx, id)
	if err != nil {
		return unreachable("revoke invitation", err)
	}
	return nothing("revoke invitation", resp.HTTPResponse, resp.Body)
}

// FindUser returns the user with an address, or nil if there is none.
func (s *Service) FindUser(ctx context.Context, email string) (*User, error) {
	resp, err := s.api.FindUsersWithResponse(ctx, &FindUsersParams{Email: email})
	if err != nil {
		return nil, unreachable("find user", err)
	}
	list, err := one("find user", resp.JSON200, resp.HTTPResponse, resp.Body)
	if err != nil || len(list.Data) == 0 {
		return nil, err
	}
	return &list.Data[0], nil
}

// GetUser returns a user, or ErrNotFound.
func (s *Service) GetUser(ctx context.Context, id string) (*User, error) {
	resp, err := s.api.GetUserWithResponse(ctx, id)
	if err != nil {
		return nil, unreachable("get user", err)
	}
	return one("get user", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// DisableUser locks a user out of all tenants, at once. It returns ErrNotFound.
func (s *Service) DisableUser(ctx context.Context, id string) (*User, error) {
	resp, err := s.api.DisableUserWithResponse(ctx, id)
	if err != nil {
		return nil, unreachable("disable user", err)
	}
	return one("disable user", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// EnableUser undoes [Service.DisableUser].
func (s *Service) EnableUser(ctx context.Context, id string) (*User, error) {
	resp, err := s.api.EnableUserWithResponse(ctx, id)
	if err != nil {
		return nil, unreachable("enable user", err)
	}
	return one("enable user", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// EndUserSessions ends all sessions of a user, who may sign in again. It returns ErrNotFound.
func (s *Service) EndUserSessions(ctx context.Context, id string) error {
	resp, err := s.api.EndUserSessionsWithResponse(ctx, id)
	if err != nil {
		return unreachable("end user sessions", err)
	}
	return nothing("end user sessions", resp.HTTPResponse, resp.Body)
}

// EndAllSessions ends the sessions of everybody. After an error some may have ended; call it
// again for the rest.
func (s *Service) EndAllSessions(ctx context.Context) error {
	resp, err := s.api.EndAllSessionsWithResponse(ctx)
	if err != nil {
		return unreachable("end all sessions", err)
	}
	return nothing("end all sessions", resp.HTTPResponse, resp.Body)
}

// DeleteUser deletes a user and the tenants that nobody else is in. It returns
// ErrNotFound, and ErrConflict for the last owner of a tenant with others.
func (s *Service) DeleteUser(ctx context.Context, id string) error {
	resp, err := s.api.DeleteUserWithResponse(ctx, id)
	if err != nil {
		return unreachable("delete user", err)
	}
	return nothing("delete user", resp.HTTPResponse, resp.Body)
}

// BeginEmailChange has a link and a code mailed to a new address of the person who calls,
// whoever has that; API keys get ErrForbidden. It returns ErrInvalid for what is no address.
func (s *Service) BeginEmailChange(ctx context.Context, email string) (*EmailChange, error) {
	resp, err := s.api.BeginEmailChangeWithResponse(ctx, NewAddress{Email: email})
	if err != nil {
		return nil, unreachable("begin e-mail change", err)
	}
	return one("begin e-mail change", resp.JSON202, resp.HTTPResponse, resp.Body)
}

// ConfirmEmailChange gives the person who calls the address of a change, by what its mail
// holds, and ends their other sessions. It returns ErrInvalid for a proof that is wrong or too
// old, and ErrConflict if somebody else got the address meanwhile.
func (s *Service) ConfirmEmailChange(ctx context.Context, proof EmailChangeProof) (*User, error) {
	resp, err := s.api.ConfirmEmailChangeWithResponse(ctx, proof)
	if err != nil {
		return nil, unreachable("confirm e-mail change", err)
	}
	return one("confirm e-mail change", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// CreateOwnerLink makes a link for the first owner of the service, in the place of the
// one from before. Requests with the same idempotency key make one, which is missing from
// all answers but the first; for an empty one a random key is made. It returns
// ErrConflict once there is an owner.
func (s *Service) CreateOwnerLink(ctx context.Context, idempotencyKey string) (*OwnerLink, error) {
	resp, err := s.api.CreateOwnerLinkWithResponse(ctx, &CreateOwnerLinkParams{IdempotencyKey: keyOr(idempotencyKey)})
	if err != nil {
		return nil, unreachable("create owner link", err)
	}
	return one("create owner link", resp.JSON201, resp.HTTPResponse, resp.Body)
}

// keyOr returns an idempotency key, a random one for an empty one.
func keyOr(idempotencyKey string) string {
	if idempotencyKey == "" {
		return rand.Text()
	}
	return idempotencyKey
}

// given returns nil for what is empty.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// nothing returns what an answer without a body tells.
func nothing(op string, resp *http.Response, body []byte) error {
	if resp.StatusCode == http.StatusNoContent {
		return nil
	}
	_, err := one[Problem](op, nil, resp, body)
	return err
}
