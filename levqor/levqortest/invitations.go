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

const week = identity.InvitationTTL

var invitationCases = map[string]func(*env){
	"everything about an invitation is kept": func(e *env) {
		e.tenant(20, 7)
		want := identity.Invitation{
			ID: 50, Tenant: 20, Email: e.email("O'Neil?@Example.com"), Inviter: "it's ?", Hash: []byte{0, 1, 0xff},
			Grant: identity.Grant{Role: identity.RoleViewer, Scopes: []string{"jobs:write", "x:y"}},
		}
		got, err := e.Invitations.PutInvitation(e.ctx, want, week, 10, t0)
		want.CreatedAt, want.ExpiresAt = t0, t0.Add(week)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("PutInvitation = %v, %v; want %v", got, err, want)
		}
		if got, err := e.Invitations.FindInvitation(e.ctx, 50, t0); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("FindInvitation = %v, %v; want %v", got, err, want)
		}
		if got, err := e.Invitations.Invitations(e.ctx, 20, 0, 10, t0); err != nil || len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
			e.Errorf("Invitations = %v, %v; want %v", got, err, want)
		}
	},
	"an invitation needs a tenant and an ID of its own": func(e *env) {
		e.tenant(20, 7)
		e.invite(20, 50, "a@example.com")
		for tenant, want := range map[identity.TenantID]error{20: identity.ErrConflict, 21: identity.ErrNotFound} {
			_, err := e.Invitations.PutInvitation(e.ctx, identity.Invitation{ID: 50, Tenant: tenant, Email: e.email("b@example.com"), Hash: []byte("h")}, week, 10, t0)
			e.wantErr(err, want, "the ID is taken, or there is no such tenant")
		}
		e.wantInvitations(20, t0, 50)
	},
	"a new invitation takes the place of the one to the same address": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 8)
		e.invite(20, 50, "ada@example.com")
		e.invite(20, 51, "eve@example.com")
		e.invite(21, 52, "ADA@example.com")
		e.invite(20, 53, "Ada@EXAMPLE.com")
		e.wantInvitations(20, t0, 53, 51)
		e.wantInvitations(21, t0, 52)
		_, err := e.Invitations.FindInvitation(e.ctx, 50, t0)
		e.wantErr(err, identity.ErrNotFound, "it was replaced")
	},
	"a tenant has as many as it may, expired and replaced ones aside": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 8)
		put := func(tenant identity.TenantID, id identity.InvitationID, address string, now time.Time) error {
			_, err := e.Invitations.PutInvitation(e.ctx, identity.Invitation{ID: id, Tenant: tenant, Email: e.email(address), Hash: []byte("h")}, week, 2, now)
			return err
		}
		if err := errors.Join(put(20, 50, "a@example.com", t0), put(20, 51, "b@example.com", t0), put(20, 52, "b@example.com", t0), put(21, 53, "c@example.com", t0)); err != nil {
			e.Errorf("PutInvitation = %v", err)
		}
		e.wantErr(put(20, 54, "c@example.com", t0.Add(week-time.Microsecond)), identity.ErrTooManyInvitations, "two live")
		e.wantInvitations(20, t0, 52, 50)
		if err := put(20, 54, "c@example.com", t0.Add(week)); err != nil {
			e.Errorf("PutInvitation = %v, want room since the others are over", err)
		}
	},
	"an expired invitation is none": func(e *env) {
		e.tenant(20, 7)
		e.invite(20, 50, "a@example.com")
		e.user(8)
		e.wantInvitations(20, t0.Add(week-time.Microsecond), 50)
		over := t0.Add(week)
		e.wantInvitations(20, over)
		_, find := e.Invitations.FindInvitation(e.ctx, 50, over)
		_, accept := e.Invitations.AcceptInvitation(e.ctx, 50, 8, over)
		for _, err := range []error{find, accept, e.Invitations.RevokeInvitation(e.ctx, 20, 50, over)} {
			e.wantErr(err, identity.ErrNotFound, "its time is over")
		}
		e.wantMembers(20, 7)
	},
	"invitations come page by page": func(e *env) {
		e.tenant(20, 7)
		for id := identity.InvitationID(50); id < 54; id++ {
			e.invite(20, id, fmt.Sprintf("u%d@example.com", int64(id)))
		}
		e.wantInvitations(20, t0, 53, 52, 51, 50)
		if got, err := e.Invitations.Invitations(e.ctx, 20, 53, 2, t0); err != nil || len(got) != 2 || got[0].ID != 52 || got[1].ID != 51 {
			e.Errorf("Invitations = %v, %v; want 52 and 51", got, err)
		}
	},
	"another tenant's invitation looks absent and is left alone": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 8)
		e.invite(20, 50, "a@example.com")
		e.wantErr(e.Invitations.RevokeInvitation(e.ctx, 21, 50, t0), identity.ErrNotFound, "it is tenant 20's")
		e.wantInvitations(21, t0)
		e.wantInvitations(20, t0, 50)
	},
	"a revoked invitation is none": func(e *env) {
		e.tenant(20, 7)
		e.invite(20, 50, "a@example.com")
		if err := e.Invitations.RevokeInvitation(e.ctx, 20, 50, t0); err != nil {
			e.Errorf("RevokeInvitation = %v", err)
		}
		e.wantErr(e.Invitations.RevokeInvitation(e.ctx, 20, 50, t0), identity.ErrNotFound, "it was revoked")
		e.wantInvitations(20, t0)
	},
	"whoever accepts becomes what is offered": func(e *env) {
		e.tenant(20, 7)
		e.user(8)
		e.invite(20, 50, "a@example.com")
		want := identity.Member{Tenant: 20, User: 8, Grant: identity.Grant{Role: identity.RoleMember, Scopes: []string{"x:y"}}, CreatedAt: t0}
		got, err := e.Invitations.AcceptInvitation(e.ctx, 50, 8, t0)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("AcceptInvitation = %v, %v; want %v", got, err, want)
		}
		if got, err := e.Directory.FindMember(e.ctx, 20, 8); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("FindMember = %v, %v; want %v", got, err, want)
		}
		_, err = e.Invitations.AcceptInvitation(e.ctx, 50, 8, t0)
		e.wantErr(err, identity.ErrNotFound, "it was accepted")
		e.wantInvitations(20, t0)
	},
	"whoever accepts was not removed": func(e *env) {
		e.tenant(20, 7)
		e.member(20, 8, identity.RoleMember)
		e.remove(20, 8)
		e.invite(20, 50, "a@example.com")
		e.wantJoin(20, 8, identity.ErrRemoved, "the user has not accepted yet")
		if _, err := e.Invitations.AcceptInvitation(e.ctx, 50, 8, t0); err != nil {
			e.Errorf("AcceptInvitation = %v", err)
		}
		e.wantJoin(20, 8, identity.ErrAlreadyMember, "the user has accepted")
	},
	"a member who accepts stays what they are": func(e *env) {
		e.tenant(20, 7)
		e.invite(20, 50, "a@example.com")
		if got, err := e.Invitations.AcceptInvitation(e.ctx, 50, 7, t0); err != nil || got.Role != identity.RoleOwner || len(got.Scopes) > 0 {
			e.Errorf("AcceptInvitation = %v, %v; want the owner unchanged", got, err)
		}
		e.wantInvitations(20, t0)
	},
	"nobody who does not exist accepts": func(e *env) {
		e.tenant(20, 7)
		e.invite(20, 50, "a@example.com")
		_, err := e.Invitations.AcceptInvitation(e.ctx, 50, 8, t0)
		e.wantErr(err, identity.ErrNotFound, "there is no such user")
		e.wantInvitations(20, t0, 50)
	},
	"an invitation is accepted once by 100 callers": func(e *env) { e.acceptOnce(e.Stores) },
	"one of 40 callers makes the first invitation":  func(e *env) { e.inviteOneOwner(e.Stores) },
	"the open invitation makes an owner and ends with the first": func(e *env) {
		e.member(identity.OwnerTenantID, 7, identity.RoleViewer)
		e.wantFirst(50, t0, true)
		e.wantFirst(51, t0.Add(2*week), false)
		_, err := e.Invitations.FindInvitation(e.ctx, 50, t0.Add(week))
		e.wantErr(err, identity.ErrNotFound, "its time is over")
		if _, err := e.Invitations.PutInvitation(e.ctx, open(52), week, 0, t0); err != nil {
			e.Errorf("PutInvitation = %v, want another open one", err)
		}
		_, err = e.Invitations.FindInvitation(e.ctx, 50, t0)
		e.wantErr(err, identity.ErrNotFound, "it was replaced")
		e.wantInvitations(identity.OwnerTenantID, t0)
		e.wantErr(e.Invitations.RevokeInvitation(e.ctx, identity.OwnerTenantID, 52, t0), identity.ErrNotFound, "it is open")
		if got, err := e.Invitations.AcceptInvitation(e.ctx, 52, 7, t0); err != nil || got.Role != identity.RoleOwner {
			e.Errorf("AcceptInvitation = %v, %v; want the owner", got, err)
		}
		_, err = e.Invitations.PutInvitation(e.ctx, open(53), week, 10, t0)
		e.wantErr(err, identity.ErrHasOwner, "there is one")
		e.wantFirst(53, t0, false)
	},
	"an open invitation is dead once there is an owner": func(e *env) {
		e.wantFirst(50, t0, true)
		e.member(identity.OwnerTenantID, 7, identity.RoleOwner)
		e.user(8)
		_, find := e.Invitations.FindInvitation(e.ctx, 50, t0)
		_, accept := e.Invitations.AcceptInvitation(e.ctx, 50, 8, t0)
		e.wantErr(find, identity.ErrNotFound, "there is an owner")
		e.wantErr(accept, identity.ErrNotFound, "there is an owner")
		e.wantMembers(identity.OwnerTenantID, 7)
	},
	"invitations end with their tenant": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 8)
		e.invite(20, 50, "a@example.com")
		e.invite(21, 51, "a@example.com")
		if _, err := e.Directory.DeleteTenant(e.ctx, 20, t0); err != nil {
			e.Fatal(err)
		}
		_, err := e.Invitations.FindInvitation(e.ctx, 50, t0)
		e.wantErr(err, identity.ErrNotFound, "its tenant is deleted")
		_, err = e.Invitations.PutInvitation(e.ctx, identity.Invitation{ID: 52, Tenant: 20, Email: e.email("b@example.com"), Hash: []byte("h")}, week, 10, t0)
		e.wantErr(err, identity.ErrNotFound, "its tenant is deleted")
		e.wantInvitations(21, t0, 51)
	},
	"expired invitations are deleted up to the limit": func(e *env) {
		e.tenant(20, 7)
		for id := identity.InvitationID(50); id < 53; id++ {
			e.invite(20, id, fmt.Sprintf("u%d@example.com", int64(id)))
		}
		e.wantFirst(54, t0, true)
		for _, want := range []int{2, 1, 0} {
			if n, err := e.Invitations.DeleteExpiredInvitations(e.ctx, 2, t0.Add(week)); err != nil || n != want {
				e.Errorf("DeleteExpiredInvitations = %d, %v; want %d", n, err, want)
			}
		}
		e.wantInvitations(20, t0)
		e.wantFirst(55, t0, false)
	},
	"what a transaction did to invitations is undone": func(e *env) {
		e.tenant(20, 7)
		e.invite(20, 50, "a@example.com")
		err := e.InTx(e.ctx, func(ctx context.Context, tx levqor.Stores) error {
			_, err := tx.Invitations.AcceptInvitation(ctx, 50, 7, t0)
			return errors.Join(err, errBoom)
		})
		if fmt.Sprint(err) != errBoom.Error() {
			e.Errorf("InTx = %v, want %v alone", err, errBoom)
		}
		e.wantInvitations(20, t0, 50)
	},
}

