package bunlevqor_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// mailbox gets the mails of a test.
type mailbox chan levqor.Mail

func (m mailbox) SendMail(_ context.Context, mail levqor.Mail) error {
	m <- mail
	return nil
}

// onLogins runs a test of an app that sends mail on each database.
func onLogins(t *testing.T, run func(t *testing.T, db *bun.DB, app *levqor.App, box mailbox)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		db := dbtest.Open(t, fresh(t))
		if err := bunlevqor.Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		box := make(mailbox, 10)
		app, err := levqor.New(bunlevqor.Stores(db), &levqor.Options{
			Secret: []byte("32 bytes from a random source ..."), Mailer: box, PublicURL: "https://app.example.com",
		})
		if err != nil {
			t.Fatal(err)
		}
		run(t, db, app, box)
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

// dump returns everything that tables hold.
func dump(t *testing.T, db *bun.DB, tables ...string) string {
	t.Helper()
	var all strings.Builder
	for _, table := range tables {
		var rows []map[string]any
		if err := db.NewRaw("SELECT * FROM ?", bun.Ident(table)).Scan(t.Context(), &rows); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			for column, value := range row {
				fmt.Fprintf(&all, "%s.%s = %s %v\n", table, column, value, value)
			}
		}
	}
	return all.String()
}

// What is mailed and what signs in is nowhere in the database.
func TestADumpOfTheDatabaseSignsNobodyIn(t *testing.T) {
	onLogins(t, func(t *testing.T, db *bun.DB, app *levqor.App, box mailbox) {
		ada := addUser(t, app, "ada@example.com")
		flow, err := app.BeginLogin(t.Context(), "ada@example.com", login.Device{})
		if err != nil {
			t.Fatal(err)
		}
		queued := dump(t, db, "levqor_login_link", "levqor_jobs_live")
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		var mail levqor.Mail
		select {
		case mail = <-box:
		case <-time.After(30 * time.Second):
			t.Error("no mail was sent")
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		_, rest, _ := strings.Cut(mail.Text, flow.ID+"#")
		secret, rest, _ := strings.Cut(rest, "\n")
		_, rest, _ = strings.Cut(rest, "asked:\n")
		code, _, _ := strings.Cut(rest, "\n")
		proof, err := app.Links.Redeem(t.Context(), login.Attempt{Flow: flow.ID, Secret: secret, Cookie: flow.Cookie})
		if err != nil {
			t.Fatalf("Redeem = %v", err)
		}
		token, session, err := app.FinishLogin(t.Context(), proof.Email, login.Start{})
		if err != nil || session.User != ada.ID {
			t.Fatalf("FinishLogin = %+v, %v", session, err)
		}
		kept := queued + dump(t, db, "levqor_login_link", "levqor_jobs_live", "levqor_login_session")
		if !strings.Contains(kept, flow.ID) || len(code) != 9 {
			t.Fatalf("the dump holds no flow, or the mail no code: %q, %q", kept, code)
		}
		for what, secret := range map[string]string{"secret": secret, "cookie": flow.Cookie, "code": code, "code without dash": strings.ReplaceAll(code, "-", ""), "token": token} {
			if strings.Contains(kept, secret) {
				t.Errorf("the database holds the %s", what)
			}
		}
	})
}

// Nobody can tell by what it takes or leaves behind whether an address is known here.
func TestKnownAndUnknownAddressesLeaveTheSameRows(t *testing.T) {
	onLogins(t, func(t *testing.T, db *bun.DB, app *levqor.App, _ mailbox) {
		addUser(t, app, "known@example.com")
		if _, err := app.Directory.DisableUser(t.Context(), addUser(t, app, "nobod@example.com").ID); err != nil {
			t.Fatal(err)
		}
		statements := &counter{}
		app, err := levqor.New(bunlevqor.Stores(db.WithQueryHook(statements)), &levqor.Options{
			Secret: []byte("32 bytes from a random source ..."), Mailer: make(mailbox), PublicURL: "https://app.example.com",
		})
		if err != nil {
			t.Fatal(err)
		}
		var shapes []string
		for i, address := range []string{"known@example.com", "other@example.com", "nobod@example.com"} {
			statements.n.Store(0)
			if _, err := app.BeginLogin(t.Context(), address, login.Device{Label: "Firefox"}); err != nil {
				t.Fatal(err)
			}
			n := statements.n.Load()
			var links, queued, args int
			if err := db.NewRaw("SELECT count(*) FROM levqor_login_link WHERE slot = 1 AND tries = 0").Scan(t.Context(), &links); err != nil {
				t.Fatal(err)
			}
			if err := db.NewRaw("SELECT count(*), max(length(args)) FROM levqor_jobs_live WHERE kind = 'levqor.login_mail'").Scan(t.Context(), &queued, &args); err != nil {
				t.Fatal(err)
			}
			shapes = append(shapes, fmt.Sprintln(n, links-i, queued-i, args))
		}
		if shapes[0] != shapes[1] || shapes[0] != shapes[2] || !strings.HasSuffix(strings.TrimRight(shapes[0], "\n0123456789"), " 1 1 ") {
			t.Errorf("statements, links, jobs and the length of arguments were %q", shapes)
		}
	})
}

// counter counts statements.
type counter struct{ n atomic.Int32 }

func (c *counter) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context {
	c.n.Add(1)
	return ctx
}

func (*counter) AfterQuery(context.Context, *bun.QueryEvent) {}

// Of 100 browsers that redeem one link at once one signs in.
func TestOf100RedemptionsOneSignsIn(t *testing.T) {
	onLogins(t, func(t *testing.T, _ *bun.DB, app *levqor.App, _ mailbox) {
		ada := addUser(t, app, "ada@example.com")
		flow, err := app.Links.Begin(t.Context(), ada.Email, login.Device{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				proof, err := app.Links.Redeem(t.Context(), login.Attempt{Flow: flow.ID, Secret: flow.Secret, Match: flow.Match})
				if err != nil {
					return
				}
				if _, _, err := app.FinishLogin(t.Context(), proof.Email, login.Start{}); err != nil {
					t.Errorf("FinishLogin = %v", err)
				}
			})
		}
		wg.Wait()
		if all, err := app.Sessions.List(t.Context(), ada.ID); err != nil || len(all) != 1 {
			t.Errorf("there are %d sessions, %v; want 1", len(all), err)
		}
	})
}
