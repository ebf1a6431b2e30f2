package web

import (
	"errors"
	"html/template"
	"net/http"

	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/qrfactor"
)

func (s *site) factorRoutes() []route {
	return []route{
		{"GET /account/factors", httpguard.Page, signed, s.factors},
		{"POST /account/factors/totp", httpguard.Page, own, s.beginApp},
		{"GET /account/factors/totp", httpguard.Page, own, s.showApp},
		{"POST /account/factors/totp/confirm", httpguard.Page, own, s.confirmApp},
		{"POST /account/factors/totp/remove", httpguard.Page, own, s.removeApp},
		{"POST /account/factors/codes", httpguard.Page, own, s.replaceCodes},
		{"GET /account/factors/codes", httpguard.Page, own, s.showCodes},
	}
}

// factorsPage is the data of the page of somebody's second factors.
type factorsPage struct {
	Needed, TOTP, MayPasskey bool
	Passkeys                 []passkeyRow
	Codes                    int
}

func (s *site) factors(w http.ResponseWriter, r *http.Request, who *visitor) error {
	held, err := s.app.Factors.Has(r.Context(), who.User.ID)
	if err != nil {
		return err
	}
	page := factorsPage{Needed: who.NeedsSecondFactor, TOTP: held.TOTP, MayPasskey: s.passkeys != nil, Codes: held.RecoveryCodes}
	if page.Passkeys, err = s.passkeyRows(r, who); err != nil {
		return err
	}
	s.render(w, r, http.StatusOK, "factors", view{Title: "Second factors", Data: page})
	return nil
}

// totpPage is the data of the page that sets an app up.
type totpPage struct {
	QR  template.HTML
	Key string
}

// beginApp leads to the page that shows the secret, so that loading that again makes no
// other one.
func (s *site) beginApp(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if _, err := s.app.Factors.BeginTOTP(r.Context(), who.User.ID, who.User.Email.String(), s.opts.Brand); err != nil {
		return err
	}
	s.goTo(w, r, "/account/factors/totp")
	return nil
}

// showApp shows the secret until it is in use, or its time is over.
func (s *site) showApp(w http.ResponseWriter, r *http.Request, who *visitor) error {
	enrolment, err := s.app.Factors.PendingTOTP(r.Context(), who.User.ID, who.User.Email.String(), s.opts.Brand)
	if errors.Is(err, factor.ErrNotFound) {
		s.goTo(w, r, "/account/factors")
		return nil
	}
	if err != nil {
		return err
	}
	svg, err := qrfactor.SVG(enrolment.URI)
	if err != nil {
		return err
	}
	s.render(w, r, http.StatusOK, "totp", view{Title: "Set up an app", Data: totpPage{template.HTML(svg), enrolment.Secret}}) //nolint:gosec // squares and numbers of qrfactor's
	return nil
}

func (s *site) confirmApp(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if err := s.tryFactor(r, who); err != nil {
		return err
	}
	err := s.app.Factors.ConfirmTOTP(r.Context(), who.User.ID, r.PostFormValue("code"))
	if errors.Is(err, factor.ErrWrongCode) {
		s.render(w, r, http.StatusBadRequest, "totp", view{Title: "Set up an app", Wrong: "The code is wrong. Type the one that the app shows now.", Data: totpPage{}})
		return nil
	}
	if err != nil {
		return err
	}
	return s.enrolled(w, r, who, "totp")
}

// enrolled raises the session of somebody with a new factor and ends all others: whoever
// may have been there before does not have it.
func (s *site) enrolled(w http.ResponseWriter, r *http.Request, who *visitor, what string) error {
	s.recordFactor(r, who, guard.ActionFactorAdded, what)
	if err := s.raise(w, r, who); err != nil {
		return err
	}
	if err := s.app.Sessions.EndAll(r.Context(), who.User.ID, who.Session.ID); err != nil {
		return err
	}
	s.goTo(w, r, "/account/factors")
	return nil
}

// dropped ends all other sessions of somebody with a factor less, which it may have raised,
// and lowers this one if it was the last.
func (s *site) dropped(w http.ResponseWriter, r *http.Request, who *visitor, what string) error {
	s.recordFactor(r, who, guard.ActionFactorRemoved, what)
	if err := errors.Join(s.app.Sessions.EndAll(r.Context(), who.User.ID, who.Session.ID), s.lower(w, r, who)); err != nil {
		return err
	}
	s.goTo(w, r, "/account/factors")
	return nil
}

// lower lowers the session of a visitor who has no second factor any more.
func (s *site) lower(w http.ResponseWriter, r *http.Request, who *visitor) error {
	held, err := s.app.Factors.Has(r.Context(), who.User.ID)
	if err != nil || held.Any() {
		return err
	}
	token, session, err := s.app.Sessions.Lower(r.Context(), who.token)
	if err != nil {
		return err
	}
	s.sessions.Put(w, token, session)
	return nil
}

func (s *site) recordFactor(r *http.Request, who *visitor, action guard.Action, what string) {
	e := s.event(r, who, action, who.User.ID.String())
	e.Detail = map[string]string{"factor": what}
	s.record(r, e)
}

func (s *site) removeApp(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if err := s.app.Factors.RemoveTOTP(r.Context(), who.User.ID); err != nil {
		return err
	}
	return s.dropped(w, r, who, "totp")
}
