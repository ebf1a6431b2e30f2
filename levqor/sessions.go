package levqor

import (
	"context"
	"strconv"

	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// sessionBatch bounds how many sessions a transaction ends.
const sessionBatch = 1000

// EndUserSessions ends all sessions of a user, in whatever tenant, and records events in
// the transaction that does. It returns ErrNotFound if there is no such user.
func (a *App) EndUserSessions(ctx context.Context, user identity.UserID, events ...guard.Event) error {
	return a.InTx(ctx, func(ctx context.Context, tx Stores) error {
		if _, err := a.Directory.With(tx.Directory).FindUser(ctx, user); err != nil {
			return err
		}
		if err := a.Sessions.With(tx.Sessions).EndAll(ctx, user, 0); err != nil {
			return err
		}
		return a.SecurityLog.With(tx.SecurityLog).Record(ctx, events...)
	})
}

// EndAllSessions ends the sessions of everybody, also that of whoever wants it: which one is
// in wrong hands is not known then. Sessions that begin before it returns may end too. It
// does so in batches, each in a transaction that records the event, with how many sessions
// ended as its detail "sessions". What was ended stays so if it fails; it is called again
// for the rest. It returns how many sessions it has ended, also with an error.
func (a *App) EndAllSessions(ctx context.Context, event guard.Event) (int, error) {
	total, more := 0, true
	for first := true; more; first = false {
		ended := 0
		err := a.InTx(ctx, func(ctx context.Context, tx Stores) (err error) {
			if ended, more, err = a.Sessions.With(tx.Sessions).EndEverybodys(ctx, sessionBatch); err != nil || ended == 0 && !first {
				return err
			}
			done := event
			done.Detail = map[string]string{"of": "everybody", "sessions": strconv.Itoa(ended)}
			return a.SecurityLog.With(tx.SecurityLog).Record(ctx, done)
		})
		if err != nil {
			return total, err
		}
		total += ended
	}
	return total, nil
}

// EndMemberSessions ends the sessions of a member of a tenant but one, which may be 0 for
// none, and records events in the transaction that does. Those of somebody who has a place
// in other tenants too end as far as they are at work in this one: the others are not asked.
// Whoever wants it needs the scope "members:write" and all that the member may. It returns
// ErrNotFound if there is no such member, and an identity.ErrScopeNotHeld.
func (a *App) EndMemberSessions(
	ctx context.Context, by identity.Principal, tenant identity.TenantID, user identity.UserID, except login.SessionID, events ...guard.Event,
) error {
	return a.ChangeMembers(ctx, by, tenant, "members:write", func(ctx context.Context, tx Stores, people *identity.Directory) error {
		alone, err := memberAlone(ctx, people, tenant, user)
		if err != nil {
			return err
		}
		sessions := a.Sessions.With(tx.Sessions)
		if alone {
			err = sessions.EndAll(ctx, user, except)
		} else {
			err = sessions.EndIn(ctx, tenant, user, except)
		}
		if err != nil {
			return err
		}
		return a.SecurityLog.With(tx.SecurityLog).Record(ctx, events...)
	})
}

// memberAlone reports whether a member of a tenant is one of no other. It returns an
// identity.ErrScopeNotHeld where people is for a caller who may less than the member.
func memberAlone(ctx context.Context, people *identity.Directory, tenant identity.TenantID, user identity.UserID) (bool, error) {
	member, err := people.FindMember(ctx, tenant, user)
	if err != nil {
		return false, err
	}
	if _, err := people.ChangeRole(ctx, tenant, user, member.Grant); err != nil { // is refused to who may less
		return false, err
	}
	tenants, err := people.TenantsOf(ctx, user, 0, 2)
	return len(tenants) == 1, err
}
