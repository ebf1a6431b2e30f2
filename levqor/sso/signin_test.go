package sso_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

// world is connections with the people and the DNS that they ask.
type world struct {
	*testing.T
	c       *sso.Connections
	people  *identity.Directory
	names   *dns
	tenants []identity.TenantID
	store   *sso.MemStore

	directory *identity.MemDirectory
	hasher    identity.Hasher
}

// newWorld returns a world with n tenants.
func newWorld(t *testing.T, n int) *world {
	t.Helper()
	store := identity.NewMemDirectory(identity.NewMemKeyStore())
	ring, err := levqor.NewKeyRing(bytes.Repeat([]byte("s"), 32))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, directory: store, hasher: ring, people: identity.NewDirectory(store, nil), names: &dns{texts: map[string][]string{}}}
	w.store = sso.NewMemStore(store)
	w.c = sso.New(w.store, ring.Sealer(), &sso.Options{TXT: w.names})
	for i := range n {
		tenant, err := w.people.CreateTenant(t.Context(), "t", w.user(fmt.Sprintf("owner%d@owners.example", i)).ID)
		if err != nil {
			t.Fatal(err)
		}
		w.tenants = append(w.tenants, tenant.ID)
	}
	return w
}

func (w *world) user(address string) identity.User {
	w.Helper()
	email, err := identity.ParseEmail(address)
	if err != nil {
		w.Fatal(err)
	}
	user, _, err := w.people.EnsureUser(w.Context(), email, "")
	if err != nil {
		w.Fatal(err)
	}
	return user
}

// publish makes a record of a connection's domain all that the DNS has.
func (w *world) publish(c sso.Connection) {
	w.names.texts = map[string][]string{c.Domains[0].RecordName() + ".": {c.Domains[0].RecordValue()}}
}

// proved gives a tenant a connection for a domain that it has proved.
func (w *world) proved(tenant identity.TenantID, domain string) sso.Connection {
	w.Helper()
	made := create(w.T, w.c, tenant, domain)
	w.publish(made)
	verified, err := w.c.Verify(w.Context(), tenant, made.ID, domain)
	if err != nil {
		w.Fatalf("Verify = %v", err)
	}
	return verified
}

func (w *world) signIn(c sso.Connection, subject, address string) (sso.Login, error) {
	w.Helper()
	return w.c.SignIn(w.Context(), w.people, c.ID, sso.Claims{Subject: subject, Email: address, EmailVerified: true})
}

func TestALinkOfOneTenantBindsNoOther(t *testing.T) {
	w := newWorld(t, 2)
	before := w.proved(w.tenants[0], "acme.example")
	ceo, err := w.signIn(before, "s1", "ceo@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.c.Delete(t.Context(), w.tenants[0], before.ID); err != nil {
		t.Fatal(err)
	}
	after := w.proved(w.tenants[1], "acme.example") // at the same issuer
	if _, err := w.people.AddMember(t.Context(), w.tenants[1], ceo.User.ID, identity.Grant{Role: identity.RoleOwner}); err != nil {
		t.Fatal(err)
	}
	other, err := w.signIn(after, "s1", "other@acme.example")
	if err != nil || other.User.ID == ceo.User.ID {
		t.Errorf("SignIn = %+v, %v; want somebody other than user %v, whom another tenant has linked", other, err, ceo.User.ID)
	}
	if got, err := w.signIn(after, "s2", "ceo@acme.example"); err != nil || got.User.ID != ceo.User.ID {
		t.Errorf("SignIn = %+v, %v; want user %v", got, err, ceo.User.ID)
	}
	if err := w.c.Unlink(t.Context(), w.tenants[1], ceo.User.ID); err != nil {
		t.Errorf("Unlink = %v", err)
	}
	if err := w.c.Unlink(t.Context(), w.tenants[0], other.User.ID); !errors.Is(err, sso.ErrNotFound) {
		t.Errorf("Unlink = %v, want ErrNotFound", err)
	}
}

func TestADomainThatWasSoldIsItsBuyers(t *testing.T) {
	w := newWorld(t, 3)
	seller := w.proved(w.tenants[0], "acme.example")
	buyer := create(t, w.c, w.tenants[1], "acme.example")
	verify := func() (sso.Connection, error) {
		return w.c.Verify(t.Context(), w.tenants[1], buyer.ID, "acme.example")
	}
	record := buyer.Domains[0].RecordName() + "."
	w.names.texts[record] = []string{seller.Domains[0].RecordValue(), buyer.Domains[0].RecordValue()}
	if _, err := verify(); !errors.Is(err, sso.ErrDomainTaken) {
		t.Errorf("Verify = %v, want ErrDomainTaken while the seller's record is there", err)
	}
	w.names.err = &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	if _, err := verify(); !errors.Is(err, sso.ErrUnavailable) {
		t.Errorf("Verify = %v, want ErrUnavailable", err)
	}
	w.names.err = nil
	clear(w.names.texts)
	if _, err := verify(); !errors.Is(err, sso.ErrDomainUnverified) {
		t.Errorf("Verify = %v, want ErrDomainUnverified: nobody's record is there", err)
	}
	if _, err := w.signIn(seller, "s0", "ada@acme.example"); err != nil {
		t.Errorf("SignIn = %v, want the seller to have the domain until somebody else has proved it", err)
	}
	w.publish(buyer)
	if got, err := verify(); err != nil || !got.Speaks("acme.example") {
		t.Fatalf("Verify = %+v, %v; want the domain to be the buyer's, whose record alone is there", got, err)
	}
	if got, err := w.signIn(seller, "s1", "ceo@acme.example"); !errors.Is(err, sso.ErrForeignDomain) {
		t.Errorf("SignIn = %+v, %v; want ErrForeignDomain: the seller has lost the domain", got, err)
	}
	if _, err := w.c.Verify(t.Context(), w.tenants[0], seller.ID, "acme.example"); !errors.Is(err, sso.ErrDomainUnverified) {
		t.Errorf("Verify = %v, want ErrDomainUnverified", err)
	}
	if _, err := w.signIn(buyer, "s1", "ceo@acme.example"); err != nil {
		t.Errorf("SignIn = %v, want the buyer's provider to speak for the domain", err)
	}
}

