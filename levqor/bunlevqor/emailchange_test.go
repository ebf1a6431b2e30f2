package bunlevqor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

var done = guard.Event{Tenant: identity.OwnerTenant, Action: guard.ActionEmailChanged, Outcome: guard.OutcomeSuccess}

// asking returns a user as who asks for another address in a session.
func asking(t *testing.T, app *levqor.App, user identity.User) (levqor.EmailChanger, string) {
	t.Helper()
	token, session, err := app.Sessions.Start(t.Context(), login.Start{User: user.ID, Level: login.LevelMail})
	if err != nil {
		t.Fatal(err)
	}
	return levqor.EmailChanger{User: user.ID, Session: session.ID.String()}, token
}

// flowTo begins a change as an app does, and returns what its mail would hold.
func flowTo(t *testing.T, app *levqor.App, by levqor.EmailChanger, address string) login.Attempt {
	t.Helper()
	email, err := identity.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	flow, err := app.Links.ForChange(by.User, by.Session).Begin(t.Context(), email, login.Device{})
	if err != nil {
		t.Fatal(err)
	}
	return login.Attempt{Flow: flow.ID, Code: flow.Code}
}

// An address is changed and taken back, and nothing that does so is in the database.
func TestADumpOfTheDatabaseChangesNoAddress(t *testing.T) {
	onLogins(t, func(t *testing.T, db *bun.DB, app *levqor.App, box mailbox) {
		by, token := asking(t, app, addUser(t, app, "ada@example.com"))
		_, other := asking(t, app, identity.User{ID: by.User})
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- app.Run(ctx) }()
		next := func(before string) string {
			t.Helper()
			select {
			case mail := <-box:
				_, rest, _ := strings.Cut(mail.Text, before)
				secret, _, _ := strings.Cut(rest, "\n")
				return secret
			case <-time.After(30 * time.Second):
				t.Fatal("no mail was sent")
				return ""
			}
		}
		tables := []string{"levqor_login_link", "levqor_identity_undo", "levqor_jobs_live"}
		flow, err := app.BeginEmailChange(t.Context(), by, "new@example.com", done)
		if err != nil {
			t.Fatal(err)
		}
		kept := dump(t, db, tables...)
		secret := next(flow.ID + "#")
		user, err := app.FinishEmailChange(t.Context(), by, login.Attempt{Flow: flow.ID, Secret: secret}, done)
		if err != nil || user.Email.String() != "new@example.com" {
			t.Fatalf("FinishEmailChange = %+v, %v", user, err)
		}
		kept += dump(t, db, tables...)
		undo := next("/undo#")
		stop()
		if err := <-ran; err != nil {
			t.Errorf("Run = %v", err)
		}
		if _, err := app.Sessions.Authenticate(t.Context(), other); !errors.Is(err, login.ErrUnauthenticated) {
			t.Errorf("the other session: %v", err)
		}
		if !strings.Contains(kept, flow.ID) || len(undo) != 64 || strings.Contains(kept, secret) || strings.Contains(kept, undo) || strings.Contains(kept, undo[15:58]) {
			t.Errorf("the database holds what changes the address: %q, %q in %s", secret, undo, kept)
		}
		if user, err := app.UndoEmailChange(t.Context(), undo, done); err != nil || user.Email.String() != "ada@example.com" {
			t.Errorf("UndoEmailChange = %+v, %v", user, err)
		}
		if _, err := app.Sessions.Authenticate(t.Context(), token); !errors.Is(err, login.ErrUnauthenticated) {
			t.Errorf("the session: %v", err)
		}
		if entries, err := app.SecurityLog.Entries(t.Context(), identity.OwnerTenant, guard.LogQuery{Limit: 10}); err != nil || len(entries) != 3 {
			t.Errorf("the log has %+v, %v", entries, err)
		}
	})
}

