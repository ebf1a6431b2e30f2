package levqor

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

// scopeSSO is what changing the identity providers of a tenant takes.
const scopeSSO = "sso:write"

// AddConnection gives the caller's tenant an identity provider, with stores of one
// transaction; whoever else changes the tenant waits. Besides what [sso.Connections.Create]
// returns, it returns identity.ErrScopeNotHeld for a caller who may no longer change
// providers, or may less themselves than the role that newcomers get.
func (a *App) AddConnection(ctx context.Context, tx Stores, by identity.Principal, n sso.NewConnection) (sso.Connection, error) {
	c, err := a.connections(ctx, tx, by)
	if err != nil {
		return sso.Connection{}, err
	}
	if err := c.gives(n.Role); err != nil {
		return sso.Connection{}, err
	}
	return c.Create(ctx, c.tenant, n)
}

// ChangeConnection changes a connection of the caller's tenant, as AddConnection adds one,
// if agree lets it once it sees the connection as it is. One that does not trust its
// provider with second factors any more, or has lost a domain that was proved, ends that
// anybody's session counts as with one because of a provider of the tenant.
func (a *App) ChangeConnection(ctx context.Context, tx Stores, by identity.Principal, id sso.ConnectionID, agree func(sso.Connection) error, change sso.ConnectionChange) (sso.Connection, error) {
	c, err := a.connections(ctx, tx, by)
	if err != nil {
		return sso.Connection{}, err
	}
	before, err := c.mine(ctx, id)
	if err == nil {
		err = agree(before)
	}
	if err == nil && change.Role != nil {
		err = c.gives(*change.Role)
	}
	if err != nil {
		return sso.Connection{}, err
	}
	changed, err := c.Update(ctx, c.tenant, id, change)
	if err == nil && (before.TrustMFA && !changed.TrustMFA || speaksForLess(before, changed)) {
		err = a.Sessions.With(tx.Sessions).DropVouches(ctx, c.tenant)
	}
	return changed, err
}

// speaksForLess reports whether a connection has lost a domain that was proved.
func speaksForLess(before, after sso.Connection) bool {
	return slices.ContainsFunc(before.Domains, func(d sso.Domain) bool { return before.Speaks(d.Name) && !after.Speaks(d.Name) })
}

// RemoveConnection removes a connection of the caller's tenant, as ChangeConnection changes
// one. Sessions go on; what they count as because of a provider of the tenant ends.
func (a *App) RemoveConnection(ctx context.Context, tx Stores, by identity.Principal, id sso.ConnectionID) error {
	c, err := a.connections(ctx, tx, by)
	if err != nil {
		return err
	}
	if _, err := c.mine(ctx, id); err != nil {
		return err
	}
	if err := c.Delete(ctx, c.tenant, id); err != nil {
		return err
	}
	return a.Sessions.With(tx.Sessions).DropVouches(ctx, c.tenant)
}

// ProveDomain looks for the DNS record that proves a domain of a connection of the caller's
// tenant, for KeepDomain; see [sso.Connections.Prove]. It waits for the DNS, so it comes
// before the transaction.
func (a *App) ProveDomain(ctx context.Context, by identity.Principal, id sso.ConnectionID, domain string) (sso.Proof, error) {
	tenant, err := identity.ParseTenantID(by.Tenant)
	if err != nil {
		return sso.Proof{}, err
	}
	if _, err := (connections{a.SSO, tenant, by}).mine(ctx, id); err != nil {
		return sso.Proof{}, err
	}
	return a.SSO.Prove(ctx, tenant, id, domain)
}

// KeepDomain keeps that a domain of a connection of the caller's tenant was proved. Another
// connection that loses the domain by that finds so in its own tenant's security log, and
// no session counts any more as with a second factor because of a provider of that tenant.
func (a *App) KeepDomain(ctx context.Context, tx Stores, by identity.Principal, id sso.ConnectionID, proven sso.Proof) (sso.Connection, error) {
	c, err := a.connections(ctx, tx, by)
	if err != nil {
		return sso.Connection{}, err
	}
	if _, err := c.mine(ctx, id); err != nil {
		return sso.Connection{}, err
	}
	var loser sso.Connection
	if proven.From != 0 {
		if loser, err = c.Find(ctx, proven.From); err != nil && !errors.Is(err, sso.ErrNotFound) {
			return sso.Connection{}, err
		}
	}
	kept, err := c.Keep(ctx, c.tenant, id, proven)
	if err != nil || !loser.Speaks(proven.Name) {
		return kept, err
	}
	return kept, a.loseDomain(ctx, tx, loser, map[string]string{"domain": detail(proven.Name)})
}

// loseDomain tells a tenant in its security log what its connection has lost, and ends what
// its providers vouch for.
func (a *App) loseDomain(ctx context.Context, tx Stores, loser sso.Connection, lost map[string]string) error {
	err := a.SecurityLog.With(tx.SecurityLog).Record(ctx, guard.Event{
		Tenant: loser.Tenant.String(), Action: guard.ActionSSODomainLost, Outcome: guard.OutcomeSuccess,
		Target: loser.ID.String(), Detail: lost,
	})
	if err != nil {
		return err
	}
	return a.Sessions.With(tx.Sessions).DropVouches(ctx, loser.Tenant)
}

