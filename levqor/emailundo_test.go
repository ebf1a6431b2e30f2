package levqor_test

import (
	"errors"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
	"github.com/levqor/sdk/levqor/sso"
)

func (m *move) undo(token string) {
	m.Helper()
	if _, err := m.app.UndoEmailChange(m.Context(), token, guard.Event{Outcome: guard.OutcomeSuccess}); err != nil {
		m.Fatalf("UndoEmailChange = %v", err)
	}
}

// addTOTP gives the user an authenticator app and recovery codes.
func (m *move) addTOTP() {
	m.Helper()
	enrolment, err := m.app.Factors.BeginTOTP(m.Context(), m.user.ID, "x", "y")
	if err != nil {
		m.Fatal(err)
	}
	code, err := factor.TOTPCode(enrolment.Secret, time.Now())
	if err != nil {
		m.Fatal(err)
	}
	if err := m.app.Factors.ConfirmTOTP(m.Context(), m.user.ID, code); err != nil {
		m.Fatal(err)
	}
	if _, err := m.app.Factors.ReplaceRecoveryCodes(m.Context(), m.user.ID); err != nil {
		m.Fatal(err)
	}
}

func TestAnUndoTakesAwayWhatAThiefHasAdded(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		tenant, err := m.app.Directory.CreateTenant(m.Context(), "Engines", m.user.ID)
		if err != nil {
			m.Fatal(err)
		}
		mine := identity.Principal{Tenant: tenant.ID.String(), UserID: m.user.ID.String(), Scopes: []string{"jobs:read"}}
		made := func(name string) string {
			m.Helper()
			key, _, err := m.app.Keys.ForCaller(mine).Create(m.Context(), identity.NewKey{Tenant: tenant.ID.String(), Name: name, Scopes: []string{"jobs:read"}})
			if err != nil {
				m.Fatal(err)
			}
			return key.ID
		}
		before := made("owner's")
		undo := m.to("thief@example.com")
		m.addTOTP()
		after := made("thief's")
		m.undo(undo)
		if held, err := m.app.Factors.Has(m.Context(), m.user.ID); err != nil || held != (factor.Held{}) {
			m.Errorf("Has = %+v, %v; want no factor", held, err)
		}
		if _, session := m.signIn("ada@example.com"); session.Level != login.LevelMail {
			m.Errorf("the owner signs in at level %v, want %v", session.Level, login.LevelMail)
		}
		for id, want := range map[string]bool{before: true, after: false} {
			if key, err := m.app.Keys.Get(m.Context(), tenant.ID.String(), id); err != nil || key.RevokedAt.IsZero() != want {
				m.Errorf("%s was revoked at %v, %v; want it current: %v", key.Name, key.RevokedAt, err, want)
			}
		}
		entries, err := m.app.SecurityLog.Entries(m.Context(), tenant.ID.String(), guard.LogQuery{Action: guard.ActionFactorRemoved, Limit: 10})
		if err != nil || len(entries) != 1 || entries[0].Target != m.user.ID.String() {
			m.Errorf("the tenant's log has %+v, %v", entries, err)
		}
	})
}

func TestAnUndoLeavesFactorsFromBeforeTheChange(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		m.addTOTP()
		m.undo(m.to("thief@example.com"))
		if held, err := m.app.Factors.Has(m.Context(), m.user.ID); err != nil || !held.TOTP || held.RecoveryCodes == 0 {
			m.Errorf("Has = %+v, %v; want what there was", held, err)
		}
		entries, err := m.app.SecurityLog.Entries(m.Context(), identity.OwnerTenant, guard.LogQuery{Action: guard.ActionFactorRemoved, Limit: 10})
		if err != nil || len(entries) != 0 {
			m.Errorf("the log has %+v, %v", entries, err)
		}
	})
}

// provider makes a tenant whose identity provider speaks for a domain.
func (m *move) provider(dns *anyRecord, name, domain string) (identity.TenantID, sso.ConnectionID) {
	m.Helper()
	tenant, err := m.app.Directory.CreateTenant(m.Context(), name, addUser(m.T, m.app, name+"@owners.example").ID)
	if err != nil {
		m.Fatal(err)
	}
	made, err := m.app.SSO.Create(m.Context(), tenant.ID, sso.NewConnection{
		Issuer: "https://login.example.org", ClientID: "levqor", ClientSecret: "secret", Domains: []string{domain}, Role: identity.RoleMember,
	})
	if err != nil {
		m.Fatal(err)
	}
	*dns = anyRecord{made.Domains[0].RecordValue()}
	if _, err := m.app.SSO.Verify(m.Context(), tenant.ID, made.ID, domain); err != nil {
		m.Fatal(err)
	}
	return tenant.ID, made.ID
}

func TestAnUndoEndsWhatAThiefsProviderSays(t *testing.T) {
	dns := &anyRecord{}
	moving(t, levqor.Options{TXT: dns}, func(m *move) {
		_, own := m.provider(dns, "engines", "example.com")
		_, thiefs := m.provider(dns, "thieves", "thief.example")
		undo := m.to("x@thief.example")
		claims := sso.Claims{Subject: "thief", Email: "x@thief.example", EmailVerified: true}
		underWay, err := m.app.SSO.SignIn(m.Context(), m.app.Directory, thiefs, claims)
		if err != nil || underWay.User.ID != m.user.ID {
			m.Fatalf("SignIn = %+v, %v", underWay, err)
		}
		m.undo(undo)
		if _, _, err := m.app.FinishProviderLogin(m.Context(), underWay, login.Start{Device: laptop}); !errors.Is(err, fault.ErrUnauthenticated) {
			m.Errorf("FinishProviderLogin of one under way = %v, want ErrUnauthenticated", err)
		}
		again, err := m.app.SSO.SignIn(m.Context(), m.app.Directory, own, sso.Claims{Subject: "ada", Email: "ada@example.com", EmailVerified: true})
		if err != nil || again.User.ID != m.user.ID {
			m.Errorf("SignIn by the owner's provider = %+v, %v", again, err)
		}
		if _, _, err := m.app.FinishProviderLogin(m.Context(), again, login.Start{Device: laptop}); err != nil {
			m.Errorf("FinishProviderLogin = %v", err)
		}
	})
}

// Both addresses are in the domain of one provider.
func TestAProviderLoginUnderWayEndsWithAChangeWithinItsDomain(t *testing.T) {
	dns := &anyRecord{}
	moving(t, levqor.Options{TXT: dns}, func(m *move) {
		_, connection := m.provider(dns, "engines", "example.com")
		undo := m.to("thief@example.com")
		claims := sso.Claims{Subject: "thief", Email: "thief@example.com", EmailVerified: true}
		underWay, err := m.app.SSO.SignIn(m.Context(), m.app.Directory, connection, claims)
		if err != nil {
			m.Fatal(err)
		}
		m.undo(undo)
		if _, _, err := m.app.FinishProviderLogin(m.Context(), underWay, login.Start{Device: laptop}); !errors.Is(err, fault.ErrUnauthenticated) {
			m.Errorf("FinishProviderLogin = %v, want ErrUnauthenticated", err)
		}
	})
}
