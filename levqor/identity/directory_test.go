package identity_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/identity"
)

func newDirectory(opts *identity.DirectoryOptions) *identity.Directory {
	return identity.NewDirectory(identity.NewMemDirectory(identity.NewMemKeyStore()), opts)
}

func ensure(t *testing.T, d *identity.Directory, address string) identity.User {
	t.Helper()
	email, err := identity.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	user, _, err := d.EnsureUser(t.Context(), email, "")
	if err != nil {
		t.Fatalf("EnsureUser = %v", err)
	}
	return user
}

func found(t *testing.T, d *identity.Directory, name string, owner identity.User) identity.Tenant {
	t.Helper()
	tenant, err := d.CreateTenant(t.Context(), name, owner.ID)
	if err != nil {
		t.Fatalf("CreateTenant = %v", err)
	}
	return tenant
}

func TestIDsOfPeopleAreReadAsTheyAreWritten(t *testing.T) {
	d := newDirectory(nil)
	user := ensure(t, d, "ada@example.com")
	tenant := found(t, d, "acme", user)
	if id, err := identity.ParseUserID(user.ID.String()); err != nil || id != user.ID || !strings.HasPrefix(user.ID.String(), "usr_") {
		t.Errorf("ParseUserID(%v) = %v, %v", user.ID, id, err)
	}
	if id, err := identity.ParseTenantID(tenant.ID.String()); err != nil || id != tenant.ID || !strings.HasPrefix(tenant.ID.String(), "ten_") {
		t.Errorf("ParseTenantID(%v) = %v, %v", tenant.ID, id, err)
	}
	if id, err := identity.ParseTenantID(identity.OwnerTenant); err != nil || id != identity.OwnerTenantID || id.String() != identity.OwnerTenant {
		t.Errorf("ParseTenantID = %v, %v; want the owner's", id, err)
	}
	for _, text := range []string{"", "acme", "ten_", "ten_00000000001", "usr_00000000002", "Default"} {
		if _, err := identity.ParseTenantID(text); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("ParseTenantID(%q) = %v, want ErrNotFound", text, err)
		}
	}
	if _, err := identity.ParseUserID(tenant.ID.String()); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("ParseUserID of a tenant = %v, want ErrNotFound", err)
	}
}

func TestEachRoleAllowsWhatTheOneBelowItDoes(t *testing.T) {
	var below []string
	for _, role := range []identity.Role{identity.RoleViewer, identity.RoleMember, identity.RoleAdmin, identity.RoleOwner} {
		scopes := role.Scopes()
		if len(scopes) <= len(below) {
			t.Errorf("%s allows %q, want more than %q", role, scopes, below)
		}
		for _, scope := range below {
			if !role.Allows(scope) {
				t.Errorf("%s does not allow %s", role, scope)
			}
		}
		below = scopes
	}
	if scopes := identity.Role("root").Scopes(); scopes != nil {
		t.Errorf("a role that is none allows %q", scopes)
	}
}

func TestNoMemberHasAnOperatorsScope(t *testing.T) {
	owner := identity.Member{Tenant: 20, User: 7, Grant: identity.Grant{
		Role: identity.RoleOwner, Scopes: []string{"x:y", "operator:jobs", identity.AllScopes}, // as somebody wrote by hand
	}}
	who := owner.Principal()
	if !who.Allows("x:y") || !who.Allows("jobs:write") || who.Allows("operator:jobs") || who.Allows("anything") || owner.Allows("operator:jobs") {
		t.Errorf("the owner is %+v", who)
	}
	if who.Tenant != owner.Tenant.String() || who.UserID != owner.User.String() || who.KeyID != "" {
		t.Errorf("the owner is %+v", who)
	}
	d := newDirectory(nil)
	ada := ensure(t, d, "ada@example.com")
	acme := found(t, d, "acme", ada)
	for _, scope := range []string{"*", "operator:jobs", "operator:", "a b", "", "A"} {
		_, err := d.ChangeRole(t.Context(), acme.ID, ada.ID, identity.Grant{Role: identity.RoleOwner, Scopes: []string{scope}})
		if all := fault.All(err); len(all) != 1 || all[0].Field != "/scopes" {
			t.Errorf("ChangeRole with the scope %q = %v, want ErrInvalid about /scopes", scope, err)
		}
	}
}

