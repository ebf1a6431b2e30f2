package levqortest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

var memberCases = map[string]func(*env){
	"everything about a member is kept": func(e *env) {
		e.tenant(20, 7)
		e.user(8)
		want := identity.Member{Tenant: 20, User: 8, Grant: identity.Grant{Role: identity.RoleViewer, Scopes: []string{"jobs:write", "keys:read"}}}
		got, err := e.Directory.AddMember(e.ctx, want, t0)
		want.CreatedAt = t0
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("AddMember = %v, %v; want %v", got, err, want)
		}
		if got, err := e.Directory.FindMember(e.ctx, 20, 8); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("FindMember = %v, %v; want %v", got, err, want)
		}
	},
	"a member needs a tenant and a user, and is added once": func(e *env) {
		e.tenant(20, 7)
		e.user(8)
		for _, m := range []identity.Member{{Tenant: 21, User: 8}, {Tenant: 20, User: 9}} {
			m.Role = identity.RoleViewer
			_, err := e.Directory.AddMember(e.ctx, m, t0)
			e.wantErr(err, identity.ErrNotFound, "there is no such tenant or user")
		}
		_, err := e.Directory.AddMember(e.ctx, identity.Member{Tenant: 20, User: 7, Grant: identity.Grant{Role: identity.RoleViewer}}, t0)
		e.wantErr(err, identity.ErrAlreadyMember, "the user is the owner")
		if m, err := e.Directory.FindMember(e.ctx, 20, 7); err != nil || m.Role != identity.RoleOwner {
			e.Errorf("FindMember = %v, %v; want the owner unchanged", m, err)
		}
	},
	"a role changes at once": func(e *env) {
		e.tenant(20, 7)
		e.member(20, 8, identity.RoleViewer)
		grant := identity.Grant{Role: identity.RoleAdmin, Scopes: []string{"x:y"}}
		changed, err := e.Directory.ChangeMember(e.ctx, 20, 8, grant)
		found, findErr := e.Directory.FindMember(e.ctx, 20, 8)
		if err := errors.Join(err, findErr); err != nil || changed.Role != grant.Role || found.Role != grant.Role || fmt.Sprint(found.Scopes) != "[x:y]" {
			e.Errorf("ChangeMember = %v and FindMember = %v, %v; want %v", changed, found, err, grant)
		}
	},
	"another tenant's member looks absent and is left alone": func(e *env) {
		e.tenant(20, 7)
		e.member(20, 9, identity.RoleViewer)
		e.tenant(21, 8)
		_, find := e.Directory.FindMember(e.ctx, 21, 9)
		_, change := e.Directory.ChangeMember(e.ctx, 21, 9, identity.Grant{Role: identity.RoleOwner})
		remove := e.Directory.RemoveMember(e.ctx, 21, 9, t0)
		for _, err := range []error{find, change, remove} {
			e.wantErr(err, identity.ErrNotFound, "the user is a member of tenant 20 alone")
		}
		if m, err := e.Directory.FindMember(e.ctx, 20, 9); err != nil || m.Role != identity.RoleViewer {
			e.Errorf("FindMember = %v, %v; want the member unchanged", m, err)
		}
		e.wantMembers(20, 7, 9)
		e.wantMembers(21, 8)
	},
	"whoever was removed joins that tenant no more": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 9)
		e.user(10)
		e.member(20, 8, identity.RoleMember)
		e.wantJoin(20, 8, identity.ErrAlreadyMember, "the user is a member")
		e.wantJoin(22, 8, identity.ErrNotFound, "there is no such tenant")
		e.wantJoin(20, 11, identity.ErrNotFound, "there is no such user")
		e.remove(20, 8)
		for range 2 {
			e.wantJoin(20, 8, identity.ErrRemoved, "the user was removed")
		}
		e.wantMembers(20, 7)
		e.wantJoin(21, 8, nil, "it is another tenant")
		want := identity.Member{Tenant: 20, User: 10, Grant: identity.Grant{Role: identity.RoleViewer, Scopes: []string{"jobs:write"}}}
		got, err := e.Directory.JoinMember(e.ctx, want, t0)
		want.CreatedAt = t0
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("JoinMember = %v, %v; want %v", got, err, want)
		}
		e.wantMembers(20, 7, 10)
	},
	"whoever is added again was not removed": func(e *env) {
		e.tenant(20, 7)
		e.member(20, 8, identity.RoleMember)
		e.remove(20, 8)
		err := e.InTx(e.ctx, func(ctx context.Context, tx levqor.Stores) error {
			_, err := tx.Directory.AddMember(ctx, identity.Member{Tenant: 20, User: 8, Grant: identity.Grant{Role: identity.RoleViewer}}, t0)
			return errors.Join(err, errBoom)
		})
		e.wantErr(err, errBoom, "the transaction was rolled back")
		e.wantJoin(20, 8, identity.ErrRemoved, "it was rolled back that the user was added")
		e.member(20, 8, identity.RoleMember)
		e.wantJoin(20, 8, identity.ErrAlreadyMember, "the user was added")
		e.remove(20, 8)
		e.wantJoin(20, 8, identity.ErrRemoved, "the user was removed again")
	},
	"nobody joins while they are removed": func(e *env) {
		e.tenant(20, 7)
		for user := identity.UserID(10); user < 40; user++ {
			e.member(20, user, identity.RoleMember)
		}
		var wg sync.WaitGroup
		for user := identity.UserID(10); user < 40; user++ {
			for range 3 {
				wg.Go(func() {
					_, err := e.Directory.JoinMember(e.ctx, identity.Member{Tenant: 20, User: user, Grant: identity.Grant{Role: identity.RoleViewer}}, time.Time{})
					if !errors.Is(err, identity.ErrAlreadyMember) && !errors.Is(err, identity.ErrRemoved) {
						e.Errorf("JoinMember = %v, want that the user is a member or was removed", err)
					}
				})
			}
			wg.Go(func() {
				if err := e.Directory.RemoveMember(e.ctx, 20, user, time.Time{}); err != nil {
					e.Errorf("RemoveMember = %v", err)
				}
			})
		}
		wg.Wait()
		e.wantMembers(20, 7)
	},
	"members come page by page": func(e *env) {
		e.tenant(20, 7)
		for id := identity.UserID(12); id > 8; id-- {
			e.member(20, id, identity.RoleMember)
		}
		e.wantMembers(20, 7, 9, 10, 11, 12)
		if got, err := e.Directory.Members(e.ctx, 20, 9, 2); err != nil || len(got) != 2 || got[0].User != 10 || got[1].User != 11 {
			e.Errorf("Members = %v, %v; want 10 and 11", got, err)
		}
		e.wantMembers(99)
	},
	"profiles are the members with their users": func(e *env) {
		e.tenant(20, 7)
		e.member(20, 8, identity.RoleMember)
		e.member(20, 9, identity.RoleViewer)
		e.tenant(21, 10)
		e.disable(8)
		got, err := e.Directory.Profiles(e.ctx, 20, 7, 10)
		if err != nil || len(got) != 2 || got[1].User != 9 || !got[1].DisabledAt.IsZero() {
			e.Fatalf("Profiles = %v, %v; want those of 8 and 9", got, err)
		}
		want := identity.Profile{
			Member: identity.Member{Tenant: 20, User: 8, Grant: identity.Grant{Role: identity.RoleMember}, CreatedAt: t0},
			Email:  e.email("u8@example.com"), Name: "u8", DisabledAt: t0,
		}
		if fmt.Sprint(got[0]) != fmt.Sprint(want) {
			e.Errorf("Profiles = %v, want %v", got[0], want)
		}
		if got, err := e.Directory.Profiles(e.ctx, 20, 0, 1); err != nil || len(got) != 1 || got[0].User != 7 {
			e.Errorf("Profiles = %v, %v; want that of 7", got, err)
		}
	},
	"a disabled user is listed and may be changed, and nobody acts for them": func(e *env) {
		e.tenant(20, 7)
		e.member(20, 8, identity.RoleMember)
		e.disable(8)
		_, err := e.Directory.FindMember(e.ctx, 20, 8)
		e.wantErr(err, identity.ErrNotFound, "the user is disabled")
		e.wantMembers(20, 7, 8)
		if _, err := e.Directory.ChangeMember(e.ctx, 20, 8, identity.Grant{Role: identity.RoleViewer}); err != nil {
			e.Errorf("ChangeMember = %v", err)
		}
		if err := e.Directory.RemoveMember(e.ctx, 20, 8, t0); err != nil {
			e.Errorf("RemoveMember = %v", err)
		}
		e.wantMembers(20, 7)
	},
	"the last owner stays, whoever else is there": func(e *env) {
		e.tenant(20, 7)
		e.member(20, 8, identity.RoleAdmin)
		e.wantLastOwner(20, 7)
		e.member(20, 9, identity.RoleOwner)
		e.disable(9)
		e.wantLastOwner(20, 7)
		e.enable(9)
		if err := e.Directory.RemoveMember(e.ctx, 20, 7, t0); err != nil {
			e.Errorf("RemoveMember = %v, want the first owner to go", err)
		}
		e.wantLastOwner(20, 9)
		e.wantMembers(20, 8, 9)
	},
	"the last owner's scopes may change": func(e *env) {
		e.tenant(20, 7)
		if _, err := e.Directory.ChangeMember(e.ctx, 20, 7, identity.Grant{Role: identity.RoleOwner, Scopes: []string{"x:y"}}); err != nil {
			e.Errorf("ChangeMember = %v", err)
		}
	},
	"of two owners one stays when 100 callers take them away": func(e *env) {
		e.leaveOneOwner(e.Stores)
	},
}

