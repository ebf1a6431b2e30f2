package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

func (s *site) accountRoutes() []route {
	return []route{
		{"GET /{$}", httpguard.Page, signed, s.home},
		{"GET /account", httpguard.Page, signed, s.account},
		{"POST /account/name", httpguard.Page, signed, s.rename},
		{"POST /account/tenant", httpguard.Page, signed, s.switchTenant},
		{"POST /account/sessions/end", httpguard.Page, signed, s.endSession},
		{"POST /account/sessions/end-others", httpguard.Page, signed, s.endOtherSessions},
		{"GET /account/delete", httpguard.Page, own, s.askForDeletion},
		{"POST /account/delete", httpguard.Page, own, s.deleteAccount},
	}
}

func (s *site) home(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	s.goTo(w, r, "/account")
	return nil
}

// accountPage is the data of the account's page.
type accountPage struct {
	User       identity.User
	TenantName string
	Role       identity.Role
	Tenants    []tenantRow
	Factors    []string
	Sessions   []sessionRow
}

type tenantRow struct {
	ID   identity.TenantID
	Name string
	Here bool
}

type sessionRow struct {
	ID                login.SessionID
	Label, Address    string
	CreatedAt, SeenAt time.Time
	Here              bool
}

// maxTenants bounds the list of a visitor's teams.
const maxTenants = 1000

func (s *site) account(w http.ResponseWriter, r *http.Request, who *visitor) error {
	page := accountPage{User: who.User, Role: who.Role()}
	tenants, err := s.app.Directory.TenantsOf(r.Context(), who.User.ID, 0, maxTenants)
	if err != nil {
		return err
	}
	if page.Factors, err = s.factorNames(r, who); err != nil {
		return err
	}
	for _, t := range tenants {
		here := t.ID == who.Tenant()
		if here {
			page.TenantName = t.Name
		}
		page.Tenants = append(page.Tenants, tenantRow{t.ID, t.Name, here})
	}
	sessions, err := s.app.Sessions.List(r.Context(), who.User.ID)
	if err != nil {
		return err
	}
	for _, other := range sessions {
		row := sessionRow{ID: other.ID, Label: other.Device.Label, CreatedAt: other.CreatedAt, SeenAt: other.SeenAt, Here: other.ID == who.Session.ID}
		if other.Device.Address.IsValid() {
			row.Address = other.Device.Address.String()
		}
		page.Sessions = append(page.Sessions, row)
	}
	s.render(w, r, http.StatusOK, "account", view{Title: "Account", Data: page})
	return nil
}

// factorNames says what second factors a visitor has.
func (s *site) factorNames(r *http.Request, who *visitor) ([]string, error) {
	held, err := s.app.Factors.Has(r.Context(), who.User.ID)
	var names []string
	if held.TOTP {
		names = append(names, "an authenticator app")
	}
	if held.Passkeys > 0 {
		names = append(names, "passkeys")
	}
	return names, err
}

func (s *site) rename(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if _, err := s.app.Directory.RenameUser(r.Context(), who.User.ID, r.PostFormValue("name")); err != nil {
		return err
	}
	s.goTo(w, r, "/account")
	return nil
}

func (s *site) switchTenant(w http.ResponseWriter, r *http.Request, who *visitor) error {
	tenant, err := identity.ParseTenantID(r.PostFormValue("tenant"))
	if err != nil {
		return err
	}
	return s.moveTo(w, r, who, tenant, "/account")
}

// moveTo takes a visitor to another of their teams, with another token, and then to a page.
func (s *site) moveTo(w http.ResponseWriter, r *http.Request, who *visitor, tenant identity.TenantID, page string) error {
	token, session, err := s.app.Sessions.Switch(r.Context(), who.token, tenant)
	if errors.Is(err, login.ErrReproveRequired) {
		s.goTo(w, r, againFor(who))
		return nil
	}
	if err != nil {
		return err
	}
	s.sessions.Put(w, token, session)
	s.goTo(w, r, page)
	return nil
}

func (s *site) endSession(w http.ResponseWriter, r *http.Request, who *visitor) error {
	id, err := login.ParseSessionID(r.PostFormValue("session"))
	if err != nil {
		return err
	}
	if err := s.app.Sessions.EndOne(r.Context(), who.User.ID, id); err != nil {
		return err
	}
	s.record(r, s.event(r, who, guard.ActionSessionEnded, id.String()))
	s.goTo(w, r, "/account")
	return nil
}

func (s *site) endOtherSessions(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if err := s.app.Sessions.EndAll(r.Context(), who.User.ID, who.Session.ID); err != nil {
		return err
	}
	s.record(r, s.event(r, who, guard.ActionSessionEnded, who.User.ID.String()))
	s.goTo(w, r, "/account")
	return nil
}

func (s *site) askForDeletion(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	s.render(w, r, http.StatusOK, "delete", view{Title: "Delete the account"})
	return nil
}

func (s *site) deleteAccount(w http.ResponseWriter, r *http.Request, who *visitor) error {
	typed, err := identity.ParseEmail(r.PostFormValue("confirm"))
	if err != nil || typed.Canonical() != who.User.Email.Canonical() {
		return fault.Invalid("/address", "wrong_confirmation", "is not that of your account, so nothing was deleted")
	}
	gone := s.event(r, who, guard.ActionUserDeleted, who.User.ID.String())
	gone.Tenant = identity.OwnerTenant // a team may be gone too, with its log
	if err := s.app.DeleteUser(r.Context(), who.User.ID, gone); err != nil {
		return err
	}
	if err := s.sessions.End(w, r); err != nil {
		return err
	}
	s.render(w, withVisitor(r, nil), http.StatusOK, "message", view{Title: "Your account is deleted", Data: message{Text: "Nothing of it is left here."}})
	return nil
}