// Of users who confirm one address at once one gets it; the others keep theirs, and what
// they had begun.
func TestOfUsersWhoConfirmOneAddressAtOnceOneGetsIt(t *testing.T) {
	onLogins(t, func(t *testing.T, _ *bun.DB, app *levqor.App, _ mailbox) {
		const users = 3 // for more there is no mail
		var wg sync.WaitGroup
		errs := make([]error, users)
		for i := range users {
			by, _ := asking(t, app, addUser(t, app, fmt.Sprintf("u%d@example.com", i)))
			attempt := flowTo(t, app, by, "one@example.com")
			wg.Go(func() { _, errs[i] = app.FinishEmailChange(context.Background(), by, attempt, done) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, identity.ErrAddressInUse) && !errors.Is(err, fault.ErrUnauthenticated) { // the winner ends all links of the address
				t.Errorf("FinishEmailChange = %v", err)
			}
		}
		if won != 1 {
			t.Errorf("%d users have the address: %v", won, errs)
		}
	})
}

// A thief who confirms the next address while the owner undoes the first change ends up
// without the account, whoever comes first.
func TestAnUndoWinsOverAChangeAtTheSameTime(t *testing.T) {
	onLogins(t, func(t *testing.T, _ *bun.DB, app *levqor.App, _ mailbox) {
		for round := range 10 {
			ada := addUser(t, app, fmt.Sprintf("ada%d@example.com", round))
			by, _ := asking(t, app, ada)
			thiefs, err := identity.ParseEmail(fmt.Sprintf("thief%d@example.com", round))
			if err != nil {
				t.Fatal(err)
			}
			_, _, undo, err := app.Addresses.Change(t.Context(), ada.ID, thiefs)
			if err != nil {
				t.Fatal(err)
			}
			attempt := flowTo(t, app, by, fmt.Sprintf("next%d@example.com", round))
			var wg sync.WaitGroup
			wg.Go(func() {
				_, err := app.FinishEmailChange(context.Background(), by, attempt, done)
				if err != nil && !errors.Is(err, fault.ErrUnauthenticated) {
					t.Errorf("FinishEmailChange = %v", err)
				}
			})
			wg.Go(func() {
				if _, err := app.UndoEmailChange(context.Background(), undo, done); err != nil {
					t.Errorf("UndoEmailChange = %v", err)
				}
			})
			wg.Wait()
			if user, err := app.Directory.FindUser(t.Context(), ada.ID); err != nil || user.Email != ada.Email {
				t.Errorf("the address is %v, %v; want %v", user.Email, err, ada.Email)
			}
			if all, err := app.Sessions.List(t.Context(), ada.ID); err != nil || len(all) != 0 {
				t.Errorf("the sessions are %v, %v; want none", all, err)
			}
		}
	})
}

// A login has found the user by a thief's address, and goes on while the undo commits.
func TestALoginUnderWayDoesNotOutliveAnUndo(t *testing.T) {
	onLogins(t, func(t *testing.T, _ *bun.DB, app *levqor.App, _ mailbox) {
		for round := range 5 {
			ada := addUser(t, app, fmt.Sprintf("ada%d@example.com", round))
			thief, err := identity.ParseEmail(fmt.Sprintf("thief%d@example.com", round))
			if err != nil {
				t.Fatal(err)
			}
			_, _, undo, err := app.Addresses.Change(t.Context(), ada.ID, thief)
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			var token string
			var loginErr error
			err = app.InTx(t.Context(), func(ctx context.Context, tx levqor.Stores) error {
				if err := app.Directory.With(tx.Directory).HoldUser(ctx, ada.ID); err != nil {
					return err
				}
				wg.Go(func() { token, _, loginErr = app.FinishLogin(context.Background(), thief, login.Start{}) })
				time.Sleep(100 * time.Millisecond) // the login comes as far as it can
				_, err := app.Addresses.With(tx.Directory).Undo(ctx, undo)
				return errors.Join(err, app.Links.With(tx.Links).EndChanges(ctx, ada.ID), app.Sessions.With(tx.Sessions).EndAll(ctx, ada.ID, 0))
			})
			if err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			if _, err := app.Sessions.Authenticate(t.Context(), token); !errors.Is(loginErr, fault.ErrUnauthenticated) || err == nil {
				t.Errorf("FinishLogin = %v, and the session is there: %v", loginErr, err == nil)
			}
		}
	})
}

// A thief's request was let in before the undo, and begins a change after it.
func TestARequestFromBeforeAnUndoChangesNoAddress(t *testing.T) {
	onLogins(t, func(t *testing.T, _ *bun.DB, app *levqor.App, _ mailbox) {
		ada := addUser(t, app, "ada@example.com")
		by, _ := asking(t, app, ada)
		thief, err := identity.ParseEmail("thief@example.com")
		if err != nil {
			t.Fatal(err)
		}
		_, _, undo, err := app.Addresses.Change(t.Context(), ada.ID, thief)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := app.UndoEmailChange(t.Context(), undo, done); err != nil {
			t.Fatal(err)
		}
		if _, err := app.BeginEmailChange(t.Context(), by, "thief2@example.com", done); !errors.Is(err, fault.ErrUnauthenticated) {
			t.Errorf("BeginEmailChange = %v, want ErrUnauthenticated", err)
		}
		if _, err := app.FinishEmailChange(t.Context(), by, flowTo(t, app, by, "thief2@example.com"), done); !errors.Is(err, fault.ErrUnauthenticated) {
			t.Errorf("FinishEmailChange = %v, want ErrUnauthenticated", err)
		}
		if user, err := app.Directory.FindUser(t.Context(), ada.ID); err != nil || user.Email != ada.Email {
			t.Errorf("the address is %v, %v; want %v", user.Email, err, ada.Email)
		}
	})
}

// Two users move at once to addresses that the other one has asked for too.
func TestUsersWhoMoveToEachOthersAddressesDoNotWaitForEachOther(t *testing.T) {
	onLogins(t, func(t *testing.T, _ *bun.DB, app *levqor.App, _ mailbox) {
		for i := range 12 {
			a, _ := asking(t, app, addUser(t, app, fmt.Sprintf("a%d@example.com", i)))
			b, _ := asking(t, app, addUser(t, app, fmt.Sprintf("b%d@example.com", i)))
			x, y := fmt.Sprintf("x%d@example.com", i), fmt.Sprintf("y%d@example.com", i)
			toX, toY := flowTo(t, app, a, x), flowTo(t, app, b, y)
			flowTo(t, app, a, y)
			flowTo(t, app, b, x)
			var wg sync.WaitGroup
			errs := make([]error, 2)
			wg.Go(func() { _, errs[0] = app.FinishEmailChange(context.Background(), a, toX, done) })
			wg.Go(func() { _, errs[1] = app.FinishEmailChange(context.Background(), b, toY, done) })
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Errorf("FinishEmailChange = %v", err)
			}
		}
	})
}

