package web

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

func (s *site) teamProviderRoutes() []route {
	return []route{
		{"GET /team/sso", httpguard.Page, signed, s.teamProviders},
		{"POST /team/sso", httpguard.Page, proven, s.addProvider},
		{"GET /team/sso/{id}", httpguard.Page, signed, s.teamProvider},
		{"POST /team/sso/{id}", httpguard.Page, proven, s.changeProvider},
		{"POST /team/sso/{id}/verify", httpguard.Page, proven, s.verifyDomain},
		{"POST /team/sso/{id}/test", httpguard.Page, signed, s.testProvider},
		{"POST /team/sso/{id}/remove", httpguard.Page, proven, s.removeProvider},
		{"POST /team/unlink", httpguard.Page, proven, s.unlinkMember},
	}
}

// providersPage is the data of the page of a team's identity providers.
type providersPage struct {
	Connections []sso.Connection
	MayChange   bool
	// Callback is what the address begins with that the provider has to know.
	Callback string
	Roles    []identity.Role
	// Typed is what was wrong and is typed again, but for the secret.
	Typed sso.NewConnection
}

// connectionPage is the data of the page of one.
type connectionPage struct {
	sso.Connection
	MayChange, MayTest bool
	Callback           string
	Roles              []identity.Role
	Names              []string // of the domains
}

// newcomerRoles are those that a provider can give.
var newcomerRoles = []identity.Role{identity.RoleViewer, identity.RoleMember}

func (s *site) teamProviders(w http.ResponseWriter, r *http.Request, who *visitor) error {
	return s.showProviders(w, r, who, nil, sso.NewConnection{})
}

func (s *site) showProviders(w http.ResponseWriter, r *http.Request, who *visitor, wrong error, typed sso.NewConnection) error {
	tenant, err := s.inTeam(who, "sso:read")
	if err != nil {
		return err
	}
	typed.ClientSecret = ""
	page := providersPage{MayChange: who.may("sso:write"), Roles: newcomerRoles, Typed: typed}
	if s.party != nil {
		page.Callback = s.app.PublicURL() + callbackBase + "/"
	}
	if page.Connections, err = s.app.SSO.List(r.Context(), tenant); err != nil {
		return err
	}
	s.renderForm(w, r, wrong, "providers", view{Title: "Single sign-on", Data: page})
	return nil
}

func (s *site) addProvider(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if _, err := s.inTeam(who, "sso:write"); err != nil {
		return err
	}
	if err := s.takeProtected(r.Context(), who); err != nil {
		return err
	}
	n := sso.NewConnection{
		Issuer: strings.TrimSpace(r.PostFormValue("issuer")), ClientID: strings.TrimSpace(r.PostFormValue("client_id")),
		ClientSecret: strings.TrimSpace(r.PostFormValue("client_secret")), Domains: words(r.PostFormValue("domains")),
		Role: identity.Role(r.PostFormValue("role")), TrustMFA: r.PostFormValue("trust_mfa") == "yes",
		TrustEmail: r.PostFormValue("trust_email") == "yes",
	}
	var made sso.Connection
	err := s.app.InTx(r.Context(), func(ctx context.Context, tx levqor.Stores) (err error) {
		if made, err = s.app.AddConnection(ctx, tx, who.caller(), n); err != nil {
			return err
		}
		return s.recordConnection(ctx, tx, r, who, guard.ActionSSOCreated, sso.Connection{}, made)
	})
	if errors.Is(err, fault.ErrInvalid) || errors.Is(err, sso.ErrTooManyConnections) {
		return s.showProviders(w, r, who, err, n)
	}
	if err != nil {
		return err
	}
	s.goTo(w, r, "/team/sso/"+made.ID.String())
	return nil
}

func (s *site) teamProvider(w http.ResponseWriter, r *http.Request, who *visitor) error {
	return s.showConnection(w, r, who, nil)
}

func (s *site) showConnection(w http.ResponseWriter, r *http.Request, who *visitor, wrong error) error {
	tenant, id, err := s.connectionOf(r, who, "sso:read")
	if err != nil {
		return err
	}
	page := connectionPage{MayChange: who.may("sso:write"), MayTest: s.party != nil, Roles: newcomerRoles}
	if s.party != nil {
		page.Callback = s.party.CallbackURL(id)
	}
	if page.Connection, err = s.app.SSO.Get(r.Context(), tenant, id); err != nil {
		return err
	}
	for _, d := range page.Domains {
		page.Names = append(page.Names, d.Name)
	}
	s.renderForm(w, r, wrong, "connection", view{Title: hostOf(page.Issuer), Data: page})
	return nil
}

// changeProvider changes what the form has; an empty secret stays as it is.
func (s *site) changeProvider(w http.ResponseWriter, r *http.Request, who *visitor) error {
	_, id, err := s.connectionOf(r, who, "sso:write")
	if err != nil {
		return err
	}
	change := sso.ConnectionChange{
		ClientID: typedText(r, "client_id"), ClientSecret: typedText(r, "client_secret"),
		Required: typedChoice(r, "required"), TrustMFA: typedChoice(r, "trust_mfa"), TrustEmail: typedChoice(r, "trust_email"),
		Role: (*identity.Role)(typedText(r, "role")),
	}
	if _, given := r.PostForm["domains"]; given {
		change.Domains = new(words(r.PostFormValue("domains")))
	}
	var before sso.Connection
	err = s.app.InTx(r.Context(), func(ctx context.Context, tx levqor.Stores) error {
		changed, err := s.app.ChangeConnection(ctx, tx, who.caller(), id, func(c sso.Connection) error { before = c; return nil }, change)
		if err != nil {
			return err
		}
		return s.recordConnection(ctx, tx, r, who, guard.ActionSSOChanged, before, changed)
	})
	return s.afterChange(w, r, who, id, err)
}

