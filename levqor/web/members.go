package web

import (
	"context"
	"net/http"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
)

// changeRole gives a member another role; the scopes that were granted besides stay.
func (s *site) changeRole(w http.ResponseWriter, r *http.Request, who *visitor) error {
	tenant, user, err := s.memberOf(r, who)
	if err != nil {
		return err
	}
	err = s.app.ChangeMembers(r.Context(), who.caller(), tenant, "members:write", func(ctx context.Context, tx levqor.Stores, people *identity.Directory) error {
		member, err := people.FindMember(ctx, tenant, user)
		if err != nil {
			return err
		}
		member, err = people.ChangeRole(ctx, tenant, user, identity.Grant{Role: identity.Role(r.PostFormValue("role")), Scopes: member.Scopes})
		if err != nil {
			return err
		}
		changed := s.event(r, who, guard.ActionMemberRoleChanged, user.String())
		changed.Detail = map[string]string{"role": string(member.Role)}
		return s.recordIn(ctx, tx, changed)
	})
	if err != nil {
		return err
	}
	s.goTo(w, r, "/team")
	return nil
}

func (s *site) removeMember(w http.ResponseWriter, r *http.Request, who *visitor) error {
	tenant, user, err := s.memberOf(r, who)
	if err != nil {
		return err
	}
	err = s.app.ChangeMembers(r.Context(), who.caller(), tenant, "members:write", func(ctx context.Context, tx levqor.Stores, people *identity.Directory) error {
		if err := people.RemoveMember(ctx, tenant, user); err != nil {
			return err
		}
		return s.recordIn(ctx, tx, s.event(r, who, guard.ActionMemberRemoved, user.String()))
	})
	if err != nil {
		return err
	}
	s.goTo(w, r, "/team")
	return nil
}

// resetFactors removes the second factors of a member who has lost them, and signs them
// out; nobody does it to themselves.
func (s *site) resetFactors(w http.ResponseWriter, r *http.Request, who *visitor) error {
	tenant, user, err := s.memberOf(r, who)
	if err != nil {
		return err
	}
	if user == who.User.ID {
		return &fault.Error{Kind: fault.ErrConflict, Code: "own_factors", Detail: "remove your own second factors on the page of your account"}
	}
	err = s.app.ResetFactors(r.Context(), who.caller(), tenant, user, s.event(r, who, guard.ActionFactorRemoved, user.String()))
	if err != nil {
		return err
	}
	s.goTo(w, r, "/team")
	return nil
}

// signOut ends the sessions of a member, as far as [levqor.App.EndMemberSessions] lets who
// wants it; their own, from which they do so, stays.
func (s *site) signOut(w http.ResponseWriter, r *http.Request, who *visitor) error {
	tenant, user, err := s.memberOf(r, who)
	if err != nil {
		return err
	}
	ended := s.event(r, who, guard.ActionSessionEnded, user.String())
	if err := s.app.EndMemberSessions(r.Context(), who.caller(), tenant, user, who.Session.ID, ended); err != nil {
		return err
	}
	s.goTo(w, r, "/team")
	return nil
}

// memberOf returns the tenant of a visitor who may change its members, and the user whom
// a form is about.
func (s *site) memberOf(r *http.Request, who *visitor) (identity.TenantID, identity.UserID, error) {
	tenant, err := s.inTeam(who, "members:write")
	if err != nil {
		return 0, 0, err
	}
	user, err := identity.ParseUserID(r.PostFormValue("user"))
	return tenant, user, err
}

func (s *site) invite(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if _, err := s.inTeam(who, "members:write"); err != nil {
		return err
	}
	email, err := identity.ParseEmail(r.PostFormValue("email"))
	if err != nil {
		return err
	}
	if err := s.takeProtected(r.Context(), who); err != nil {
		return err
	}
	err = s.app.InTx(r.Context(), func(ctx context.Context, tx levqor.Stores) error {
		made, err := s.app.Invite(ctx, tx, who.caller(), email, identity.Grant{Role: identity.Role(r.PostFormValue("role"))})
		if err != nil {
			return err
		}
		return s.recordIn(ctx, tx, s.event(r, who, guard.ActionInvitationSent, made.ID.String()))
	})
	if err != nil {
		return err
	}
	s.goTo(w, r, "/team")
	return nil
}

// takeProtected counts what the API counts as protected, by the same quota.
func (s *site) takeProtected(ctx context.Context, who *visitor) error {
	policy := s.app.Limits.Protected
	if policy.None() {
		return nil
	}
	_, err := s.app.Limiter.Take(ctx, guard.Charge{Policy: policy, Key: who.caller().ID()})
	return err
}

func (s *site) withdraw(w http.ResponseWriter, r *http.Request, who *visitor) error {
	tenant, err := s.inTeam(who, "members:write")
	if err != nil {
		return err
	}
	id, err := identity.ParseInvitationID(r.PostFormValue("invitation"))
	if err != nil {
		return err
	}
	err = s.app.InTx(r.Context(), func(ctx context.Context, tx levqor.Stores) error {
		if err := s.app.Invitations.With(tx.Invitations, tx.Directory).ForCaller(who.caller()).Revoke(ctx, tenant, id); err != nil {
			return err
		}
		return s.recordIn(ctx, tx, s.event(r, who, guard.ActionInvitationRevoked, id.String()))
	})
	if err != nil {
		return err
	}
	s.goTo(w, r, "/team")
	return nil
}
