package levqor_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
)

// wantTold demands one mail to the user since the last time, which says what has just
// happened, the same in both forms, and holds no secret; or none if there is no news.
func (m *move) wantTold(news string, secrets ...string) {
	m.Helper()
	synctest.Wait()
	sent := m.box.sent()
	m.box.clear()
	if news == "" && len(sent) == 0 {
		return
	}
	if news == "" || len(sent) != 1 {
		m.Errorf("the mails are %+v, want one about %q, or none about nothing", sent, news)
		return
	}
	mail, at := sent[0], time.Now().UTC().Format("2 January 2006, 15:04")+" UTC"
	if mail.To.String() != "ada@example.com" || mail.Subject != "Your second factors at app.example.com" ||
		!strings.Contains(mail.Text, "\n"+news+" ") || !strings.Contains(mail.Text, at) {
		m.Errorf("the mail is %+v, want %q with %s", mail, news, at)
	}
	for _, secret := range secrets {
		if strings.Contains(mail.Text+mail.HTML+mail.Subject, secret) {
			m.Errorf("the mail holds %q: %s", secret, mail.Text)
		}
	}
	_, body, _ := strings.Cut(mail.HTML, "<body>")
	shown := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " ")
	if got, want := strings.Join(strings.Fields(shown), " "), strings.Join(strings.Fields(mail.Text), " "); got != want {
		m.Errorf("the HTML says\n%s\nand the text\n%s", got, want)
	}
}

// setUpApp gives the user an authenticator app and returns its secret.
func (m *move) setUpApp(factors *factor.Factors) string {
	m.Helper()
	enrolment, err := factors.BeginTOTP(m.Context(), m.user.ID, "x", "y")
	if err != nil {
		m.Fatal(err)
	}
	code, err := factor.TOTPCode(enrolment.Secret, time.Now())
	if err == nil {
		err = factors.ConfirmTOTP(m.Context(), m.user.ID, code)
	}
	if err != nil {
		m.Fatal(err)
	}
	return enrolment.Secret
}

func TestAUserIsToldOfEachChangeOfTheirFactors(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		var secrets []string
		factors := m.app.Factors
		must := func(err error) {
			m.Helper()
			if err != nil {
				m.Fatal(err)
			}
		}
		want := func(news string) {
			m.Helper()
			m.wantTold(news, secrets...)
			time.Sleep(time.Hour)
		}
		secrets = append(secrets, m.setUpApp(factors))
		want("An authenticator app was added to your account.")
		secrets = append(secrets, m.setUpApp(factors))
		want("Another authenticator app took the place of the one that your account had.")
		_, err := factors.AddPasskey(m.Context(), factor.Passkey{ID: []byte("p"), User: m.user.ID, Name: "visit evil.example", PublicKey: []byte("key")})
		must(err)
		secrets = append(secrets, "evil")
		want("A passkey was added to your account.")
		codes, err := factors.ReplaceRecoveryCodes(m.Context(), m.user.ID)
		must(err)
		secrets = append(secrets, codes...)
		want("New recovery codes were made for your account.")
		_, err = factors.UseRecoveryCode(m.Context(), m.user.ID, codes[0])
		must(err)
		want("A recovery code of your account was used, in the place of a second factor.")
		must(factors.RemovePasskey(m.Context(), m.user.ID, []byte("p")))
		want("A passkey was removed from your account.")
		must(factors.RemoveTOTP(m.Context(), m.user.ID))
		want("The authenticator app was removed from your account.")

		// By a host in a transaction of its own.
		must(m.app.InTx(m.Context(), func(_ context.Context, tx levqor.Stores) error {
			m.setUpApp(factors.With(tx.Factors))
			return nil
		}))
		want("An authenticator app was added to your account.")
		_, err = factors.Reset(m.Context(), m.user.ID)
		must(err)
		want("All second factors and recovery codes were removed from your account,")
	})
}

func TestAMemberIsToldWhenTheirFactorsAreReset(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		owner := addUser(m.T, m.app, "owner@example.com")
		tenant, err := m.app.Directory.CreateTenant(m.Context(), "Engines", owner.ID)
		if err != nil {
			m.Fatal(err)
		}
		if _, err := m.app.Directory.AddMember(m.Context(), tenant.ID, m.user.ID, identity.Grant{Role: identity.RoleMember}); err != nil {
			m.Fatal(err)
		}
		m.setUpApp(m.app.Factors)
		m.wantTold("An authenticator app was added to your account.")
		by := identity.Principal{Tenant: tenant.ID.String(), UserID: owner.ID.String(), Scopes: []string{"*"}}
		if err := m.app.ResetFactors(m.Context(), by, tenant.ID, m.user.ID); err != nil {
			m.Fatal(err)
		}
		m.wantTold("All second factors and recovery codes were removed from your account,")
	})
}

