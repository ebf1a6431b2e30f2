package levqor_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
	"github.com/levqor/sdk/levqor/sso"
)

// move is a user of an app who has signed in and moves to other addresses.
type move struct {
	*testing.T
	app     *levqor.App
	box     *outbox
	user    identity.User
	token   string
	session login.Session
}

// moving runs a test of a user with an address, in a bubble.
func moving(t *testing.T, opts levqor.Options, run func(m *move)) {
	t.Helper()
	signIn(t, opts, func(t *testing.T, app *levqor.App, box *outbox) {
		m := &move{T: t, app: app, box: box, user: addUser(t, app, "ada@example.com")}
		m.token, m.session = m.signIn("ada@example.com")
		run(m)
	})
}

func (m *move) signIn(address string) (string, login.Session) {
	m.Helper()
	email, err := identity.ParseEmail(address)
	if err != nil {
		m.Fatal(err)
	}
	token, session, err := m.app.FinishLogin(m.Context(), email, login.Start{Device: laptop})
	if err != nil {
		m.Fatalf("FinishLogin = %v", err)
	}
	return token, session
}

func (m *move) by() levqor.EmailChanger {
	return levqor.EmailChanger{User: m.user.ID, Session: m.session.ID.String(), Device: laptop}
}

func (m *move) event(action guard.Action) guard.Event {
	return guard.Event{Tenant: identity.OwnerTenant, Action: action, Outcome: guard.OutcomeSuccess, Actor: m.user.ID.String(), Target: m.user.ID.String()}
}

func (m *move) begin(address string) login.Flow {
	m.Helper()
	flow, err := m.app.BeginEmailChange(m.Context(), m.by(), address, m.event(guard.ActionEmailChangeAsked))
	if err != nil {
		m.Fatalf("BeginEmailChange = %v", err)
	}
	time.Sleep(time.Minute) // of mails to one address
	synctest.Wait()
	return flow
}

func (m *move) finish(by levqor.EmailChanger, attempt login.Attempt) (identity.User, error) {
	return m.app.FinishEmailChange(m.Context(), by, attempt, m.event(guard.ActionEmailChanged))
}

// to moves to an address and returns the token that undoes it.
func (m *move) to(address string) string {
	m.Helper()
	flow := m.begin(address)
	if _, err := m.finish(m.by(), login.Attempt{Flow: flow.ID, Code: m.last(address).code}); err != nil {
		m.Fatalf("FinishEmailChange = %v", err)
	}
	synctest.Wait()
	sent := m.box.sent()
	found := undoForm.FindStringSubmatch(sent[len(sent)-1].Text)
	if found == nil {
		m.Fatalf("the mail has no undo: %+v", sent[len(sent)-1])
	}
	return found[1]
}

var (
	changeForm = regexp.MustCompile(`https://app\.example\.com/account/email/l/([0-9A-Za-z]{22})#([A-Za-z0-9_-]{43})\n`)
	undoForm   = regexp.MustCompile(`https://app\.example\.com/undo#(lvu_[0-9A-Za-z]{60})\n`)
)

type change struct{ flow, secret, code string }

// A mail for another spelling goes to the address as its user has it, so to a thief's.
func (m *move) last(address string) change {
	m.Helper()
	sent := m.box.sent()
	mail := sent[len(sent)-1]
	link, code := changeForm.FindStringSubmatch(mail.Text), codeForm.FindStringSubmatch(mail.Text)
	if mail.To.String() != address || link == nil || code == nil {
		m.Fatalf("the last mail is %+v, want one that changes an address to %s", mail, address)
	}
	return change{link[1], link[2], code[1]}
}

func (m *move) wantAddress(address string) {
	m.Helper()
	if user, err := m.app.Directory.FindUser(m.Context(), m.user.ID); err != nil || user.Email.String() != address {
		m.Errorf("the address is %v, %v; want %s", user.Email, err, address)
	}
}

func (m *move) wantSession(token string, want bool) {
	m.Helper()
	if _, err := m.app.Sessions.Authenticate(m.Context(), token); (err == nil) != want {
		m.Errorf("Authenticate = %v, want the session there: %v", err, want)
	}
}