func TestAnAccountAtGoogleNeedsItsOrganisation(t *testing.T) {
	w := newWorld(t, 1)
	n := newConnection("acme.example", "second.example", "unproved.example")
	n.Issuer = "https://accounts.google.com"
	made, err := w.c.Create(t.Context(), w.tenants[0], n)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range made.Domains[:2] {
		w.names.texts[d.RecordName()+"."] = []string{d.RecordValue()}
		if _, err := w.c.Verify(t.Context(), w.tenants[0], made.ID, d.Name); err != nil {
			t.Fatal(err)
		}
	}
	for hosted, want := range map[string]error{"": sso.ErrForeignDomain, "gmail.com": sso.ErrForeignDomain, "unproved.example": sso.ErrForeignDomain, "acme.example": nil, "Second.example": nil} {
		_, err := w.c.SignIn(t.Context(), w.people, made.ID, sso.Claims{Subject: "s1", Email: "ada@acme.example", EmailVerified: true, Hosted: hosted})
		if !errors.Is(err, want) {
			t.Errorf("SignIn with %q = %v, want %v", hosted, err, want)
		}
	}
}

func TestAddressesOfWhichNothingIsSaidCountIfTheTenantTrustsItsProvider(t *testing.T) {
	w := newWorld(t, 1)
	c := w.proved(w.tenants[0], "acme.example")
	silent := sso.Claims{Subject: "s1", Email: "ada@acme.example", EmailUntold: true}
	denied, foreign := silent, silent
	denied.EmailUntold, foreign.Email = false, "ada@other.example"
	for _, trust := range []bool{false, true, false} {
		want := map[bool]error{true: nil, false: sso.ErrEmailUnverified}[trust]
		if _, err := w.c.Update(t.Context(), w.tenants[0], c.ID, sso.ConnectionChange{TrustEmail: &trust}); err != nil {
			t.Fatal(err)
		}
		if got, err := w.c.SignIn(t.Context(), w.people, c.ID, silent); !errors.Is(err, want) {
			t.Errorf("SignIn with trust %v = %+v, %v; want %v", trust, got, err, want)
		}
		if got, err := w.c.SignIn(t.Context(), w.people, c.ID, denied); !errors.Is(err, sso.ErrEmailUnverified) {
			t.Errorf("SignIn with trust %v = %+v, %v; want ErrEmailUnverified: the provider denies it", trust, got, err)
		}
		if got, err := w.c.SignIn(t.Context(), w.people, c.ID, foreign); !errors.Is(err, sso.ErrForbidden) {
			t.Errorf("SignIn with trust %v = %+v, %v; want ErrForbidden: the domain is not proved", trust, got, err)
		}
	}
}

