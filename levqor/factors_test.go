package levqor_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
)

func newUser(t *testing.T, app *levqor.App, address string) identity.UserID {
	t.Helper()
	email, err := identity.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	user, _, err := app.Directory.EnsureUser(t.Context(), email, "")
	if err != nil {
		t.Fatal(err)
	}
	return user.ID
}

func TestOwnersAndAdminsMustHaveASecondFactor(t *testing.T) {
	app := newApp(t, levqor.MemStores(), levqor.Options{})
	owner, other := newUser(t, app, "owner@example.com"), newUser(t, app, "other@example.com")
	for range 150 { // more than one page of tenants
		if _, err := app.Directory.CreateTenant(t.Context(), "t", owner); err != nil {
			t.Fatal(err)
		}
	}
	tenants, err := app.Directory.TenantsOf(t.Context(), owner, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range tenants {
		if _, err := app.Directory.AddMember(t.Context(), tenant.ID, other, identity.Grant{Role: identity.RoleMember}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(user identity.UserID, want bool, why string) {
		t.Helper()
		if got, err := app.Factors.Required(t.Context(), user); err != nil || got != want {
			t.Errorf("Required = %v, %v; want %v: %s", got, err, want, why)
		}
	}
	want(owner, true, "an owner")
	want(other, false, "a member of each tenant")
	last := tenants[len(tenants)-1].ID
	if _, err := app.Directory.ChangeRole(t.Context(), last, other, identity.Grant{Role: identity.RoleAdmin}); err != nil {
		t.Fatal(err)
	}
	want(other, true, "an admin of one")
	if _, err := app.Directory.DisableUser(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	want(other, false, "a disabled user")
	want(99, false, "nobody")
}

func TestAHostDecidesWhoMustHaveASecondFactor(t *testing.T) {
	boom := errors.New("boom")
	app := newApp(t, levqor.MemStores(), levqor.Options{Factors: &factor.Options{
		Required: func(context.Context, identity.UserID) (bool, error) { return false, boom },
	}})
	if _, err := app.Factors.Required(t.Context(), 7); !errors.Is(err, boom) {
		t.Errorf("Required = %v, want the host's answer", err)
	}
}

func TestFactorsGoWithTheirUser(t *testing.T) {
	app := newApp(t, levqor.MemStores(), levqor.Options{})
	user := newUser(t, app, "ada@example.com")
	if _, err := app.Factors.ReplaceRecoveryCodes(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	if err := app.Directory.DeleteUser(t.Context(), user); err != nil {
		t.Fatalf("DeleteUser = %v", err)
	}
	if held, err := app.Factors.Has(t.Context(), user); err != nil || held != (factor.Held{}) {
		t.Errorf("Has = %+v, %v; want nothing left", held, err)
	}
}

func TestRunDeletesCeremoniesWhoseTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores := levqor.MemStores()
		app := newApp(t, stores, levqor.Options{})
		if _, err := app.Factors.BeginCeremony(t.Context(), factor.Ceremony{Purpose: factor.Login, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		time.Sleep(factor.CeremonyTTL + 10*time.Minute) // of the bubble's clock
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if n, err := stores.Factors.DeleteExpiredCeremonies(t.Context(), 10, time.Time{}); err != nil || n != 0 {
			t.Errorf("DeleteExpiredCeremonies = %d, %v; want it deleted", n, err)
		}
	})
}

func TestGuessesAtCodesOfAnAppAreSlowedDown(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	app := newApp(t, levqor.MemStores(), levqor.Options{Now: func() time.Time { return at }})
	users := map[string]identity.UserID{}
	code := map[string]func() string{}
	for _, name := range []string{"ada", "bob"} {
		user := newUser(t, app, name+"@example.com")
		enrolment, err := app.Factors.BeginTOTP(t.Context(), user, name, "Levqor")
		if err != nil {
			t.Fatal(err)
		}
		users[name] = user
		code[name] = func() string {
			text, err := factor.TOTPCode(enrolment.Secret, at)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		if err := app.Factors.ConfirmTOTP(t.Context(), user, code[name]()); err != nil {
			t.Fatal(err)
		}
	}
	at = at.Add(time.Minute)
	for range 5 {
		if err := app.Factors.VerifyTOTP(t.Context(), users["ada"], "x"); !errors.Is(err, factor.ErrWrongCode) {
			t.Errorf("VerifyTOTP = %v, want ErrWrongCode", err)
		}
	}
	if err := app.Factors.VerifyTOTP(t.Context(), users["ada"], code["ada"]()); !errors.Is(err, factor.ErrLimit) {
		t.Errorf("VerifyTOTP = %v, want ErrLimit, also for a right code", err)
	}
	if err := app.Factors.VerifyTOTP(t.Context(), users["bob"], code["bob"]()); err != nil {
		t.Errorf("VerifyTOTP of another user = %v", err)
	}
	at = at.Add(time.Minute)
	if err := app.Factors.VerifyTOTP(t.Context(), users["ada"], code["ada"]()); err != nil {
		t.Errorf("VerifyTOTP a minute later = %v", err)
	}
}
