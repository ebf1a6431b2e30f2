package levqortest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

// work is the job of a tenant.
type work struct{}

// Kind implements [jobs.Args].
func (work) Kind() string { return "work" }

var deletionCases = map[string]func(*env){
	"what a removed member has made in the tenant ends with their place": func(e *env) {
		want := e.made()
		want(20, true)
		if err := e.Directory.RemoveMember(e.ctx, 20, 8, t0); err != nil {
			e.Fatalf("RemoveMember = %v", err)
		}
		want(20, false)
		want(21, true)
	},
	"who was removed is forgotten with their tenant, and with the user": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 9)
		for _, user := range []identity.UserID{8, 10} {
			e.member(20, user, identity.RoleMember)
			e.remove(20, user)
			e.member(21, user, identity.RoleMember)
			e.remove(21, user)
		}
		_, _, err := e.Directory.DeleteUser(e.ctx, 8, t0)
		if err := errors.Join(err, e.Directory.ForgetUser(e.ctx, 8)); err != nil {
			e.Fatalf("ForgetUser = %v", err)
		}
		e.user(8)
		e.wantJoin(20, 8, nil, "the user from before is forgotten")
		e.wantJoin(20, 10, identity.ErrRemoved, "another user is forgotten")
		_, err = e.Directory.DeleteTenant(e.ctx, 20, t0)
		if err := errors.Join(err, e.Directory.ForgetTenant(e.ctx, 20)); err != nil {
			e.Fatalf("ForgetTenant = %v", err)
		}
		e.tenant(20, 7)
		e.wantJoin(20, 10, nil, "the tenant from before is forgotten")
		e.wantJoin(21, 10, identity.ErrRemoved, "another tenant is forgotten")
	},
	"what a disabled user has made ends in all tenants, and stays so": func(e *env) {
		want := e.made()
		e.disable(8)
		e.enable(8)
		want(20, false)
		want(21, false)
	},
	"what is made while its maker is disabled ends too": func(e *env) {
		e.makeWhile(func(ctx context.Context, tx levqor.Stores) error {
			_, err := tx.Directory.DisableUser(ctx, 8, t0)
			return err
		})
	},
	"what is made while its maker is removed ends too": func(e *env) {
		e.makeWhile(func(ctx context.Context, tx levqor.Stores) error { return tx.Directory.RemoveMember(ctx, 20, 8, t0) })
	},
	"what is made while its maker is deleted ends too": func(e *env) {
		e.makeWhile(func(ctx context.Context, tx levqor.Stores) error {
			_, _, err := tx.Directory.DeleteUser(ctx, 8, t0)
			return err
		})
	},
	"the instant is the one given, or of the clock that deletions are noted by": func(e *env) {
		if at, err := e.Directory.Instant(e.ctx, t0); err != nil || !at.Equal(t0) {
			e.Errorf("Instant = %v, %v; want %v", at, err, t0)
		}
		e.tenant(20, 7)
		before, err := e.Directory.Instant(e.ctx, time.Time{})
		tenant, deleteErr := e.Directory.DeleteTenant(e.ctx, 20, time.Time{})
		after, alsoErr := e.Directory.Instant(e.ctx, time.Time{})
		if err := errors.Join(err, deleteErr, alsoErr); err != nil || tenant.DeletedAt.Before(before) || tenant.DeletedAt.After(after) {
			e.Errorf("the tenant was deleted at %v between %v and %v, %v", tenant.DeletedAt, before, after, err)
		}
	},
	"what a deleted user has made ends in all tenants": func(e *env) {
		want := e.made()
		if _, _, err := e.Directory.DeleteUser(e.ctx, 8, t0); err != nil {
			e.Fatalf("DeleteUser = %v", err)
		}
		want(20, false)
		want(21, false)
	},
	"what a user has made stays if their role changes": func(e *env) {
		want := e.made()
		if _, err := e.Directory.ChangeMember(e.ctx, 20, 8, identity.Grant{Role: identity.RoleViewer}); err != nil {
			e.Fatal(err)
		}
		want(20, true)
	},
	"a deleted tenant's members and keys end at once": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 7)
		for i, tenant := range []identity.TenantID{20, 21} {
			k := key(fmt.Sprint("key_", i))
			k.Tenant = tenant.String()
			if _, err := e.Keys.InsertKey(e.ctx, k, t0); err != nil {
				e.Fatal(err)
			}
		}
		for i := range 2 {
			if got, err := e.Directory.DeleteTenant(e.ctx, 20, t0.Add(time.Duration(i)*time.Hour)); err != nil || got.ID != 20 || !got.DeletedAt.Equal(t0) {
				e.Errorf("DeleteTenant = %+v, %v; want it deleted at %v", got, err, t0)
			}
		}
		e.wantMembers(20)
		_, find := e.Directory.FindTenant(e.ctx, 20)
		_, rename := e.Directory.RenameTenant(e.ctx, 20, "x")
		_, member := e.Directory.FindMember(e.ctx, 20, 7)
		_, add := e.Directory.AddMember(e.ctx, identity.Member{Tenant: 20, User: 7, Grant: identity.Grant{Role: identity.RoleOwner}}, t0)
		for _, err := range []error{find, rename, member, add} {
			e.wantErr(err, identity.ErrNotFound, "the deletion has begun")
		}
		for id, want := range map[string]bool{"key_0": false, "key_1": true} {
			if k, _, err := e.Keys.FindKey(e.ctx, id, t0); err != nil || k.RevokedAt.IsZero() != want {
				e.Errorf("%s is %+v, %v; want it current: %v", id, k, err, want)
			}
		}
		if got, err := e.Directory.TenantsOf(e.ctx, 7, 0, 10); err != nil || len(got) != 1 || got[0].ID != 21 {
			e.Errorf("TenantsOf = %v, %v; want the other tenant", got, err)
		}
		e.wantMembers(21, 7)
	},
	"the schedules and jobs of a deleted tenant go, and no others": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 7)
		app, err := levqor.New(e.Stores, &levqor.Options{Secret: []byte("32 bytes from a random source ...")})
		if err != nil {
			e.Fatal(err)
		}
		tenants := []string{identity.TenantID(20).String(), identity.TenantID(21).String(), ""}
		var made [][2]jobs.ID
		for _, tenant := range tenants {
			for i := range 3 {
				if _, err := app.Schedules.ForTenant(tenant).Put(e.ctx, fmt.Sprint("s", i), jobs.Plan{Spec: "every 15m"}, work{}); err != nil {
					e.Fatalf("Put = %v", err)
				}
			}
			job, err := app.Jobs.ForTenant(tenant).Enqueue(e.ctx, work{}, nil)
			if err != nil {
				e.Fatalf("Enqueue = %v", err)
			}
			past, err := app.Jobs.ForTenant(tenant).Enqueue(e.ctx, work{}, nil)
			if err == nil {
				_, err = app.Jobs.ForTenant(tenant).Cancel(e.ctx, past.ID)
			}
			if err != nil {
				e.Fatal(err)
			}
			made = append(made, [2]jobs.ID{job.ID, past.ID})
		}
		if err := app.Directory.DeleteTenant(e.ctx, 20); err != nil {
			e.Fatalf("DeleteTenant = %v", err)
		}
		for i, tenant := range tenants {
			schedules, gone := 3, i == 0
			if gone {
				schedules = 0
			}
			if all, err := app.Schedules.ForTenant(tenant).List(e.ctx, "", 10); err != nil || len(all) != schedules {
				e.Errorf("%q has %d schedules, %v; want %d", tenant, len(all), err, schedules)
			}
			for _, id := range made[i] {
				if job, err := app.Jobs.ForTenant(tenant).Get(e.ctx, id); errors.Is(err, jobs.ErrNotFound) != gone {
					e.Errorf("a job of %q is %v, %v; want it gone: %v", tenant, job.State, err, gone)
				}
			}
		}
	},
	"what is stored for a deleted tenant by who has not noticed goes too": func(e *env) {
		e.tenant(20, 7)
		now := t0
		open := func() *levqor.App {
			app, err := levqor.New(e.Stores, &levqor.Options{Secret: []byte("32 bytes from a random source ..."), Now: func() time.Time { return now }})
			if err != nil {
				e.Fatal(err)
			}
			return app
		}
		here, there := open(), open()
		if err := here.Directory.DeleteTenant(e.ctx, 20); err != nil {
			e.Fatalf("DeleteTenant = %v", err)
		}
		tenant := identity.TenantID(20).String()
		record := scope
		record.Tenant = tenant
		stored := func(after time.Duration, left bool) {
			e.Helper()
			now = t0.Add(after)
			job, err := there.Jobs.ForTenant(tenant).Enqueue(e.ctx, work{}, nil)
			_, putErr := there.Schedules.ForTenant(tenant).Put(e.ctx, "s", jobs.Plan{Spec: "every 1h"}, work{})
			if err := errors.Join(err, putErr); err != nil {
				e.Fatal(err)
			}
			e.wantBegun(record, now, true)
			if err := here.Directory.FinishDeletions(e.ctx); err != nil {
				e.Errorf("FinishDeletions = %v", err)
			}
			_, err = here.Jobs.ForTenant(tenant).Get(e.ctx, job.ID)
			_, scheduleErr := here.Schedules.ForTenant(tenant).Get(e.ctx, "s")
			for _, err := range []error{err, scheduleErr} {
				e.wantErr(err, levqor.ErrNotFound, "its tenant is deleted")
			}
			if n, err := e.Idempotency.DeleteTenant(e.ctx, tenant, 9); err != nil || n > 0 {
				e.Errorf("%d answers are left, %v", n, err)
			}
			e.wantDeleted(map[bool][]identity.TenantID{true: {20}}[left], nil)
		}
		stored(identity.CacheTTL, true)
		stored(10*time.Minute, false)
	},
	"a tenant is forgotten after its deletion has begun": func(e *env) {
		e.tenant(20, 7)
		e.wantErr(e.Directory.ForgetTenant(e.ctx, 20), identity.ErrConflict, "the deletion has not begun")
		_, err := e.Directory.DeleteTenant(e.ctx, 21, t0)
		e.wantErr(err, identity.ErrNotFound, "there is none")
		_, err = e.Directory.DeleteTenant(e.ctx, identity.OwnerTenantID, t0)
		e.wantErr(err, identity.ErrOwnerTenant, "it is the owner's")
		if _, err := e.Directory.DeleteTenant(e.ctx, 20, t0); err != nil {
			e.Fatal(err)
		}
		e.wantDeleted([]identity.TenantID{20}, nil)
		for range 2 {
			if err := e.Directory.ForgetTenant(e.ctx, 20); err != nil {
				e.Errorf("ForgetTenant = %v", err)
			}
		}
		e.wantDeleted(nil, nil)
		_, err = e.Directory.DeleteTenant(e.ctx, 20, t0)
		e.wantErr(err, identity.ErrNotFound, "it is forgotten")
	},
	"a deleted user takes along the tenants that nobody else is in": func(e *env) {
		e.tenant(20, 7) // alone
		e.tenant(21, 8)
		e.member(21, 7, identity.RoleAdmin)
		k := key("key_0")
		k.Tenant = identity.TenantID(20).String()
		if _, err := e.Keys.InsertKey(e.ctx, k, t0); err != nil {
			e.Fatal(err)
		}
		for i := range 2 {
			user, tenants, err := e.Directory.DeleteUser(e.ctx, 7, t0.Add(time.Duration(i)*time.Hour))
			if err != nil || user.ID != 7 || !user.DeletedAt.Equal(t0) || len(tenants) != 1 || tenants[0].ID != 20 {
				e.Errorf("DeleteUser = %+v, %v, %v; want tenant 20 deleted with user 7", user, tenants, err)
			}
		}
		if k, _, err := e.Keys.FindKey(e.ctx, "key_0", t0); err != nil || !k.RevokedAt.Equal(t0) {
			e.Errorf("a key of the tenant is %+v, %v; want it revoked at %v", k, err, t0)
		}
		e.wantMembers(20)
		e.wantMembers(21, 8)
		e.wantDeleted([]identity.TenantID{20}, []identity.UserID{7})
		if err := e.Directory.ForgetTenant(e.ctx, 20); err != nil {
			e.Errorf("ForgetTenant = %v", err)
		}
		if _, tenants, err := e.Directory.DeleteUser(e.ctx, 7, t0); err != nil || len(tenants) != 0 {
			e.Errorf("DeleteUser = %v, %v; want no tenant any more", tenants, err)
		}
	},
	"the last owner of a tenant with others is not deleted": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 7)
		e.member(21, 8, identity.RoleAdmin)
		_, _, err := e.Directory.DeleteUser(e.ctx, 7, t0)
		e.wantErr(err, identity.ErrLastOwner, "tenant 21 has another member")
		e.wantMembers(20, 7)
		e.wantMembers(21, 7, 8)
		e.wantDeleted(nil, nil)
	},
	"the last owner of the owner's tenant is not deleted": func(e *env) {
		e.member(identity.OwnerTenantID, 7, identity.RoleOwner)
		_, _, err := e.Directory.DeleteUser(e.ctx, 7, t0)
		e.wantErr(err, identity.ErrLastOwner, "the tenant cannot be deleted")
		e.wantMembers(identity.OwnerTenantID, 7)
	},
	"a user whose deletion has begun is not found, and the address is not free": func(e *env) {
		e.user(7)
		e.tenant(20, 8)
		if _, _, err := e.Directory.DeleteUser(e.ctx, 7, t0); err != nil {
			e.Fatal(err)
		}
		_, find := e.Directory.FindUser(e.ctx, 7)
		_, byEmail := e.Directory.FindUserByEmail(e.ctx, "u7@example.com")
		_, rename := e.Directory.RenameUser(e.ctx, 7, "x")
		_, create := e.Directory.CreateTenant(e.ctx, identity.Tenant{ID: 21, Name: "x"}, 7, t0)
		_, add := e.Directory.AddMember(e.ctx, identity.Member{Tenant: 20, User: 7, Grant: identity.Grant{Role: identity.RoleViewer}}, t0)
		for _, err := range []error{find, byEmail, rename, create, add} {
			e.wantErr(err, identity.ErrNotFound, "the deletion has begun")
		}
		again := identity.User{ID: 9, Email: e.email("U7@example.com")}
		_, _, err := e.Directory.EnsureUser(e.ctx, again, t0)
		e.wantErr(err, identity.ErrDeletionPending, "the deletion has begun")
		for range 2 {
			if err := e.Directory.ForgetUser(e.ctx, 7); err != nil {
				e.Errorf("ForgetUser = %v", err)
			}
		}
		if _, created, err := e.Directory.EnsureUser(e.ctx, again, t0); err != nil || !created {
			e.Errorf("EnsureUser = %v, %v; want a new user", created, err)
		}
	},
	"whoever is added while a user is deleted is no member of what is gone": func(e *env) {
		e.addWhileDeleting(e.Stores)
	},
	"a user who is added while they are deleted is no member after it": func(e *env) {
		e.tenant(20, 7)
		e.user(8)
		add := func(ctx context.Context, tx levqor.Stores) error {
			_, err := tx.Directory.AddMember(ctx, identity.Member{Tenant: 20, User: 8, Grant: identity.Grant{Role: identity.RoleViewer}}, t0)
			return err
		}
		e.meanwhile(add, func(ctx context.Context, tx levqor.Stores) error {
			_, _, err := tx.Directory.DeleteUser(ctx, 8, t0)
			return err
		})
		e.wantErr(add(e.ctx, e.Stores), identity.ErrNotFound, "the deletion has begun")
		e.wantMembers(20, 7)
	},
	"whoever joins a tenant is waited for when its user is deleted": func(e *env) {
		e.joinWhileDeleting(e.Stores)
	},
	"a user is forgotten after the deletion has begun": func(e *env) {
		e.user(7)
		e.wantErr(e.Directory.ForgetUser(e.ctx, 7), identity.ErrConflict, "the deletion has not begun")
		_, _, err := e.Directory.DeleteUser(e.ctx, 8, t0)
		e.wantErr(err, identity.ErrNotFound, "there is none")
		if _, err := e.Directory.FindUser(e.ctx, 7); err != nil {
			e.Errorf("FindUser = %v", err)
		}
	},
	"what is deleted comes page by page": func(e *env) {
		for id := identity.UserID(7); id < 10; id++ {
			e.tenant(identity.TenantID(id+20), id)
			if _, _, err := e.Directory.DeleteUser(e.ctx, id, t0); err != nil {
				e.Fatal(err)
			}
		}
		if got, err := e.Directory.DeletedUsers(e.ctx, 7, 1); err != nil || len(got) != 1 || got[0].ID != 8 || got[0].Email.String() != "u8@example.com" {
			e.Errorf("DeletedUsers = %v, %v; want user 8", got, err)
		}
		if got, err := e.Directory.DeletedTenants(e.ctx, 27, 1); err != nil || len(got) != 1 || got[0].ID != 28 {
			e.Errorf("DeletedTenants = %v, %v; want tenant 28", got, err)
		}
	},
	"what a transaction did to people is undone": func(e *env) {
		e.tenant(20, 7)
		err := e.InTx(e.ctx, func(ctx context.Context, tx levqor.Stores) error {
			_, _, err := tx.Directory.EnsureUser(ctx, identity.User{ID: 8, Email: e.email("u8@example.com")}, t0)
			_, _, deleted := tx.Directory.DeleteUser(ctx, 7, t0)
			return errors.Join(err, deleted, errBoom)
		})
		if fmt.Sprint(err) != errBoom.Error() {
			e.Errorf("InTx = %v, want %v alone", err, errBoom)
		}
		_, err = e.Directory.FindUser(e.ctx, 8)
		e.wantErr(err, identity.ErrNotFound, "it was undone")
		e.wantMembers(20, 7)
		e.wantDeleted(nil, nil)
	},
}

func (e *env) wantDeleted(tenants []identity.TenantID, users []identity.UserID) {
	e.Helper()
	gotTenants, err := e.Directory.DeletedTenants(e.ctx, 0, 100)
	gotUsers, userErr := e.Directory.DeletedUsers(e.ctx, 0, 100)
	var got, want []string
	for _, t := range gotTenants {
		got = append(got, t.ID.String())
	}
	for _, u := range gotUsers {
		got = append(got, u.ID.String())
	}
	for _, id := range tenants {
		want = append(want, id.String())
	}
	for _, id := range users {
		want = append(want, id.String())
	}
	if err := errors.Join(err, userErr); err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
		e.Errorf("deleted are %q, %v; want %q", got, err, want)
	}
}
