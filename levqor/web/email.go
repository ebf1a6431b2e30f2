package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

func (s *site) emailRoutes() []route {
	return []route{
		{"GET /account/email", httpguard.Page, own, s.askForNewAddress},
		{"POST /account/email", httpguard.Page, own, s.beginEmailChange},
		{"GET /account/email/sent", httpguard.Secret, signed, s.askForChangeCode},
		{"POST /account/email/code", httpguard.Secret, signed, s.changeByCode},
		{"GET /account/email/l/{flow}", httpguard.Secret, signed, s.askForChangeButton},
		{"POST /account/email/l/{flow}", httpguard.Secret, signed, s.changeByLink},
		{"GET /undo", httpguard.Secret, open, s.askForUndo},
		{"POST /undo", httpguard.Secret, open, s.undo},
	}
}

// changer is a visitor as who moves to another address.
func (s *site) changer(r *http.Request, who *visitor) levqor.EmailChanger {
	return levqor.EmailChanger{User: who.User.ID, Session: who.Session.ID.String(), Device: s.sessions.Device(r)}
}

func (s *site) askForNewAddress(w http.ResponseWriter, r *http.Request, who *visitor) error {
	return s.showNewAddress(w, r, who, http.StatusOK, "")
}

func (s *site) showNewAddress(w http.ResponseWriter, r *http.Request, who *visitor, status int, wrong string) error {
	s.render(w, r, status, "email", view{Title: "Change the address", Wrong: wrong, Data: struct{ Address string }{who.User.Email.String()}})
	return nil
}

// changeCookie keeps which change a browser has asked for: what it shows, and no proof.
const changeCookie = "email"

// beginEmailChange answers alike whoever has the address.
func (s *site) beginEmailChange(w http.ResponseWriter, r *http.Request, who *visitor) error {
	asked := s.event(r, who, guard.ActionEmailChangeAsked, who.User.ID.String())
	flow, err := s.app.BeginEmailChange(r.Context(), s.changer(r, who), r.PostFormValue("email"), asked)
	if errors.Is(err, fault.ErrInvalid) {
		return s.showNewAddress(w, r, who, http.StatusBadRequest, explain(err))
	}
	if err != nil {
		return err
	}
	s.sessions.Keep(w, changeCookie, flow.ID+"."+flow.Match, flow.ExpiresAt)
	s.goTo(w, r, "/account/email/sent")
	return nil
}

// asked returns the change that the browser of a request has asked for.
func (s *site) asked(r *http.Request) (flow, match string) {
	flow, match, _ = strings.Cut(s.sessions.Kept(r, changeCookie), ".")
	return flow, match
}

func (s *site) askForChangeCode(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	return s.showChangeSent(w, r, http.StatusOK, "")
}

func (s *site) showChangeSent(w http.ResponseWriter, r *http.Request, status int, wrong string) error {
	flow, match := s.asked(r)
	if flow == "" {
		s.goTo(w, r, "/account/email")
		return nil
	}
	s.render(w, r, status, "emailsent", view{Title: "Look into the new mailbox", Wrong: wrong, Data: struct{ Match string }{match}})
	return nil
}

func (s *site) changeByCode(w http.ResponseWriter, r *http.Request, who *visitor) error {
	flow, _ := s.asked(r)
	err := s.finishEmailChange(r, who, login.Attempt{Flow: flow, Code: r.PostFormValue("code")})
	if errors.Is(err, fault.ErrUnauthenticated) {
		s.noteFailure(r, who, "email_code")
		return s.showChangeSent(w, r, http.StatusUnauthorized, "The code is wrong, has been used or is too old. After five wrong ones, ask for another mail.")
	}
	return s.changed(w, r, err)
}

// askForChangeButton shows what a link would do, and does nothing.
func (s *site) askForChangeButton(w http.ResponseWriter, r *http.Request, who *visitor) error {
	return s.showChangeLink(w, r, who, http.StatusOK, "")
}

