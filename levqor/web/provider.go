package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
	"github.com/levqor/sdk/levqor/oidclogin"
	"github.com/levqor/sdk/levqor/sso"
)

func (s *site) providerRoutes() []route {
	return []route{
		{"POST /login/mail", httpguard.Secret, open, s.mailInstead},
		{"GET " + callbackPath, httpguard.Secret, open, s.loginByProvider},
	}
}

// flowCookie is what the browser keeps the secret of a sign-in at a provider under.
const flowCookie = "sso"

// againCookie is what the browser keeps the user under who is to prove anew who they are.
const againCookie = "again"

// providerPage is the data of the page that sends somebody to a provider.
type providerPage struct {
	// To leads to the provider; empty if it does not answer.
	To string
	// Host is where that is, of which the visitor is told before they leave.
	Host string
	// Address may be mailed to instead; empty where nobody asked for mail.
	Address string
	// Required tells that owners alone are.
	Required bool
	Return   string
	// maxAge is that of the flow; 0 for as long as the provider likes.
	maxAge time.Duration
	// again is the ID of the user who is to prove anew who they are, empty if that is nobody.
	again string
}

// offerProvider shows the way to the identity provider that speaks for an address's domain,
// and reports whether there is one. Nobody is looked up. Where this process can send nobody to a
// provider, the page of one that is required has the way back by mail alone.
func (s *site) offerProvider(w http.ResponseWriter, r *http.Request, address string) (bool, error) {
	email, err := identity.ParseEmail(address)
	if err != nil {
		return false, err
	}
	connection, err := s.app.SSO.FindByDomain(r.Context(), email)
	if errors.Is(err, fault.ErrNotFound) {
		return false, nil
	}
	if err != nil || s.party == nil && !connection.Required {
		return false, err
	}
	page := providerPage{Address: email.String(), Required: connection.Required, Return: back(r)}
	if who := s.visitor(r); who != nil && who.User.Email.Canonical() == email.Canonical() { // who is there already, and proves it anew
		page.maxAge, page.again = s.app.Sessions.FreshFor(), who.User.ID.String()
	}
	return true, s.showProvider(w, r, connection, page)
}

// needProvider shows the way to the provider at which an address has to sign in.
func (s *site) needProvider(w http.ResponseWriter, r *http.Request, address string) error {
	offered, err := s.offerProvider(w, r, address)
	if err != nil || offered {
		return err
	}
	s.render(w, r, http.StatusOK, "message", view{Title: "Sign in with your organisation", Data: message{
		"Addresses of this domain sign in through the organisation's own provider, and not by mail.", "/login", "Another address",
	}})
	return nil
}

// showProvider begins a sign-in and shows a link to the provider. A redirect would not do:
// what answers a form may send the browser to the own origin alone (form-action), and
// people should know where they are about to type their password.
func (s *site) showProvider(w http.ResponseWriter, r *http.Request, connection sso.Connection, page providerPage) error {
	v, status := view{Title: "Sign in with your organisation"}, http.StatusOK
	if s.party == nil {
		page.Host, v.Data = hostOf(connection.Issuer), page
		s.render(w, r, status, "provider", v)
		return nil
	}
	to, secret, err := s.party.BeginAgain(r.Context(), connection.ID, page.Return, cmp.Or(page.maxAge, s.opts.ProviderMaxAge))
	switch {
	case errors.Is(err, oidclogin.ErrProviderUnavailable):
		v.Wrong, status = "The provider does not answer. Try again in a moment.", http.StatusServiceUnavailable
	case err != nil:
		return err
	default:
		until := time.Now().Add(sso.FlowTTL) //nolint:forbidigo // of the browser's clock; the store has its own
		s.sessions.Keep(w, flowCookie, secret, until)
		if page.again != "" || s.sessions.Kept(r, againCookie) != "" {
			s.sessions.Keep(w, againCookie, page.again, until)
		}
		page.To = to
	}
	page.Host = hostOf(to, connection.Issuer)
	v.Data = page
	s.render(w, r, status, "provider", v)
	return nil
}

