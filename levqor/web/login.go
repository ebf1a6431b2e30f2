package web

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/login"
)

func (s *site) loginRoutes() []route {
	return []route{
		{"GET /login", httpguard.Secret, open, s.askForAddress},
		{"POST /login", httpguard.Secret, open, s.beginLogin},
		{"GET /login/sent", httpguard.Secret, open, s.askForCode},
		{"POST /login/code", httpguard.Secret, open, s.loginByCode},
		{"GET /login/l/{flow}", httpguard.Secret, open, s.askForButton},
		{"POST /login/l/{flow}", httpguard.Secret, open, s.loginByLink},
		{"POST /logout", httpguard.Page, open, s.logout},
	}
}

func (s *site) askForAddress(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	s.render(w, r, http.StatusOK, "login", view{Title: "Sign in", Data: struct{ Return string }{back(r)}})
	return nil
}

// beginLogin answers alike whether or not anybody has the address: what counts is its
// domain.
func (s *site) beginLogin(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	address := r.PostFormValue("email")
	offered, err := s.offerProvider(w, r, address)
	if err == nil && !offered {
		err = s.mailLogin(w, r, address)
	}
	if errors.Is(err, fault.ErrInvalid) {
		s.render(w, r, http.StatusBadRequest, "login", view{Title: "Sign in", Wrong: explain(err), Data: struct{ Return string }{back(r)}})
		return nil
	}
	return err
}

// mailLogin has a link and a code mailed to an address and asks for them, or says that
// people of its domain sign in elsewhere.
func (s *site) mailLogin(w http.ResponseWriter, r *http.Request, address string) error {
	flow, err := s.app.BeginLogin(r.Context(), address, s.sessions.Device(r))
	if errors.Is(err, levqor.ErrProviderRequired) {
		return s.needProvider(w, r, address)
	}
	if err != nil {
		return err
	}
	return s.mailed(w, r, flow)
}

// mailed asks for what was mailed, if anything was.
func (s *site) mailed(w http.ResponseWriter, r *http.Request, flow login.Flow) error {
	s.sessions.PutFlow(w, flow)
	s.goTo(w, r, "/login/sent?return="+url.QueryEscape(back(r)))
	return nil
}

func (s *site) askForCode(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	return s.showSent(w, r, http.StatusOK, "")
}

func (s *site) showSent(w http.ResponseWriter, r *http.Request, status int, wrong string) error {
	flow := s.sessions.Flow(r)
	if flow.ID == "" {
		s.goTo(w, r, "/login")
		return nil
	}
	s.render(w, r, status, "sent", view{Title: "Look into your mail", Wrong: wrong, Data: struct{ Match, Return string }{flow.Match, back(r)}})
	return nil
}

func (s *site) loginByCode(w http.ResponseWriter, r *http.Request, who *visitor) error {
	flow := s.sessions.Flow(r)
	proof, err := s.app.Links.RedeemCode(r.Context(), login.Attempt{Flow: flow.ID, Cookie: flow.Cookie, Code: r.PostFormValue("code")})
	if errors.Is(err, fault.ErrUnauthenticated) {
		s.noteFailure(r, who, "code")
		return s.showSent(w, r, http.StatusUnauthorized, "The code is wrong, has been used or is too old. After five wrong ones, ask for another mail.")
	}
	if err != nil {
		return err
	}
	return s.enter(w, r, who, proof)
}

// askForButton shows what a link would do, and does nothing: programs that look into mails
// follow links, some run scripts, and a few press buttons.
func (s *site) askForButton(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	return s.showLink(w, r, http.StatusOK, "")
}

func (s *site) showLink(w http.ResponseWriter, r *http.Request, status int, wrong string) error {
	id := r.PathValue("flow")
	pending, err := s.app.Links.Look(r.Context(), id)
	if err != nil {
		return s.gone(w, r, err, "This link is used up", message{"It has been used or is older than ten minutes. Ask for another one.", "/login", "Sign in"})
	}
	s.render(w, r, status, "link", view{Title: "Sign in", Wrong: wrong, Data: struct {
		Flow, Address, Device string
		Same                  bool
	}{id, pending.Address, pending.Device.Label, s.sessions.Flow(r).ID == id}})
	return nil
}

func (s *site) loginByLink(w http.ResponseWriter, r *http.Request, who *visitor) error {
	attempt := login.Attempt{Flow: r.PathValue("flow"), Secret: r.PostFormValue("secret"), Match: r.PostFormValue("match")}
	if flow := s.sessions.Flow(r); flow.ID == attempt.Flow {
		attempt.Cookie = flow.Cookie
	}
	proof, err := s.app.Links.Redeem(r.Context(), attempt)
	if errors.Is(err, fault.ErrUnauthenticated) {
		s.noteFailure(r, who, "link")
		return s.showLink(w, r, http.StatusUnauthorized, "That did not work. Open the link of the mail once more, and repeat the number that is shown where you asked for it.")
	}
	if err != nil {
		return err
	}
	return s.enter(w, r, who, proof)
}

// enter begins the session of somebody whose address is proven. The one that the browser
// has so far ends, unless it is theirs and the proof makes it fresh.
func (s *site) enter(w http.ResponseWriter, r *http.Request, who *visitor, proof login.Proof) error {
	reproven, err := s.reprovesBy(r, who, proof)
	if err != nil {
		return err
	}
	var token string
	var session login.Session
	if reproven {
		token, session, err = s.app.Sessions.Reprove(r.Context(), who.token)
	} else {
		token, session, err = s.app.FinishLogin(r.Context(), proof.Email, login.Start{Device: s.sessions.Device(r), Old: s.sessions.Token(r)})
	}
	if errors.Is(err, fault.ErrUnauthenticated) || errors.Is(err, levqor.ErrProviderRequired) { // and not a store that is away, which is nobody's failure
		s.noteFailure(r, nil, "address")
	}
	if errors.Is(err, levqor.ErrProviderRequired) {
		return s.needProvider(w, r, proof.Email.String())
	}
	if err != nil {
		return err
	}
	s.sessions.DropFlow(w)
	s.letIn(w, r, token, session, "mail")
	s.goTo(w, r, back(r))
	return nil
}

// reprovesBy reports whether a visitor proves by mail again who they are: one who has a
// second factor shows that.
func (s *site) reprovesBy(r *http.Request, who *visitor, proof login.Proof) (bool, error) {
	if who == nil || who.Half() || who.User.Email.Canonical() != proof.Email.Canonical() {
		return false, nil
	}
	held, err := s.app.Factors.Has(r.Context(), who.User.ID)
	return err == nil && !held.Any(), err
}

// trustedFor is how long the cookie of a device stays, as long as the lockout trusts it.
const trustedFor = 365 * 24 * time.Hour

// letIn sends the token of a session that has begun or was raised, by what the log tells.
// Who is through has a device from then on from which strangers cannot lock them out.
func (s *site) letIn(w http.ResponseWriter, r *http.Request, token string, session login.Session, by string) {
	s.sessions.Put(w, token, session)
	if session.Level == login.LevelHalf {
		return
	}
	s.sessions.Keep(w, "device", s.lockout.NewDevice(session.User.String()), session.ProvenAt.Add(trustedFor))
	e := s.sessionEvent(r, session, guard.ActionLoginSucceeded)
	e.Detail = map[string]string{"by": by}
	s.record(r, e)
}

func (s *site) logout(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if err := s.sessions.End(w, r); err != nil {
		return err
	}
	if who != nil {
		s.record(r, s.event(r, who, guard.ActionSessionEnded, who.Session.ID.String()))
	}
	s.goTo(w, r, "/login")
	return nil
}