func (s *site) showChangeLink(w http.ResponseWriter, r *http.Request, who *visitor, status int, wrong string) error {
	id := r.PathValue("flow")
	pending, err := s.app.Links.ForChange(who.User.ID, who.Session.ID.String()).Look(r.Context(), id)
	if err != nil {
		return s.gone(w, r, err, "This link is used up", message{
			"It has been used, is older than ten minutes, or is for another account than the one that is signed in here.", "/account/email", "Change the address",
		})
	}
	asked, _ := s.asked(r)
	s.render(w, r, status, "emaillink", view{Title: "Change the address", Wrong: wrong, Data: struct {
		Flow, Address, Device string
		Same                  bool
	}{id, pending.Address, pending.Device.Label, asked == id}})
	return nil
}

func (s *site) changeByLink(w http.ResponseWriter, r *http.Request, who *visitor) error {
	attempt := login.Attempt{Flow: r.PathValue("flow"), Secret: r.PostFormValue("secret"), Match: r.PostFormValue("match")}
	err := s.finishEmailChange(r, who, attempt)
	if errors.Is(err, fault.ErrUnauthenticated) {
		s.noteFailure(r, who, "email_link")
		return s.showChangeLink(w, r, who, http.StatusUnauthorized, "That did not work. Open the link of the mail once more, and repeat the number that is shown where you asked for it.")
	}
	return s.changed(w, r, err)
}

func (s *site) finishEmailChange(r *http.Request, who *visitor, attempt login.Attempt) error {
	changed := s.event(r, who, guard.ActionEmailChanged, who.User.ID.String())
	_, err := s.app.FinishEmailChange(r.Context(), s.changer(r, who), attempt, changed)
	return err
}

func (s *site) changed(w http.ResponseWriter, r *http.Request, err error) error {
	if err != nil {
		return err
	}
	s.sessions.Keep(w, changeCookie, "", time.Time{})
	s.goTo(w, r, "/account")
	return nil
}

// undoPage is the data of the page that undoes a change.
type undoPage struct {
	Token     string
	ChangedAt time.Time
}

func (s *site) askForUndo(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	s.render(w, r, http.StatusOK, "undo", view{Title: "Take your address back", Data: undoPage{}})
	return nil
}

// undo shows what a token undoes, and does it for whoever types the address to which it was
// mailed: programs that look into mails run scripts and press buttons, and do not type.
func (s *site) undo(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	token := strings.TrimSpace(r.PostFormValue("token"))
	found, err := s.app.Addresses.FindUndo(r.Context(), token)
	if err != nil {
		return s.noUndo(w, r, err)
	}
	page := view{Title: "Take your address back", Data: undoPage{token, found.CreatedAt}}
	typed := r.PostFormValue("confirm")
	if typed == "" {
		s.render(w, r, http.StatusOK, "undo", page)
		return nil
	}
	if email, err := identity.ParseEmail(typed); err != nil || email.Canonical() != found.Email.Canonical() {
		page.Wrong = "That is not the address to which the link was sent, so nothing was changed."
		s.render(w, r, http.StatusBadRequest, "undo", page)
		return nil //nolint:nilerr // the page tells
	}
	if _, err := s.app.UndoEmailChange(r.Context(), token, s.event(r, nil, guard.ActionEmailChangeUndone, "")); err != nil {
		return s.noUndo(w, r, err)
	}
	s.render(w, withVisitor(r, nil), http.StatusOK, "message", view{Title: "Your address is back", Data: message{
		"Everybody is signed out of the account, and what was added since the change is gone: second factors, API keys and invitations that the account has made, ways to sign in at a provider. " +
			"What else whoever was in has done is there still. Sign in and look at the members of your teams and their roles, at the teams' providers, and at what is recorded since. " +
			"Browsers that have signed in since are taken for known ones, which only spares them waiting after wrong codes.", "/login", "Sign in",
	}})
	return nil
}

// noUndo says that a token undoes nothing.
func (s *site) noUndo(w http.ResponseWriter, r *http.Request, err error) error {
	return s.gone(w, r, err, "This link is over", message{
		"It has been used, the address was taken back by an older one, or it is older than seven days.", "/login", "Sign in",
	})
}
