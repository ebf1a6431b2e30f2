package levqor

import (
	"context"
	"errors"

	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
)

// DeleteTenant deletes a tenant as [identity.Directory.DeleteTenant] does, and records
// events in the transaction that begins it: who wanted it, and with which request.
func (a *App) DeleteTenant(ctx context.Context, id identity.TenantID, events ...guard.Event) error {
	err := a.begin(ctx, events, func(ctx context.Context, tx Stores) error {
		_, err := tx.Directory.DeleteTenant(ctx, id, a.now())
		return err
	})
	if err != nil {
		return err
	}
	return unlessGone(a.Directory.DeleteTenant(ctx, id))
}

// DeleteUser deletes a user as [identity.Directory.DeleteUser] does, and records events in
// the transaction that begins it.
func (a *App) DeleteUser(ctx context.Context, id identity.UserID, events ...guard.Event) error {
	err := a.begin(ctx, events, func(ctx context.Context, tx Stores) error {
		_, _, err := tx.Directory.DeleteUser(ctx, id, a.now())
		return err
	})
	if err != nil {
		return err
	}
	return unlessGone(a.Directory.DeleteUser(ctx, id))
}

// begin begins a deletion and records it. It goes on outside of the transaction, since
// what else is erased need not be in the same database.
func (a *App) begin(ctx context.Context, events []guard.Event, deletion func(ctx context.Context, tx Stores) error) error {
	return a.InTx(ctx, func(ctx context.Context, tx Stores) error {
		if err := deletion(ctx, tx); err != nil {
			return err
		}
		return a.SecurityLog.With(tx.SecurityLog).Record(ctx, events...)
	})
}

// unlessGone takes what another node has finished meanwhile for done.
func unlessGone(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