// DropDomain takes a domain, in whatever spelling, from the connection that has verified it,
// whose ever it is: for an operator, where it was sold or is in dispute. See
// [sso.Connections.Drop]. The tenant finds in its security log that it lost the domain, by the
// operator, and no session counts any more as with a second factor because of a provider
// of the tenant. In the same transaction the event is recorded, about the connection and with
// the domain and the tenant as its Detail. It returns ErrNotFound if nobody has verified the domain.
func (a *App) DropDomain(ctx context.Context, domain string, e guard.Event) error {
	name, err := identity.CanonicalDomain(domain)
	if err != nil {
		return fmt.Errorf("levqor: drop domain: %w", ErrNotFound) // no connection has such a domain
	}
	err = a.InTx(ctx, func(ctx context.Context, tx Stores) error {
		all := a.SSO.With(tx.SSO)
		holder, err := all.Holder(ctx, name)
		if err != nil {
			return err
		}
		if err := a.Directory.With(tx.Directory).Hold(ctx, holder.Tenant); err != nil {
			return err
		}
		loser, err := all.Drop(ctx, holder.Tenant, holder.ID, name)
		if err != nil {
			return err
		}
		e.Target, e.Detail = loser.ID.String(), map[string]string{"domain": detail(name), "tenant": loser.Tenant.String()}
		if err := a.SecurityLog.With(tx.SecurityLog).Record(ctx, e); err != nil {
			return err
		}
		return a.loseDomain(ctx, tx, loser, map[string]string{"domain": detail(name), "by": "operator"})
	})
	if err != nil {
		return fmt.Errorf("levqor: drop domain: %w", err)
	}
	return nil
}

// UnlinkMember forgets who a member of the caller's tenant is at its identity providers, with
// stores of one transaction: for somebody who is another subject there by now. The next one
// with the member's address is linked anew. Sessions of the member that the tenant's provider
// has begun and nothing else has proven since end, and what it has vouched for in others
// does. It returns ErrNotFound if the member has not come through a provider of the tenant,
// and identity.ErrScopeNotHeld for a caller who may no longer change providers or may less
// than the member.
func (a *App) UnlinkMember(ctx context.Context, tx Stores, by identity.Principal, user identity.UserID) error {
	c, err := a.connections(ctx, tx, by)
	if err != nil {
		return err
	}
	member, err := a.Directory.With(tx.Directory).FindMember(ctx, c.tenant, user)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(member.Principal().Scopes, func(scope string) bool { return !c.by.Allows(scope) }) {
		return errNotHeld()
	}
	if err := c.Unlink(ctx, c.tenant, user); err != nil {
		return err
	}
	return a.Sessions.With(tx.Sessions).EndProvided(ctx, c.tenant, user)
}

// connectionDetail is what decides who may sign in at a connection, and how.
func connectionDetail(c sso.Connection) map[string]string {
	return map[string]string{
		"issuer": detail(c.Issuer), "role": string(c.Role), "required": strconv.FormatBool(c.Required),
		"trust_mfa": strconv.FormatBool(c.TrustMFA), "trust_email": strconv.FormatBool(c.TrustEmail),
	}
}

// ConnectionChangeDetail is what the security log tells of a connection that was made, from
// the zero Connection, or changed: what decides who may sign in there, the domains that it
// has claimed and given up, and whether the client or its secret is another one, but never
// the secret.
func ConnectionChangeDetail(before, after sso.Connection) map[string]string {
	all := connectionDetail(after)
	for name, of := range map[string][2]sso.Connection{"domains_added": {after, before}, "domains_removed": {before, after}} {
		var names []string
		for _, d := range of[0].Domains {
			if !slices.ContainsFunc(of[1].Domains, func(other sso.Domain) bool { return other.Name == d.Name }) {
				names = append(names, d.Name)
			}
		}
		if len(names) > 0 {
			all[name] = detail(strings.Join(names, " "))
		}
	}
	if before.ID != 0 && before.ClientID != after.ClientID {
		all["client_changed"] = "true"
	}
	if before.ID != 0 && !hmac.Equal([]byte(before.ClientSecret), []byte(after.ClientSecret)) {
		all["secret_changed"] = "true"
	}
	return all
}

// detail cuts text to what the log holds.
func detail(text string) string {
	if len(text) > guard.MaxDetail {
		text = strings.ToValidUTF8(text[:guard.MaxDetail-3], "") + "..."
	}
	return text
}

// connections are those of a tenant as a caller may change them.
type connections struct {
	*sso.Connections
	tenant identity.TenantID
	by     identity.Principal
}

// connections holds the caller's tenant and reads their membership anew.
func (a *App) connections(ctx context.Context, tx Stores, by identity.Principal) (connections, error) {
	tenant, err := identity.ParseTenantID(by.Tenant)
	if err != nil {
		return connections{}, err
	}
	people := a.Directory.With(tx.Directory)
	if err := people.Hold(ctx, tenant); err != nil {
		return connections{}, err
	}
	if by, err = asOfNow(ctx, people, by, tenant); err != nil {
		return connections{}, err
	}
	if !by.Allows(scopeSSO) {
		return connections{}, fmt.Errorf("levqor: change identity providers: %w", errNotHeld())
	}
	return connections{a.SSO.With(tx.SSO), tenant, by}, nil
}

// mine returns a connection that gives newcomers no more than the caller has.
func (c connections) mine(ctx context.Context, id sso.ConnectionID) (sso.Connection, error) {
	found, err := c.Get(ctx, c.tenant, id)
	if err == nil {
		err = c.gives(found.Role)
	}
	return found, err
}

// gives returns an error unless the caller may all that a role allows. What is no role is
// for others to refuse.
func (c connections) gives(role identity.Role) error {
	if slices.ContainsFunc(role.Scopes(), func(scope string) bool { return !c.by.Allows(scope) }) {
		return errNotHeld()
	}
	return nil
}