// The claim "email" of such an issuer may be set by whoever administers any tenant there.
func TestAnIssuerOfMicrosoftIsOneTenant(t *testing.T) {
	const tenant, personal = "72f988bf-86f1-41af-91ab-2d7cd011db47", "9188040D-6c67-4c5b-b112-36a304b66dad"
	w := newWorld(t, 1)
	for i, c := range []struct {
		issuer string
		want   error
	}{
		{"https://login.microsoftonline.com/" + tenant + "/v2.0", nil},
		{"https://sts.windows.net/" + tenant + "/", nil},
		{"https://login.acme.example/common/v2.0", nil},
		{"https://notmicrosoftonline.com/common/v2.0", nil},
		{"https://login.microsoftonline.com/common/v2.0", sso.ErrInvalid},
		{"https://login.microsoftonline.com/organizations/v2.0", sso.ErrInvalid},
		{"https://login.microsoftonline.com/consumers/v2.0", sso.ErrInvalid},
		{"https://login.microsoftonline.com/{tenantid}/v2.0", sso.ErrInvalid},
		{"https://login.microsoftonline.com/acme.example/v2.0", sso.ErrInvalid},
		{"https://login.microsoftonline.com/" + personal + "/v2.0", sso.ErrInvalid},
		{"https://LOGIN.microsoftonline.com./common/v2.0", sso.ErrInvalid},
		{"https://login.microsoftonline.us/common/v2.0", sso.ErrInvalid},
		{"https://login.partner.microsoftonline.cn/common/v2.0", sso.ErrInvalid},
		{"https://sts.windows.net/common/", sso.ErrInvalid},
		{"https://sts.windows.net", sso.ErrInvalid},
	} {
		n := newConnection()
		n.Issuer, n.TrustEmail = c.issuer, true
		made, err := w.c.Create(t.Context(), w.tenants[0], n)
		if !errors.Is(err, c.want) {
			t.Errorf("Create with %q = %v, want %v", c.issuer, err, c.want)
		}
		if err == nil && w.c.Delete(t.Context(), w.tenants[0], made.ID) != nil {
			t.Error("Delete failed")
		}
		elder, err := w.store.CreateConnection(t.Context(), sso.Connection{ID: sso.ConnectionID(100 + i), Tenant: w.tenants[0], Issuer: c.issuer, Role: identity.RoleViewer}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.c.Update(t.Context(), w.tenants[0], elder.ID, sso.ConnectionChange{TrustEmail: new(true)})
		if !errors.Is(err, c.want) || got.TrustEmail != (c.want == nil) {
			t.Errorf("Update with %q = %+v, %v; want %v", c.issuer, got, err, c.want)
		}
		if all := fault.All(err); c.want != nil && (len(all) != 1 || all[0].Field != "/trust_email") {
			t.Errorf("Update with %q = %v, want it to name the field", c.issuer, err)
		}
		if _, err := w.c.Update(t.Context(), w.tenants[0], elder.ID, sso.ConnectionChange{TrustEmail: new(false), Required: new(true)}); err != nil {
			t.Errorf("Update with %q = %v, want all else to go on", c.issuer, err)
		}
		if err := w.c.Delete(t.Context(), w.tenants[0], elder.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.c.Update(t.Context(), w.tenants[0], 99, sso.ConnectionChange{TrustEmail: new(true)}); !errors.Is(err, sso.ErrNotFound) {
		t.Errorf("Update = %v, want ErrNotFound", err)
	}
}

func TestAnotherClientLinksPeopleAnew(t *testing.T) {
	w := newWorld(t, 1)
	c := w.proved(w.tenants[0], "acme.example")
	ada, err := w.signIn(c, "s1", "ada@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.signIn(c, "s2", "ada@acme.example"); !errors.Is(err, sso.ErrOtherSubject) {
		t.Errorf("SignIn = %v, want ErrOtherSubject", err)
	}
	if _, err := w.c.Update(t.Context(), w.tenants[0], c.ID, sso.ConnectionChange{ClientID: new("other")}); err != nil {
		t.Fatal(err)
	}
	if again, err := w.signIn(c, "s2", "ada@acme.example"); err != nil || again.User.ID != ada.User.ID {
		t.Errorf("SignIn = %+v, %v; want user %v, who has another subject for another client", again, err, ada.User.ID)
	}
}

func TestWhoWasRemovedComesBackByInvitationAlone(t *testing.T) {
	w := newWorld(t, 2)
	c := w.proved(w.tenants[0], "acme.example")
	bob, err := w.signIn(c, "s1", "bob@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.people.RemoveMember(t.Context(), w.tenants[0], bob.User.ID); err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[string]error{"s1": sso.ErrRemoved, "s2": sso.ErrOtherSubject} {
		if got, err := w.signIn(c, subject, "bob@acme.example"); !errors.Is(err, want) {
			t.Errorf("SignIn = %+v, %v; want %v", got, err, want)
		}
	}
	if err := w.c.Unlink(t.Context(), w.tenants[0], bob.User.ID); err != nil {
		t.Fatal(err)
	}
	got, err := w.signIn(c, "s1", "bob@acme.example")
	if all := fault.All(err); !errors.Is(err, sso.ErrForbidden) || len(all) != 1 || all[0].Code != "removed" {
		t.Errorf("SignIn = %+v, %v; want that they were removed, without a link too", got, err)
	}
	if _, err := w.people.Join(t.Context(), w.tenants[1], bob.User.ID, identity.Grant{Role: identity.RoleViewer}); err != nil {
		t.Errorf("Join = %v, want another tenant not to be affected", err)
	}
	invitations := identity.NewInvitations(w.directory, w.people, w.hasher, nil)
	invited, token, err := invitations.Invite(t.Context(), w.tenants[0], bob.User.Email, identity.Grant{Role: identity.RoleViewer})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.signIn(c, "s1", "bob@acme.example"); !errors.Is(err, sso.ErrRemoved) {
		t.Errorf("SignIn = %v, want ErrRemoved: invitation %v is not accepted", err, invited.ID)
	}
	if _, _, err := invitations.Accept(t.Context(), token, identity.Joiner{SignedIn: bob.User.ID}); err != nil {
		t.Fatal(err)
	}
	if got, err := w.signIn(c, "s1", "bob@acme.example"); err != nil || got.User.ID != bob.User.ID {
		t.Errorf("SignIn = %+v, %v; want user %v, who has accepted an invitation", got, err, bob.User.ID)
	}
}
