package levqor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

// mailbox keeps what is sent.
type mailbox chan levqor.Mail

func (m mailbox) SendMail(_ context.Context, mail levqor.Mail) error {
	m <- mail
	return nil
}

func newInviting(t *testing.T, mailer levqor.Mailer) (*levqor.App, levqor.Stores) {
	t.Helper()
	stores := levqor.MemStores()
	app, err := levqor.New(stores, &levqor.Options{Secret: bytes.Repeat([]byte("s"), 32), Mailer: mailer, PublicURL: "https://app.example.com/"})
	if err != nil {
		t.Fatal(err)
	}
	return app, stores
}

func address(t *testing.T, text string) identity.Email {
	t.Helper()
	email, err := identity.ParseEmail(text)
	if err != nil {
		t.Fatal(err)
	}
	return email
}

func invite(t *testing.T, app *levqor.App, by identity.Principal, email string, grant identity.Grant) (identity.Invitation, error) {
	t.Helper()
	var made identity.Invitation
	err := app.InTx(t.Context(), func(ctx context.Context, tx levqor.Stores) error {
		var err error
		made, err = app.Invite(ctx, tx, by, address(t, email), grant)
		return err
	})
	return made, err
}

func TestAnInvitationReachesItsMailboxAndNobodyElse(t *testing.T) {
	sent := make(mailbox, 1)
	app, stores := newInviting(t, sent)
	ada, _, err := app.Directory.EnsureUser(t.Context(), address(t, "ada@example.com"), "Ada")
	if err != nil {
		t.Fatal(err)
	}
	tenant, err := app.Directory.CreateTenant(t.Context(), "Engines <b>", ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	owner, err := app.Directory.FindMember(t.Context(), tenant.ID, ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	made, err := invite(t, app, owner.Principal(), "Eve@Example.com", identity.Grant{Role: identity.RoleAdmin})
	if err != nil || made.Inviter != ada.ID.String() {
		t.Fatalf("Invite = %+v, %v", made, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	mail := <-sent
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
	_, token, found := strings.Cut(strings.Fields(mail.Text[strings.Index(mail.Text, "https://"):])[0], "https://app.example.com/join#")
	if !found || mail.To.String() != "Eve@Example.com" || mail.ID != made.ID.String() || strings.Contains(mail.HTML, "<b>") || !strings.Contains(mail.HTML, token) {
		t.Errorf("the mail is %+v", mail)
	}
	for _, tenantName := range []string{"", tenant.ID.String()} {
		all, err := jobs.New(stores.Jobs, app.Registry, nil).ForTenant(tenantName).List(t.Context(), jobs.ListQuery{Limit: 10})
		if err != nil || slices.ContainsFunc(all, func(job jobs.Info) bool { return bytes.Contains(job.Args, []byte(token)) }) || (tenantName != "") != (len(all) == 0) {
			t.Errorf("the jobs of %q are %v, %v; want one without the token, and of no tenant", tenantName, all, err)
		}
	}
	offer, err := app.Invitations.Look(t.Context(), token)
	if err != nil || offer.Tenant != "Engines <b>" || offer.Address != "E…@Example.com" || offer.Role != identity.RoleAdmin {
		t.Errorf("Look = %+v, %v", offer, err)
	}
	member, created, err := app.AcceptInvitation(t.Context(), token, identity.Joiner{Name: "Eve"})
	eve, findErr := app.Directory.FindUserByEmail(t.Context(), address(t, "eve@example.com"))
	if err := errors.Join(err, findErr); err != nil || !created || member.User != eve.ID || eve.Name != "Eve" || member.Role != identity.RoleAdmin {
		t.Errorf("AcceptInvitation = %+v, %v, %v", member, created, err)
	}
	if _, _, err := app.AcceptInvitation(t.Context(), token, identity.Joiner{}); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("AcceptInvitation again = %v, want ErrNotFound", err)
	}
}

func TestNobodyInvitesWithoutAMailer(t *testing.T) {
	app, stores := newInviting(t, nil)
	owner := identity.Principal{Tenant: identity.OwnerTenant, KeyID: "key_x", Scopes: []string{identity.AllScopes}}
	if _, err := invite(t, app, owner, "eve@example.com", identity.Grant{Role: identity.RoleViewer}); !errors.Is(err, levqor.ErrNoMailer) {
		t.Errorf("Invite = %v, want ErrNoMailer", err)
	}
	if all, err := stores.Invitations.Invitations(t.Context(), identity.OwnerTenantID, 0, 10, time.Time{}); err != nil || len(all) > 0 {
		t.Errorf("the invitations are %v, %v; want none", all, err)
	}
}

func TestAnInvitationIsAcceptedOnceAndLeavesNoUserBehind(t *testing.T) {
	app, _ := newInviting(t, make(mailbox, 1))
	link, created, err := app.OwnerLink(t.Context())
	token, found := strings.CutPrefix(link, "https://app.example.com/join#")
	if err != nil || !created || !found {
		t.Fatalf("OwnerLink = %q, %v, %v", link, created, err)
	}
	if link, created, err := app.OwnerLink(t.Context()); err != nil || created || link != "" {
		t.Errorf("OwnerLink again = %q, %v, %v; want none", link, created, err)
	}
	if _, _, err := app.AcceptInvitation(t.Context(), token, identity.Joiner{}); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("AcceptInvitation without an address = %v, want ErrInvalid", err)
	}
	var wg sync.WaitGroup
	accepted := make(chan identity.UserID, 100)
	for i := range 100 {
		email := address(t, fmt.Sprintf("u%d@example.com", i))
		wg.Go(func() {
			member, _, err := app.AcceptInvitation(t.Context(), token, identity.Joiner{Email: email})
			if err == nil {
				accepted <- member.User
			} else if !errors.Is(err, identity.ErrNotFound) {
				t.Errorf("AcceptInvitation = %v", err)
			}
		})
	}
	wg.Wait()
	if len(accepted) != 1 {
		t.Fatalf("%d accepted, want 1", len(accepted))
	}
	first := <-accepted
	for i := range 100 {
		user, err := app.Directory.FindUserByEmail(t.Context(), address(t, fmt.Sprintf("u%d@example.com", i)))
		if (err == nil) != (user.ID == first) {
			t.Errorf("user %d is %v, %v; want only the one who accepted", i, user, err)
		}
	}
	err = app.InTx(t.Context(), func(ctx context.Context, tx levqor.Stores) error {
		_, _, err := app.NewOwnerLink(ctx, tx, identity.Principal{Tenant: identity.OwnerTenant, Scopes: []string{identity.AllScopes}})
		return err
	})
	if !errors.Is(err, identity.ErrHasOwner) {
		t.Errorf("NewOwnerLink = %v, want ErrHasOwner", err)
	}
}

func TestAnInvitationIsMailedToTheAddressOfTheUserAndOpensNoAccount(t *testing.T) {
	sent := make(mailbox, 1)
	app, _ := newInviting(t, sent)
	eve, _, err := app.Directory.EnsureUser(t.Context(), address(t, "eve@example.com"), "Eve")
	if err != nil {
		t.Fatal(err)
	}
	owner := identity.Principal{Tenant: identity.OwnerTenant, KeyID: "key_x", Scopes: []string{identity.AllScopes}}
	if _, err := invite(t, app, owner, "EVE@Example.com", identity.Grant{Role: identity.RoleViewer}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	mail := <-sent
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
	if mail.To.String() != "eve@example.com" {
		t.Errorf("the mail went to %s, want the address of the user", mail.To)
	}
	_, token, _ := strings.Cut(strings.Fields(mail.Text[strings.Index(mail.Text, "https://"):])[0], "#")
	member, created, err := app.AcceptInvitation(t.Context(), token, identity.Joiner{Name: "Mallory"})
	if err != nil || created || member.User != eve.ID {
		t.Errorf("AcceptInvitation = %+v, %v, %v; want the user who was there", member, created, err)
	}
	if user, err := app.Directory.FindUser(t.Context(), eve.ID); err != nil || user.Name != "Eve" {
		t.Errorf("the user is %+v, %v; want the name as it was", user, err)
	}
}

func TestTheOwnersLinkIsNotForAddressesOfOthers(t *testing.T) {
	app, _ := newInviting(t, make(mailbox, 1))
	eve, _, err := app.Directory.EnsureUser(t.Context(), address(t, "eve@example.com"), "")
	if err != nil {
		t.Fatal(err)
	}
	ada, _, err := app.Directory.EnsureUser(t.Context(), address(t, "ada@example.com"), "")
	if err != nil {
		t.Fatal(err)
	}
	link, _, err := app.OwnerLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(link, "#")
	for _, by := range []identity.Joiner{{Email: eve.Email}, {Email: address(t, "EVE@example.com")}, {Email: eve.Email, SignedIn: ada.ID}} {
		if member, created, err := app.AcceptInvitation(t.Context(), token, by); !errors.Is(err, identity.ErrAddressTaken) || created || member.User != 0 {
			t.Errorf("AcceptInvitation by %+v = %+v, %v, %v; want ErrAddressTaken", by, member, created, err)
		}
	}
	for _, by := range []identity.Joiner{{Email: address(t, "new@example.com"), Name: strings.Repeat("x", 201)}, {Email: address(t, "new@example.com"), Name: "a\nb"}} {
		if _, _, err := app.AcceptInvitation(t.Context(), token, by); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("AcceptInvitation with the name %q = %v, want ErrInvalid", by.Name, err)
		}
	}
	if member, created, err := app.AcceptInvitation(t.Context(), token, identity.Joiner{Email: eve.Email, SignedIn: eve.ID}); err != nil || created || member.User != eve.ID || member.Role != identity.RoleOwner {
		t.Errorf("AcceptInvitation by who is signed in = %+v, %v, %v", member, created, err)
	}
}