// verifyDomain asks the DNS before the transaction, which it would hold up.
func (s *site) verifyDomain(w http.ResponseWriter, r *http.Request, who *visitor) error {
	_, id, err := s.connectionOf(r, who, "sso:write")
	if err != nil {
		return err
	}
	if err := s.takeProtected(r.Context(), who); err != nil {
		return err
	}
	proven, err := s.app.ProveDomain(r.Context(), who.caller(), id, r.PostFormValue("domain"))
	if err == nil {
		err = s.app.InTx(r.Context(), func(ctx context.Context, tx levqor.Stores) error {
			if _, err := s.app.KeepDomain(ctx, tx, who.caller(), id, proven); err != nil {
				return err
			}
			e := s.event(r, who, guard.ActionSSOVerified, id.String())
			e.Detail = map[string]string{"domain": proven.Name}
			return s.recordIn(ctx, tx, e)
		})
	}
	return s.afterChange(w, r, who, id, err)
}

// testProvider sends its visitor to the provider, as a sign-in does: whoever comes back to
// the page of the connection has signed in through it.
func (s *site) testProvider(w http.ResponseWriter, r *http.Request, who *visitor) error {
	tenant, id, err := s.connectionOf(r, who, "sso:write")
	if err != nil {
		return err
	}
	if s.party == nil {
		return fault.ErrNotFound
	}
	if err := s.takeProtected(r.Context(), who); err != nil {
		return err
	}
	connection, err := s.app.SSO.Get(r.Context(), tenant, id)
	if err != nil {
		return err
	}
	return s.showProvider(w, r, connection, providerPage{Return: "/team/sso/" + id.String()})
}

func (s *site) removeProvider(w http.ResponseWriter, r *http.Request, who *visitor) error {
	_, id, err := s.connectionOf(r, who, "sso:write")
	if err != nil {
		return err
	}
	err = s.app.InTx(r.Context(), func(ctx context.Context, tx levqor.Stores) error {
		if err := s.app.RemoveConnection(ctx, tx, who.caller(), id); err != nil {
			return err
		}
		return s.recordIn(ctx, tx, s.event(r, who, guard.ActionSSODeleted, id.String()))
	})
	if err != nil {
		return err
	}
	s.goTo(w, r, "/team/sso")
	return nil
}

// unlinkMember lets somebody in who is another subject at the provider than they were.
func (s *site) unlinkMember(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if _, err := s.inTeam(who, "sso:write"); err != nil {
		return err
	}
	user, err := identity.ParseUserID(r.PostFormValue("user"))
	if err != nil {
		return err
	}
	err = s.app.InTx(r.Context(), func(ctx context.Context, tx levqor.Stores) error {
		if err := s.app.UnlinkMember(ctx, tx, who.caller(), user); err != nil {
			return err
		}
		return s.recordIn(ctx, tx, s.event(r, who, guard.ActionSSOUnlinked, user.String()))
	})
	if err != nil {
		return err
	}
	s.goTo(w, r, "/team")
	return nil
}

// afterChange answers a change of a connection with its page, and what was wrong with it if
// the visitor can mend that.
func (s *site) afterChange(w http.ResponseWriter, r *http.Request, who *visitor, id sso.ConnectionID, err error) error {
	if errors.Is(err, fault.ErrInvalid) || errors.Is(err, fault.ErrConflict) {
		return s.showConnection(w, r, who, err)
	}
	if err != nil {
		return err
	}
	s.goTo(w, r, "/team/sso/"+id.String())
	return nil
}

// connectionOf returns the tenant of a visitor who may do what a scope allows there, and
// the ID that the path names, which need not be one of it.
func (s *site) connectionOf(r *http.Request, who *visitor, scope string) (identity.TenantID, sso.ConnectionID, error) {
	tenant, err := s.inTeam(who, scope)
	if err != nil {
		return 0, 0, err
	}
	id, err := sso.ParseConnectionID(r.PathValue("id"))
	return tenant, id, err
}

func (s *site) recordConnection(ctx context.Context, tx levqor.Stores, r *http.Request, who *visitor, action guard.Action, before, c sso.Connection) error {
	e := s.event(r, who, action, c.ID.String())
	e.Detail = levqor.ConnectionChangeDetail(before, c)
	return s.recordIn(ctx, tx, e)
}

// words splits what is typed in a line.
func words(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ';' || c == ' ' })
}

// typedText returns what a field holds, nil for nothing.
func typedText(r *http.Request, name string) *string {
	text := strings.TrimSpace(r.PostFormValue(name))
	if text == "" {
		return nil
	}
	return &text
}

// typedChoice returns what was chosen, nil for nothing.
func typedChoice(r *http.Request, name string) *bool {
	switch r.PostFormValue(name) {
	case "yes":
		return new(true)
	case "no":
		return new(false)
	default:
		return nil
	}
}
