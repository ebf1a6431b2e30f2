package web

import (
	"context"
	"net/http"
	"net/url"

	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// visitor is who is signed in.
type visitor struct {
	login.Found
	token string
}

// Tenant is where the visitor is at work, 0 for nowhere.
func (v *visitor) Tenant() identity.TenantID {
	if _, ok := v.Principal(); !ok {
		return 0
	}
	return v.Session.Tenant
}

// may reports whether the visitor may do what a scope allows in their tenant.
func (v *visitor) may(scope string) bool {
	who, ok := v.Principal()
	return ok && who.Allows(scope)
}

// caller is the visitor as the rest of the service knows them.
func (v *visitor) caller() identity.Principal {
	who, _ := v.Principal()
	return who
}

// Half reports whether the visitor has a second factor to show before anything else.
func (v *visitor) Half() bool { return v.Session.Level == login.LevelHalf }

type visitorKey struct{}

func withVisitor(r *http.Request, who *visitor) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), visitorKey{}, who))
}

// visitor returns who has sent a request that was admitted, nil if nobody is signed in.
func (s *site) visitor(r *http.Request) *visitor {
	who, _ := r.Context().Value(visitorKey{}).(*visitor)
	return who
}

// here returns the page of a request as the value of a parameter "return": what a form
// was sent to is no page.
func (s *site) here(r *http.Request) string {
	if r.Method != http.MethodGet {
		return url.QueryEscape("/account")
	}
	return url.QueryEscape(r.URL.RequestURI()[len(s.opts.Base):])
}

// back returns where a visitor wanted to go, their account if nowhere else: a page of this
// origin, whatever is asked for.
func back(r *http.Request) string {
	to := r.FormValue("return")
	if to == "" {
		return "/account"
	}
	return httpguard.ReturnPath(to)
}
