package levqor

import (
	"context"
	"errors"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
)

// factorOptions returns those of the App's factors, with what they take from the App.
func (a *App) factorOptions() *factor.Options {
	var opts factor.Options
	if a.opts.Factors != nil {
		opts = *a.opts.Factors
	}
	if opts.Required == nil {
		opts.Required = a.requiresFactor
	}
	if opts.Throttle == nil {
		opts.Throttle = factorThrottle{a.Limiter}
	}
	if opts.Now == nil {
		opts.Now = a.opts.Now
	}
	return &opts
}

// ResetFactors removes the second factors of a member of a caller's tenant who has lost
// them, signs them out everywhere and records events, all in one transaction. Who does so may
// do all that the member may, or they could become them; the member belongs to no other
// tenant, since that is not asked. It returns an identity.ErrScopeNotHeld, ErrNotFound if the
// user is no member, and an ErrConflict with the code "in_other_teams".
func (a *App) ResetFactors(ctx context.Context, by identity.Principal, tenant identity.TenantID, user identity.UserID, events ...guard.Event) error {
	return a.InTx(ctx, func(ctx context.Context, tx Stores) error {
		if err := a.Directory.With(tx.Directory).HoldUser(ctx, user); err != nil { // users before tenants
			return err
		}
		people, err := a.holdMembers(ctx, tx, by, tenant, "members:write")
		if err != nil {
			return err
		}
		alone, err := memberAlone(ctx, people, tenant, user)
		if err != nil {
			return err
		}
		if !alone {
			return errInOtherTeams
		}
		if _, err := a.Factors.With(tx.Factors).Reset(ctx, user); err != nil {
			return err
		}
		if err := a.Sessions.With(tx.Sessions).EndAll(ctx, user, 0); err != nil {
			return err
		}
		return a.SecurityLog.With(tx.SecurityLog).Record(ctx, events...)
	})
}

var errInOtherTeams error = &fault.Error{
	Kind: fault.ErrConflict, Code: "in_other_teams", Detail: "the member belongs to other teams too: only the operator of the service can do it",
}

// factorPolicies say how often codes of one user's app are looked at. Whoever tries has
// shown the first factor, so no stranger can use them up. A code has a million forms of
// which three are right, so 100 a day find one within 6 years, at even odds.
var factorPolicies = []guard.Policy{
	{Name: "factor-minute", Limit: 5, Window: time.Minute},
	{Name: "factor-hour", Limit: 20, Window: time.Hour},
	{Name: "factor-day", Limit: 100, Window: 24 * time.Hour},
}

// factorThrottle counts every attempt before the code is looked at, so that attempts at the
// same time cannot be more. Right ones count too: nobody needs as many.
type factorThrottle struct{ limiter *guard.Limiter }

// Try implements [factor.Throttle].
func (t factorThrottle) Try(ctx context.Context, user identity.UserID, check func() error) error {
	if _, err := t.limiter.Take(ctx, chargesOf(factorPolicies, user.String())...); err != nil {
		return err
	}
	return check()
}

// chargesOf returns what a key is charged for one use under several policies.
func chargesOf(policies []guard.Policy, key string) []guard.Charge {
	charges := make([]guard.Charge, len(policies))
	for i, policy := range policies {
		charges[i] = guard.Charge{Policy: policy, Key: key}
	}
	return charges
}

// tenantPage is how many tenants of a user are read at a time.
const tenantPage = 100

// requiresFactor reports whether a user is an owner or admin of any tenant: a mailbox
// alone is not enough for who can change what others may do (ASVS 5.0, 6.3.3).
func (a *App) requiresFactor(ctx context.Context, user identity.UserID) (bool, error) {
	for after := identity.TenantID(0); ; {
		tenants, err := a.stores.Directory.TenantsOf(ctx, user, after, tenantPage)
		if err != nil {
			return false, err
		}
		for _, tenant := range tenants {
			after = tenant.ID
			member, err := a.stores.Directory.FindMember(ctx, tenant.ID, user)
			if errors.Is(err, ErrNotFound) { // has left meanwhile, or is disabled and does nothing
				continue
			}
			if err != nil || member.Role == identity.RoleOwner || member.Role == identity.RoleAdmin {
				return err == nil, err
			}
		}
		if len(tenants) < tenantPage {
			return false, nil
		}
	}
}