func (m *move) logged() string {
	m.Helper()
	entries, err := m.app.SecurityLog.Entries(m.Context(), identity.OwnerTenant, guard.LogQuery{Actor: m.user.ID.String(), Limit: 100})
	if err != nil {
		m.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, string(e.Action))
	}
	return strings.Join(all, " ")
}

func TestAUserMovesToAnotherAddress(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		elsewhere, _ := m.signIn("ada@example.com")
		flow, pending := m.begin("New@Example.com"), m.begin("other@example.com")
		if flow.Secret+flow.Code+flow.Cookie != "" || flow.Mailed {
			m.Errorf("the flow tells %+v", flow)
		}
		sent := m.box.sent()
		if len(sent) != 2 || sent[0].To.String() != "New@Example.com" || sent[0].Subject != "Confirm your new address at app.example.com" {
			m.Fatalf("the mails are %+v", sent)
		}
		m.wantAddress("ada@example.com")
		user, err := m.finish(m.by(), login.Attempt{Flow: flow.ID, Secret: changeForm.FindStringSubmatch(sent[0].Text)[2]})
		if err != nil || user.Email.String() != "New@Example.com" {
			m.Fatalf("FinishEmailChange = %+v, %v", user, err)
		}
		m.wantSession(m.token, true)
		m.wantSession(elsewhere, false)
		for _, over := range []login.Attempt{{Flow: flow.ID, Secret: changeForm.FindStringSubmatch(sent[0].Text)[2]}, {Flow: pending.ID, Code: codeForm.FindStringSubmatch(sent[1].Text)[1]}} {
			if _, err := m.finish(m.by(), over); !errors.Is(err, fault.ErrUnauthenticated) {
				m.Errorf("FinishEmailChange = %v, want ErrUnauthenticated", err)
			}
		}
		synctest.Wait()
		if sent := m.box.sent(); len(sent) != 3 || !strings.Contains(sent[2].Text, "type this address there") ||
			!strings.Contains(sent[2].Text, time.Now().UTC().Add(identity.UndoTTL).Format("until 2 January 2006, 15:04 UTC.")) || sent[2].To.String() != "ada@example.com" || sent[2].Subject != "Your address was changed at app.example.com" {
			m.Errorf("the mails are %+v, want one to the old address", sent[2:])
		}
		if _, session := m.signIn("new@example.com"); session.User != m.user.ID {
			m.Errorf("the new address signs in as %v", session.User)
		}
		if got := m.logged(); got != "email.changed email.change_asked email.change_asked" {
			m.Errorf("the log is %q", got)
		}
	})
}

func TestAChangeIsForWhoAskedInTheirBrowser(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		flow := m.begin("new@example.com")
		mail := m.last("new@example.com")
		stranger, other := m.by(), m.by()
		_, elsewhere := m.signIn("ada@example.com")
		stranger.User, other.Session = addUser(t, m.app, "eve@example.com").ID, elsewhere.ID.String()
		for what, c := range map[string]struct {
			by levqor.EmailChanger
			a  login.Attempt
		}{
			"another user's code":     {stranger, login.Attempt{Code: mail.code}},
			"another user's secret":   {stranger, login.Attempt{Secret: mail.secret, Match: flow.Match}},
			"a code elsewhere":        {other, login.Attempt{Code: mail.code}},
			"a secret elsewhere":      {other, login.Attempt{Secret: mail.secret}},
			"a cookie that is a name": {other, login.Attempt{Secret: mail.secret, Cookie: m.session.ID.String()}},
			"nothing":                 {m.by(), login.Attempt{}},
		} {
			c.a.Flow = flow.ID
			if _, err := m.finish(c.by, c.a); !errors.Is(err, fault.ErrUnauthenticated) {
				m.Errorf("%s: FinishEmailChange = %v, want ErrUnauthenticated", what, err)
			}
		}
		if _, err := m.app.Links.Redeem(m.Context(), login.Attempt{Flow: flow.ID, Secret: mail.secret, Match: flow.Match}); !errors.Is(err, fault.ErrUnauthenticated) {
			m.Errorf("a change signs in: %v", err)
		}
		signsIn := beginLogin(t, m.app, "ada@example.com")
		synctest.Wait()
		_, secret, _ := read(t, m.box.sent()[1])
		if _, err := m.finish(m.by(), login.Attempt{Flow: signsIn.ID, Secret: secret, Match: signsIn.Match}); !errors.Is(err, fault.ErrUnauthenticated) {
			m.Errorf("a login changes an address: %v", err)
		}
		m.wantAddress("ada@example.com")
		if _, err := m.finish(other, login.Attempt{Flow: flow.ID, Secret: mail.secret, Match: flow.Match}); err != nil {
			m.Errorf("another session with the match: %v", err)
		}
		m.wantAddress("new@example.com")
	})
}

