package levqor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

var laptop = login.Device{Label: "Firefox on Linux", Address: netip.MustParseAddr("192.0.2.1")}

// outbox keeps mails, and fails the first few times.
type outbox struct {
	mu    sync.Mutex
	mails []levqor.Mail
	fails int
	tried []string
}

func (o *outbox) SendMail(_ context.Context, m levqor.Mail) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tried = append(o.tried, m.ID)
	if o.fails > 0 {
		o.fails--
		return errors.New("away")
	}
	o.mails = append(o.mails, m)
	return nil
}

func (o *outbox) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mails = nil
}

func (o *outbox) sent() []levqor.Mail {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mails
}

// signIn runs a test of an app that sends mail, in a bubble.
func signIn(t *testing.T, opts levqor.Options, run func(t *testing.T, app *levqor.App, box *outbox)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		box := &outbox{}
		if opts.Mailer == nil {
			opts.Mailer = box
		}
		opts.PublicURL = "https://app.example.com/"
		app := newApp(t, levqor.MemStores(), opts)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		run(t, app, box)
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func addUser(t *testing.T, app *levqor.App, address string) identity.User {
	t.Helper()
	email, err := identity.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	user, _, err := app.Directory.EnsureUser(t.Context(), email, "")
	if err != nil {
		t.Fatal(err)
	}
	return user
}

func beginLogin(t *testing.T, app *levqor.App, address string) login.Flow {
	t.Helper()
	flow, err := app.BeginLogin(t.Context(), address, laptop)
	if err != nil {
		t.Fatalf("BeginLogin = %v", err)
	}
	return flow
}

var (
	linkForm = regexp.MustCompile(`https://app\.example\.com/login/l/([0-9A-Za-z]{22})#([A-Za-z0-9_-]{43})\n`)
	codeForm = regexp.MustCompile(`\n([0-9B-Z]{4}-[0-9B-Z]{4})\n`)
)

// read returns what the mail for a flow holds.
func read(t *testing.T, m levqor.Mail) (id, secret, code string) {
	t.Helper()
	link, typed := linkForm.FindStringSubmatch(m.Text), codeForm.FindStringSubmatch(m.Text)
	if link == nil || typed == nil {
		t.Fatalf("the mail has no link or no code: %q", m.Text)
	}
	return link[1], link[2], typed[1]
}

func TestPeopleSignInByMail(t *testing.T) {
	signIn(t, levqor.Options{}, func(t *testing.T, app *levqor.App, box *outbox) {
		ada := addUser(t, app, "Ada@example.com")
		tenant, err := app.Directory.CreateTenant(t.Context(), "Engines", ada.ID)
		if err != nil {
			t.Fatal(err)
		}
		flow := beginLogin(t, app, "ADA@Example.com")
		synctest.Wait()
		if len(box.sent()) != 1 {
			t.Fatalf("%d mails were sent, want 1", len(box.sent()))
		}
		mail := box.sent()[0]
		id, secret, code := read(t, mail)
		if mail.To.String() != "Ada@example.com" || mail.Subject != "Sign in to app.example.com" || id != flow.ID || flow.Secret+flow.Code != "" || flow.Mailed {
			t.Errorf("the mail is %+v for %+v", mail, flow)
		}
		proof, err := app.Links.Redeem(t.Context(), login.Attempt{Flow: id, Secret: secret, Cookie: flow.Cookie})
		if err != nil || proof.Email.Canonical() != "ada@example.com" || proof.Device != laptop {
			t.Fatalf("Redeem = %+v, %v", proof, err)
		}
		token, session, err := app.FinishLogin(t.Context(), proof.Email, login.Start{Device: laptop})
		if err != nil || session.User != ada.ID || session.Tenant != tenant.ID || session.Level != login.LevelMail || session.Device != laptop {
			t.Fatalf("FinishLogin = %+v, %v", session, err)
		}
		found, err := app.Sessions.Authenticate(t.Context(), token)
		if err != nil || !found.NeedsSecondFactor {
			t.Errorf("Authenticate = %+v, %v", found, err)
		}
		next, _, err := app.FinishLogin(t.Context(), proof.Email, login.Start{Old: token})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := app.Sessions.Authenticate(t.Context(), token); !errors.Is(err, login.ErrUnauthenticated) || next == token {
			t.Errorf("the session from before: %v, want ErrUnauthenticated", err)
		}
		if _, err := app.Links.RedeemCode(t.Context(), login.Attempt{Flow: id, Code: code, Cookie: flow.Cookie}); !errors.Is(err, login.ErrUnauthenticated) {
			t.Errorf("RedeemCode after the link was used = %v", err)
		}
	})
}

func TestWhoHasASecondFactorIsHalfSignedInByMail(t *testing.T) {
	app := newApp(t, levqor.MemStores(), levqor.Options{})
	ada := addUser(t, app, "ada@example.com")
	enrolment, err := app.Factors.BeginTOTP(t.Context(), ada.ID, "ada@example.com", "Engines")
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, start, level login.Level) {
		t.Helper()
		if _, session, err := app.FinishLogin(t.Context(), ada.Email, login.Start{Level: start}); err != nil || session.Level != level {
			t.Errorf("%s: FinishLogin = %+v, %v; want the level %d", what, session, err, level)
		}
	}
	want("an app that is not confirmed", 0, login.LevelMail)
	code, err := factor.TOTPCode(enrolment.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Factors.ConfirmTOTP(t.Context(), ada.ID, code); err != nil {
		t.Fatal(err)
	}
	want("an app", 0, login.LevelHalf)
	want("by mail", login.LevelMail, login.LevelHalf)
	want("by a passkey", login.LevelSecondFactor, login.LevelSecondFactor)
}

// enrolling are sessions before whose beginning somebody else adds a second factor.
type enrolling struct {
	login.SessionStore
	enrol func()
}

func (s enrolling) InsertSession(ctx context.Context, session login.Session, old []byte, age time.Duration, now time.Time) (login.Session, error) {
	s.enrol()
	return s.SessionStore.InsertSession(ctx, session, old, age, now)
}

func TestAFactorThatIsAddedWhileSomebodySignsInIsAskedFor(t *testing.T) {
	stores := levqor.MemStores()
	var once sync.Once
	enrol := func() {}
	whole := stores.Tx
	stores.Tx = func(ctx context.Context, fn func(context.Context, levqor.Stores) error) error {
		return whole(ctx, func(ctx context.Context, tx levqor.Stores) error {
			tx.Sessions = enrolling{tx.Sessions, func() { once.Do(enrol) }}
			return fn(ctx, tx)
		})
	}
	app := newApp(t, stores, levqor.Options{})
	ada := addUser(t, app, "ada@example.com")
	planted, _, err := app.Sessions.Start(t.Context(), login.Start{User: ada.ID, Level: login.LevelMail})
	if err != nil {
		t.Fatal(err)
	}
	enrol = func() {
		enrolment, err := app.Factors.BeginTOTP(t.Context(), ada.ID, "ada", "Engines")
		if err != nil {
			t.Fatal(err)
		}
		code, err := factor.TOTPCode(enrolment.Secret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(app.Factors.ConfirmTOTP(t.Context(), ada.ID, code), app.Sessions.EndAll(t.Context(), ada.ID, 0)); err != nil {
			t.Fatal(err)
		}
	}
	_, session, err := app.FinishLogin(t.Context(), ada.Email, login.Start{Device: laptop, Old: planted})
	if err != nil || session.Level != login.LevelHalf {
		t.Errorf("FinishLogin = %+v, %v; want half a session", session, err)
	}
	if all, err := app.Sessions.List(t.Context(), ada.ID); err != nil || len(all) != 1 || all[0].ID != session.ID {
		t.Errorf("the sessions are %+v, %v; want that one alone", all, err)
	}
}

func TestMailGoesToThoseWhoMaySignIn(t *testing.T) {
	for signUp, want := range map[bool]string{false: "[ada@example.com]", true: "[ada@example.com New@example.com]"} {
		signIn(t, levqor.Options{SignUp: signUp}, func(t *testing.T, app *levqor.App, box *outbox) {
			addUser(t, app, "ada@example.com")
			disabled, gone := addUser(t, app, "eve@example.com"), addUser(t, app, "bob@example.com")
			if _, err := app.Directory.DisableUser(t.Context(), disabled.ID); err != nil {
				t.Fatal(err)
			}
			if !signUp {
				if err := app.Directory.DeleteUser(t.Context(), gone.ID); err != nil {
					t.Fatal(err)
				}
			}
			for _, address := range []string{"ADA@example.com", "eve@example.com", "New@example.com"} {
				beginLogin(t, app, address)
				synctest.Wait()
			}
			if !signUp {
				beginLogin(t, app, "bob@example.com")
				synctest.Wait()
			}
			var to []string
			for _, m := range box.sent() {
				to = append(to, m.To.String())
			}
			if fmt.Sprint(to) != want {
				t.Errorf("with sign-up %v mail went to %v, want %v", signUp, to, want)
			}
		})
	}
}

// An answer, and what it leaves behind, tells nobody who is known here.
func TestKnownAndUnknownAddressesAreTheSameWork(t *testing.T) {
	ctx := t.Context()
	app := newApp(t, levqor.MemStores(), levqor.Options{Mailer: &outbox{}, PublicURL: "http://localhost:8080"})
	addUser(t, app, "known@example.com")
	if _, err := app.Directory.DisableUser(ctx, addUser(t, app, "nobod@example.com").ID); err != nil {
		t.Fatal(err)
	}
	var shapes []string
	for _, address := range []string{"known@example.com", "other@example.com", "nobod@example.com"} {
		flow := beginLogin(t, app, address)
		due, err := app.Links.Due(ctx, flow.ID)
		if err != nil {
			t.Errorf("Due = %v", err)
		}
		queued, err := app.Jobs.List(ctx, jobs.ListQuery{Kind: "levqor.login_mail", Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(queued[0].Args), "example") || !strings.Contains(string(queued[0].Args), `"[secret]"`) {
			t.Errorf("the job shows %s", queued[0].Args)
		}
		shapes = append(shapes, fmt.Sprintln(len(flow.ID), len(flow.Cookie), len(flow.Match), flow.Secret, flow.Code, flow.Mailed,
			flow.ExpiresAt.Sub(due.ExpiresAt), len(queued)-len(shapes), queued[0].Priority, len(queued[0].Args)))
	}
	if shapes[0] != shapes[1] || shapes[0] != shapes[2] {
		t.Errorf("the work was %q", shapes)
	}
}

func TestMailsToOneAddressAreThrottledAndWait(t *testing.T) {
	signIn(t, levqor.Options{}, func(t *testing.T, app *levqor.App, box *outbox) {
		addUser(t, app, "ada@example.com")
		addUser(t, app, "bob@example.com")
		wantSent := func(n int) {
			t.Helper()
			synctest.Wait()
			if got := len(box.sent()); got != n {
				t.Errorf("%d mails were sent, want %d", got, n)
			}
		}
		first := beginLogin(t, app, "ada@example.com")
		wantSent(1)
		beginLogin(t, app, "ada@example.com")
		wantSent(1)
		beginLogin(t, app, "bob@example.com")
		wantSent(2)
		time.Sleep(70 * time.Second)
		wantSent(3) // it waited for its minute
		beginLogin(t, app, "ada@example.com")
		time.Sleep(70 * time.Second)
		wantSent(4)
		_, _, code := read(t, box.sent()[0])
		if _, err := app.Links.RedeemCode(t.Context(), login.Attempt{Flow: first.ID, Code: code, Cookie: first.Cookie}); err != nil {
			t.Fatalf("RedeemCode = %v", err)
		}
		late := beginLogin(t, app, "ada@example.com")
		if _, err := app.Links.Due(t.Context(), late.ID); err != nil {
			t.Errorf("Due = %v, want mail that waits", err)
		}
		time.Sleep(time.Hour)
		wantSent(4) // it has waited for longer than its flow lives
		beginLogin(t, app, "ada@example.com")
		wantSent(5)
	})
}

func TestAStrangerOnAnotherNetworkTakesNoMailFromAnybody(t *testing.T) {
	signIn(t, levqor.Options{}, func(t *testing.T, app *levqor.App, box *outbox) {
		addUser(t, app, "ada@example.com")
		for range 6 { // over an hour, all that one network gets
			for range 4 {
				if _, err := app.BeginLogin(t.Context(), "ada@example.com", login.Device{Address: netip.MustParseAddr("203.0.113.7")}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(login.LinkTTL + time.Second)
		}
		strangers := len(box.sent())
		if strangers < 3 || strangers > 6 {
			t.Errorf("the stranger had %d mails sent in an hour", strangers)
		}
		for range 4 {
			if _, err := app.BeginLogin(t.Context(), "ada@example.com", login.Device{Address: netip.MustParseAddr("203.0.113.7")}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		strangers = len(box.sent())
		flow := beginLogin(t, app, "ada@example.com")
		synctest.Wait()
		if len(box.sent()) != strangers+1 {
			t.Fatalf("%d mails were sent after the stranger's %d, want the owner's", len(box.sent())-strangers, strangers)
		}
		_, _, code := read(t, box.sent()[strangers])
		if _, err := app.Links.RedeemCode(t.Context(), login.Attempt{Flow: flow.ID, Code: code, Cookie: flow.Cookie}); err != nil {
			t.Errorf("RedeemCode = %v", err)
		}
	})
}

func TestStrangersOnManyNetworksHaveTwentyMailsSentInAnHour(t *testing.T) {
	signIn(t, levqor.Options{}, func(t *testing.T, app *levqor.App, box *outbox) {
		addUser(t, app, "ada@example.com")
		for i := range 25 {
			if _, err := app.BeginLogin(t.Context(), "ada@example.com", login.Device{Address: netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})}); err != nil {
				t.Fatal(err)
			}
			if i == 15 {
				time.Sleep(login.LinkTTL + time.Second) // so that flows have room
			}
		}
		synctest.Wait()
		if n := len(box.sent()); n < 20 || n > 24 {
			t.Errorf("%d mails were sent", n)
		}
	})
}

// awayOnce are quotas that cannot be asked the first time.
type awayOnce struct {
	guard.LimitStore
	asked atomic.Int32
}

func (s *awayOnce) Take(ctx context.Context, draws []guard.Draw, now time.Time) ([]guard.Level, error) {
	if s.asked.Add(1) == 1 {
		return nil, guard.ErrUnavailable
	}
	return s.LimitStore.Take(ctx, draws, now)
}

func TestAMailTakesItsQuotaInWhicheverAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box, stores := &outbox{}, levqor.MemStores()
		stores.Rates = &awayOnce{LimitStore: stores.Rates}
		app := newApp(t, stores, levqor.Options{Mailer: box, PublicURL: "https://app.example.com"})
		addUser(t, app, "ada@example.com")
		beginLogin(t, app, "ada@example.com")
		beginLogin(t, app, "ada@example.com")
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		time.Sleep(50 * time.Second)
		if n := len(box.sent()); n != 1 {
			t.Errorf("%d mails were sent within a minute, want 1", n)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

// A mail that cannot be written shows for whom one is: its job is discarded.
func TestAMailIsWrittenAlsoForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := &outbox{}
		app := newApp(t, levqor.MemStores(), levqor.Options{Mailer: box, PublicURL: "https://app%C2%85.example.com"}) // a control character in the subject
		addUser(t, app, "known@example.com")
		if _, err := app.Directory.DisableUser(t.Context(), addUser(t, app, "shut@example.com").ID); err != nil {
			t.Fatal(err)
		}
		for _, address := range []string{"known@example.com", "other@example.com", "shut@example.com"} {
			beginLogin(t, app, address)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		synctest.Wait()
		counts, err := app.Jobs.Counts(t.Context())
		if err != nil || counts.Queues["default"][jobs.Discarded] != 3 || len(box.sent()) != 0 {
			t.Errorf("the jobs are %v, %v; want all three discarded as their mails were written", counts.Queues, err)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestThreeInvitationsAnHourReachOneAddressAndOthersWait(t *testing.T) {
	box := &outbox{}
	signIn(t, levqor.Options{Mailer: box}, func(t *testing.T, app *levqor.App, _ *outbox) {
		ada := addUser(t, app, "ada@example.com")
		for i := range 5 {
			tenant, err := app.Directory.CreateTenant(t.Context(), fmt.Sprint("a", i, strings.Repeat("ü", 40)), ada.ID)
			if err != nil {
				t.Fatal(err)
			}
			owner, err := app.Directory.FindMember(t.Context(), tenant.ID, ada.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, to := range []string{"Eve@example.com", fmt.Sprintf("bob%d@example.com", i)} {
				if _, err := invite(t, app, owner.Principal(), to, identity.Grant{Role: identity.RoleViewer}); err != nil {
					t.Fatal(err)
				}
			}
		}
		wantEves := func(want int) {
			t.Helper()
			synctest.Wait()
			eves := 0
			for _, m := range box.sent() {
				if m.To.String() == "Eve@example.com" {
					eves++
				}
				if name := strings.TrimPrefix(m.Subject, "Invitation to "); len(name) > 60 || !strings.HasSuffix(name, "ü…") {
					t.Errorf("the subject is %q", m.Subject)
				}
			}
			if eves != want || len(box.sent()) != want+5 {
				t.Errorf("%d mails of %d went to Eve, want %d", eves, len(box.sent()), want)
			}
		}
		wantEves(3)
		time.Sleep(time.Hour)
		wantEves(5)
	})
}

func TestAThrottledAddressCanUseTheCodeThatItHas(t *testing.T) {
	signIn(t, levqor.Options{}, func(t *testing.T, app *levqor.App, box *outbox) {
		addUser(t, app, "ada@example.com")
		flow := beginLogin(t, app, "ada@example.com")
		synctest.Wait()
		for range 50 { // by a stranger
			beginLogin(t, app, "ada@example.com")
		}
		synctest.Wait()
		_, _, code := read(t, box.sent()[0])
		if _, err := app.Links.RedeemCode(t.Context(), login.Attempt{Flow: flow.ID, Code: code, Cookie: flow.Cookie}); err != nil {
			t.Errorf("RedeemCode = %v", err)
		}
	})
}

func TestAMailThatFailedIsSentAgainUnderItsID(t *testing.T) {
	box := &outbox{fails: 2}
	signIn(t, levqor.Options{Mailer: box}, func(t *testing.T, app *levqor.App, _ *outbox) {
		addUser(t, app, "ada@example.com")
		beginLogin(t, app, "ada@example.com")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if len(box.sent()) != 1 || len(box.tried) != 3 || box.tried[0] == "" || box.tried[0] != box.tried[2] {
			t.Errorf("mails %q were tried, %d sent", box.tried, len(box.sent()))
		}
	})
}

func TestNoMailGoesOutForAFlowThatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := &outbox{}
		app := newApp(t, levqor.MemStores(), levqor.Options{Mailer: box, PublicURL: "https://app.example.com"})
		addUser(t, app, "ada@example.com")
		beginLogin(t, app, "ada@example.com")
		time.Sleep(login.LinkTTL + time.Second) // no worker was there
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		time.Sleep(time.Minute)
		stop()
		if err := <-done; err != nil || len(box.sent()) > 0 {
			t.Errorf("Run = %v, and %d mails were sent", err, len(box.sent()))
		}
	})
}

// forged are arguments as a tenant could send them.
type forged struct { //nolint:recvcheck // as loginMail
	Flow   string `json:"flow"`
	Secret string `json:"secret"`
	Code   string `json:"code"`
}

func (forged) Kind() string { return "levqor.login_mail" }

func (f *forged) Secrets() []*string { return []*string{&f.Secret, &f.Code} }

func TestTenantsSendNoMailForLogins(t *testing.T) {
	signIn(t, levqor.Options{}, func(t *testing.T, app *levqor.App, box *outbox) {
		addUser(t, app, "ada@example.com")
		email, err := identity.ParseEmail("ada@example.com")
		if err != nil {
			t.Fatal(err)
		}
		flow, err := app.Links.Begin(t.Context(), email, laptop)
		if err != nil {
			t.Fatal(err)
		}
		for _, tenant := range []string{"default", "acme"} {
			info, err := app.Jobs.ForTenant(tenant).Enqueue(t.Context(), forged{flow.ID, "call", "555-0100"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got, err := app.Jobs.ForTenant(tenant).Get(t.Context(), info.ID); err != nil || got.State != jobs.Discarded || len(box.sent()) > 0 {
				t.Errorf("the job is %v, %v, and %d mails were sent", got.State, err, len(box.sent()))
			}
		}
	})
}

func TestTextAndHTMLOfAMailSayTheSameInSafeForm(t *testing.T) {
	signIn(t, levqor.Options{SignUp: true}, func(t *testing.T, app *levqor.App, box *outbox) {
		flow, err := app.BeginLogin(t.Context(), `"<b>'&@example.com`[1:], login.Device{Label: `<script>alert(1)</script>{{.Code}}`})
		if err == nil {
			t.Fatalf("BeginLogin = %+v", flow)
		}
		_, err = app.BeginLogin(t.Context(), `o'neil&co{x}@example.com`, login.Device{Label: `<script>alert(1)</script>{{.Code}} visit evil.example`})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		mail := box.sent()[0]
		for _, part := range []string{mail.Text, mail.HTML, mail.Subject} {
			if strings.Contains(part, "script") || strings.Contains(part, "evil") || strings.Contains(part, "{{") {
				t.Errorf("the mail holds what a stranger wrote: %q", part)
			}
		}
		if strings.ContainsAny(mail.Subject+mail.To.String(), "\r\n") {
			t.Errorf("a header has two lines: %q, %q", mail.Subject, mail.To)
		}
		_, body, _ := strings.Cut(mail.HTML, "<body>")
		shown := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " ")
		if got, want := strings.Join(strings.Fields(shown), " "), strings.Join(strings.Fields(mail.Text), " "); got != want {
			t.Errorf("the HTML says\n%s\nand the text\n%s", got, want)
		}
		id, secret, _ := read(t, mail)
		if !strings.Contains(mail.HTML, `<a href="https://app.example.com/login/l/`+id+"#"+secret+`">`) {
			t.Errorf("the link of the HTML is another: %s", mail.HTML)
		}
	})
}

func TestBeginLoginNamesWhatIsWrong(t *testing.T) {
	app := newApp(t, levqor.MemStores(), levqor.Options{Mailer: &outbox{}, PublicURL: "http://localhost"})
	for field, try := range map[string]func() error{
		"/email": func() error {
			_, err := app.BeginLogin(t.Context(), "ada@example.com\r\nBcc: eve@example.com", laptop)
			return err
		},
		"/device/label": func() error {
			_, err := app.BeginLogin(t.Context(), "ada@example.com", login.Device{Label: "a\r\nb"})
			return err
		},
	} {
		if all := fault.All(try()); len(all) != 1 || all[0].Field != field || !errors.Is(all[0], levqor.ErrInvalid) {
			t.Errorf("BeginLogin = %v, want an ErrInvalid about %s", all, field)
		}
	}
	if queued, err := app.Jobs.List(t.Context(), jobs.ListQuery{Limit: 10}); err != nil || len(queued) > 0 {
		t.Errorf("%d jobs are queued, %v", len(queued), err)
	}
	_, err := newApp(t, levqor.MemStores(), levqor.Options{}).BeginLogin(t.Context(), "ada@example.com", laptop)
	if all := fault.All(err); !errors.Is(err, levqor.ErrUnavailable) || len(all) != 1 || all[0].Code != "no_mailer" {
		t.Errorf("BeginLogin without a mailer = %v", err)
	}
}

func TestFinishLoginRefusesWhoMayNotSignIn(t *testing.T) {
	for signUp, want := range map[string]bool{"unknown, no sign-up": false, "unknown, sign-up": true, "disabled, no sign-up": false, "disabled, sign-up": false, "deleted, sign-up": false} {
		app := newApp(t, levqor.MemStores(), levqor.Options{SignUp: !strings.HasSuffix(signUp, "no sign-up"), UserErasers: []identity.UserEraser{&eraser{}}})
		email, err := identity.ParseEmail("ada@example.com")
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.HasPrefix(signUp, "disabled"):
			if _, err := app.Directory.DisableUser(t.Context(), addUser(t, app, "ada@example.com").ID); err != nil {
				t.Fatal(err)
			}
		case strings.HasPrefix(signUp, "deleted"):
			if err := app.Directory.DeleteUser(t.Context(), addUser(t, app, "ada@example.com").ID); err == nil {
				t.Fatal("the deletion was not interrupted")
			}
		}
		token, session, err := app.FinishLogin(t.Context(), email, login.Start{Tenant: identity.OwnerTenantID})
		if want {
			if err != nil || token == "" || session.Tenant != 0 {
				t.Errorf("%s: FinishLogin = %+v, %v", signUp, session, err)
			}
			continue
		}
		if all := fault.All(err); !errors.Is(err, login.ErrUnauthenticated) || len(all) != 1 || all[0].Code != "invalid_login" || token != "" {
			t.Errorf("%s: FinishLogin = %q, %v; want ErrUnauthenticated", signUp, token, err)
		}
	}
}

// The mail for an address that nobody had went there: who signs up meanwhile in another
// spelling may read another mailbox.
func TestAnotherSpellingSignsInOnlyWhoWasThereWhenTheMailWasSent(t *testing.T) {
	for _, signUp := range []bool{true, false} {
		now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
		app := newApp(t, levqor.MemStores(), levqor.Options{SignUp: signUp, Now: func() time.Time { return now }})
		ada := addUser(t, app, "ada@example.com")
		other, err := identity.ParseEmail("ADA@example.com")
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(login.LinkTTL)
		if token, _, err := app.FinishLogin(t.Context(), other, login.Start{}); signUp != errors.Is(err, login.ErrUnauthenticated) || signUp != (token == "") {
			t.Errorf("sign-up %v: FinishLogin of a new user's other spelling = %q, %v", signUp, token, err)
		}
		if all, err := app.Sessions.List(t.Context(), ada.ID); err != nil || signUp != (len(all) == 0) {
			t.Errorf("sign-up %v: the sessions are %v, %v", signUp, all, err)
		}
		if _, session, err := app.FinishLogin(t.Context(), ada.Email, login.Start{}); err != nil || session.User != ada.ID {
			t.Errorf("sign-up %v: FinishLogin of the user's own spelling = %+v, %v", signUp, session, err)
		}
		now = now.Add(time.Minute)
		if _, session, err := app.FinishLogin(t.Context(), other, login.Start{}); err != nil || session.User != ada.ID {
			t.Errorf("sign-up %v: FinishLogin when no such mail is left = %+v, %v", signUp, session, err)
		}
	}
}

// verified is what the DNS says of any name.
func TestNewNeedsAURLToMail(t *testing.T) {
	for _, url := range []string{"", "app.example.com", "/login", "ftp://app.example.com", "https://", "https:app", "https://u:p@app.example.com", "https://a.example?x", "https://a.example?", "https://a.example#x", "https://a.example/\r\n", "javascript:alert(1)"} {
		_, err := levqor.New(levqor.MemStores(), &levqor.Options{Secret: secret, Mailer: &outbox{}, PublicURL: url})
		if all := fault.All(err); !errors.Is(err, levqor.ErrInvalid) || len(all) != 1 || all[0].Field != "/public_url" {
			t.Errorf("New with the URL %q = %v, want an ErrInvalid about /public_url", url, err)
		}
	}
	for _, url := range []string{"http://localhost:8080", "https://app.example.com/", "https://example.com/app"} {
		if _, err := levqor.New(levqor.MemStores(), &levqor.Options{Secret: secret, Mailer: &outbox{}, PublicURL: url}); err != nil {
			t.Errorf("New with the URL %q = %v", url, err)
		}
	}
}

func TestRunDeletesLoginsWhoseTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores := levqor.MemStores()
		app := newApp(t, stores, levqor.Options{Mailer: &outbox{}, PublicURL: "http://localhost", Sessions: login.SessionsOptions{Idle: time.Minute}, SignUp: true})
		ada := addUser(t, app, "ada@example.com")
		beginLogin(t, app, "ada@example.com")
		if _, _, err := app.FinishLogin(t.Context(), ada.Email, login.Start{}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		time.Sleep(21 * time.Minute)
		synctest.Wait()
		links, linkErr := stores.Links.DeleteExpiredLinks(ctx, 10, time.Time{})
		sessions, sessionErr := stores.Sessions.DeleteExpiredSessions(ctx, 10, time.Time{})
		if err := errors.Join(linkErr, sessionErr); err != nil || links != 0 || sessions != 0 {
			t.Errorf("%d links and %d sessions were left, %v", links, sessions, err)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func ExampleNewWriterMailer() {
	ctx := context.Background()
	ada, err := identity.ParseEmail("ada@example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	var console bytes.Buffer
	err = levqor.NewWriterMailer(&console).SendMail(ctx, levqor.Mail{To: ada, Subject: "Hello", Text: "How are you?"})
	fmt.Print(console.String(), err)
	// Output:
	// To: ada@example.com
	// Subject: Hello
	//
	// How are you?
	// <nil>
}
