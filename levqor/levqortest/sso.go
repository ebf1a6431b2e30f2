package levqortest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor"
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

var subjectCases = map[string]func(*env){
	"everything about a link is kept": func(e *env) {
		want := sso.Link{Issuer: "https://login.example/it's ?", Subject: "it's ?", User: 7, Tenant: 20}
		got, err := e.SSO.InsertLink(e.ctx, want, t0)
		want.CreatedAt = t0
		if err != nil || got != want {
			e.Fatalf("InsertLink = %+v, %v; want %+v", got, err, want)
		}
		if got, err := e.SSO.FindLink(e.ctx, 20, want.Issuer, want.Subject); err != nil || got != want {
			e.Errorf("FindLink = %+v, %v; want %+v", got, err, want)
		}
	},
	"issuer and subject count together, to the letter": func(e *env) {
		e.insertSubject(e.newLink("s", 7, 20))
		for _, other := range [][2]string{{"https://login.example", "S"}, {"https://login.example", "s "}, {"https://login.example/", "s"}} {
			_, err := e.SSO.FindLink(e.ctx, 20, other[0], other[1])
			e.wantErr(err, sso.ErrNotFound, "it is another subject")
		}
	},
	"a subject is one user, and a user one subject of an issuer": func(e *env) {
		e.insertSubject(e.newLink("s", 7, 20))
		for _, l := range []sso.Link{e.newLink("s", 7, 20), e.newLink("s", 8, 20), e.newLink("t", 7, 20)} {
			_, err := e.SSO.InsertLink(e.ctx, l, t0)
			e.wantErr(err, sso.ErrConflict, "the subject or the user is linked")
		}
		other := e.newLink("s", 7, 20)
		other.Issuer = "https://other.example"
		e.insertSubject(other)
		if got, err := e.SSO.FindLink(e.ctx, 20, "https://login.example", "s"); err != nil || got.User != 7 {
			e.Errorf("FindLink = %+v, %v; want user 7", got, err)
		}
	},
	"a link of another tenant counts as none": func(e *env) {
		e.insertSubject(e.newLink("s", 7, 20))
		_, err := e.SSO.FindLink(e.ctx, 21, "https://login.example", "s")
		e.wantErr(err, sso.ErrNotFound, "the link is another tenant's")
		e.insertSubject(e.newLink("s", 8, 21))
		e.insertSubject(e.newLink("t", 7, 22))
		for tenant, want := range map[identity.TenantID]identity.UserID{20: 7, 21: 8} {
			if got, err := e.SSO.FindLink(e.ctx, tenant, "https://login.example", "s"); err != nil || got.User != want || got.Tenant != tenant {
				e.Errorf("FindLink = %+v, %v; want user %v", got, err, want)
			}
		}
	},
	"a conflict does not end the caller's transaction": func(e *env) {
		e.inTx(func(ctx context.Context, tx levqor.Stores) error {
			for _, want := range []error{nil, sso.ErrConflict} {
				_, err := tx.SSO.InsertLink(ctx, e.newLink("s", 7, 20), t0)
				e.wantErr(err, want, "the subject is linked the second time")
			}
			_, err := tx.SSO.FindLink(ctx, 20, "https://login.example", "s")
			return err
		})
	},
	"a tenant unlinks who came through its connections, and nobody else": func(e *env) {
		e.insertSubject(e.newLink("s", 7, 20))
		e.insertSubject(e.newLink("t", 8, 20))
		e.wantErr(e.SSO.Unlink(e.ctx, 21, 7), sso.ErrNotFound, "the link is another tenant's")
		if err := e.SSO.Unlink(e.ctx, 20, 7); err != nil {
			e.Errorf("Unlink = %v", err)
		}
		e.wantLinks(20, map[string]bool{"s": false, "t": true})
		e.wantErr(e.SSO.Unlink(e.ctx, 20, 7), sso.ErrNotFound, "there is no link any more")
	},
	"links of a user since an instant can go, and no others": func(e *env) {
		e.insertSubject(e.newLink("s", 7, 20))
		e.insertSubject(e.newLink("t", 8, 20))
		if err := e.SSO.UnlinkSince(e.ctx, 7, t0.Add(time.Microsecond)); err != nil {
			e.Errorf("UnlinkSince = %v", err)
		}
		e.wantLinks(20, map[string]bool{"s": true, "t": true})
		for range 2 {
			if err := e.SSO.UnlinkSince(e.ctx, 7, t0); err != nil {
				e.Errorf("UnlinkSince = %v", err)
			}
		}
		e.wantLinks(20, map[string]bool{"s": false, "t": true})
	},
	"an erased user leaves no link": func(e *env) {
		e.insertSubject(e.newLink("s", 7, 20))
		e.insertSubject(e.newLink("t", 8, 20))
		for range 2 {
			if err := e.SSO.EraseUser(e.ctx, 7); err != nil {
				e.Errorf("EraseUser = %v", err)
			}
		}
		e.wantLinks(20, map[string]bool{"s": false, "t": true})
	},
	"an erased tenant leaves no connection, domain or link": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 8)
		e.verify(e.connect(30, 20, "a.example"), "a.example")
		e.connect(31, 21)
		e.insertSubject(e.newLink("s", 7, 20))
		e.insertSubject(e.newLink("t", 8, 21))
		for range 2 {
			if err := e.SSO.EraseTenant(e.ctx, 20); err != nil {
				e.Errorf("EraseTenant = %v", err)
			}
		}
		e.wantConnections(20)
		e.wantConnections(21, 31)
		e.wantLinks(20, map[string]bool{"s": false})
		e.wantLinks(21, map[string]bool{"t": true})
		e.verify(e.connect(32, 21, "a.example"), "a.example")
	},
}