func TestFiveWrongCodesEndAChangeAndTenMinutesDoToo(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		flow := m.begin("new@example.com")
		code := m.last("new@example.com").code
		for range login.MaxTries {
			if _, err := m.finish(m.by(), login.Attempt{Flow: flow.ID, Code: "0000-0000"}); !errors.Is(err, fault.ErrUnauthenticated) {
				m.Errorf("FinishEmailChange = %v", err)
			}
		}
		if _, err := m.finish(m.by(), login.Attempt{Flow: flow.ID, Code: code}); !errors.Is(err, fault.ErrUnauthenticated) {
			m.Errorf("FinishEmailChange after five wrong codes = %v", err)
		}
		flow = m.begin("other@example.com")
		code = m.last("other@example.com").code
		time.Sleep(login.LinkTTL)
		if _, err := m.finish(m.by(), login.Attempt{Flow: flow.ID, Code: code}); !errors.Is(err, fault.ErrUnauthenticated) {
			m.Errorf("FinishEmailChange after ten minutes = %v", err)
		}
		m.wantAddress("ada@example.com")
	})
}

func TestTheLastTryOfACodeCounts(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		flow := m.begin("new@example.com")
		right := m.last("new@example.com").code
		for range login.MaxTries - 1 {
			if _, err := m.finish(m.by(), login.Attempt{Flow: flow.ID, Code: "0000-0000"}); !errors.Is(err, fault.ErrUnauthenticated) {
				m.Errorf("FinishEmailChange = %v", err)
			}
		}
		if _, err := m.finish(m.by(), login.Attempt{Flow: flow.ID, Code: right}); err != nil {
			m.Errorf("FinishEmailChange by the last try = %v", err)
		}
		m.wantAddress("new@example.com")
	})
}

func TestWhoAsksLearnsNotWhoHasAnAddressAndItsMailboxIsTold(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		addUser(t, m.app, "bob@example.com")
		left := addUser(t, m.app, "carol@example.com")
		there, err := identity.ParseEmail("carol2@example.com")
		if err != nil {
			m.Fatal(err)
		}
		if _, _, _, err := m.app.Addresses.Change(m.Context(), left.ID, there); err != nil {
			m.Fatal(err)
		}
		for i, address := range []string{"BOB@Example.com", "Carol@Example.com"} {
			flow := m.begin(address)
			if flow.ID == "" || flow.Match == "" || flow.Secret+flow.Code != "" || flow.Mailed {
				m.Errorf("the flow is %+v", flow)
			}
			mail := m.box.sent()[i]
			if mail.To.String() != strings.ToLower(address) || mail.Subject != "Your address at app.example.com" || strings.Contains(mail.Text, "#") || codeForm.MatchString(mail.Text) {
				m.Errorf("the mail is %+v, want one that only tells", mail)
			}
		}
	})
}

func TestAnAddressThatIsTakenMeanwhileIsNotGiven(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		flow := m.begin("new@example.com")
		addUser(t, m.app, "NEW@example.com")
		attempt := login.Attempt{Flow: flow.ID, Code: m.last("new@example.com").code}
		if _, err := m.finish(m.by(), attempt); !errors.Is(err, identity.ErrAddressInUse) {
			m.Errorf("FinishEmailChange = %v, want ErrAddressInUse", err)
		}
		m.wantAddress("ada@example.com")
		m.wantSession(m.token, true)
		if got := m.logged(); got != "email.change_asked" {
			m.Errorf("the log is %q", got)
		}
	})
}

