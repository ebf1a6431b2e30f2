package web

import (
	"encoding/base64"
	"net/http"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/webauthnfactor"
)

func (s *site) passkeyRoutes() []route {
	return []route{
		{"POST /login/passkey/options", httpguard.Secret, known, s.askForPasskey},
		{"POST /login/passkey", httpguard.Secret, known, s.proveByPasskey},
		{"POST /account/factors/passkeys/options", httpguard.Page, own, s.beginPasskey},
		{"POST /account/factors/passkeys", httpguard.Page, own, s.addPasskey},
		{"POST /account/factors/passkeys/remove", httpguard.Page, own, s.removePasskey},
	}
}

// passkeyRow is a passkey in a list.
type passkeyRow struct {
	ID, Name              string
	CreatedAt, LastUsedAt time.Time
}

func (s *site) passkeyRows(r *http.Request, who *visitor) ([]passkeyRow, error) {
	all, err := s.app.Factors.Passkeys(r.Context(), who.User.ID)
	if err != nil {
		return nil, err
	}
	var rows []passkeyRow
	for _, p := range all {
		rows = append(rows, passkeyRow{base64.RawURLEncoding.EncodeToString(p.ID), p.Name, p.CreatedAt, p.LastUsedAt})
	}
	return rows, nil
}

func (s *site) askForPasskey(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if s.passkeys == nil {
		return fault.ErrNotFound
	}
	token, options, err := s.passkeys.BeginVerification(r.Context(), who.User.ID)
	return s.beginCeremony(w, token, options, err)
}

func (s *site) beginPasskey(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if s.passkeys == nil {
		return fault.ErrNotFound
	}
	token, options, err := s.passkeys.BeginRegistration(r.Context(), webauthnfactor.Account{
		User: who.User.ID, Name: who.User.Email.String(), DisplayName: who.User.Name,
	})
	return s.beginCeremony(w, token, options, err)
}

// beginCeremony answers the script of a page with what the browser is to be asked.
func (s *site) beginCeremony(w http.ResponseWriter, token string, options []byte, err error) error {
	if err != nil {
		return err
	}
	s.sessions.Keep(w, "passkey", token, time.Now().Add(factor.CeremonyTTL)) //nolint:forbidigo // of the browser's clock; the store has its own
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(options) // nobody is left to tell
	return nil
}

// ceremony returns the token of the ceremony that the browser has begun, which it forgets.
func (s *site) ceremony(w http.ResponseWriter, r *http.Request) string {
	s.sessions.Keep(w, "passkey", "", time.Time{})
	return s.sessions.Kept(r, "passkey")
}

func (s *site) proveByPasskey(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if s.passkeys == nil {
		return fault.ErrNotFound
	}
	passkey, err := s.passkeys.FinishLogin(r.Context(), s.ceremony(w, r), []byte(r.PostFormValue("answer")))
	if err == nil && passkey.User != who.User.ID { // a ceremony of somebody else's
		err = factor.ErrPasskeyRefused
	}
	return s.proved(w, r, who, err, "passkey")
}

func (s *site) addPasskey(w http.ResponseWriter, r *http.Request, who *visitor) error {
	if s.passkeys == nil {
		return fault.ErrNotFound
	}
	_, err := s.passkeys.FinishRegistration(r.Context(), who.User.ID, s.ceremony(w, r), r.PostFormValue("name"), []byte(r.PostFormValue("answer")))
	if err != nil {
		return err
	}
	return s.enrolled(w, r, who, "passkey")
}

func (s *site) removePasskey(w http.ResponseWriter, r *http.Request, who *visitor) error {
	id, err := base64.RawURLEncoding.DecodeString(r.PostFormValue("passkey"))
	if err != nil {
		return fault.ErrNotFound
	}
	if err := s.app.Factors.RemovePasskey(r.Context(), who.User.ID, id); err != nil {
		return err
	}
	return s.dropped(w, r, who, "passkey")
}
