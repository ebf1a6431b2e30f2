package levqor

import (
	"context"
	"fmt"

	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
)

// UndoEmailChange leads a user back to the address that the token of an undo was mailed to,
// however often the address was changed since; see [identity.Addresses]. Whoever has the
// token need not sign in. In one transaction the address is the old one, that change and all
// after it cannot be undone any more, all pending changes and all sessions of the user end,
// and so do the logins that somebody has begun by the address given up or the one restored:
// a mail for another spelling of that has gone to whoever had it. What the account was given
// since the change goes with it, as it may be a thief's: second factors and recovery codes,
// what identity providers say of whom the user is, API keys that the user has made and
// invitations. What is older stays, also if it was a thief's, and so do places in tenants. The
// address that is given up is told by mail, and e is recorded, as the user's doing, in the log
// of each of their tenants, else in the owner's, with another event if factors were removed.
// It returns ErrNotFound for a token that is over or never was one.
func (a *App) UndoEmailChange(ctx context.Context, token string, e guard.Event) (identity.User, error) {
	var user identity.User
	err := a.InTx(ctx, func(ctx context.Context, tx Stores) error {
		undo, before, err := a.heldForUndo(ctx, tx, token)
		if err != nil {
			return err
		}
		if user, err = a.Addresses.With(tx.Directory).Undo(ctx, token); err != nil {
			return err
		}
		if err := a.endForNewAddress(ctx, tx, user.ID, 0, before.Email, user.Email); err != nil {
			return err
		}
		removed, err := a.Factors.With(tx.Factors).RemoveSince(ctx, user.ID, undo.CreatedAt)
		if err != nil {
			return err
		}
		if err := a.SSO.With(tx.SSO).UnlinkSince(ctx, user.ID, undo.CreatedAt); err != nil {
			return err
		}
		if err := a.tellOfUndo(ctx, tx, before.Email, user.Email); err != nil {
			return err
		}
		actions := []guard.Action{guard.ActionEmailChangeUndone}
		if removed != (factor.Held{}) {
			actions = append(actions, guard.ActionFactorRemoved)
		}
		return a.recordOfUser(ctx, tx, user.ID, e, actions...)
	})
	if err != nil {
		return identity.User{}, fmt.Errorf("levqor: undo e-mail change: %w", err)
	}
	return user, nil
}

// heldForUndo returns the undo of a token and its user as they are before it. The user is
// held, so nobody changes the address until the transaction ends.
func (a *App) heldForUndo(ctx context.Context, tx Stores, token string) (identity.Undo, identity.User, error) {
	undo, err := a.Addresses.With(tx.Directory).FindUndo(ctx, token)
	if err != nil {
		return identity.Undo{}, identity.User{}, err
	}
	people := a.Directory.With(tx.Directory)
	if err := people.HoldUser(ctx, undo.User); err != nil {
		return identity.Undo{}, identity.User{}, err
	}
	user, err := people.FindUser(ctx, undo.User)
	return undo, user, err
}