func TestWhatIsNoChangeIsRefused(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		for _, address := range []string{"", "no address", "ada@example.com"} {
			_, err := m.app.BeginEmailChange(m.Context(), m.by(), address)
			if all := fault.All(err); !errors.Is(err, levqor.ErrInvalid) || len(all) != 1 || all[0].Field != "/email" {
				m.Errorf("BeginEmailChange to %q = %v, want ErrInvalid", address, err)
			}
		}
		by := m.by()
		by.User = 7
		if _, err := m.app.BeginEmailChange(m.Context(), by, "new@example.com"); !errors.Is(err, levqor.ErrNotFound) {
			m.Errorf("BeginEmailChange of nobody = %v, want ErrNotFound", err)
		}
	})
	app := newApp(t, levqor.MemStores(), levqor.Options{})
	if _, err := app.BeginEmailChange(t.Context(), levqor.EmailChanger{User: 7}, "new@example.com"); !errors.Is(err, levqor.ErrNoMailer) {
		t.Errorf("BeginEmailChange = %v, want ErrNoMailer", err)
	}
}

// anyRecord says of every name in the DNS what it was told to.
type anyRecord []string

func (r *anyRecord) LookupTXT(context.Context, string) ([]string, error) { return *r, nil }

func TestNobodyMovesOutOfOrIntoADomainThatDemandsItsProvider(t *testing.T) {
	dns := &anyRecord{}
	moving(t, levqor.Options{TXT: dns}, func(m *move) {
		tenant, err := m.app.Directory.CreateTenant(m.Context(), "Engines", m.user.ID)
		if err != nil {
			m.Fatal(err)
		}
		flow := m.begin("ada@engines.example")
		code := m.last("ada@engines.example").code
		made, err := m.app.SSO.Create(m.Context(), tenant.ID, sso.NewConnection{
			Issuer: "https://login.example.com", ClientID: "levqor", ClientSecret: "secret", Domains: []string{"engines.example"}, Role: identity.RoleMember, Required: true,
		})
		if err != nil {
			m.Fatal(err)
		}
		*dns = anyRecord{made.Domains[0].RecordValue()}
		if _, err := m.app.SSO.Verify(m.Context(), tenant.ID, made.ID, "engines.example"); err != nil {
			m.Fatal(err)
		}
		if _, err := m.finish(m.by(), login.Attempt{Flow: flow.ID, Code: code}); !errors.Is(err, levqor.ErrProviderRequired) {
			m.Errorf("FinishEmailChange into the domain = %v", err)
		}
		by := m.by()
		by.User = addUser(t, m.app, "bob@engines.example").ID
		if _, err := m.app.BeginEmailChange(m.Context(), by, "bob@example.com"); !errors.Is(err, levqor.ErrProviderRequired) {
			m.Errorf("BeginEmailChange out of the domain = %v", err)
		}
	})
}

