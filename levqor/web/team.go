package web

import (
	"context"
	"net/http"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/identity"
)

func (s *site) teamRoutes() []route {
	return []route{
		{"GET /team", httpguard.Page, signed, s.team},
		{"POST /team/name", httpguard.Page, signed, s.renameTeam},
		{"POST /team/role", httpguard.Page, proven, s.changeRole},
		{"POST /team/remove", httpguard.Page, proven, s.removeMember},
		{"POST /team/factors", httpguard.Page, proven, s.resetFactors},
		{"POST /team/sessions", httpguard.Page, proven, s.signOut},
		{"POST /team/invitations", httpguard.Page, proven, s.invite},
		{"POST /team/invitations/withdraw", httpguard.Page, signed, s.withdraw},
		{"POST /team/leave", httpguard.Page, signed, s.leave},
		{"POST /team/delete", httpguard.Page, proven, s.deleteTeam},
	}
}

// teamPage is the data of the team's page.
type teamPage struct {
	Tenant                                                            identity.Tenant
	Members                                                           []identity.Profile
	Next                                                              string
	Invitations                                                       []identity.Invitation
	Roles                                                             []identity.Role
	MayRead, MayChange, MayRename, MayDelete, MayProviders, MayUnlink bool
}

// errFactorFirst tells somebody whose role demands a second factor what to do.
var errFactorFirst error = &fault.Error{
	Kind: fault.ErrForbidden, Code: "second_factor_required", Detail: "your role needs a second factor: set one up on the page of your account",
}

// How much of a team a page shows.
const (
	membersShown     = 100
	invitationsShown = 1000
)

// inTeam returns the tenant of a visitor who may do what a scope allows there, "" for what
// every member may.
func (s *site) inTeam(who *visitor, scope string) (identity.TenantID, error) {
	if who.Tenant() == 0 {
		return 0, fault.ErrNotFound
	}
	if who.NeedsSecondFactor {
		return 0, errFactorFirst
	}
	if scope != "" && !who.may(scope) {
		return 0, fault.ErrForbidden
	}
	return who.Tenant(), nil
}

func (s *site) team(w http.ResponseWriter, r *http.Request, who *visitor) error {
	id, err := s.inTeam(who, "")
	if err != nil {
		return err
	}
	page := teamPage{
		Roles:        []identity.Role{identity.RoleViewer, identity.RoleMember, identity.RoleAdmin, identity.RoleOwner},
		MayProviders: who.may("sso:read"), MayUnlink: who.may("sso:write"),
		MayRead: who.may("members:read"), MayChange: who.may("members:write"), MayRename: who.may("tenant:write"), MayDelete: who.may("tenant:write") && id != identity.OwnerTenantID,
	}
	if page.Tenant, err = s.app.Directory.FindTenant(r.Context(), id); err != nil {
		return err
	}
	if page.MayRead {
		page.Members, page.Next, err = s.members(r, id)
	}
	if err != nil {
		return err
	}
	if page.MayChange {
		page.Invitations, err = s.app.Invitations.List(r.Context(), id, 0, invitationsShown)
	}
	if err != nil {
		return err
	}
	s.render(w, r, http.StatusOK, "team", view{Title: page.Tenant.Name, Data: page})
	return nil
}

// members returns a page of a tenant's members, and where the next one begins.
func (s *site) members(r *http.Request, tenant identity.TenantID) (all []identity.Profile, next string, err error) {
	var after identity.UserID
	if text := r.FormValue("after"); text != "" {
		if after, err = identity.ParseUserID(text); err != nil {
			return nil, "", err
		}
	}
	all, err = s.app.Directory.Profiles(r.Context(), tenant, after, membersShown+1)
	if err != nil {
		return nil, "", err
	}
	if len(all) > membersShown {
		all = all[:membersShown]
		next = all[membersShown-1].User.String()
	}
	return all, next, nil
}

func (s *site) renameTeam(w http.ResponseWriter, r *http.Request, who *visitor) error {
	id, err := s.inTeam(who, "tenant:write")
	if err != nil {
		return err
	}
	err = s.app.InTx(r.Context(), func(ctx context.Context, tx levqor.Stores) error {
		if _, err := s.app.Directory.With(tx.Directory).RenameTenant(ctx, id, r.PostFormValue("name")); err != nil {
			return err
		}
		return s.recordIn(ctx, tx, s.event(r, who, guard.ActionTenantRenamed, id.String()))
	})
	if err != nil {
		return err
	}
	s.goTo(w, r, "/team")
	return nil
}

func (s *site) leave(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if who.Tenant() == 0 {
		return fault.ErrNotFound
	}
	err := s.app.InTx(r.Context(), func(ctx context.Context, tx levqor.Stores) error {
		if err := s.app.Directory.With(tx.Directory).Leave(ctx, who.Tenant(), who.User.ID); err != nil {
			return err
		}
		return s.recordIn(ctx, tx, s.event(r, who, guard.ActionMemberRemoved, who.User.ID.String()))
	})
	if err != nil {
		return err
	}
	s.goTo(w, r, "/account")
	return nil
}

func (s *site) deleteTeam(w http.ResponseWriter, r *http.Request, who *visitor) error {
	id, err := s.inTeam(who, "tenant:write")
	if err != nil {
		return err
	}
	tenant, err := s.app.Directory.FindTenant(r.Context(), id)
	if err != nil {
		return err
	}
	if r.PostFormValue("confirm") != tenant.Name {
		return fault.Invalid("/name", "wrong_confirmation", "is not that of the team, so nothing was deleted")
	}
	deleted := s.event(r, who, guard.ActionTenantDeleted, id.String())
	deleted.Tenant = identity.OwnerTenant // the team's own log goes with it
	if err := s.app.DeleteTenant(r.Context(), id, deleted); err != nil {
		return err
	}
	s.goTo(w, r, "/account")
	return nil
}