// acceptOnce lets 100 callers at once accept an invitation, by stores on one
// database.
func (e *env) acceptOnce(stores ...levqor.Stores) {
	e.Helper()
	e.tenant(20, 7)
	e.invite(20, 50, "a@example.com")
	for i := range 100 {
		e.user(identity.UserID(100 + i))
	}
	var accepted atomic.Int32
	var wg sync.WaitGroup
	for i := range 100 {
		store := stores[i%len(stores)].Invitations
		wg.Go(func() {
			_, err := store.AcceptInvitation(e.ctx, 50, identity.UserID(100+i), t0)
			if err == nil {
				accepted.Add(1)
			} else if !errors.Is(err, identity.ErrNotFound) {
				e.Errorf("AcceptInvitation = %v", err)
			}
		})
	}
	wg.Wait()
	members, err := e.Directory.Members(e.ctx, 20, 0, 200)
	if n := accepted.Load(); err != nil || n != 1 || len(members) != 2 {
		e.Errorf("%d callers accepted, and the members are %v, %v; want one beside the owner", n, members, err)
	}
}

// inviteOneOwner lets 40 callers at once make the first invitation, by stores on one
// database.
func (e *env) inviteOneOwner(stores ...levqor.Stores) {
	e.Helper()
	var made atomic.Int32
	var wg sync.WaitGroup
	for i := range 40 {
		store := stores[i%len(stores)].Invitations
		wg.Go(func() {
			created, err := store.PutFirstInvitation(e.ctx, open(identity.InvitationID(50+i)), week, time.Time{})
			if err != nil {
				e.Errorf("PutFirstInvitation = %v", err)
			}
			if created {
				made.Add(1)
			}
		})
	}
	wg.Wait()
	if n := made.Load(); n != 1 {
		e.Errorf("%d callers were told that theirs is the first, want 1", n)
	}
}

