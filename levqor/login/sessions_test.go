package login_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// rig is sessions of people in memory.
type rig struct {
	*testing.T
	*login.Sessions
	clock  *clock
	store  *countedSessions
	people *identity.Directory
}

// countedSessions counts the calls of a store, and lets some IDs be taken.
type countedSessions struct {
	login.SessionStore
	calls, taken atomic.Int32
	hashes       [][]byte
}

func (s *countedSessions) InsertSession(ctx context.Context, n login.Session, old []byte, age time.Duration, now time.Time) (login.Session, error) {
	s.calls.Add(1)
	if s.taken.Add(-1) >= 0 {
		return login.Session{}, login.ErrConflict
	}
	s.hashes = append(s.hashes, n.Hash)
	return s.SessionStore.InsertSession(ctx, n, old, age, now)
}

func (s *countedSessions) FindSession(ctx context.Context, hash []byte, now time.Time) (login.FoundSession, error) {
	s.calls.Add(1)
	return s.SessionStore.FindSession(ctx, hash, now)
}

func newRig(t *testing.T, opts *login.SessionsOptions) *rig {
	t.Helper()
	c := &clock{t0}
	people := identity.NewMemDirectory(identity.NewMemKeyStore())
	store := &countedSessions{SessionStore: login.NewMemSessionStore(people)}
	if opts == nil {
		opts = &login.SessionsOptions{}
	}
	opts.Now = c.now
	return &rig{
		T: t, clock: c, store: store, Sessions: login.NewSessions(store, opts),
		people: identity.NewDirectory(people, &identity.DirectoryOptions{Now: c.now}),
	}
}

func (r *rig) user(address string) identity.UserID {
	r.Helper()
	user, _, err := r.people.EnsureUser(r.Context(), email(r, address), "")
	if err != nil {
		r.Fatal(err)
	}
	return user.ID
}

func (r *rig) member(tenant identity.TenantID, user identity.UserID, role identity.Role) {
	r.Helper()
	if _, err := r.people.AddMember(r.Context(), tenant, user, identity.Grant{Role: role}); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) tenant(owner identity.UserID) identity.TenantID {
	r.Helper()
	tenant, err := r.people.CreateTenant(r.Context(), "acme", owner)
	if err != nil {
		r.Fatal(err)
	}
	return tenant.ID
}

func (r *rig) start(s login.Start) (string, login.Session) {
	r.Helper()
	if s.Level == 0 {
		s.Level = login.LevelMail
	}
	token, session, err := r.Start(r.Context(), s)
	if err != nil {
		r.Fatalf("Start = %v", err)
	}
	return token, session
}

func (r *rig) found(token string) login.Found {
	r.Helper()
	found, err := r.Authenticate(r.Context(), token)
	if err != nil {
		r.Fatalf("Authenticate = %v", err)
	}
	return found
}

func (r *rig) wantDead(what, token string) {
	r.Helper()
	_, err := r.Authenticate(r.Context(), token)
	if all := fault.All(err); !errors.Is(err, login.ErrUnauthenticated) || errors.Is(err, login.ErrNotFound) || len(all) != 1 || all[0].Code != "invalid_session" {
		r.Errorf("%s: Authenticate = %v, want ErrUnauthenticated with the code invalid_session", what, err)
	}
}

func TestATokenIsASecretOfItsOwnThatNoStoreHolds(t *testing.T) {
	r := newRig(t, nil)
	user := r.user("ada@example.com")
	token, session := r.start(login.Start{User: user, Device: linux})
	again, _ := r.start(login.Start{User: user})
	if len(token) != 43 || token == again || session.Device != linux || session.Level != login.LevelMail || !session.ProvenAt.Equal(t0) {
		t.Errorf("Start = %q, %+v", token, session)
	}
	if strings.Contains(fmt.Sprintf("%s", r.store.hashes), token) || len(r.store.hashes[0]) != 32 {
		t.Errorf("the store was given %q", r.store.hashes)
	}
	if id, err := login.ParseSessionID(session.ID.String()); err != nil || id != session.ID || !strings.HasPrefix(session.ID.String(), "ses_") {
		t.Errorf("ParseSessionID(%v) = %v, %v", session.ID, id, err)
	}
	if _, err := login.ParseSessionID("usr_00000000001"); !errors.Is(err, login.ErrNotFound) {
		t.Errorf("ParseSessionID = %v, want ErrNotFound", err)
	}
}

