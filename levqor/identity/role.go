package identity

import (
	"slices"
	"strings"

	"github.com/levqor/sdk/internal/fault"
)

// Role is what a member is in a tenant. Each role may do all that the one below it may:
//
//	viewer  jobs:read
//	member  jobs:write
//	admin   members:read members:write keys:read keys:write security:read sso:read sso:write
//	owner   tenant:write
//
// No role grants an operator's scope, which reaches beyond the tenant.
type Role string

// The roles, from the least to the most that they allow.
const (
	RoleViewer Role = "viewer"
	RoleMember Role = "member"
	RoleAdmin  Role = "admin"
	RoleOwner  Role = "owner"
)

// operatorScopes is how scopes begin that reach beyond a tenant.
const operatorScopes = "operator:"

var (
	viewerScopes = []string{"jobs:read"}
	memberScopes = append(slices.Clone(viewerScopes), "jobs:write")
	adminScopes  = append(slices.Clone(memberScopes), "members:read", "members:write", "keys:read", "keys:write", "security:read", "sso:read", "sso:write")
	ownerScopes  = append(slices.Clone(adminScopes), "tenant:write")
)

// Scopes returns what the role allows; nothing for what is no role.
func (r Role) Scopes() []string { return slices.Clone(r.scopes()) }

// Allows reports whether the role grants a scope.
func (r Role) Allows(scope string) bool { return slices.Contains(r.scopes(), scope) }

func (r Role) scopes() []string {
	switch r {
	case RoleViewer:
		return viewerScopes
	case RoleMember:
		return memberScopes
	case RoleAdmin:
		return adminScopes
	case RoleOwner:
		return ownerScopes
	default:
		return nil
	}
}

// Grant is what a member may do in a tenant.
type Grant struct {
	// Role is one of the four.
	Role Role
	// Scopes are those that the member has besides the role's, at most 50. The scope for
	// all scopes and those of operators cannot be granted.
	Scopes []string
}

const maxGrantScopes = 50

func (g Grant) validate() []error {
	var errs []error
	if g.Role.scopes() == nil {
		errs = append(errs, fault.Invalid("/role", "unknown_role", "must be viewer, member, admin or owner"))
	}
	if len(g.Scopes) > maxGrantScopes || slices.ContainsFunc(g.Scopes, ungrantable) {
		errs = append(errs, fault.Invalid("/scopes", "invalid_scope", "must hold at most 50 scopes of a tenant, each of letters, digits and : . _ - alone"))
	}
	return errs
}

func ungrantable(scope string) bool {
	return scope == AllScopes || strings.HasPrefix(scope, operatorScopes) || !scopeForm.MatchString(scope)
}

// sorted returns the grant with each scope once and in order, as stores keep it.
func (g Grant) sorted() Grant {
	scopes := slices.Clone(g.Scopes)
	slices.Sort(scopes)
	return Grant{g.Role, slices.Compact(scopes)}
}