// hostOf returns the host of the first URL that has one.
func hostOf(urls ...string) string {
	for _, text := range urls {
		if u, err := url.Parse(text); err == nil && u.Host != "" {
			return u.Host
		}
	}
	return ""
}

// mailInstead mails a link to somebody who was offered a provider: where it is required, to
// owners alone. The answer is the same for everybody.
func (s *site) mailInstead(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	flow, err := s.app.BeginOwnerLogin(r.Context(), r.PostFormValue("email"), s.sessions.Device(r))
	if err != nil {
		return err
	}
	return s.mailed(w, r, flow)
}

// loginByProvider finishes what the browser has begun, when the provider sends it back. The
// cookie stays if it was not about that: a stranger's link ends nobody's sign-in, and leaves
// no trace of one.
func (s *site) loginByProvider(w http.ResponseWriter, r *http.Request, _ *visitor) error {
	if s.party == nil || r.Method != http.MethodGet {
		return fault.ErrNotFound
	}
	if !s.fromProvider(r) {
		return s.refuse(w, r, oidclogin.ErrSignInFailed)
	}
	callback := oidclogin.ReadCallback(r.URL)
	callback.Address = s.sessions.Device(r).Address
	who, err := s.party.Finish(r.Context(), s.sessions.Kept(r, flowCookie), callback)
	if err != nil {
		return s.notByProvider(w, r, who.Connection, err)
	}
	if again := s.sessions.Kept(r, againCookie); again != "" && again != who.User.ID.String() { // is somebody else there
		return s.notByProvider(w, r, who.Connection, oidclogin.ErrSignInFailed)
	}
	token, session, err := s.app.FinishProviderLogin(r.Context(), who.Login, login.Start{Device: s.sessions.Device(r), Age: who.Age, Old: s.sessions.Token(r)})
	if err != nil {
		return s.notByProvider(w, r, who.Connection, err)
	}
	s.sessions.Keep(w, flowCookie, "", time.Time{})
	s.sessions.Keep(w, againCookie, "", time.Time{})
	s.letIn(w, r, token, session, "provider")
	found, err := s.app.Sessions.Authenticate(r.Context(), token)
	if err != nil {
		return err
	}
	if found.NeedsSecondFactor && session.Level != login.LevelHalf { // and has none to show
		s.goTo(w, r, "/account/factors")
		return nil
	}
	s.goTo(w, r, who.ReturnPath)
	return nil
}

// notByProvider says that nobody is signed in, and why where a person can do something
// about it. The log of the connection's tenant has it.
func (s *site) notByProvider(w http.ResponseWriter, r *http.Request, id sso.ConnectionID, err error) error {
	if !errors.Is(err, fault.ErrUnauthenticated) && !errors.Is(err, fault.ErrForbidden) && !errors.Is(err, oidclogin.ErrProviderUnavailable) {
		return err
	}
	if errors.Is(err, oidclogin.ErrProviderUnavailable) { // which is nobody's failure
		return s.refuse(w, r, err)
	}
	if found, lost := s.app.SSO.Find(r.Context(), id); lost == nil {
		s.noteRefusal(r, found, err)
	} else {
		s.noteFailure(r, nil, "provider")
	}
	return s.refuse(w, r, err)
}

// fromProvider reports whether a request may be the answer to what this browser has begun: a
// page that a person goes to, and no part of another one.
func (s *site) fromProvider(r *http.Request) bool {
	dest := r.Header.Get("Sec-Fetch-Dest")
	return (dest == "" || dest == "document") && oidclogin.Begun(s.sessions.Kept(r, flowCookie), oidclogin.ReadCallback(r.URL))
}

// refuse says that nobody is signed in.
func (s *site) refuse(w http.ResponseWriter, r *http.Request, err error) error {
	status, title := statusOf(err)
	s.render(w, r, status, "message", view{Title: title, Data: message{explain(err), "/login", "Sign in"}})
	return nil
}
