package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

func (s *site) joinRoutes() []route {
	return []route{
		{"GET /join", httpguard.Secret, open, s.askForToken},
		{"POST /join", httpguard.Secret, open, s.join},
	}
}

// joinPage is the data of the page of an invitation; without a Token it asks for one.
type joinPage struct {
	Token, Tenant, Address string
	Role                   identity.Role
	Open                   bool
}

// askForToken lets the browser, or without scripts the visitor, say the token: it stands
// in the link's fragment, which no server sees.
func (s *site) askForToken(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	s.render(w, r, http.StatusOK, "join", view{Title: "Invitation", Data: joinPage{}})
	return nil
}

// join shows what an invitation offers, and accepts it when its visitor says so.
func (s *site) join(w http.ResponseWriter, r *http.Request, who *visitor) error {
	token := r.PostFormValue("token")
	if r.PostFormValue("accept") == "" {
		return s.showOffer(w, r, token, nil)
	}
	by, err := s.joiner(r, who, token)
	if err != nil {
		return s.showOffer(w, r, token, err)
	}
	member, created, err := s.app.AcceptInvitation(r.Context(), token, by)
	if errors.Is(err, fault.ErrInvalid) || errors.Is(err, identity.ErrAddressTaken) || errors.Is(err, identity.ErrAddressHeld) {
		return s.showOffer(w, r, token, err)
	}
	if err != nil {
		return s.noInvitation(w, r, err)
	}
	joined := s.event(r, nil, guard.ActionMemberAdded, member.User.String())
	joined.Tenant, joined.Actor = member.Tenant.String(), member.User.String()
	s.record(r, joined)
	switch {
	case created:
		return s.welcome(w, r, member)
	case by.SignedIn == member.User:
		return s.moveTo(w, r, who, member.Tenant, "/account/factors")
	default:
		return s.askToSignIn(w, r, member)
	}
}

// welcome signs a user in whom an invitation has made, in their new team: its token proves
// the mailbox that it was sent to, and that of the owner's link who started the service.
func (s *site) welcome(w http.ResponseWriter, r *http.Request, member identity.Member) error {
	user, err := s.app.Directory.FindUser(r.Context(), member.User)
	if err != nil {
		return err
	}
	token, _, err := s.app.FinishLogin(r.Context(), user.Email, login.Start{Device: s.sessions.Device(r), Old: s.sessions.Token(r)})
	if errors.Is(err, levqor.ErrProviderRequired) {
		return s.needProvider(w, r, user.Email.String())
	}
	if err != nil {
		return err
	}
	token, session, err := s.app.Sessions.Switch(r.Context(), token, member.Tenant)
	if err != nil {
		return err
	}
	s.letIn(w, r, token, session, "invitation")
	s.goTo(w, r, "/account/factors")
	return nil
}

// askToSignIn mails a link to a new member who had an account before: an invitation is no
// way into that.
func (s *site) askToSignIn(w http.ResponseWriter, r *http.Request, member identity.Member) error {
	user, err := s.app.Directory.FindUser(r.Context(), member.User)
	if err != nil {
		return err
	}
	return s.mailLogin(w, r, user.Email.String())
}

// joiner returns what the form says of whoever accepts, with the address that is typed into
// that of an open invitation.
func (s *site) joiner(r *http.Request, who *visitor, token string) (identity.Joiner, error) {
	by := identity.Joiner{Name: strings.TrimSpace(r.PostFormValue("name"))}
	if who != nil && !who.Half() {
		by.SignedIn = who.User.ID
	}
	found, err := s.app.Invitations.Find(r.Context(), token)
	if err != nil || !found.Open() {
		return by, nil //nolint:nilerr // whoever accepts is told
	}
	by.Email, err = identity.ParseEmail(r.PostFormValue("email"))
	return by, err
}

// showOffer shows what an invitation offers, and what was wrong with the answer to it.
func (s *site) showOffer(w http.ResponseWriter, r *http.Request, token string, wrong error) error {
	offer, err := s.app.Invitations.Look(r.Context(), token)
	if err != nil {
		return s.noInvitation(w, r, err)
	}
	s.renderForm(w, r, wrong, "join", view{Title: "Invitation", Data: joinPage{
		Token: token, Tenant: offer.Tenant, Address: offer.Address, Role: offer.Role, Open: offer.Address == "",
	}})
	return nil
}

// noInvitation says that a token invites nobody.
func (s *site) noInvitation(w http.ResponseWriter, r *http.Request, err error) error {
	return s.gone(w, r, err, "This invitation is over", message{
		"It has been used, withdrawn, or is older than seven days. Ask whoever invited you for another one.", "/login", "Sign in",
	})
}
