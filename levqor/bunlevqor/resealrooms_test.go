package bunlevqor_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

// user makes one with a secret of an app that waits.
func (r *rig) user(t *testing.T, address string) (identity.UserID, factor.Enrolment) {
	t.Helper()
	email, err := identity.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	user, _, err := r.Directory.EnsureUser(t.Context(), email, "")
	if err != nil {
		t.Fatal(err)
	}
	return user.ID, r.enrol(t, user.ID)
}

func (r *rig) enrol(t *testing.T, user identity.UserID) factor.Enrolment {
	t.Helper()
	enrolment, err := r.Factors.BeginTOTP(t.Context(), user, "a@example.com", "Levqor")
	if err != nil {
		t.Fatal(err)
	}
	return enrolment
}

// connection makes one with a client secret.
func (r *rig) connection(t *testing.T, owner identity.UserID, secret string) sso.Connection {
	t.Helper()
	tenant, err := r.Directory.CreateTenant(t.Context(), "Acme", owner)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.SSO.Create(t.Context(), tenant.ID, sso.NewConnection{
		Issuer: "https://login.example", ClientID: "c", ClientSecret: secret, Role: identity.RoleViewer,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// code returns what an app shows so many steps from now.
func code(t *testing.T, e factor.Enrolment, steps int) string {
	t.Helper()
	code, err := factor.TOTPCode(e.Secret, time.Now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func wantReseal(t *testing.T, r *rig, want levqor.ResealReport) {
	t.Helper()
	if got, err := r.Reseal(t.Context()); err != nil || got != want {
		t.Errorf("Reseal = %+v, %v; want %+v", got, err, want)
	}
}

func TestSecretsOfAppsAndProvidersOutliveTheSecretThatSealedThem(t *testing.T) {
	eachStores(t, func(t *testing.T, stores levqor.Stores) {
		ctx := t.Context()
		before := appWith(t, stores, false, "a")
		user, used := before.user(t, "a@example.com")
		if err := before.Factors.ConfirmTOTP(ctx, user, code(t, used, 0)); err != nil {
			t.Fatal(err)
		}
		waits := before.enrol(t, user)
		connection := before.connection(t, user, "it's theirs")
		for i := range 200 { // with the user above more than a batch
			before.user(t, fmt.Sprintf("%d@example.com", i))
		}

		between := appWith(t, stores, false, "b", "a")
		wantReseal(t, between, levqor.ResealReport{Resealed: 203})
		wantReseal(t, between, levqor.ResealReport{})

		after := appWith(t, stores, false, "b")
		if err := after.Factors.VerifyTOTP(ctx, user, code(t, used, 1)); err != nil {
			t.Errorf("VerifyTOTP = %v, want the app to count as before", err)
		}
		if err := after.Factors.ConfirmTOTP(ctx, user, code(t, waits, 0)); err != nil {
			t.Errorf("ConfirmTOTP = %v, want the secret that waited to count", err)
		}
		connection, err := after.SSO.Find(ctx, connection.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := after.SSO.Secret(connection); err != nil || got != "it's theirs" {
			t.Errorf("Secret = %q, %v", got, err)
		}
	})
}

func TestSecretsOfAppsAndProvidersThatNothingOpensStayAsTheyAre(t *testing.T) {
	eachStores(t, func(t *testing.T, stores levqor.Stores) {
		gone := appWith(t, stores, false, "gone")
		user, enrolment := gone.user(t, "a@example.com")
		gone.connection(t, user, "x")
		appWith(t, stores, false, "a").user(t, "b@example.com")

		wantReseal(t, appWith(t, stores, false, "b", "a"), levqor.ResealReport{Resealed: 1, Unreadable: 2})
		err := appWith(t, stores, false, "b").Factors.ConfirmTOTP(t.Context(), user, code(t, enrolment, 0))
		if !errors.Is(err, levqor.ErrUnavailable) {
			t.Errorf("ConfirmTOTP = %v, want ErrUnavailable while the secret is away", err)
		}
		if err := gone.Factors.ConfirmTOTP(t.Context(), user, code(t, enrolment, 0)); err != nil {
			t.Errorf("ConfirmTOTP = %v, want what the old secret sealed to open by it", err)
		}
	})
}
