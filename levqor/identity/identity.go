// Package identity says who is calling. So far its callers are programs with an
// API key; a [Principal] is all that the rest of the service sees of them.
//
//	keys := identity.NewKeys(store, ring, nil)
//	token, created, err := keys.EnsureOwner(ctx) // once, on the very first start
//	who, err := keys.Authenticate(ctx, token)
//	if !who.Allows("jobs:write") { … }
//
// A token is shown once, when its key is made. What is stored is a keyed hash, so
// a copy of the database without the service's secret lets nobody in.
package identity

import "slices"

// AllScopes is the scope that stands for every scope.
const AllScopes = "*"

// OwnerTenant is the tenant of the owner's key.
const OwnerTenant = "default"

// Principal is an authenticated caller.
type Principal struct {
	// Tenant is whose data the caller may touch.
	Tenant string
	// KeyID is the caller's API key.
	KeyID string
	// Scopes are what it may do, such as "jobs:write".
	Scopes []string
}

// Allows reports whether the caller has a scope.
func (p Principal) Allows(scope string) bool {
	return slices.Contains(p.Scopes, scope) || slices.Contains(p.Scopes, AllScopes)
}