var flowCases = map[string]func(*env){
	"a flow is taken once": func(e *env) {
		want := sso.Flow{Hash: []byte{0, 1, 0xff}, Connection: 30, ReturnPath: "/it's ?", MaxAge: 5 * time.Minute}
		if err := e.SSO.BeginFlow(e.ctx, want, time.Hour, t0); err != nil {
			e.Fatalf("BeginFlow = %v", err)
		}
		e.wantErr(e.SSO.BeginFlow(e.ctx, want, time.Hour, t0), sso.ErrConflict, "the hash is taken")
		_, err := e.SSO.TakeFlow(e.ctx, []byte{0, 1}, t0)
		e.wantErr(err, sso.ErrNotFound, "there is none with that hash")
		if got, err := e.SSO.TakeFlow(e.ctx, want.Hash, t0.Add(time.Hour-time.Microsecond)); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("TakeFlow = %+v, %v; want %+v", got, err, want)
		}
		_, err = e.SSO.TakeFlow(e.ctx, want.Hash, t0)
		e.wantErr(err, sso.ErrNotFound, "it was taken")
	},
	"a flow whose time is over is not found": func(e *env) {
		if err := e.SSO.BeginFlow(e.ctx, sso.Flow{Hash: []byte("h"), Connection: 30}, time.Hour, t0); err != nil {
			e.Fatalf("BeginFlow = %v", err)
		}
		_, err := e.SSO.TakeFlow(e.ctx, []byte("h"), t0.Add(time.Hour))
		e.wantErr(err, sso.ErrNotFound, "its time is over")
	},
	"of callers at once one takes a flow": func(e *env) {
		if err := e.SSO.BeginFlow(e.ctx, sso.Flow{Hash: []byte("h"), Connection: 30}, time.Hour, time.Time{}); err != nil {
			e.Fatalf("BeginFlow = %v", err)
		}
		var taken atomic.Int32
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := e.SSO.TakeFlow(e.ctx, []byte("h"), time.Time{}); err == nil {
					taken.Add(1)
				} else if !errors.Is(err, sso.ErrNotFound) {
					e.Errorf("TakeFlow = %v, want ErrNotFound", err)
				}
			})
		}
		wg.Wait()
		if n := taken.Load(); n != 1 {
			e.Errorf("%d callers took the flow, want 1", n)
		}
	},
	"flows whose time is over are deleted up to the limit": func(e *env) {
		for i := range 3 {
			if err := e.SSO.BeginFlow(e.ctx, sso.Flow{Hash: []byte{byte(i)}, Connection: 30}, time.Hour, t0); err != nil {
				e.Fatalf("BeginFlow = %v", err)
			}
		}
		if err := e.SSO.BeginFlow(e.ctx, sso.Flow{Hash: []byte("late"), Connection: 30}, time.Hour, t0.Add(time.Minute)); err != nil {
			e.Fatalf("BeginFlow = %v", err)
		}
		for _, want := range []int{2, 1, 0} {
			if n, err := e.SSO.DeleteExpiredFlows(e.ctx, 2, t0.Add(time.Hour)); err != nil || n != want {
				e.Errorf("DeleteExpiredFlows = %d, %v; want %d", n, err, want)
			}
		}
		if _, err := e.SSO.TakeFlow(e.ctx, []byte("late"), t0.Add(time.Hour)); err != nil {
			e.Errorf("TakeFlow = %v, want the one that is left", err)
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

func (e *env) newLink(subject string, user identity.UserID, tenant identity.TenantID) sso.Link {
	return sso.Link{Issuer: "https://login.example", Subject: subject, User: user, Tenant: tenant}
}

func (e *env) insertSubject(l sso.Link) {
	e.Helper()
	if _, err := e.SSO.InsertLink(e.ctx, l, t0); err != nil {
		e.Fatalf("InsertLink = %v", err)
	}
}

func (e *env) wantLinks(tenant identity.TenantID, want map[string]bool) {
	e.Helper()
	for subject, there := range want {
		_, err := e.SSO.FindLink(e.ctx, tenant, "https://login.example", subject)
		if (err == nil) != there || err != nil && !errors.Is(err, sso.ErrNotFound) {
			e.Errorf("FindLink(%s) = %v, want it there: %v", subject, err, there)
		}
	}
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
