package sso_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

// dns answers with the texts of names, or with its error.
type dns struct {
	texts map[string][]string
	err   error
}

// LookupTXT implements [sso.TXTLookup].
func (d *dns) LookupTXT(_ context.Context, name string) ([]string, error) {
	if d.err != nil {
		return nil, d.err
	}
	texts, ok := d.texts[name]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return texts, nil
}

// newTenants returns connections and n tenants.
func newTenants(t *testing.T, n int) (*sso.Connections, *dns, []identity.TenantID) {
	t.Helper()
	people := identity.NewMemDirectory(identity.NewMemKeyStore())
	d := identity.NewDirectory(people, nil)
	var tenants []identity.TenantID
	for i := range n {
		email, err := identity.ParseEmail(fmt.Sprintf("owner%d@example.com", i))
		if err != nil {
			t.Fatal(err)
		}
		owner, _, err := d.EnsureUser(t.Context(), email, "")
		if err != nil {
			t.Fatal(err)
		}
		tenant, err := d.CreateTenant(t.Context(), "t", owner.ID)
		if err != nil {
			t.Fatal(err)
		}
		tenants = append(tenants, tenant.ID)
	}
	ring, err := levqor.NewKeyRing(bytes.Repeat([]byte("s"), 32))
	if err != nil {
		t.Fatal(err)
	}
	names := &dns{texts: map[string][]string{}}
	return sso.New(sso.NewMemStore(people), ring.Sealer(), &sso.Options{TXT: names}), names, tenants
}

func newConnection(domains ...string) sso.NewConnection {
	return sso.NewConnection{Issuer: "https://login.acme.example", ClientID: "client", ClientSecret: "hunter2", Domains: domains, Role: identity.RoleViewer}
}

func create(t *testing.T, c *sso.Connections, tenant identity.TenantID, domains ...string) sso.Connection {
	t.Helper()
	made, err := c.Create(t.Context(), tenant, newConnection(domains...))
	if err != nil {
		t.Fatalf("Create = %v", err)
	}
	return made
}

func TestASecretIsSealedInItsPlace(t *testing.T) {
	c, _, tenants := newTenants(t, 1)
	one, two := create(t, c, tenants[0]), create(t, c, tenants[0])
	if strings.Contains(fmt.Sprint(one), "hunter2") || one.ClientSecret == two.ClientSecret {
		t.Errorf("the connection is %+v, want its secret sealed", one)
	}
	if secret, err := c.Secret(one); err != nil || secret != "hunter2" {
		t.Errorf("Secret = %q, %v", secret, err)
	}
	two.ClientSecret = one.ClientSecret
	if secret, err := c.Secret(two); err == nil || secret != "" {
		t.Errorf("Secret = %q, %v; want an error: it was sealed for another connection", secret, err)
	}
	if _, err := c.Update(t.Context(), tenants[0], one.ID, sso.ConnectionChange{ClientSecret: new("other")}); err != nil {
		t.Fatal(err)
	}
	one, err := c.Get(t.Context(), tenants[0], one.ID)
	if err != nil {
		t.Fatal(err)
	}
	if secret, err := c.Secret(one); err != nil || secret != "other" {
		t.Errorf("Secret = %q, %v; want the new one", secret, err)
	}
}

func TestEachWrongFieldIsNamed(t *testing.T) {
	c, _, tenants := newTenants(t, 1)
	made := create(t, c, tenants[0])
	many := make([]string, sso.MaxDomains+1)
	for i := range many {
		many[i] = fmt.Sprintf("d%d.example", i)
	}
	for field, change := range map[string]func(n *sso.NewConnection){
		"/issuer":        func(n *sso.NewConnection) { n.Issuer = "http://login.acme.example" },
		"/client_id":     func(n *sso.NewConnection) { n.ClientID = "" },
		"/client_secret": func(n *sso.NewConnection) { n.ClientSecret = strings.Repeat("s", 1001) },
		"/domains":       func(n *sso.NewConnection) { n.Domains = many },
		"/domains/1":     func(n *sso.NewConnection) { n.Domains = []string{"acme.example", "com"} },
		"/domains/0": func(n *sso.NewConnection) {
			n.Domains = []string{strings.Repeat(strings.Repeat("d", 59)+".", 4) + "exampl"}
		},
		"/role": func(n *sso.NewConnection) { n.Role = identity.RoleAdmin },
	} {
		n := newConnection()
		change(&n)
		_, err := c.Create(t.Context(), tenants[0], n)
		errs := []error{err}
		if field != "/issuer" {
			_, err := c.Update(t.Context(), tenants[0], made.ID, sso.ConnectionChange{ClientID: &n.ClientID, ClientSecret: &n.ClientSecret, Domains: &n.Domains, Role: &n.Role})
			errs = append(errs, err)
		}
		for _, err := range errs {
			if all := fault.All(err); !errors.Is(err, sso.ErrInvalid) || len(all) != 1 || all[0].Field != field {
				t.Errorf("%s: the error is %v", field, err)
			}
		}
	}
}