// leaveOneOwner lets 100 callers at once take the two owners of a tenant away, by stores
// on one database.
func (e *env) leaveOneOwner(stores ...levqor.Stores) {
	e.Helper()
	e.tenant(20, 7)
	e.member(20, 8, identity.RoleOwner)
	e.member(20, 9, identity.RoleViewer)
	var refused atomic.Int32
	var wg sync.WaitGroup
	for i := range 100 {
		store, user := stores[i%len(stores)].Directory, identity.UserID(7+i/len(stores)%2)
		wg.Go(func() {
			var err error
			switch i % 3 {
			case 0:
				_, err = store.ChangeMember(e.ctx, 20, user, identity.Grant{Role: identity.RoleViewer})
			case 1:
				_, _, err = store.DeleteUser(e.ctx, user, time.Time{})
			default:
				err = store.RemoveMember(e.ctx, 20, user, t0)
			}
			if errors.Is(err, identity.ErrLastOwner) {
				refused.Add(1)
			} else if err != nil && !errors.Is(err, identity.ErrNotFound) {
				e.Errorf("an owner was not taken away: %v", err)
			}
		})
	}
	wg.Wait()
	members, err := e.Directory.Members(e.ctx, 20, 0, 10)
	owners := slices.DeleteFunc(members, func(m identity.Member) bool { return m.Role != identity.RoleOwner })
	if err != nil || len(owners) != 1 || refused.Load() == 0 {
		e.Errorf("%v stayed, %v, and %d calls were refused; want one owner", owners, err, refused.Load())
	}
}

