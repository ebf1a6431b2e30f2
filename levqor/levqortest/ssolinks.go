package levqortest

import (
	"context"
	"errors"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

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
