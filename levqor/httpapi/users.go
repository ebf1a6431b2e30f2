package httpapi

import (
	"context"
	"errors"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
	"github.com/levqor/sdk/levqor/identity"
)

// FindUsers implements the operation.
func (s *server) FindUsers(ctx context.Context, req oas.FindUsersRequestObject) (oas.FindUsersResponseObject, error) {
	email, err := parseEmail(req.Params.Email, parameterField("query", "email"))
	if err != nil {
		return nil, err
	}
	list := oas.FindUsers200JSONResponse{Data: []client.User{}}
	user, err := s.app.Directory.FindUserByEmail(ctx, email)
	if errors.Is(err, identity.ErrNotFound) {
		return list, nil
	}
	list.Data = append(list.Data, wireUser(user))
	return list, err
}

// GetUser implements the operation.
func (s *server) GetUser(ctx context.Context, req oas.GetUserRequestObject) (oas.GetUserResponseObject, error) {
	id, err := identity.ParseUserID(req.UserID)
	if err != nil {
		return nil, err
	}
	user, err := s.app.Directory.FindUser(ctx, id)
	wire := wireUser(user)
	return oas.GetUser200JSONResponse{Body: wire, Headers: oas.GetUser200ResponseHeaders{ETag: etag(wire)}}, err
}

// DisableUser implements the operation.
func (s *server) DisableUser(ctx context.Context, req oas.DisableUserRequestObject) (oas.DisableUserResponseObject, error) {
	user, err := s.changeUser(ctx, req.UserID, guard.ActionUserDisabled, (*identity.Directory).DisableUser)
	return oas.DisableUser200JSONResponse(wireUser(user)), err
}

// EnableUser implements the operation.
func (s *server) EnableUser(ctx context.Context, req oas.EnableUserRequestObject) (oas.EnableUserResponseObject, error) {
	user, err := s.changeUser(ctx, req.UserID, guard.ActionUserEnabled, (*identity.Directory).EnableUser)
	return oas.EnableUser200JSONResponse(wireUser(user)), err
}

// DeleteUser implements the operation.
func (s *server) DeleteUser(ctx context.Context, req oas.DeleteUserRequestObject) (oas.DeleteUserResponseObject, error) {
	id, err := identity.ParseUserID(req.UserID)
	if err != nil {
		return nil, err
	}
	return oas.DeleteUser204Response{}, s.app.DeleteUser(ctx, id, s.event(ctx, guard.ActionUserDeleted, id.String()))
}

// EndUserSessions implements the operation.
func (s *server) EndUserSessions(ctx context.Context, req oas.EndUserSessionsRequestObject) (oas.EndUserSessionsResponseObject, error) {
	id, err := identity.ParseUserID(req.UserID)
	if err != nil {
		return nil, err
	}
	return oas.EndUserSessions204Response{}, s.app.EndUserSessions(ctx, id, s.event(ctx, guard.ActionSessionEnded, id.String()))
}

// EndAllSessions implements the operation.
func (s *server) EndAllSessions(ctx context.Context, _ oas.EndAllSessionsRequestObject) (oas.EndAllSessionsResponseObject, error) {
	_, err := s.app.EndAllSessions(ctx, s.event(ctx, guard.ActionSessionEnded, ""))
	return oas.EndAllSessions204Response{}, err
}

// changeUser changes the user of an ID and records that, both or neither.
func (s *server) changeUser(
	ctx context.Context, text string, action guard.Action, change func(*identity.Directory, context.Context, identity.UserID) (identity.User, error),
) (user identity.User, err error) {
	id, err := identity.ParseUserID(text)
	if err != nil {
		return identity.User{}, err
	}
	err = s.app.InTx(ctx, func(ctx context.Context, tx levqor.Stores) error {
		if user, err = change(s.app.Directory.With(tx.Directory), ctx, id); err != nil {
			return err
		}
		return s.record(ctx, tx, action, id.String())
	})
	return user, err
}

// parseEmail reads an address from a field of the request.
func parseEmail(text, field string) (identity.Email, error) {
	email, err := identity.ParseEmail(text)
	if all := fault.All(err); len(all) > 0 {
		return identity.Email{}, fault.Invalid(field, all[0].Code, all[0].Detail)
	}
	return email, err
}

func wireUser(u identity.User) client.User {
	return client.User{ID: u.ID.String(), Email: u.Email.String(), Name: u.Name, CreatedAt: u.CreatedAt, DisabledAt: optional(u.DisabledAt)}
}
