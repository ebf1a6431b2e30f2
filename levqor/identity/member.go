package identity

import (
	"slices"
	"time"
)

// Member is a user's place in a tenant. Members are tenant-owned.
type Member struct {
	// Tenant is where the user is a member.
	Tenant TenantID
	// User is who it is.
	User UserID
	// Grant is what the member may do.
	Grant
	// CreatedAt is when the user became a member.
	CreatedAt time.Time
}

// Profile is a member with what other members may see of the user.
type Profile struct {
	Member
	// Email is where mail for the user goes.
	Email Email
	// Name is what the user wants to be called; it may be empty.
	Name string
	// DisabledAt is when the user was locked out of every tenant; zero if they are not.
	DisabledAt time.Time
}

// Allows reports whether the member's role or own scopes grant a scope. Whatever a
// store holds, an operator's scope is not among them.
func (m Member) Allows(scope string) bool { return m.Principal().Allows(scope) }

// Principal returns the member as the caller that the rest of the service knows. Ask
// for it with each request, so that a change of role acts at once.
func (m Member) Principal() Principal {
	scopes := append(m.Role.Scopes(), slices.DeleteFunc(slices.Clone(m.Scopes), ungrantable)...)
	return Principal{Tenant: m.Tenant.String(), UserID: m.User.String(), Scopes: scopes}
}