func TestAnUndoLeadsBackWhateverAThiefHasChangedSince(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		tenant, err := m.app.Directory.CreateTenant(m.Context(), "Engines", m.user.ID)
		if err != nil {
			m.Fatal(err)
		}
		team, err := m.app.Directory.CreateTenant(m.Context(), "Looms", addUser(t, m.app, "owner@example.com").ID)
		if err != nil {
			m.Fatal(err)
		}
		if _, err := m.app.Directory.AddMember(m.Context(), team.ID, m.user.ID, identity.Grant{Role: identity.RoleMember}); err != nil {
			m.Fatal(err)
		}
		first, second := m.to("thief@example.com"), m.to("thief2@example.com")
		pending := m.begin("thief3@example.com")
		code := m.last("thief3@example.com").code
		if _, err := m.app.Directory.FindUserByEmail(m.Context(), m.user.Email); !errors.Is(err, levqor.ErrNotFound) {
			m.Errorf("the old address finds somebody: %v", err)
		}
		user, err := m.app.UndoEmailChange(m.Context(), first, guard.Event{Outcome: guard.OutcomeSuccess})
		if err != nil || user.ID != m.user.ID || user.Email.String() != "ada@example.com" {
			m.Fatalf("UndoEmailChange = %+v, %v", user, err)
		}
		m.wantAddress("ada@example.com")
		m.wantSession(m.token, false)
		if _, err := m.finish(m.by(), login.Attempt{Flow: pending.ID, Code: code}); !errors.Is(err, fault.ErrUnauthenticated) {
			m.Errorf("a pending change outlives the undo: %v", err)
		}
		for what, token := range map[string]string{"used": first, "reached past": second, "made up": first[:40] + strings.ToUpper(first[40:]), "malformed": "lvu_"} {
			if _, err := m.app.UndoEmailChange(m.Context(), token, guard.Event{Outcome: guard.OutcomeSuccess}); !errors.Is(err, levqor.ErrNotFound) {
				m.Errorf("an undo that is %s: %v, want ErrNotFound", what, err)
			}
		}
		for _, of := range []identity.TenantID{tenant.ID, team.ID} {
			query := guard.LogQuery{Action: guard.ActionEmailChangeUndone, Actor: m.user.ID.String(), Limit: 10}
			entries, err := m.app.SecurityLog.Entries(m.Context(), of.String(), query)
			if err != nil || len(entries) != 1 || entries[0].Target != m.user.ID.String() {
				m.Errorf("the log of %v has %+v, %v", of, entries, err)
			}
		}
		if _, session := m.signIn("ada@example.com"); session.User != m.user.ID {
			m.Errorf("the old address signs in as %v", session.User)
		}
	})
}

func TestTheAddressThatAnUndoTakesAwayIsTold(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		token := m.to("private@example.com")
		before := len(m.box.sent())
		for range 2 { // the second one is over
			_, _ = m.app.UndoEmailChange(m.Context(), token, guard.Event{Outcome: guard.OutcomeSuccess})
		}
		synctest.Wait()
		sent := m.box.sent()[before:]
		if len(sent) != 1 || sent[0].To.String() != "private@example.com" || sent[0].Subject != "Your address was changed back at app.example.com" || strings.Contains(sent[0].Text, "ada@") {
			m.Errorf("the mails are %+v, want one to the address that was given up, which does not name the other", sent)
		}
		if got := m.logged(); !strings.HasPrefix(got, "email.change_undone ") {
			m.Errorf("the owner's log is %q, want the undo of somebody without a tenant in it", got)
		}
	})
}

func TestALaterUndoLeavesTheOldestOpen(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		first, second := m.to("b@example.com"), m.to("c@example.com")
		for _, c := range []struct{ token, want string }{{second, "b@example.com"}, {first, "ada@example.com"}} {
			if _, err := m.app.UndoEmailChange(m.Context(), c.token, guard.Event{Outcome: guard.OutcomeSuccess}); err != nil {
				m.Errorf("UndoEmailChange = %v", err)
			}
			m.wantAddress(c.want)
		}
	})
}

func TestNobodyGetsAnAddressThatItsUserMayHaveBack(t *testing.T) {
	var later atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	moving(t, levqor.Options{SignUp: true, Now: now}, func(m *move) {
		token := m.to("new@example.com")
		sent := len(m.box.sent())
		beginLogin(t, m.app, "ada@example.com")
		synctest.Wait()
		if got := len(m.box.sent()); got != sent {
			m.Errorf("%d mails go to an address that nobody may sign up with", got-sent)
		}
		if _, _, err := m.app.FinishLogin(m.Context(), m.user.Email, login.Start{Device: laptop}); !errors.Is(err, fault.ErrUnauthenticated) {
			m.Errorf("FinishLogin = %v, want ErrUnauthenticated", err)
		}
		later.Store(int64(identity.UndoTTL))
		if _, err := m.app.UndoEmailChange(m.Context(), token, guard.Event{Outcome: guard.OutcomeSuccess}); !errors.Is(err, levqor.ErrNotFound) {
			m.Errorf("UndoEmailChange after seven days = %v, want ErrNotFound", err)
		}
		if _, session, err := m.app.FinishLogin(m.Context(), m.user.Email, login.Start{Device: laptop}); err != nil || session.User == m.user.ID {
			m.Errorf("FinishLogin = %+v, %v; want another user", session, err)
		}
	})
}