func TestEveryLoginEndsTheSessionOfTheBrowser(t *testing.T) {
	r := newRig(t, nil)
	planted, _ := r.start(login.Start{User: r.user("eve@example.com")})
	token, _ := r.start(login.Start{User: r.user("ada@example.com"), Old: planted})
	r.wantDead("the session from before", planted)
	r.found(token)
	r.start(login.Start{User: r.user("ada@example.com"), Old: "\x00 no token"})
	r.found(token)
}

func TestSessionsEndByTime(t *testing.T) {
	for _, c := range []struct {
		what           string
		opts           *login.SessionsOptions
		owner          bool
		idle, absolute time.Duration
	}{
		{"by default", nil, false, 24 * time.Hour, 14 * 24 * time.Hour},
		{"in the owner's tenant", nil, true, 30 * time.Minute, 12 * time.Hour},
		{"as the options say", &login.SessionsOptions{Idle: time.Hour, Absolute: 2 * time.Hour}, false, time.Hour, 2 * time.Hour},
		{"as the options say in the owner's tenant", &login.SessionsOptions{OwnerIdle: 5 * time.Minute, OwnerAbsolute: time.Hour}, true, 5 * time.Minute, time.Hour},
	} {
		r := newRig(t, c.opts)
		start := login.Start{User: r.user("ada@example.com")}
		if c.owner {
			start.Tenant = identity.OwnerTenantID
		}
		idle, _ := r.start(start)
		r.clock.at = t0.Add(c.idle)
		r.wantDead(c.what+", idle", idle)

		r.clock.at = t0
		used, session := r.start(start)
		if !session.ExpiresAt().Equal(t0.Add(c.idle)) {
			t.Errorf("%s: the session expires at %v", c.what, session.ExpiresAt())
		}
		for ; r.clock.at.Before(t0.Add(c.absolute)); r.clock.at = r.clock.at.Add(c.idle / 2) {
			r.found(used)
		}
		r.clock.at = t0.Add(c.absolute)
		r.wantDead(c.what+", in use", used)
	}
}

func TestAPrincipalIsTheMemberAsTheyAreNow(t *testing.T) {
	r := newRig(t, nil)
	owner, user := r.user("ada@example.com"), r.user("bob@example.com")
	tenant := r.tenant(owner)
	r.member(tenant, user, identity.RoleMember)
	token, _ := r.start(login.Start{User: user, Tenant: tenant})
	who, ok := r.found(token).Principal()
	if !ok || who.Tenant != tenant.String() || who.UserID != user.String() || who.KeyID != "" || !slices.Equal(who.Scopes, identity.RoleMember.Scopes()) {
		t.Errorf("Principal = %+v, %v", who, ok)
	}
	if _, err := r.people.ChangeRole(t.Context(), tenant, user, identity.Grant{Role: identity.RoleViewer}); err != nil {
		t.Fatal(err)
	}
	if who, ok := r.found(token).Principal(); !ok || who.Allows("jobs:write") || !who.Allows("jobs:read") {
		t.Errorf("Principal of a viewer = %+v, %v", who, ok)
	}
	if err := r.people.RemoveMember(t.Context(), tenant, user); err != nil {
		t.Fatal(err)
	}
	found := r.found(token)
	if who, ok := found.Principal(); ok || found.User.ID != user {
		t.Errorf("Principal of a user without a place = %+v, %v", who, ok)
	}
	nowhere, _ := r.start(login.Start{User: user})
	if who, ok := r.found(nowhere).Principal(); ok {
		t.Errorf("Principal without a tenant = %+v", who)
	}
}

