package levqortest

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

var domainCases = map[string]func(*env){
	"a domain counts once it is verified, from the first time": func(e *env) {
		e.tenant(20, 7)
		c := e.connect(30, 20, "a.example", "b.example")
		_, err := e.SSO.FindByDomain(e.ctx, "a.example")
		e.wantErr(err, sso.ErrNotFound, "nobody has verified it")
		for i := range 2 {
			got, err := e.SSO.VerifyDomain(e.ctx, 20, 30, sso.Proof{Domain: c.Domains[0]}, t0.Add(time.Duration(i)*time.Hour))
			if err != nil || !got.Domains[0].VerifiedAt.Equal(t0) || !got.Domains[1].VerifiedAt.IsZero() {
				e.Errorf("VerifyDomain = %+v, %v; want the first domain verified at %v", got.Domains, err, t0)
			}
		}
		if got, err := e.SSO.FindByDomain(e.ctx, "a.example"); err != nil || got.ID != 30 || len(got.Domains) != 2 {
			e.Errorf("FindByDomain = %+v, %v; want connection 30", got, err)
		}
		_, err = e.SSO.FindByDomain(e.ctx, "b.example")
		e.wantErr(err, sso.ErrNotFound, "nobody has verified it")
	},
	"a token that is not the domain's proves nothing": func(e *env) {
		e.tenant(20, 7)
		c := e.connect(30, 20, "a.example")
		c.Domains[0].Token = "other"
		_, err := e.SSO.VerifyDomain(e.ctx, 20, 30, sso.Proof{Domain: c.Domains[0]}, t0)
		e.wantErr(err, sso.ErrNotFound, "the domain has another token")
	},
	"a domain moves from the connection that is named, and from no other": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 8)
		e.verify(e.connect(30, 20, "a.example", "b.example"), "a.example")
		e.verify(e.connect(32, 20, "b.example"), "b.example")
		proof := sso.Proof{Domain: e.connect(31, 21, "a.example").Domains[0]}
		for _, from := range []sso.ConnectionID{0, 31, 32, 33} {
			proof.From = from
			_, err := e.SSO.VerifyDomain(e.ctx, 21, 31, proof, t0)
			e.wantErr(err, sso.ErrDomainTaken, "connection 30 has it")
		}
		proof.From = 30
		_, err := e.SSO.VerifyDomain(e.ctx, 20, 31, proof, t0)
		e.wantErr(err, sso.ErrNotFound, "the connection is another tenant's")
		e.wantSpeaker("a.example", 30)
		if got, err := e.SSO.VerifyDomain(e.ctx, 21, 31, proof, t0); err != nil || !got.Speaks("a.example") {
			e.Errorf("VerifyDomain = %+v, %v; want the domain verified", got, err)
		}
		e.wantSpeaker("a.example", 31)
		e.wantSpeaker("b.example", 32)
		if got, err := e.SSO.FindConnection(e.ctx, 30); err != nil || len(got.Domains) != 2 || got.Speaks("a.example") {
			e.Errorf("FindConnection = %+v, %v; want the domain claimed and not verified", got, err)
		}
		proof.From = 31
		if _, err := e.SSO.VerifyDomain(e.ctx, 21, 31, proof, t0.Add(time.Hour)); err != nil {
			e.Errorf("VerifyDomain = %v, want the domain to stay verified", err)
		}
		e.wantSpeaker("a.example", 31)
	},
	"of connections at once one gets a domain that all have claimed": func(e *env) {
		var got atomic.Int32
		var wg sync.WaitGroup
		for i := range 6 {
			tenant, id := identity.TenantID(20+i), sso.ConnectionID(30+i)
			e.tenant(tenant, identity.UserID(7+i))
			c := e.connect(id, tenant, "a.example")
			wg.Go(func() {
				_, err := e.SSO.VerifyDomain(e.ctx, tenant, id, sso.Proof{Domain: c.Domains[0]}, time.Time{})
				if err == nil {
					got.Add(1)
				} else if !errors.Is(err, sso.ErrDomainTaken) {
					e.Errorf("VerifyDomain = %v, want ErrDomainTaken", err)
				}
			})
		}
		wg.Wait()
		if n := got.Load(); n != 1 {
			e.Errorf("%d connections have the domain, want 1", n)
		}
	},
}

// verify makes a connection's domain a verified one.
func (e *env) verify(c sso.Connection, domain string) {
	e.Helper()
	for _, d := range c.Domains {
		if d.Name != domain {
			continue
		}
		if _, err := e.SSO.VerifyDomain(e.ctx, c.Tenant, c.ID, sso.Proof{Domain: d}, t0); err != nil {
			e.Errorf("VerifyDomain = %v", err)
		}
	}
}

// wantSpeaker checks which connection has verified a domain.
func (e *env) wantSpeaker(domain string, want sso.ConnectionID) {
	e.Helper()
	if got, err := e.SSO.FindByDomain(e.ctx, domain); err != nil || got.ID != want {
		e.Errorf("FindByDomain(%s) = %+v, %v; want connection %v", domain, got, err, want)
	}
}
