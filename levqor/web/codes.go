package web

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/levqor/sdk/levqor/guard"
)

// codesFor is how long new recovery codes wait for the page that shows them: a redirect.
const codesFor = time.Minute

// newCodes are recovery codes on their way to the page that shows them.
type newCodes struct {
	Codes []string
	Until time.Time
}

// replaceCodes makes new recovery codes and leads to the page that shows them, so that
// loading that again makes no others. The database has their hashes alone, so what is shown
// travels with the browser, sealed for its session: nodes need share nothing, and who has
// the cookie alone, or the database, reads nothing.
func (s *site) replaceCodes(w http.ResponseWriter, r *http.Request, who *visitor) error {
	held, err := s.app.Factors.Has(r.Context(), who.User.ID)
	if err != nil {
		return err
	}
	if !held.Any() {
		s.goTo(w, r, "/account/factors")
		return nil
	}
	codes, err := s.app.Factors.ReplaceRecoveryCodes(r.Context(), who.User.ID)
	if err != nil {
		return err
	}
	s.recordFactor(r, who, guard.ActionFactorAdded, "recovery")
	until := s.app.Now().Add(codesFor)
	raw, err := json.Marshal(newCodes{codes, until})
	if err != nil {
		return err
	}
	sealed, err := s.app.KeyRing.Sealer().Seal(raw, codesPlace(who))
	if err != nil {
		return err
	}
	s.sessions.Keep(w, "codes", sealed, until)
	s.goTo(w, r, "/account/factors/codes")
	return nil
}

// showCodes shows new recovery codes once: the browser forgets them with the answer.
func (s *site) showCodes(w http.ResponseWriter, r *http.Request, who *visitor) error {
	var shown newCodes
	raw, err := s.app.KeyRing.Sealer().Open(s.sessions.Kept(r, "codes"), codesPlace(who))
	if err == nil {
		err = json.Unmarshal(raw, &shown)
	}
	if err != nil || !s.app.Now().Before(shown.Until) || r.Method != http.MethodGet {
		s.goTo(w, r, "/account/factors")
		return nil //nolint:nilerr // what does not open is nothing to show
	}
	s.sessions.Keep(w, "codes", "", time.Time{})
	s.render(w, r, http.StatusOK, "codes", view{Title: "Recovery codes", Data: struct{ Codes []string }{shown.Codes}})
	return nil
}

// codesPlace binds what is sealed to the session for which it was made.
func codesPlace(who *visitor) []byte { return []byte("web recovery codes " + who.Session.ID.String()) }