func TestAChangeOfRoleActsAtOnce(t *testing.T) {
	d := newDirectory(nil)
	ada, eve := ensure(t, d, "ada@example.com"), ensure(t, d, "eve@example.com")
	acme := found(t, d, "acme", ada)
	allows := func(scope string) bool {
		member, err := d.FindMember(t.Context(), acme.ID, eve.ID)
		return err == nil && member.Allows(scope)
	}
	if _, err := d.AddMember(t.Context(), acme.ID, eve.ID, identity.Grant{Role: identity.RoleMember}); err != nil || !allows("jobs:write") {
		t.Errorf("AddMember = %v; may write: %v", err, allows("jobs:write"))
	}
	changed, err := d.ChangeRole(t.Context(), acme.ID, eve.ID, identity.Grant{Role: identity.RoleViewer, Scopes: []string{"x:y", "keys:read", "x:y"}})
	if err != nil || allows("jobs:write") || !allows("x:y") || fmt.Sprint(changed.Scopes) != "[keys:read x:y]" {
		t.Errorf("ChangeRole = %v, %v; may write: %v", changed, err, allows("jobs:write"))
	}
	if _, err := d.DisableUser(t.Context(), eve.ID); err != nil || allows("jobs:read") {
		t.Errorf("DisableUser = %v; may read: %v", err, allows("jobs:read"))
	}
	if _, err := d.EnableUser(t.Context(), eve.ID); err != nil || !allows("jobs:read") {
		t.Errorf("EnableUser = %v; may read: %v", err, allows("jobs:read"))
	}
	if err := d.RemoveMember(t.Context(), acme.ID, eve.ID); err != nil || allows("jobs:read") {
		t.Errorf("RemoveMember = %v; may read: %v", err, allows("jobs:read"))
	}
}

func TestTheLastOwnerCannotLeave(t *testing.T) {
	d := newDirectory(nil)
	ada, eve := ensure(t, d, "ada@example.com"), ensure(t, d, "eve@example.com")
	acme := found(t, d, "acme", ada)
	if _, err := d.AddMember(t.Context(), acme.ID, eve.ID, identity.Grant{Role: identity.RoleAdmin}); err != nil {
		t.Fatal(err)
	}
	_, demote := d.ChangeRole(t.Context(), acme.ID, ada.ID, identity.Grant{Role: identity.RoleAdmin})
	for _, err := range []error{
		demote, d.Leave(t.Context(), acme.ID, ada.ID), d.RemoveMember(t.Context(), acme.ID, ada.ID), d.DeleteUser(t.Context(), ada.ID),
	} {
		all := fault.All(err)
		if !errors.Is(err, identity.ErrConflict) || len(all) != 1 || all[0].Code != "last_owner" {
			t.Errorf("the last owner: %v, want an ErrConflict with the code last_owner", err)
		}
	}
	if _, err := d.ChangeRole(t.Context(), acme.ID, eve.ID, identity.Grant{Role: identity.RoleOwner}); err != nil {
		t.Fatal(err)
	}
	if err := d.Leave(t.Context(), acme.ID, ada.ID); err != nil {
		t.Errorf("Leave = %v, want the first of two owners to go", err)
	}
}

func TestTheDirectoryNamesWhatIsWrong(t *testing.T) {
	d := newDirectory(nil)
	ada := ensure(t, d, "ada@example.com")
	long := strings.Repeat("x", 201)
	_, _, noAddress := d.EnsureUser(t.Context(), identity.Email{}, long)
	_, rename := d.RenameUser(t.Context(), ada.ID, "a\nb")
	_, create := d.CreateTenant(t.Context(), "", ada.ID)
	_, renameTenant := d.RenameTenant(t.Context(), identity.OwnerTenantID, " x")
	_, add := d.AddMember(t.Context(), identity.OwnerTenantID, ada.ID, identity.Grant{Role: "root", Scopes: slices.Repeat([]string{"x:y"}, 51)})
	_, members := d.Members(t.Context(), identity.OwnerTenantID, 0, 0)
	_, tenants := d.TenantsOf(t.Context(), ada.ID, 0, 1001)
	for want, err := range map[string]error{
		"/name /email": noAddress, "/name": rename, "/name ": create, "/name  ": renameTenant, "/role /scopes": add, "/limit": members, "/limit ": tenants,
	} {
		var fields []string
		for _, e := range fault.All(err) {
			fields = append(fields, e.Field)
		}
		if !errors.Is(err, identity.ErrInvalid) || strings.Join(fields, " ") != strings.TrimSpace(want) {
			t.Errorf("%v, want ErrInvalid about %s", err, want)
		}
	}
}