func TestIssuersAreAddressesToBeginWith(t *testing.T) {
	c, _, tenants := newTenants(t, 1)
	for _, issuer := range []string{
		"", "login.acme.example", "//login.acme.example", "https://", "https://u@acme.example", "https://acme.example?a=b", "https://acme.example?",
		"https://acme.example#a", "ftp://acme.example", "javascript:alert(1)", "https://acme.example/\n", "http://127.0.0.1.evil.example", "https://" + strings.Repeat("a", 500),
	} {
		n := newConnection()
		n.Issuer = issuer
		if _, err := c.Create(t.Context(), tenants[0], n); !errors.Is(err, sso.ErrInvalid) {
			t.Errorf("Create with %q = %v, want ErrInvalid", issuer, err)
		}
	}
	for _, issuer := range []string{"https://acme.example", "https://acme.example:8443/realms/a/", "http://localhost:8080", "http://127.0.0.1:1/a", "http://[::1]:1"} {
		n := newConnection()
		n.Issuer = issuer
		made, err := c.Create(t.Context(), tenants[0], n)
		if err != nil || made.Issuer != issuer {
			t.Errorf("Create with %q = %+v, %v", issuer, made, err)
		}
		if err := c.Delete(t.Context(), tenants[0], made.ID); err != nil {
			t.Error(err)
		}
	}
}

func TestDomainsAreClaimedInTheirCanonicalForm(t *testing.T) {
	c, _, tenants := newTenants(t, 1)
	made := create(t, c, tenants[0], "Bücher.example", "acme.example", "ACME.example", "xn--bcher-kva.example")
	var names []string
	for _, d := range made.Domains {
		names = append(names, d.Name)
		if len(d.Token) < 26 {
			t.Errorf("the token is %q, want 128 bits", d.Token)
		}
	}
	if want := []string{"acme.example", "xn--bcher-kva.example"}; !slices.Equal(names, want) || made.Domains[0].Token == made.Domains[1].Token {
		t.Errorf("the domains are %+v, want %q with tokens of their own", made.Domains, want)
	}
}

func TestADomainCountsAfterItsProof(t *testing.T) {
	c, names, tenants := newTenants(t, 2)
	mine, theirs := create(t, c, tenants[0], "acme.example"), create(t, c, tenants[1], "acme.example")
	email, err := identity.ParseEmail("ada@ACME.example")
	if err != nil {
		t.Fatal(err)
	}
	verify := func(tenant identity.TenantID, id sso.ConnectionID, want error) {
		t.Helper()
		_, err := c.Verify(t.Context(), tenant, id, "ACME.example")
		if want == nil && err != nil || !errors.Is(err, want) {
			t.Errorf("Verify = %v, want %v", err, want)
		}
	}
	if _, err := c.FindByDomain(t.Context(), email); !errors.Is(err, sso.ErrNotFound) {
		t.Errorf("FindByDomain = %v, want ErrNotFound: nothing is proved", err)
	}
	verify(tenants[0], mine.ID, sso.ErrDomainUnverified)
	record := "_levqor.acme.example."
	for _, text := range []string{"", "levqor-domain-verification=", theirs.Domains[0].RecordValue(), mine.Domains[0].RecordValue() + " ", mine.Domains[0].Token} {
		names.texts[record] = []string{text}
		verify(tenants[0], mine.ID, sso.ErrDomainUnverified)
	}
	names.err = &net.DNSError{Err: "server misbehaving at 192.0.2.1", IsTemporary: true}
	verify(tenants[0], mine.ID, sso.ErrUnavailable)
	names.err = nil
	names.texts[record] = []string{"levqor-domain-verification=" + mine.Domains[0].Token, theirs.Domains[0].RecordValue()}
	verify(tenants[1], mine.ID, sso.ErrNotFound)
	verify(tenants[0], mine.ID, nil)
	verify(tenants[1], theirs.ID, sso.ErrDomainTaken)
	clear(names.texts)
	verify(tenants[0], mine.ID, nil) // stays proved
	if found, err := c.FindByDomain(t.Context(), email); err != nil || found.ID != mine.ID {
		t.Errorf("FindByDomain = %+v, %v; want %v", found, err, mine.ID)
	}
	if _, err := c.Verify(t.Context(), tenants[0], mine.ID, "other.example"); !errors.Is(err, sso.ErrNotFound) {
		t.Errorf("Verify = %v, want ErrNotFound: the domain was not claimed", err)
	}
}

func TestAnotherTenantsConnectionIsNotFound(t *testing.T) {
	c, _, tenants := newTenants(t, 2)
	made := create(t, c, tenants[0])
	_, get := c.Get(t.Context(), tenants[1], made.ID)
	_, update := c.Update(t.Context(), tenants[1], made.ID, sso.ConnectionChange{Required: new(true)})
	_, verify := c.Verify(t.Context(), tenants[1], made.ID, "acme.example")
	for _, err := range []error{get, update, verify, c.Delete(t.Context(), tenants[1], made.ID)} {
		if !errors.Is(err, sso.ErrNotFound) {
			t.Errorf("the error is %v, want ErrNotFound", err)
		}
	}
	if all, err := c.List(t.Context(), tenants[1]); err != nil || len(all) != 0 {
		t.Errorf("List = %+v, %v; want none", all, err)
	}
	if all, err := c.List(t.Context(), tenants[0]); err != nil || len(all) != 1 || all[0].Required {
		t.Errorf("List = %+v, %v; want the connection as it was", all, err)
	}
}

func TestIDsAreReadAsTheyAreWritten(t *testing.T) {
	if id, err := sso.ParseConnectionID(sso.ConnectionID(7).String()); err != nil || id != 7 {
		t.Errorf("ParseConnectionID = %v, %v", id, err)
	}
	for _, text := range []string{"", "sso_", "ten_00000000007", "sso_0000000000-"} {
		if _, err := sso.ParseConnectionID(text); !errors.Is(err, sso.ErrNotFound) {
			t.Errorf("ParseConnectionID(%q) = %v, want ErrNotFound", text, err)
		}
	}
}
