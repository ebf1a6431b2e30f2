package levqortest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

func connection(id sso.ConnectionID, tenant identity.TenantID, domains ...string) sso.Connection {
	c := sso.Connection{ID: id, Tenant: tenant, Issuer: "https://login.example/it's ?", ClientID: "it's ?", ClientSecret: "sealed", Role: identity.RoleViewer}
	for _, name := range domains {
		c.Domains = append(c.Domains, sso.Domain{Name: name, Token: fmt.Sprintf("token-%d-%s", int64(id), name)})
	}
	return c
}

var connectionCases = map[string]func(*env){
	"everything about a connection is kept": func(e *env) {
		e.tenant(20, 7)
		want := connection(30, 20, "a.example", "b.example")
		want.Required, want.TrustMFA, want.TrustEmail = true, true, true
		given := want
		given.Domains = slices.Clone(want.Domains)
		given.Domains[0].VerifiedAt = t0 // is for VerifyDomain to say
		got, err := e.SSO.CreateConnection(e.ctx, given, t0)
		want.CreatedAt = t0
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Fatalf("CreateConnection = %+v, %v; want %+v", got, err, want)
		}
		if got, err := e.SSO.FindConnection(e.ctx, 30); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("FindConnection = %+v, %v; want %+v", got, err, want)
		}
	},
	"a connection needs a tenant and an ID of its own": func(e *env) {
		_, err := e.SSO.CreateConnection(e.ctx, connection(30, 20), t0)
		e.wantErr(err, sso.ErrNotFound, "there is no such tenant")
		e.tenant(20, 7)
		e.tenant(21, 8)
		e.connect(30, 20)
		_, err = e.SSO.CreateConnection(e.ctx, connection(30, 21), t0)
		e.wantErr(err, sso.ErrConflict, "the ID is taken")
		e.wantConnections(20, 30)
		e.wantConnections(21)
		if _, err := e.Directory.DeleteTenant(e.ctx, 21, t0); err != nil {
			e.Fatalf("DeleteTenant = %v", err)
		}
		_, err = e.SSO.CreateConnection(e.ctx, connection(31, 21), t0)
		e.wantErr(err, sso.ErrNotFound, "the tenant's deletion has begun")
	},
	"a tenant has five at most, also if callers come at once": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 8)
		e.connect(50, 21)
		var made atomic.Int32
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				_, err := e.SSO.CreateConnection(e.ctx, connection(sso.ConnectionID(30+i), 20), time.Time{})
				if err == nil {
					made.Add(1)
				} else if !errors.Is(err, sso.ErrTooManyConnections) {
					e.Errorf("CreateConnection = %v, want ErrTooManyConnections", err)
				}
			})
		}
		wg.Wait()
		if n := made.Load(); n != sso.MaxConnections {
			e.Errorf("%d connections were made, want %d", n, sso.MaxConnections)
		}
	},
	"connections are listed in the order of their IDs, and nobody else's": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 8)
		for _, id := range []sso.ConnectionID{32, 30, 31} {
			e.connect(id, 20, fmt.Sprintf("d%d.example", int64(id)))
		}
		e.connect(33, 21)
		e.wantConnections(20, 30, 31, 32)
		e.wantConnections(21, 33)
		e.wantConnections(22)
	},
	"a change is kept and leaves the rest as it is": func(e *env) {
		e.tenant(20, 7)
		want := e.connect(30, 20, "a.example")
		for _, change := range []struct {
			c   sso.Change
			set func()
		}{
			{sso.Change{}, func() {}},
			{sso.Change{ClientID: new("other")}, func() { want.ClientID = "other" }},
			{sso.Change{ClientSecret: new("resealed")}, func() { want.ClientSecret = "resealed" }},
			{sso.Change{Role: new(identity.RoleMember)}, func() { want.Role = identity.RoleMember }},
			{sso.Change{Required: new(true)}, func() { want.Required = true }},
			{sso.Change{TrustMFA: new(true)}, func() { want.TrustMFA = true }},
			{sso.Change{TrustEmail: new(true)}, func() { want.TrustEmail = true }},
			{sso.Change{TrustMFA: new(false)}, func() { want.TrustMFA = false }},
			{sso.Change{Required: new(false)}, func() { want.Required = false }},
		} {
			change.set()
			got, err := e.SSO.UpdateConnection(e.ctx, 20, 30, change.c)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				e.Errorf("UpdateConnection(%+v) = %+v, %v; want %+v", change.c, got, err, want)
			}
		}
		if got, err := e.SSO.FindConnection(e.ctx, 30); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("FindConnection = %+v, %v; want %+v", got, err, want)
		}
	},
	"another client ends the links that were made at the issuer": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 8)
		c := e.connect(30, 20)
		at := func(issuer, subject string, tenant identity.TenantID) sso.Link {
			return sso.Link{Issuer: issuer, Subject: subject, User: 7, Tenant: tenant}
		}
		mine, elsewhere, theirs := at(c.Issuer, "s", 20), at("https://other.example", "s", 20), at(c.Issuer, "s", 21)
		there := func(l sso.Link, want bool) {
			e.Helper()
			if _, err := e.SSO.FindLink(e.ctx, l.Tenant, l.Issuer, l.Subject); (err == nil) != want {
				e.Errorf("FindLink(%+v) = %v, want it there: %v", l, err, want)
			}
		}
		for _, l := range []sso.Link{mine, elsewhere, theirs} {
			e.insertSubject(l)
		}
		for _, change := range []sso.Change{{ClientID: &c.ClientID}, {ClientSecret: new("resealed")}} {
			if _, err := e.SSO.UpdateConnection(e.ctx, 20, 30, change); err != nil {
				e.Errorf("UpdateConnection = %v", err)
			}
		}
		_, err := e.SSO.UpdateConnection(e.ctx, 21, 30, sso.Change{ClientID: new("other")})
		e.wantErr(err, sso.ErrNotFound, "the connection is another tenant's")
		there(mine, true)
		if _, err := e.SSO.UpdateConnection(e.ctx, 20, 30, sso.Change{ClientID: new("other")}); err != nil {
			e.Errorf("UpdateConnection = %v", err)
		}
		there(mine, false)
		there(elsewhere, true)
		there(theirs, true)
	},
	"domains are replaced, and those that were there stay as they are": func(e *env) {
		e.tenant(20, 7)
		c := e.connect(30, 20, "a.example", "b.example")
		e.verify(c, "b.example")
		changed := connection(99, 20, "b.example", "c.example").Domains
		changed[1].VerifiedAt = t0
		got, err := e.SSO.UpdateConnection(e.ctx, 20, 30, sso.Change{Domains: &changed})
		want := []sso.Domain{{Name: "b.example", Token: "token-30-b.example", VerifiedAt: t0}, {Name: "c.example", Token: "token-99-c.example"}} //nolint:gosec // open to all
		if err != nil || fmt.Sprint(got.Domains) != fmt.Sprint(want) {
			e.Errorf("UpdateConnection = %+v, %v; want %+v", got.Domains, err, want)
		}
		if got, err := e.SSO.UpdateConnection(e.ctx, 20, 30, sso.Change{Domains: &[]sso.Domain{}}); err != nil || len(got.Domains) != 0 {
			e.Errorf("UpdateConnection = %+v, %v; want no domains", got.Domains, err)
		}
		_, err = e.SSO.FindByDomain(e.ctx, "b.example")
		e.wantErr(err, sso.ErrNotFound, "the connection has given the domain up")
	},
	"another tenant's connection is not found": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 8)
		c := e.connect(30, 20, "a.example")
		_, update := e.SSO.UpdateConnection(e.ctx, 21, 30, sso.Change{ClientID: new("other")})
		_, verify := e.SSO.VerifyDomain(e.ctx, 21, 30, sso.Proof{Domain: c.Domains[0]}, t0)
		for _, err := range []error{update, verify, e.SSO.DeleteConnection(e.ctx, 21, 30), e.SSO.EraseTenant(e.ctx, 21)} {
			if err != nil {
				e.wantErr(err, sso.ErrNotFound, "it is another tenant's")
			}
		}
		if got, err := e.SSO.FindConnection(e.ctx, 30); err != nil || fmt.Sprint(got) != fmt.Sprint(c) || update == nil || verify == nil {
			e.Errorf("FindConnection = %+v, %v; want %+v as it was", got, err, c)
		}
	},
	"what is not there is not found": func(e *env) {
		e.tenant(20, 7)
		_, find := e.SSO.FindConnection(e.ctx, 30)
		_, byDomain := e.SSO.FindByDomain(e.ctx, "a.example")
		_, update := e.SSO.UpdateConnection(e.ctx, 20, 30, sso.Change{})
		_, verify := e.SSO.VerifyDomain(e.ctx, 20, 30, sso.Proof{Domain: sso.Domain{Name: "a.example"}}, t0)
		for _, err := range []error{find, byDomain, update, verify, e.SSO.DeleteConnection(e.ctx, 20, 30)} {
			e.wantErr(err, sso.ErrNotFound, "there is none")
		}
	},
	"a deleted connection is gone and its domains are free": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 8)
		e.verify(e.connect(30, 20, "a.example"), "a.example")
		e.insertSubject(e.newLink("s", 7, 20))
		if err := e.SSO.DeleteConnection(e.ctx, 20, 30); err != nil {
			e.Fatalf("DeleteConnection = %v", err)
		}
		_, err := e.SSO.FindConnection(e.ctx, 30)
		e.wantErr(err, sso.ErrNotFound, "it is deleted")
		e.verify(e.connect(31, 21, "a.example"), "a.example")
		if _, err := e.SSO.FindLink(e.ctx, 20, "https://login.example", "s"); err != nil {
			e.Errorf("FindLink = %v, want the link that was made", err)
		}
	},
}

// connect stores a connection.
func (e *env) connect(id sso.ConnectionID, tenant identity.TenantID, domains ...string) sso.Connection {
	e.Helper()
	c, err := e.SSO.CreateConnection(e.ctx, connection(id, tenant, domains...), t0)
	if err != nil {
		e.Fatalf("CreateConnection = %v", err)
	}
	return c
}

func (e *env) wantConnections(tenant identity.TenantID, want ...sso.ConnectionID) {
	e.Helper()
	all, err := e.SSO.ListConnections(e.ctx, tenant)
	var got []sso.ConnectionID
	for _, c := range all {
		got = append(got, c.ID)
	}
	if err != nil || !slices.Equal(got, want) {
		e.Errorf("the connections of %v are %v, %v; want %v", tenant, got, err, want)
	}
}