func TestWhatIsTheUsersStaysTheirsUnderTheNewAddress(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		owner := addUser(t, m.app, "owner@example.com")
		tenant, err := m.app.Directory.CreateTenant(m.Context(), "Engines", owner.ID)
		if err != nil {
			m.Fatal(err)
		}
		_, token, err := m.app.Invitations.Invite(m.Context(), tenant.ID, m.user.Email, identity.Grant{Role: identity.RoleMember})
		if err != nil {
			m.Fatal(err)
		}
		lockout, err := guard.NewLockout(m.app.Limiter, m.app.KeyRing, nil)
		if err != nil {
			m.Fatal(err)
		}
		device := lockout.NewDevice(m.user.ID.String())
		attempt := guard.Attempt{Account: m.user.ID.String(), Address: laptop.Address}
		for lockout.Try(m.Context(), attempt) == nil {
		}
		m.to("new@example.com")
		for lockout.Try(m.Context(), attempt) == nil { // a minute each has passed
		}
		if !lockout.Trusts(m.user.ID.String(), device) {
			m.Error("the device is not trusted any more")
		}
		attempt.Device = device
		if err := lockout.Try(m.Context(), attempt); err != nil {
			m.Errorf("Try from the trusted device = %v", err)
		}
		if _, _, err := m.app.AcceptInvitation(m.Context(), token, identity.Joiner{}); !errors.Is(err, identity.ErrAddressHeld) {
			m.Errorf("AcceptInvitation by whoever reads the old mailbox = %v, want ErrAddressHeld", err)
		}
		if member, created, err := m.app.AcceptInvitation(m.Context(), token, identity.Joiner{SignedIn: m.user.ID}); err != nil || created || member.User != m.user.ID {
			m.Errorf("AcceptInvitation = %+v, %v, %v", member, created, err)
		}
	})
}

// wanted and undoing are arguments as a tenant could send them.
type (
	wanted struct { //nolint:recvcheck // as forged
		User   identity.UserID `json:"user"`
		Flow   string          `json:"flow"`
		Secret string          `json:"secret"`
		Code   string          `json:"code"`
	}
	undoing struct { //nolint:recvcheck // as forged
		Token string `json:"token"`
	}
	inviting struct { //nolint:recvcheck // as forged
		Token string `json:"token"`
	}
	telling struct { //nolint:recvcheck // as forged
		Address string `json:"address"`
	}
	warning struct { //nolint:recvcheck // as forged
		Address string `json:"address"`
		Change  string `json:"change"`
	}
)

func (wanted) Kind() string { return "levqor.email_change_mail" }

func (w *wanted) Secrets() []*string { return []*string{&w.Secret, &w.Code} }

func (undoing) Kind() string { return "levqor.email_undo_mail" }

func (u *undoing) Secrets() []*string { return []*string{&u.Token} }

func (telling) Kind() string { return "levqor.email_undone_mail" }

func (t *telling) Secrets() []*string { return []*string{&t.Address} }

func (warning) Kind() string { return "levqor.factor_mail" }

func (w *warning) Secrets() []*string { return []*string{&w.Address} }

func (inviting) Kind() string { return "levqor.invitation_mail" }

func (i *inviting) Secrets() []*string { return []*string{&i.Token} }