func TestAnInvitationFollowsWhoHasMovedAway(t *testing.T) {
	onLogins(t, func(t *testing.T, _ *bun.DB, app *levqor.App, _ mailbox) {
		ada := addUser(t, app, "ada@example.com")
		tenant, err := app.Directory.CreateTenant(t.Context(), "Engines", addUser(t, app, "owner@example.com").ID)
		if err != nil {
			t.Fatal(err)
		}
		_, token, err := app.Invitations.Invite(t.Context(), tenant.ID, ada.Email, identity.Grant{Role: identity.RoleMember})
		if err != nil {
			t.Fatal(err)
		}
		by, _ := asking(t, app, ada)
		if _, err := app.FinishEmailChange(t.Context(), by, flowTo(t, app, by, "new@example.com"), done); err != nil {
			t.Fatal(err)
		}
		if _, _, err := app.AcceptInvitation(t.Context(), token, identity.Joiner{}); !errors.Is(err, identity.ErrAddressHeld) {
			t.Errorf("AcceptInvitation by whoever has the token = %v, want ErrAddressHeld", err)
		}
		if member, created, err := app.AcceptInvitation(t.Context(), token, identity.Joiner{SignedIn: ada.ID}); err != nil || created || member.User != ada.ID {
			t.Errorf("AcceptInvitation = %+v, %v, %v", member, created, err)
		}
	})
}

func TestFactorsAreResetInOneTransaction(t *testing.T) {
	onLogins(t, func(t *testing.T, _ *bun.DB, app *levqor.App, _ mailbox) {
		owner, bob := addUser(t, app, "owner@example.com"), addUser(t, app, "bob@example.com")
		tenant, err := app.Directory.CreateTenant(t.Context(), "Engines", owner.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := app.Directory.AddMember(t.Context(), tenant.ID, bob.ID, identity.Grant{Role: identity.RoleMember}); err != nil {
			t.Fatal(err)
		}
		_, token := asking(t, app, bob)
		who := identity.Principal{Tenant: tenant.ID.String(), UserID: owner.ID.String(), Scopes: identity.RoleOwner.Scopes()}
		reset := guard.Event{Tenant: who.Tenant, Action: guard.ActionFactorRemoved, Outcome: guard.OutcomeSuccess, Actor: who.UserID, Target: bob.ID.String()}
		bad := reset
		bad.Action = "no such action"
		if err := app.ResetFactors(t.Context(), who, tenant.ID, bob.ID, bad); err == nil {
			t.Error("ResetFactors goes on though it cannot be recorded")
		}
		if _, err := app.Sessions.Authenticate(t.Context(), token); err != nil {
			t.Errorf("Authenticate = %v; want nothing done", err)
		}
		if err := app.ResetFactors(t.Context(), who, tenant.ID, bob.ID, reset); err != nil {
			t.Errorf("ResetFactors = %v", err)
		}
		if _, err := app.Sessions.Authenticate(t.Context(), token); !errors.Is(err, login.ErrUnauthenticated) {
			t.Errorf("Authenticate = %v; want the session over", err)
		}
		for what, c := range map[string]struct {
			tenant identity.TenantID
			user   identity.UserID
			want   error
		}{
			"nobody": {tenant.ID, 7, levqor.ErrNotFound}, "no member": {tenant.ID, addUser(t, app, "eve@example.com").ID, levqor.ErrNotFound},
			"another tenant": {identity.OwnerTenantID, bob.ID, fault.ErrNotFound},
		} {
			if err := app.ResetFactors(t.Context(), who, c.tenant, c.user, reset); !errors.Is(err, c.want) {
				t.Errorf("%s: ResetFactors = %v, want %v", what, err, c.want)
			}
		}
	})
}