func open(id identity.InvitationID) identity.Invitation {
	return identity.Invitation{ID: id, Tenant: identity.OwnerTenantID, Grant: identity.Grant{Role: identity.RoleOwner}, Hash: []byte("h")}
}

func (e *env) invite(tenant identity.TenantID, id identity.InvitationID, address string) {
	e.Helper()
	i := identity.Invitation{
		ID: id, Tenant: tenant, Email: e.email(address), Hash: []byte("h"), Grant: identity.Grant{Role: identity.RoleMember, Scopes: []string{"x:y"}},
	}
	if _, err := e.Invitations.PutInvitation(e.ctx, i, week, 10, t0); err != nil {
		e.Fatalf("PutInvitation = %v", err)
	}
}

func (e *env) wantFirst(id identity.InvitationID, now time.Time, want bool) {
	e.Helper()
	if made, err := e.Invitations.PutFirstInvitation(e.ctx, open(id), week, now); err != nil || made != want {
		e.Errorf("PutFirstInvitation = %v, %v; want %v", made, err, want)
	}
}

func (e *env) wantInvitations(tenant identity.TenantID, now time.Time, want ...identity.InvitationID) {
	e.Helper()
	all, err := e.Invitations.Invitations(e.ctx, tenant, 0, 100, now)
	var got []identity.InvitationID
	for _, i := range all {
		got = append(got, i.ID)
	}
	if err != nil || !slices.Equal(got, want) {
		e.Errorf("the invitations of %v are %v, %v; want %v", tenant, got, err, want)
	}
}