func TestTenantsSendNoMailOfTheService(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		token := m.to("new@example.com")
		flow := m.begin("other@example.com")
		sent := len(m.box.sent())
		for _, args := range []jobs.Args{wanted{m.user.ID, flow.ID, "call", "555-0100"}, undoing{token}, inviting{"lvi_"}, telling{"bob@example.com"}, warning{"bob@example.com", "app_added"}} {
			info, err := m.app.Jobs.ForTenant("acme").Enqueue(m.Context(), args, nil)
			if err != nil {
				m.Fatal(err)
			}
			synctest.Wait()
			if got, err := m.app.Jobs.ForTenant("acme").Get(m.Context(), info.ID); err != nil || got.State != jobs.Discarded || len(m.box.sent()) > sent {
				m.Errorf("the job is %v, %v, and %d mails were sent", got.State, err, len(m.box.sent())-sent)
			}
		}
	})
}

func TestNoMailGoesOutForAChangeThatIsOverOrUndone(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		if err := m.app.Queues.Pause(m.Context(), jobs.DefaultQueue); err != nil {
			m.Fatal(err)
		}
		synctest.Wait()
		if _, err := m.app.BeginEmailChange(m.Context(), m.by(), "new@example.com"); err != nil {
			m.Fatal(err)
		}
		if err := m.app.Links.EndChanges(m.Context(), m.user.ID); err != nil {
			m.Fatal(err)
		}
		if err := m.app.Queues.Resume(m.Context(), jobs.DefaultQueue); err != nil {
			m.Fatal(err)
		}
		token := m.to("other@example.com")
		if _, err := m.app.UndoEmailChange(m.Context(), token, guard.Event{Outcome: guard.OutcomeSuccess}); err != nil {
			m.Fatal(err)
		}
		if _, err := m.app.Jobs.Enqueue(m.Context(), undoing{token}, nil); err != nil {
			m.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		var all []string
		for _, mail := range m.box.sent() {
			all = append(all, mail.To.String())
		}
		if got, want := strings.Join(all, " "), "other@example.com ada@example.com other@example.com"; got != want {
			m.Errorf("mails went to %s, want %s", got, want)
		}
	})
}

func TestAUserHasAFewMailsSentToStrangers(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		other := levqor.EmailChanger{User: addUser(t, m.app, "bob@example.com").ID, Device: laptop}
		ask := func(by levqor.EmailChanger, domain string) {
			t.Helper()
			for i := range 30 {
				if flow, err := m.app.BeginEmailChange(m.Context(), by, fmt.Sprintf("stranger%d@%s", i, domain)); err != nil || flow.ID == "" {
					m.Fatalf("BeginEmailChange = %v, %v; want the answer that all get", flow, err)
				}
			}
			synctest.Wait()
		}
		ask(m.by(), "one.example")
		if got := len(m.box.sent()); got != 10 {
			m.Errorf("%d mails went out at once, want 10", got)
		}
		ask(other, "two.example")
		if got := len(m.box.sent()); got != 20 {
			m.Errorf("%d mails went out at once for two users, want 20", got)
		}
		for hour := range 3 {
			time.Sleep(time.Hour)
			ask(m.by(), fmt.Sprintf("later%d.example", hour))
		}
		if got := len(m.box.sent()) - 10; got < 20 || got > 24 {
			m.Errorf("%d mails went out in three hours, want 20 and what has come back of them", got)
		}
	})
}

// asks counts what is asked of a directory about addresses.
type asks struct {
	identity.DirectoryStore
	users, undos atomic.Int64
}

func (a *asks) FindUserByEmail(ctx context.Context, canonical string) (identity.User, error) {
	a.users.Add(1)
	return a.DirectoryStore.FindUserByEmail(ctx, canonical)
}

func (a *asks) FindUndoByAddress(ctx context.Context, canonical string, now time.Time) (identity.Undo, error) {
	a.undos.Add(1)
	return a.DirectoryStore.FindUndoByAddress(ctx, canonical, now)
}

