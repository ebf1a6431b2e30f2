// Package identity says who is calling: programs with an API key, and people who are
// members of tenants. A [Principal] is all that the rest of the service sees of them.
//
//	keys := identity.NewKeys(store, ring, nil)
//	token, created, err := keys.EnsureOwner(ctx) // once, on the very first start
//	who, err := keys.AuthenticateFrom(ctx, token, addr)
//	if !who.Allows("jobs:write") { … }
//	key, token, err := keys.ForCaller(who).Rotate(ctx, who.Tenant, who.KeyID, identity.DefaultOverlap)
//
// A token is shown once, when its key is made or rotated. What is stored is a keyed
// hash, so a copy of the database without the service's secret lets nobody in.
//
// A [Directory] knows the people: each has one e-mail address, in whatever spelling, and
// a role in each of their tenants.
//
//	email, err := identity.ParseEmail("Ada@Example.com")
//	ada, created, err := directory.EnsureUser(ctx, email, "Ada")
//	tenant, err := directory.CreateTenant(ctx, "Engines", ada.ID)
//	member, err := directory.FindMember(ctx, tenant.ID, ada.ID)
//	if !member.Principal().Allows("jobs:write") { … }
//
// [Addresses] move them to another address, and back.
//
//	ada, undo, token, err := addresses.With(tx.Directory).Change(ctx, ada.ID, proven)
//	ada, err = addresses.With(tx.Directory).Undo(ctx, token) // by whoever reads undo.Email
//
// [Invitations] let others join by a link that is mailed to them.
//
//	invitation, token, err := invitations.ForCaller(who).Invite(ctx, tenant.ID, email, identity.Grant{Role: identity.RoleMember})
//	member, created, err := invitations.With(tx.Invitations, tx.Directory).Accept(ctx, token, identity.Joiner{Name: "Eve"})
package identity

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// AllScopes is the scope that stands for every scope.
const AllScopes = "*"

// ScopePeople is the scope for all users and tenants. Like every scope that begins with
// "operator:", it is nothing outside the [OwnerTenant], whatever scopes somebody holds.
const ScopePeople = "operator:people"

// OwnerTenant is the tenant of the owner's key.
const OwnerTenant = "default"

// Principal is an authenticated caller.
type Principal struct {
	// Tenant is whose data the caller may touch.
	Tenant string
	// KeyID is the caller's API key; empty for a person.
	KeyID string
	// UserID is the person who calls; empty for a program.
	UserID string
	// SessionID is the session that the person calls in, as text; empty for a program, and
	// for people of a host that has sessions of its own.
	SessionID string
	// Scopes are what it may do, such as "jobs:write".
	Scopes []string
	// Retiring is when the secret that the caller used stops working, because its
	// key was rotated or the key ends before; zero for a key's present secret.
	Retiring time.Time
	// Stale tells that the person's last proof of who they are is too old for what needs a
	// fresh one; false for a key.
	Stale bool
	// ByProvider tells that the identity provider of a tenant, and nothing else, has said who
	// the person is, which is not enough for what counts in other tenants too.
	ByProvider bool
}

// ID returns the ID of the key or, for a person, of the user: whom limits count and whose
// an idempotency key is.
func (p Principal) ID() string { return cmp.Or(p.KeyID, p.UserID) }

// Allows reports whether the caller has a scope.
func (p Principal) Allows(scope string) bool {
	if strings.HasPrefix(scope, operatorScopes) && p.Tenant != OwnerTenant {
		return false
	}
	return p.holds(scope)
}

// holds reports whether the caller has a scope, be it one that is nothing in its tenant.
func (p Principal) holds(scope string) bool {
	return slices.Contains(p.Scopes, scope) || slices.Contains(p.Scopes, AllScopes)
}