// eraser notes whom it erased, and fails while it is broken.
type eraser struct {
	broken bool
	erased []string
}

var errBroken = errors.New("broken")

func (e *eraser) EraseUser(_ context.Context, user identity.User) error {
	return e.erase(user.Email.String())
}

func (e *eraser) EraseTenant(_ context.Context, tenant identity.Tenant) error {
	return e.erase(tenant.Name)
}

func (e *eraser) erase(what string) error {
	if e.broken {
		return errBroken
	}
	e.erased = append(e.erased, what)
	return nil
}

func newErasers() (first, second *eraser, opts *identity.DirectoryOptions) {
	first, second = &eraser{}, &eraser{}
	return first, second, &identity.DirectoryOptions{
		UserErasers: []identity.UserEraser{first, second}, TenantErasers: []identity.TenantEraser{first, second},
	}
}

func TestAnInterruptedDeletionIsRepeated(t *testing.T) {
	for name, repeat := range map[string]func(context.Context, *identity.Directory, identity.UserID) error{
		"by another call": func(ctx context.Context, d *identity.Directory, id identity.UserID) error {
			return d.DeleteUser(ctx, id)
		},
		"by whoever finishes deletions": func(ctx context.Context, d *identity.Directory, _ identity.UserID) error {
			return d.FinishDeletions(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, second, opts := newErasers()
			clock := stopped(opts)
			d := newDirectory(opts)
			ada := ensure(t, d, "ada@example.com")
			acme := found(t, d, "acme", ada)
			second.broken = true
			for range 2 {
				if err := d.DeleteUser(t.Context(), ada.ID); !errors.Is(err, errBroken) {
					t.Errorf("DeleteUser = %v, want the eraser's error", err)
				}
			}
			if _, err := d.FindUser(t.Context(), ada.ID); !errors.Is(err, identity.ErrNotFound) {
				t.Errorf("FindUser = %v, want nobody", err)
			}
			second.broken = false
			if err := repeat(t.Context(), d, ada.ID); err != nil {
				t.Errorf("the deletion was not finished: %v", err)
			}
			if got := fmt.Sprint(slices.Compact(first.erased), slices.Compact(second.erased)); got != "[acme ada@example.com] [acme ada@example.com]" {
				t.Errorf("erased are %v", got)
			}
			*clock = clock.Add(time.Hour)
			if err := d.FinishDeletions(t.Context()); err != nil {
				t.Errorf("FinishDeletions = %v", err)
			}
			if err := d.DeleteUser(t.Context(), ada.ID); !errors.Is(err, identity.ErrNotFound) {
				t.Errorf("DeleteUser = %v, want ErrNotFound", err)
			}
			if err := d.DeleteTenant(t.Context(), acme.ID); !errors.Is(err, identity.ErrNotFound) {
				t.Errorf("DeleteTenant = %v, want ErrNotFound", err)
			}
			if again := ensure(t, d, "ADA@example.com"); again.ID == ada.ID {
				t.Error("the same user is back")
			}
		})
	}
}

// stopped gives a directory a clock that stands still.
func stopped(opts *identity.DirectoryOptions) *time.Time {
	clock := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
	opts.Now = func() time.Time { return clock }
	return &clock
}