func TestTheWorkForAnAddressIsTheSameWhoeverHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores, box := levqor.MemStores(), &outbox{}
		counted := &asks{DirectoryStore: stores.Directory}
		stores.Directory = counted
		app := newApp(t, stores, levqor.Options{Mailer: box, PublicURL: "https://app.example.com"})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		ada := addUser(t, app, "ada@example.com")
		addUser(t, app, "bob@example.com")
		for i, address := range []string{"free@example.com", "bob@example.com"} {
			counted.users.Store(0)
			counted.undos.Store(0)
			if _, err := app.BeginEmailChange(ctx, levqor.EmailChanger{User: ada.ID, Device: laptop}, address); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if users, undos := counted.users.Load(), counted.undos.Load(); users != 1 || undos != 1 || len(box.sent()) != i+1 {
				t.Errorf("%s: %d looks for a user, %d for an undo and %d mails; want one of each", address, users, undos, len(box.sent()))
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestTextAndHTMLOfMailsAboutAddressesSayTheSame(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		addUser(m.T, m.app, "bob@example.com")
		by := m.by()
		by.Device.Label = "<script>{{.Code}} visit evil.example"
		if _, err := m.app.BeginEmailChange(m.Context(), by, "bob@example.com"); err != nil {
			m.Fatal(err)
		}
		synctest.Wait() // m.to reads the last mail
		token := m.to("o'neil&co{x}@example.com")
		if _, err := m.app.UndoEmailChange(m.Context(), token, guard.Event{Outcome: guard.OutcomeSuccess}); err != nil {
			m.Fatal(err)
		}
		synctest.Wait()
		if len(m.box.sent()) != 4 {
			m.Fatalf("the mails are %+v", m.box.sent())
		}
		for _, mail := range m.box.sent() {
			if all := mail.Text + mail.HTML + mail.Subject; strings.Contains(all, "script") || strings.Contains(all, "evil") || strings.Contains(all, "{") || strings.Contains(all, "neil") {
				m.Errorf("the mail holds what somebody wrote: %q", all)
			}
			_, body, _ := strings.Cut(mail.HTML, "<body>")
			shown := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " ")
			if got, want := strings.Join(strings.Fields(shown), " "), strings.Join(strings.Fields(mail.Text), " "); got != want {
				m.Errorf("the HTML says\n%s\nand the text\n%s", got, want)
			}
		}
	})
}

func TestALoginThatAThiefHasBegunByAnotherSpellingEndsWithAnUndo(t *testing.T) {
	signIn(t, levqor.Options{}, func(t *testing.T, app *levqor.App, box *outbox) {
		m := &move{T: t, app: app, box: box, user: addUser(t, app, "strasse@example.com")}
		m.token, m.session = m.signIn("strasse@example.com")
		undo := m.to("straße@example.com")
		flow := beginLogin(t, app, "STRASSE@example.com")
		synctest.Wait()
		sent := box.sent()
		if to := sent[len(sent)-1].To.String(); to != "straße@example.com" {
			t.Fatalf("the mail went to %s", to)
		}
		id, secret, _ := read(t, sent[len(sent)-1])
		if _, err := app.UndoEmailChange(t.Context(), undo, guard.Event{Outcome: guard.OutcomeSuccess}); err != nil {
			t.Fatal(err)
		}
		if _, err := app.Links.Redeem(t.Context(), login.Attempt{Flow: id, Cookie: flow.Cookie, Secret: secret}); !errors.Is(err, fault.ErrUnauthenticated) {
			t.Errorf("Redeem = %v, want ErrUnauthenticated", err)
		}
	})
}

func TestASessionThatIsOverChangesNoAddress(t *testing.T) {
	moving(t, levqor.Options{}, func(m *move) {
		flow := m.begin("new@example.com")
		code := m.last("new@example.com").code
		if err := m.app.Sessions.EndAll(m.Context(), m.user.ID, 0); err != nil {
			m.Fatal(err)
		}
		if _, err := m.app.BeginEmailChange(m.Context(), m.by(), "other@example.com"); !errors.Is(err, fault.ErrUnauthenticated) {
			m.Errorf("BeginEmailChange = %v, want ErrUnauthenticated", err)
		}
		if _, err := m.finish(m.by(), login.Attempt{Flow: flow.ID, Code: code}); !errors.Is(err, fault.ErrUnauthenticated) {
			m.Errorf("FinishEmailChange = %v, want ErrUnauthenticated", err)
		}
		m.wantAddress("ada@example.com")
	})
}
