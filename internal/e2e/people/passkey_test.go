package people_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
)

// authenticator is one that the browser makes up, on the machine itself, whose user is
// always there and known to it.
type authenticator struct {
	*tab
	id webauthn.AuthenticatorID
}

func (b *tab) authenticator() *authenticator {
	b.Helper()
	call(b, webauthn.Enable, webauthn.EnableParams{})
	added := call(b, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}})
	return &authenticator{b, added.AuthenticatorID}
}

// call sends the browser a command.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.Helper()
	result, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

// credentials returns the passkeys that the authenticator holds, with their private keys.
func (a *authenticator) credentials() []*webauthn.Credential {
	a.Helper()
	return call(a.tab, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id}).Credentials
}

// addCredential is [webauthn.AddCredential] without what not every Chromium knows.
var addCredential = cdp.Command[map[string]any, cdp.Empty]{Method: webauthn.CommandAddCredential}

// hold puts a passkey into the authenticator, in the place of one that it has.
func (a *authenticator) hold(c webauthn.Credential) {
	a.Helper()
	call(a.tab, webauthn.ClearCredentials, webauthn.ClearCredentialsParams{AuthenticatorID: a.id})
	call(a.tab, addCredential, map[string]any{"authenticatorId": a.id, "credential": map[string]any{
		"credentialId": c.CredentialID, "isResidentCredential": true, "rpId": c.RpID, "privateKey": c.PrivateKey, "userHandle": c.UserHandle, "signCount": c.SignCount,
	}})
}

func TestAPasskeyOfABrowserIsASecondFactor(t *testing.T) {
	t.Parallel()
	s, c := newService(t), newChromium(t)
	s.run()
	ada := s.user("ada@example.com")
	b := c.visitor(t, s.url)
	a := b.authenticator()

	b.signIn(s, "ada@example.com").want("/account", "Second factors: none")
	b.open("/account/factors").submit("/account/factors/passkeys", "name", "Laptop").want("/account/factors", "Laptop", "never")
	held := a.credentials()
	if len(held) != 1 || !held[0].IsResidentCredential || held[0].RpID != "localhost" {
		t.Fatalf("the authenticator holds %+v", held)
	}

	if m := s.news(); m.To != ada.Email || !strings.Contains(m.Text, "A passkey was added to your account.") {
		t.Errorf("ada is told %+v", m)
	}

	b.submit("/logout").want("/login").signIn(s, "ada@example.com").want("/login/factor", "Use a passkey")
	b.open("/account").want("/login/factor")
	b.submit("/login/passkey").want("/account", "Second factors: passkeys")
	b.wantNoFaults()
	if got := len(s.logged(identity.OwnerTenant, guard.ActionLoginSucceeded)); got != 3 { // the first, the one with the factor set up, and this
		t.Errorf("the log has %d logins, want 3", got)
	}

	// An old copy of the authenticator: its count is behind.
	copied := *held[0]
	b.submit("/logout").signIn(s, "ada@example.com")
	a.hold(copied)
	b.submit("/login/passkey").want("/login/passkey", "That is wrong or has been used")
	b.open("/account").want("/login/factor")
	failed := s.logged(identity.OwnerTenant, guard.ActionLoginFailed)
	if len(failed) != 1 || failed[0].Actor != ada.ID.String() || failed[0].Detail["by"] != "cloned_passkey" || failed[0].Outcome != guard.OutcomeFailed {
		t.Errorf("the log has the failures %+v", failed)
	}

	copied.SignCount = 100
	a.hold(copied)
	b.open("/login/factor").submit("/login/passkey").want("/account")
	b.open("/account/factors").want("/account/factors", "Laptop")
	b.submit("/account/factors/passkeys/remove").want("/account/factors")
	if held, err := s.app.Factors.Has(t.Context(), ada.ID); err != nil || held.Any() {
		t.Errorf("after the removal ada has %+v, %v", held, err)
	}
	b.submit("/logout").signIn(s, "ada@example.com").want("/account", "Second factors: none")
	if actions := s.actions(identity.OwnerTenant); !slices.Contains(actions, guard.ActionFactorAdded) || !slices.Contains(actions, guard.ActionFactorRemoved) {
		t.Errorf("the log has %v", actions)
	}
}

func TestAnAnswerOfAnAuthenticatorIsTakenOnce(t *testing.T) {
	t.Parallel()
	s, c := newService(t), newChromium(t)
	s.run()
	s.user("ada@example.com")
	b := c.visitor(t, s.url)
	b.authenticator()
	b.signIn(s, "ada@example.com").open("/account/factors").submit("/account/factors/passkeys").want("/account/factors", "My passkey")
	b.submit("/logout").signIn(s, "ada@example.com").want("/login/factor")
	// What the form sends is kept, and sent again after it has been taken.
	answer := eval[string](b, `(() => {
		const form = document.querySelector("form[data-passkey]");
		return new Promise((resolve) => {
			form.submit = () => resolve(form.elements.namedItem("answer").value);
			form.requestSubmit();
		});
	})()`)
	send := func() {
		b.leads("send", chromedp.Evaluate[chromedp.Void](`void (() => {
			const form = document.querySelector("form[data-passkey]");
			form.elements.namedItem("answer").value = `+"`"+answer+"`"+`;
			HTMLFormElement.prototype.submit.call(form);
		})()`))
	}
	send()
	b.want("/account")
	s.advance(time.Minute)
	b.open("/login/factor")
	send()
	b.want("/login/passkey", "That is wrong or has been used")
	if failed := s.logged(identity.OwnerTenant, guard.ActionLoginFailed); len(failed) != 1 || failed[0].Detail["by"] != "passkey" {
		t.Errorf("the log has the failures %+v", failed)
	}
}

func TestWhoIsToProveAgainIsLedThereAndBack(t *testing.T) {
	t.Parallel()
	s, c := newService(t), newChromium(t)
	s.run()
	s.user("ada@example.com")
	b := c.visitor(t, s.url)
	b.authenticator()
	b.signIn(s, "ada@example.com").open("/account/factors")
	s.advance(time.Hour)
	b.submit("/account/factors/passkeys").want("/login/again", "a proof that it is still you")
	b.submit("/login/again").submit("/login/code", "code", s.mail().code).want("/account")
	b.open("/account/factors").submit("/account/factors/passkeys").want("/account/factors", "My passkey")
	b.wantNoFaults()
}