func TestOwnersAndAdminsNeedASecondFactor(t *testing.T) {
	for role, want := range map[identity.Role]bool{identity.RoleOwner: true, identity.RoleAdmin: true, identity.RoleMember: false, identity.RoleViewer: false} {
		r := newRig(t, nil)
		user := r.user("bob@example.com")
		tenant := r.tenant(r.user("ada@example.com"))
		r.member(tenant, user, role)
		token, _ := r.start(login.Start{User: user, Tenant: tenant})
		found := r.found(token)
		who, ok := found.Principal()
		if found.NeedsSecondFactor != want || !ok || (len(who.Scopes) == 0) != want || who.Tenant == "" || who.UserID == "" {
			t.Errorf("%s: needs a second factor: %v, and is %+v", role, found.NeedsSecondFactor, who)
		}
		token, _, err := r.Raise(t.Context(), token, login.LevelSecondFactor)
		if err != nil {
			t.Fatal(err)
		}
		found = r.found(token)
		if who, _ := found.Principal(); found.NeedsSecondFactor || !slices.Equal(who.Scopes, role.Scopes()) {
			t.Errorf("%s with a second factor: %+v", role, who)
		}
		nobody := newRig(t, &login.SessionsOptions{RequireSecondFactor: func(identity.Role) bool { return false }})
		user = nobody.user("bob@example.com")
		tenant = nobody.tenant(user)
		token, _ = nobody.start(login.Start{User: user, Tenant: tenant})
		if who, ok := nobody.found(token).Principal(); !ok || !who.Allows("tenant:write") {
			t.Errorf("an owner of whom none is required is %+v, %v", who, ok)
		}
	}
}

func TestAHalfSessionIsGoodForNothingUntilASecondFactorIsShown(t *testing.T) {
	for _, role := range []identity.Role{identity.RoleOwner, identity.RoleMember} {
		r := newRig(t, &login.SessionsOptions{RequireSecondFactor: func(identity.Role) bool { return false }})
		user := r.user("bob@example.com")
		tenant := r.tenant(r.user("ada@example.com"))
		r.member(tenant, user, role)
		half, _ := r.start(login.Start{User: user, Tenant: tenant, Level: login.LevelHalf})
		wantHalf := func(what string) {
			t.Helper()
			found := r.found(half)
			who, ok := found.Principal()
			if found.Session.Level != login.LevelHalf || !found.NeedsSecondFactor || !ok || len(who.Scopes) != 0 || found.Role() != role {
				t.Errorf("%s, %s: %+v with %v", role, what, found, who.Scopes)
			}
		}
		wantHalf("a half session")
		r.clock.at = t0.Add(time.Hour)
		next, session, err := r.Reprove(t.Context(), half)
		if err != nil || !session.ProvenAt.Equal(t0) {
			t.Fatalf("Reprove = %+v, %v; want the proof of before", session, err)
		}
		half = next
		wantHalf("proven by mail again")
		if half, _, err = r.Switch(t.Context(), half, tenant); err != nil {
			t.Fatal(err)
		}
		wantHalf("switched")
		if _, _, err := r.Raise(t.Context(), half, login.LevelHalf); !errors.Is(err, login.ErrInvalid) {
			t.Errorf("Raise to a half = %v, want ErrInvalid", err)
		}
		whole, _, err := r.Raise(t.Context(), half, login.LevelSecondFactor)
		if err != nil {
			t.Fatal(err)
		}
		found := r.found(whole)
		if who, _ := found.Principal(); found.NeedsSecondFactor || !slices.Equal(who.Scopes, role.Scopes()) || !found.Fresh {
			t.Errorf("%s with the second factor: %+v", role, found)
		}
	}
}

func TestAProofIsFreshForFiveMinutesAndGivesAnotherToken(t *testing.T) {
	r := newRig(t, nil)
	token, session := r.start(login.Start{User: r.user("ada@example.com"), Level: login.LevelSecondFactor})
	for after, want := range map[time.Duration]bool{0: true, 5 * time.Minute: true, 5*time.Minute + time.Second: false} {
		if r.clock.at = t0.Add(after); r.found(token).Fresh != want {
			t.Errorf("after %v the session is fresh: %v", after, !want)
		}
	}
	r.clock.at = t0.Add(time.Hour)
	next, reproven, err := r.Reprove(t.Context(), token)
	if err != nil || next == token || reproven.ID != session.ID || reproven.Level != login.LevelSecondFactor || !reproven.ProvenAt.Equal(r.clock.at) || !reproven.CreatedAt.Equal(t0) {
		t.Fatalf("Reprove = %+v, %v", reproven, err)
	}
	r.wantDead("the token from before", token)
	if !r.found(next).Fresh {
		t.Error("a session whose user has proven again is not fresh")
	}
	if _, _, err := r.Raise(t.Context(), token, login.LevelSecondFactor); !errors.Is(err, login.ErrUnauthenticated) {
		t.Errorf("Raise with a dead token = %v, want ErrUnauthenticated", err)
	}
}

