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
	"github.com/levqor/sdk/levqor/login"
)

// BeginEmailChange implements the operation.
func (s *server) BeginEmailChange(ctx context.Context, req oas.BeginEmailChangeRequestObject) (oas.BeginEmailChangeResponseObject, error) {
	by, err := s.changer(ctx)
	if err != nil {
		return nil, err
	}
	flow, err := s.app.BeginEmailChange(ctx, by, req.Body.Email, s.event(ctx, guard.ActionEmailChangeAsked, by.User.String()))
	return oas.BeginEmailChange202JSONResponse{ID: flow.ID, Match: flow.Match, ExpiresAt: flow.ExpiresAt}, err
}

// ConfirmEmailChange implements the operation.
func (s *server) ConfirmEmailChange(ctx context.Context, req oas.ConfirmEmailChangeRequestObject) (oas.ConfirmEmailChangeResponseObject, error) {
	by, err := s.changer(ctx)
	if err != nil {
		return nil, err
	}
	user, err := s.app.FinishEmailChange(ctx, by, attempt(req.Body), s.event(ctx, guard.ActionEmailChanged, by.User.String()))
	if errors.Is(err, fault.ErrUnauthenticated) { // who calls is known: it is the proof that is wrong
		err = fault.Invalid(proofField(req.Body), "wrong_proof", "is wrong, has been used or is too old")
	}
	return oas.ConfirmEmailChange200JSONResponse(wireUser(user)), err
}

// changer is the caller as who moves to another address.
func (s *server) changer(ctx context.Context) (levqor.EmailChanger, error) {
	user, err := identity.ParseUserID(caller(ctx).UserID)
	by := levqor.EmailChanger{User: user, Session: caller(ctx).SessionID}
	if v, ok := ctx.Value(visitorKey{}).(*visitor); ok {
		by.Device.Address = s.clientAddr(v.request)
	}
	return by, err
}

func attempt(proof *client.EmailChangeProof) login.Attempt {
	return login.Attempt{Flow: proof.ID, Code: value(proof.Code), Secret: value(proof.Secret), Match: value(proof.Match)}
}

// proofField is the field of what was shown.
func proofField(proof *client.EmailChangeProof) string {
	if proof.Secret != nil {
		return "/secret"
	}
	return "/code"
}