// member stores a user who is a member of a tenant.
func (e *env) member(tenant identity.TenantID, user identity.UserID, role identity.Role) {
	e.Helper()
	e.user(user)
	if _, err := e.Directory.AddMember(e.ctx, identity.Member{Tenant: tenant, User: user, Grant: identity.Grant{Role: role}}, t0); err != nil {
		e.Fatalf("AddMember = %v", err)
	}
}

func (e *env) remove(tenant identity.TenantID, user identity.UserID) {
	e.Helper()
	if err := e.Directory.RemoveMember(e.ctx, tenant, user, t0); err != nil {
		e.Fatalf("RemoveMember = %v", err)
	}
}

// wantJoin lets a user join a tenant as a viewer.
func (e *env) wantJoin(tenant identity.TenantID, user identity.UserID, want error, promise string) {
	e.Helper()
	_, err := e.Directory.JoinMember(e.ctx, identity.Member{Tenant: tenant, User: user, Grant: identity.Grant{Role: identity.RoleViewer}}, t0)
	e.wantErr(err, want, promise)
}

func (e *env) wantMembers(tenant identity.TenantID, want ...identity.UserID) {
	e.Helper()
	members, err := e.Directory.Members(e.ctx, tenant, 0, 100)
	got := make([]identity.UserID, len(members))
	for i, m := range members {
		got[i] = m.User
	}
	if err != nil || !slices.Equal(got, want) {
		e.Errorf("the members of %v are %v, %v; want %v", tenant, got, err, want)
	}
}

func (e *env) wantLastOwner(tenant identity.TenantID, user identity.UserID) {
	e.Helper()
	_, err := e.Directory.ChangeMember(e.ctx, tenant, user, identity.Grant{Role: identity.RoleAdmin})
	e.wantErr(err, identity.ErrLastOwner, "the tenant would have no owner")
	e.wantErr(e.Directory.RemoveMember(e.ctx, tenant, user, t0), identity.ErrLastOwner, "the tenant would have no owner")
	if m, err := e.Directory.FindMember(e.ctx, tenant, user); err != nil || m.Role != identity.RoleOwner {
		e.Errorf("FindMember = %v, %v; want the owner unchanged", m, err)
	}
}