func TestAnUndoTellsWhatItTakesAway(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		token := m.to("thief@example.com")
		m.setUpApp(m.app.Factors)
		synctest.Wait()
		m.box.clear()
		m.undo(token)
		synctest.Wait()
		var told []string
		for _, mail := range m.box.sent() {
			if strings.Contains(mail.Text, "second factors or recovery codes that your account was given since were removed") {
				told = append(told, mail.To.String())
			}
		}
		if fmt.Sprint(told) != "[ada@example.com]" {
			m.Errorf("told are %v, want the address that is back", told)
		}
	})
}

func TestNobodyIsToldOfWhatHasNotHappened(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		factors, boom := m.app.Factors, errors.New("boom")
		if _, err := factors.BeginTOTP(m.Context(), m.user.ID, "x", "y"); err != nil {
			m.Fatal(err)
		}
		wrong := factors.ConfirmTOTP(m.Context(), m.user.ID, "0")
		_, unknown := factors.UseRecoveryCode(m.Context(), m.user.ID, "0000-0000-0000-0000")
		none := factors.RemoveTOTP(m.Context(), m.user.ID)
		undone := m.app.InTx(m.Context(), func(_ context.Context, tx levqor.Stores) error {
			m.setUpApp(factors.With(tx.Factors))
			return boom
		})
		if !errors.Is(wrong, factor.ErrWrongCode) || !errors.Is(unknown, factor.ErrWrongCode) || !errors.Is(none, factor.ErrNotFound) || !errors.Is(undone, boom) {
			m.Errorf("the errors are %v, %v, %v and %v", wrong, unknown, none, undone)
		}
		if _, err := factors.Reset(m.Context(), m.user.ID); err != nil {
			m.Errorf("Reset of nothing = %v", err)
		}
		m.wantTold("")

		m.setUpApp(factors)
		m.wantTold("An authenticator app was added to your account.")
		if err := m.app.DeleteUser(m.Context(), m.user.ID); err != nil {
			m.Fatal(err)
		}
		if held, err := factors.Has(m.Context(), m.user.ID); err != nil || held.Any() {
			m.Errorf("Has = %+v, %v; want the factors gone with their user", held, err)
		}
		m.wantTold("")
	})
}

// full are jobs that nobody can store.
type full struct{ jobs.Store }

func (full) Insert(context.Context, []jobs.Insertion, time.Time) ([]int, error) {
	return nil, errors.New("full")
}

func TestNoFactorChangesOfWhichNobodyCanBeTold(t *testing.T) {
	stores := levqor.MemStores()
	whole := stores.Tx
	stores.Tx = func(ctx context.Context, fn func(context.Context, levqor.Stores) error) error {
		return whole(ctx, func(ctx context.Context, tx levqor.Stores) error {
			tx.Jobs = full{tx.Jobs}
			return fn(ctx, tx)
		})
	}
	app := newApp(t, stores, levqor.Options{Mailer: &outbox{}, PublicURL: "https://app.example.com"})
	ada := addUser(t, app, "ada@example.com")
	if codes, err := app.Factors.ReplaceRecoveryCodes(t.Context(), ada.ID); err == nil {
		t.Errorf("ReplaceRecoveryCodes = %v, want an error", codes)
	}
	if held, err := app.Factors.Has(t.Context(), ada.ID); err != nil || held != (factor.Held{}) {
		t.Errorf("Has = %+v, %v; want nothing", held, err)
	}
}

// Who takes an account over adds a factor of their own and moves the account away before the
// mail has gone out.
func TestWhoHadTheAddressAtTheChangeIsTold(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		if err := m.app.Queues.Pause(m.Context(), jobs.DefaultQueue); err != nil {
			m.Fatal(err)
		}
		synctest.Wait()
		m.setUpApp(m.app.Factors)
		at := time.Now()
		info, err := m.app.Jobs.List(m.Context(), jobs.ListQuery{Limit: 10})
		if err != nil || len(info) != 1 || strings.Contains(string(info[0].Args), "ada") {
			m.Fatalf("the jobs are %+v, %v; want one that holds no address in the clear", info, err)
		}
		thief, err := identity.ParseEmail("thief@example.com")
		if err != nil {
			m.Fatal(err)
		}
		if _, _, _, err := m.app.Addresses.Change(m.Context(), m.user.ID, thief); err != nil {
			m.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := m.app.Queues.Resume(m.Context(), jobs.DefaultQueue); err != nil {
			m.Fatal(err)
		}
		synctest.Wait()
		sent := m.box.sent()
		if len(sent) != 1 || sent[0].To.String() != "ada@example.com" || !strings.Contains(sent[0].Text, at.UTC().Format("15:04")+" UTC") {
			m.Errorf("the mails are %+v, want one to the address from before, with the time of the change", sent)
		}
	})
}