// Other processes believe a key that has ended for half a minute, and a job that is
// cancelled runs on until its handler has noticed.
func TestATenantIsErasedAgainBeforeItIsForgotten(t *testing.T) {
	first, _, opts := newErasers()
	clock := stopped(opts)
	d := newDirectory(opts)
	acme := found(t, d, "acme", ensure(t, d, "ada@example.com"))
	if err := d.DeleteTenant(t.Context(), acme.ID); err != nil {
		t.Fatal(err)
	}
	for i, wait := range []time.Duration{0, identity.CacheTTL, 6*time.Minute - identity.CacheTTL - time.Microsecond, time.Microsecond, time.Hour} {
		*clock = clock.Add(wait)
		if err := d.FinishDeletions(t.Context()); err != nil {
			t.Errorf("FinishDeletions = %v", err)
		}
		if want := min(i+2, 5); len(first.erased) != want { // with that of DeleteTenant, and none once it is forgotten
			t.Errorf("after %d repetitions the tenant is erased %d times, want %d", i+1, len(first.erased), want)
		}
	}
	if err := d.DeleteTenant(t.Context(), acme.ID); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("DeleteTenant = %v, want it forgotten", err)
	}
}

func TestADeletionThatFailsHoldsUpNoOther(t *testing.T) {
	broken, works, opts := newErasers()
	d := newDirectory(opts)
	broken.broken = true
	owner := ensure(t, d, "owner@example.com")
	for i := range 250 { // more than one batch
		if err := d.DeleteTenant(t.Context(), found(t, d, fmt.Sprint(i), owner).ID); !errors.Is(err, errBroken) {
			t.Fatalf("DeleteTenant = %v, want the eraser's error", err)
		}
	}
	if err := d.DeleteUser(t.Context(), ensure(t, d, "ada@example.com").ID); !errors.Is(err, errBroken) {
		t.Fatalf("DeleteUser = %v, want the eraser's error", err)
	}
	if err := d.FinishDeletions(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("FinishDeletions = %v, want the eraser's error", err)
	}
	broken.broken = false
	if err := d.FinishDeletions(t.Context()); err != nil || len(works.erased) != 251 {
		t.Errorf("FinishDeletions = %v, and %d were erased; want 251", err, len(works.erased))
	}
}

func TestTheOwnersTenantStays(t *testing.T) {
	d := newDirectory(nil)
	if err := d.DeleteTenant(t.Context(), identity.OwnerTenantID); !errors.Is(err, identity.ErrOwnerTenant) || !errors.Is(err, identity.ErrConflict) {
		t.Errorf("DeleteTenant = %v, want ErrOwnerTenant", err)
	}
	ada := ensure(t, d, "ada@example.com")
	member, err := d.AddMember(t.Context(), identity.OwnerTenantID, ada.ID, identity.Grant{Role: identity.RoleOwner})
	if err != nil || member.Principal().Tenant != identity.OwnerTenant {
		t.Errorf("AddMember = %+v, %v", member, err)
	}
}

// crowded is a store in which the first IDs are taken.
type crowded struct {
	identity.DirectoryStore
	taken int
}

func (c *crowded) EnsureUser(ctx context.Context, user identity.User, now time.Time) (identity.User, bool, error) {
	if c.taken > 0 {
		c.taken--
		return identity.User{}, false, identity.ErrConflict
	}
	return c.DirectoryStore.EnsureUser(ctx, user, now)
}

func TestATakenIDIsDrawnAgain(t *testing.T) {
	store := &crowded{identity.NewMemDirectory(identity.NewMemKeyStore()), 3}
	ensure(t, identity.NewDirectory(nil, nil).With(store), "ada@example.com")
}

func ExampleNewDirectory() {
	ctx := context.Background()
	directory := identity.NewDirectory(identity.NewMemDirectory(identity.NewMemKeyStore()), nil)
	email, err := identity.ParseEmail("Ada@Example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	ada, created, err := directory.EnsureUser(ctx, email, "Ada")
	fmt.Println(ada.Email, created, err)
	tenant, err := directory.CreateTenant(ctx, "Engines", ada.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	member, err := directory.FindMember(ctx, tenant.ID, ada.ID)
	fmt.Println(member.Role, member.Allows("jobs:write"), member.Allows("operator:jobs"), err)
	fmt.Println(directory.Leave(ctx, tenant.ID, ada.ID))
	// Output:
	// Ada@Example.com true <nil>
	// owner true false <nil>
	// identity: leave: the tenant would have no owner: conflict
}

func ExampleNewMemDirectory() {
	tenant, err := identity.NewMemDirectory(identity.NewMemKeyStore()).FindTenant(context.Background(), identity.OwnerTenantID)
	fmt.Println(tenant.ID, err)
	// Output: default <nil>
}
