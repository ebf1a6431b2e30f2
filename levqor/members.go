package levqor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/identity"
)

// ChangeMembers calls fn in a transaction with the directory as a caller may change it,
// while nobody else changes the tenant or its members: so neither the caller nor a member
// can do more, at the end, than they could when fn looked. A person's membership is read
// anew then: who may no longer do what scope allows gets an identity.ErrScopeNotHeld. Else
// it returns what fn returns, which records with the stores of the transaction.
func (a *App) ChangeMembers(
	ctx context.Context, by identity.Principal, tenant identity.TenantID, scope string,
	fn func(ctx context.Context, tx Stores, people *identity.Directory) error,
) error {
	return a.InTx(ctx, func(ctx context.Context, tx Stores) error {
		people, err := a.holdMembers(ctx, tx, by, tenant, scope)
		if err != nil {
			return err
		}
		return fn(ctx, tx, people)
	})
}

// holdMembers keeps others from changing a tenant's members until the transaction ends, and
// returns the directory as a caller may change it.
func (a *App) holdMembers(ctx context.Context, tx Stores, by identity.Principal, tenant identity.TenantID, scope string) (*identity.Directory, error) {
	people := a.Directory.With(tx.Directory)
	by, err := held(ctx, people, by, tenant, scope)
	if err != nil {
		return nil, err
	}
	return people.ForCaller(by), nil
}

// CallerNow returns a caller as ChangeMembers reads them, for another change that is made in
// a transaction: until that ends, nobody deletes their tenant or changes its members. It
// returns ErrNotFound if the tenant is gone, and identity.ErrScopeNotHeld for who may no
// longer do what scope allows. Callers of a tenant of a host's own are returned as they are.
func (a *App) CallerNow(ctx context.Context, tx Stores, by identity.Principal, scope string) (identity.Principal, error) {
	tenant, err := identity.ParseTenantID(by.Tenant)
	if err != nil {
		return by, nil //nolint:nilerr // see above
	}
	return held(ctx, a.Directory.With(tx.Directory), by, tenant, scope)
}

// held holds a tenant and returns a caller who wants to do something there, as they are
// then.
func held(ctx context.Context, people *identity.Directory, by identity.Principal, tenant identity.TenantID, scope string) (identity.Principal, error) {
	if err := people.Hold(ctx, tenant); err != nil {
		return identity.Principal{}, err
	}
	by, err := asOfNow(ctx, people, by, tenant)
	if err != nil {
		return identity.Principal{}, err
	}
	if !by.Allows(scope) {
		return identity.Principal{}, errNotHeld()
	}
	return by, nil
}

// asOfNow returns a caller with the scopes that their membership still gives, and no
// others than they had. Programs have no membership, nor has a host's own kind of people.
func asOfNow(ctx context.Context, people *identity.Directory, by identity.Principal, tenant identity.TenantID) (identity.Principal, error) {
	user, err := identity.ParseUserID(by.UserID)
	if err != nil || by.KeyID != "" || by.Tenant != tenant.String() {
		return by, nil //nolint:nilerr // see above
	}
	member, err := people.FindMember(ctx, tenant, user)
	if errors.Is(err, ErrNotFound) {
		err = errNotHeld()
	}
	if err != nil {
		return identity.Principal{}, err
	}
	by.Scopes = slices.DeleteFunc(member.Principal().Scopes, func(s string) bool { return !by.Allows(s) })
	return by, nil
}

func errNotHeld() error {
	return fmt.Errorf("levqor: %w", &fault.Error{
		Kind: identity.ErrScopeNotHeld, Code: "scope_not_held", Detail: "This takes more than the caller may itself.",
	})
}
