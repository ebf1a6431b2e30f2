package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpapi"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// person returns a client of somebody who has signed in, checked by the contract, with what
// else is to be true of them.
func (s *service) person(t *testing.T, spec *contract, who identity.Principal) *client.Service {
	t.Helper()
	handler, err := httpapi.New(s.app, &httpapi.Options{Authenticator: httpapi.AuthenticatorFunc(func(*http.Request) (identity.Principal, error) { return who, nil })})
	if err != nil {
		t.Fatal(err)
	}
	at := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = "192.0.2.1:1234"
		handler.ServeHTTP(w, r)
	})
	c, err := client.New("http://levqor.test", &client.Options{HTTPClient: &http.Client{Transport: checkedTransport{t, at, spec}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// mailed begins a change as the service does, and returns what its mail would hold.
func (s *service) mailed(user identity.UserID, session, address string) login.Flow {
	s.Helper()
	email, err := identity.ParseEmail(address)
	if err != nil {
		s.Fatal(err)
	}
	flow, err := s.app.Links.ForChange(user, session).Begin(context.Background(), email, login.Device{})
	if err != nil {
		s.Fatal(err)
	}
	return flow
}

// emailChange calls the operations by which people change their address.
func emailChange(t *testing.T, s *service, spec *contract) {
	t.Helper()
	grace := s.user("grace@example.com")
	_, session, err := s.app.Sessions.Start(t.Context(), login.Start{User: grace.ID, Level: login.LevelMail})
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := s.app.Sessions.Start(t.Context(), login.Start{User: grace.ID, Level: login.LevelMail})
	if err != nil {
		t.Fatal(err)
	}
	who := identity.Principal{Tenant: identity.OwnerTenant, UserID: grace.ID.String(), SessionID: session.ID.String()}
	c := s.person(t, spec, who)
	made, err := c.BeginEmailChange(t.Context(), "hopper@example.com")
	if err != nil || len(made.ID) != 22 || len(made.Match) != 2 {
		t.Fatalf("BeginEmailChange = %+v, %v", made, err)
	}
	if pending, err := s.app.Links.ForChange(grace.ID, who.SessionID).Look(t.Context(), made.ID); err != nil || !pending.Device.Address.IsValid() {
		t.Errorf("the change is %+v, %v; want where it was asked for", pending, err)
	}
	if _, err := c.ConfirmEmailChange(t.Context(), client.EmailChangeProof{ID: made.ID, Code: new("0000-0000")}); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("ConfirmEmailChange with a wrong code = %v, want ErrInvalid", err)
	}
	flow := s.mailed(grace.ID, who.SessionID, "hopper@example.com")
	if got, err := c.ConfirmEmailChange(t.Context(), client.EmailChangeProof{ID: flow.ID, Code: &flow.Code}); err != nil || got.Email != "hopper@example.com" {
		t.Errorf("ConfirmEmailChange = %+v, %v", got, err)
	}
	if all, err := s.app.Sessions.List(t.Context(), grace.ID); err != nil || len(all) != 1 || all[0].ID != session.ID {
		t.Errorf("the sessions are %+v, %v; want %v and not %v", all, err, session.ID, other.ID)
	}
	entries, err := s.app.SecurityLog.Entries(t.Context(), identity.OwnerTenant, guard.LogQuery{Actor: grace.ID.String(), Limit: 10})
	if err != nil || len(entries) != 2 || entries[0].Action != guard.ActionEmailChanged || entries[1].Action != guard.ActionEmailChangeAsked || entries[0].RequestID == "" {
		t.Errorf("the log has %+v, %v", entries, err)
	}
}

func TestAnAddressIsThatOfWhoCalls(t *testing.T) {
	s := newService(t)
	spec := loadContract(t)
	ada, eve := s.user("ada@example.com"), s.user("eve@example.com")
	begin := func() string {
		t.Helper()
		_, session, err := s.app.Sessions.Start(t.Context(), login.Start{User: ada.ID, Level: login.LevelMail})
		if err != nil {
			t.Fatal(err)
		}
		return session.ID.String()
	}
	session := begin()
	fresh := identity.Principal{Tenant: identity.OwnerTenant, UserID: ada.ID.String(), SessionID: session}
	stale, provided, elsewhere, stranger, program, nobody := fresh, fresh, fresh, fresh, fresh, fresh
	stale.Stale, provided.ByProvider = true, true
	elsewhere.SessionID = begin()
	stranger.UserID = eve.ID.String()
	program.KeyID, program.Scopes = "key_1", []string{"*"}
	nobody.UserID = "somebody of the host's"
	refused := func(what string, err error, code client.ProblemCode) {
		t.Helper()
		if answer, ok := errors.AsType[*client.Error](err); !ok || answer.Code != code {
			t.Errorf("%s: %v, want %s", what, err, code)
		}
	}
	for what, c := range map[string]struct {
		who  identity.Principal
		code client.ProblemCode
	}{
		"a program":             {program, client.ProblemCodePersonRequired},
		"somebody of the host":  {nobody, client.ProblemCodeNotFound},
		"a proof from long ago": {stale, client.ProblemCodeProofRequired},
		"a provider's alone":    {provided, client.ProblemCodeProofRequired},
	} {
		_, err := s.person(t, spec, c.who).BeginEmailChange(t.Context(), "new@example.com")
		refused(what, err, c.code)
	}
	_, err := s.person(t, spec, fresh).BeginEmailChange(t.Context(), "ADA@example.com ")
	refused("no address", err, client.ProblemCodeValidationFailed)

	flow := s.mailed(ada.ID, session, "new@example.com")
	for what, c := range map[string]struct {
		who   identity.Principal
		proof client.EmailChangeProof
		code  client.ProblemCode
	}{
		"a program":                          {program, client.EmailChangeProof{Code: &flow.Code}, client.ProblemCodePersonRequired},
		"another user":                       {stranger, client.EmailChangeProof{Code: &flow.Code}, client.ProblemCodeValidationFailed},
		"a code in another session":          {elsewhere, client.EmailChangeProof{Code: &flow.Code}, client.ProblemCodeValidationFailed},
		"a link in another session":          {elsewhere, client.EmailChangeProof{Secret: &flow.Secret}, client.ProblemCodeValidationFailed},
		"nothing":                            {fresh, client.EmailChangeProof{}, client.ProblemCodeValidationFailed},
		"another user with link and number":  {stranger, client.EmailChangeProof{Secret: &flow.Secret, Match: &flow.Match}, client.ProblemCodeValidationFailed},
		"a flow that is none, and hostile":   {fresh, client.EmailChangeProof{Code: new(strings.Repeat("é", 30))}, client.ProblemCodeValidationFailed},
		"somebody of the host with the code": {nobody, client.EmailChangeProof{Code: &flow.Code}, client.ProblemCodeNotFound},
	} {
		c.proof.ID = flow.ID
		_, err := s.person(t, spec, c.who).ConfirmEmailChange(t.Context(), c.proof)
		refused(what, err, c.code)
	}
	taken := s.mailed(ada.ID, session, "eve@example.com")
	_, err = s.person(t, spec, stale).ConfirmEmailChange(t.Context(), client.EmailChangeProof{ID: taken.ID, Code: &taken.Code})
	refused("somebody else's address", err, client.ProblemCodeConflict)
	if got, err := s.person(t, spec, elsewhere).ConfirmEmailChange(t.Context(), client.EmailChangeProof{ID: flow.ID, Secret: &flow.Secret, Match: &flow.Match}); err != nil || got.ID != ada.ID.String() || got.Email != "new@example.com" {
		t.Errorf("ConfirmEmailChange with the number = %+v, %v", got, err)
	}
}

func TestWithoutAMailerNobodyChangesTheirAddress(t *testing.T) {
	s := newServiceWithout(t)
	who := identity.Principal{Tenant: identity.OwnerTenant, UserID: s.user("ada@example.com").ID.String()}
	_, err := s.person(t, loadContract(t), who).BeginEmailChange(t.Context(), "new@example.com")
	if answer, ok := errors.AsType[*client.Error](err); !ok || answer.Code != client.ProblemCodeNoMailer {
		t.Errorf("BeginEmailChange = %v, want no_mailer", err)
	}
}
