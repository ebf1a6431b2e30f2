package web

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/login"
)

func (s *site) proofRoutes() []route {
	return []route{
		{"GET /login/factor", httpguard.Secret, known, s.askForFactor},
		{"POST /login/factor", httpguard.Secret, known, s.proveByApp},
		{"POST /login/recovery", httpguard.Secret, known, s.proveByRecovery},
		{"GET /login/again", httpguard.Secret, known, s.askAgain},
		{"POST /login/again", httpguard.Secret, signed, s.mailAgain},
	}
}

// factorPage is the data of the page that asks for a second factor.
type factorPage struct {
	Passkeys, TOTP bool
	Return         string
}

func (s *site) askForFactor(w http.ResponseWriter, r *http.Request, who *visitor) error {
	return s.showFactor(w, r, who, http.StatusOK, "")
}

func (s *site) showFactor(w http.ResponseWriter, r *http.Request, who *visitor, status int, wrong string) error {
	held, err := s.app.Factors.Has(r.Context(), who.User.ID)
	if err != nil {
		return err
	}
	if !held.Any() && !who.Half() { // nothing to show: the mailbox is what there is
		s.goTo(w, r, "/account")
		return nil
	}
	s.render(w, r, status, "factor", view{Title: "Second factor", Wrong: wrong, Data: factorPage{
		Passkeys: held.Passkeys > 0 && s.passkeys != nil, TOTP: held.TOTP, Return: back(r),
	}})
	return nil
}

func (s *site) proveByApp(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if err := s.tryFactor(r, who); err != nil {
		return err
	}
	err := s.app.Factors.VerifyTOTP(r.Context(), who.User.ID, r.PostFormValue("code"))
	return s.proved(w, r, who, err, "totp")
}

// proveByRecovery takes a recovery code. It is too long to be guessed, so guesses at other
// things do not keep its owner from using it.
func (s *site) proveByRecovery(w http.ResponseWriter, r *http.Request, who *visitor) error {
	_, err := s.app.Factors.UseRecoveryCode(r.Context(), who.User.ID, r.PostFormValue("recovery"))
	if err == nil {
		s.record(r, s.event(r, who, guard.ActionRecoveryUsed, who.User.ID.String()))
	}
	return s.proved(w, r, who, err, "recovery")
}

// tryFactor counts an attempt before it is looked at.
func (s *site) tryFactor(r *http.Request, who *visitor) error {
	return s.lockout.Try(r.Context(), guard.Attempt{
		Account: who.User.ID.String(), Address: s.sessions.Device(r).Address, Device: s.sessions.Kept(r, "device"),
	})
}

// proved raises the session of somebody who has shown a second factor, or asks again.
func (s *site) proved(w http.ResponseWriter, r *http.Request, who *visitor, err error, by string) error {
	switch {
	case errors.Is(err, factor.ErrCloned): // the visitor is told no more than of other refusals, the log is
		by = "cloned_passkey"
		fallthrough
	case errors.Is(err, factor.ErrWrongCode), errors.Is(err, fault.ErrNotFound), errors.Is(err, factor.ErrPasskeyRefused), errors.Is(err, factor.ErrCeremonyOver):
		s.noteFailure(r, who, by)
		return s.showFactor(w, r, who, http.StatusUnauthorized, "That is wrong or has been used. Try again.")
	case err != nil:
		return err
	}
	if err := s.raise(w, r, who); err != nil {
		return err
	}
	s.goTo(w, r, back(r))
	return nil
}

// raise gives the session of somebody who has just shown or set up a second factor another
// token.
func (s *site) raise(w http.ResponseWriter, r *http.Request, who *visitor) error {
	token, session, err := s.app.Sessions.Raise(r.Context(), who.token, login.LevelSecondFactor)
	if err != nil {
		return err
	}
	s.letIn(w, r, token, session, "factor")
	return nil
}

// askAgain asks for a proof that it is still the same person: a second factor of those who
// have one, else their mailbox.
func (s *site) askAgain(w http.ResponseWriter, r *http.Request, who *visitor) error {
	held, err := s.app.Factors.Has(r.Context(), who.User.ID)
	if err != nil {
		return err
	}
	if held.Any() {
		s.goTo(w, r, "/login/factor?return="+url.QueryEscape(back(r)))
		return nil
	}
	s.render(w, r, http.StatusOK, "again", view{Title: "Is it still you?", Data: againPage{back(r), r.FormValue("own") == "yes" && who.Session.Provider != 0}})
	return nil
}

// againPage is the data of the page that asks who it is once more.
type againPage struct {
	Return string
	// Own tells that the mailbox has to be shown, and a team's provider is not enough.
	Own bool
}

// againFor returns the page on which a visitor proves what a move to another team takes.
func againFor(who *visitor) string {
	if who.Session.Provider != 0 {
		return "/login/again?own=yes"
	}
	return "/login/again"
}

// mailAgain has the visitor show their mailbox, or signs them in at their provider anew where
// that is required and enough.
func (s *site) mailAgain(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if r.PostFormValue("own") == "yes" && who.Session.Provider != 0 {
		flow, err := s.app.BeginProof(r.Context(), who.Found, s.sessions.Device(r))
		if err != nil {
			return err
		}
		return s.mailed(w, r, flow)
	}
	return s.mailLogin(w, r, who.User.Email.String())
}