func TestASessionSwitchesToTenantsOfItsUserAlone(t *testing.T) {
	r := newRig(t, nil)
	ada, bob := r.user("ada@example.com"), r.user("bob@example.com")
	theirs, others := r.tenant(ada), r.tenant(bob)
	r.member(identity.OwnerTenantID, ada, identity.RoleMember)
	token, _ := r.start(login.Start{User: ada})
	if _, _, err := r.Switch(t.Context(), token, others); !errors.Is(err, login.ErrNotFound) || errors.Is(err, login.ErrUnauthenticated) {
		t.Errorf("Switch to another's tenant = %v, want ErrNotFound", err)
	}
	next, session, err := r.Switch(t.Context(), token, theirs)
	if err != nil || session.Tenant != theirs {
		t.Fatalf("Switch = %+v, %v", session, err)
	}
	r.wantDead("the token from before", token)
	if who, ok := r.found(next).Principal(); !ok || who.Tenant != theirs.String() {
		t.Errorf("Principal = %+v, %v", who, ok)
	}
	if _, _, err := r.Switch(t.Context(), token, theirs); !errors.Is(err, login.ErrUnauthenticated) {
		t.Errorf("Switch with a dead token = %v, want ErrUnauthenticated", err)
	}
	r.clock.at = t0.Add(12 * time.Hour)
	_, _, err = r.Switch(t.Context(), next, identity.OwnerTenantID)
	if all := fault.All(err); !errors.Is(err, login.ErrReproveRequired) || len(all) != 1 || all[0].Code != "reauthentication_required" {
		t.Errorf("Switch to the owner's tenant after 12 hours = %v, want ErrReproveRequired", err)
	}
	if next, _, err = r.Reprove(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if _, session, err = r.Switch(t.Context(), next, identity.OwnerTenantID); err != nil || !session.ExpiresAt().Equal(r.clock.at.Add(30*time.Minute)) {
		t.Errorf("Switch = %+v, %v; want the lifetime of the owner's tenant", session, err)
	}
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	r := newRig(t, nil)
	ada, bob := r.user("ada@example.com"), r.user("bob@example.com")
	first, one := r.start(login.Start{User: ada})
	second, two := r.start(login.Start{User: ada})
	third, three := r.start(login.Start{User: ada})
	all, err := r.List(t.Context(), ada)
	if err != nil || len(all) != 3 || all[0].ID != three.ID || all[2].ID != one.ID {
		t.Errorf("List = %v, %v", all, err)
	}
	if err := r.EndOne(t.Context(), bob, two.ID); !errors.Is(err, login.ErrNotFound) {
		t.Errorf("EndOne of another's session = %v, want ErrNotFound", err)
	}
	if err := r.EndOne(t.Context(), ada, two.ID); err != nil {
		t.Errorf("EndOne = %v", err)
	}
	r.wantDead("the one that was ended", second)
	if err := r.End(t.Context(), first); err != nil {
		t.Errorf("End = %v", err)
	}
	r.wantDead("a copy of the token", first)
	for _, token := range []string{first, "\x00", ""} {
		if err := r.End(t.Context(), token); err != nil {
			t.Errorf("End of no session = %v", err)
		}
	}
	fourth, _ := r.start(login.Start{User: ada})
	if err := r.EndAll(t.Context(), ada, three.ID); err != nil {
		t.Errorf("EndAll = %v", err)
	}
	r.found(third)
	r.wantDead("all others", fourth)
	if err := r.EndAll(t.Context(), ada, 0); err != nil {
		t.Errorf("EndAll = %v", err)
	}
	r.wantDead("all", third)
}

func TestSessionsInATenantAndThoseOfEverybodyEnd(t *testing.T) {
	r := newRig(t, nil)
	ada, bob := r.user("ada@example.com"), r.user("bob@example.com")
	team := r.tenant(ada)
	here, _ := r.start(login.Start{User: ada, Tenant: team})
	kept, one := r.start(login.Start{User: ada, Tenant: team})
	elsewhere, _ := r.start(login.Start{User: ada})
	other, _ := r.start(login.Start{User: bob})
	if err := r.EndIn(t.Context(), team, ada, one.ID); err != nil {
		t.Errorf("EndIn = %v", err)
	}
	r.wantDead("the one in the tenant", here)
	r.found(kept)
	r.found(elsewhere)
	for _, want := range []bool{true, false} {
		if ended, more, err := r.EndEverybodys(t.Context(), 2); err != nil || more != want || ended == 0 {
			t.Errorf("EndEverybodys = %d, %v, %v; want more: %v", ended, more, err, want)
		}
	}
	for what, token := range map[string]string{"the one kept": kept, "the one elsewhere": elsewhere, "another's": other} {
		r.wantDead(what, token)
	}
}

func TestWhatIsNoSessionNeverReachesTheStore(t *testing.T) {
	r := newRig(t, nil)
	user := r.user("ada@example.com")
	token, _ := r.start(login.Start{User: user})
	r.store.calls.Store(0)
	for _, bad := range []string{"", "\x00", strings.Repeat("a", 1<<20), token + "\n", token[:42], token[:42] + "=", token[:42] + "\x00", token[:42] + "B"} {
		if bad == token {
			continue
		}
		r.wantDead(fmt.Sprintf("%.50q", bad), bad)
		if _, _, err := r.Raise(t.Context(), bad, login.LevelMail); !errors.Is(err, login.ErrUnauthenticated) {
			t.Errorf("Raise(%.50q) = %v, want ErrUnauthenticated", bad, err)
		}
	}
	_, _, err := r.Start(t.Context(), login.Start{User: user, Level: 3, Device: login.Device{Label: "a\x00"}})
	if all := fault.All(err); !errors.Is(err, login.ErrInvalid) || len(all) != 2 {
		t.Errorf("Start = %v, want an ErrInvalid about both fields", err)
	}
	if _, _, err := r.Raise(t.Context(), token, 0); !errors.Is(err, login.ErrInvalid) {
		t.Errorf("Raise to no level = %v, want ErrInvalid", err)
	}
	if n := r.store.calls.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

func TestATakenIDIsReplaced(t *testing.T) {
	r := newRig(t, nil)
	r.store.taken.Store(3)
	token, _ := r.start(login.Start{User: r.user("ada@example.com")})
	r.found(token)
}

func TestNobodySignsInForAUserWhoIsDisabled(t *testing.T) {
	r := newRig(t, nil)
	user := r.user("ada@example.com")
	token, _ := r.start(login.Start{User: user})
	if _, err := r.people.DisableUser(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	r.wantDead("a disabled user's session", token)
	if _, _, err := r.Start(t.Context(), login.Start{User: user, Level: login.LevelMail}); !errors.Is(err, login.ErrNotFound) {
		t.Errorf("Start = %v, want ErrNotFound", err)
	}
}

func ExampleNewSessions() {
	ctx := context.Background()
	people := identity.NewMemDirectory(identity.NewMemKeyStore())
	directory := identity.NewDirectory(people, nil)
	sessions := login.NewSessions(login.NewMemSessionStore(people), nil)
	address, err := identity.ParseEmail("ada@example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	ada, _, err := directory.EnsureUser(ctx, address, "Ada")
	if err != nil {
		fmt.Println(err)
		return
	}
	token, _, err := sessions.Start(ctx, login.Start{User: ada.ID, Level: login.LevelMail})
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := sessions.Authenticate(ctx, token)
	fmt.Println(found.User.Name, found.Fresh, err)
	// Output: Ada true <nil>
}

func ExampleNewMemSessionStore() {
	people := identity.NewMemDirectory(identity.NewMemKeyStore())
	_, err := login.NewMemSessionStore(people).FindSession(context.Background(), []byte("no such hash"), time.Time{})
	fmt.Println(err)
	// Output: not found
}
