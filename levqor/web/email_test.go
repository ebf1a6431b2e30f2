package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/web"
)

// wantAddress looks whether bob has an address.
func (r *rig) wantAddress(address string) {
	r.Helper()
	if user, err := r.app.Directory.FindUser(r.Context(), r.bob.ID); err != nil || user.Email.String() != address {
		r.Errorf("bob is %+v, %v; want the address %s", user, err, address)
	}
}

// letter returns the next mail, which goes to an address.
func (r *rig) letter(to string) levqor.Mail {
	r.Helper()
	select {
	case m := <-r.box:
		if m.To.String() != to {
			r.Fatalf("the mail goes to %s, want %s", m.To, to)
		}
		return m
	case <-r.Context().Done():
		r.Fatal("no mail has come")
		return levqor.Mail{}
	}
}

func TestPeopleChangeTheirAddressByCode(t *testing.T) {
	r := newRig(t, web.Options{})
	b, elsewhere := newBrowser(t, r.server), newBrowser(t, r.server)
	r.signIn(elsewhere, "bob@example.com")
	r.signIn(b, "bob@example.com").want("/account", 200, "Change the address")
	r.advance(time.Hour)
	b.open("/account/email").want("/login/again", 200).submit("/login/again").submit("/login/code", "code", r.mail().code).want("/account/email", 200, "bob@example.com")
	b.submit("/account/email", "email", "bob@example.com").want("/account/email", http.StatusBadRequest, "is the address that the account has")
	b.submit("/account/email", "email", "Robert@example.com").want("/account/email/sent", 200, "new mailbox")
	m := r.mail()
	b.submit("/account/email/code", "code", "0000-0000").want("/account/email/code", http.StatusUnauthorized, "The code is wrong")
	elsewhere.do(http.MethodPost, "/account/email/code", url.Values{"code": {m.code}}).want("/login/again", 200) // has asked for none
	r.wantAddress("bob@example.com")
	b.submit("/account/email/code", "code", m.code).want("/account", 200, "Robert@example.com")
	elsewhere.open("/account").want("/login", 200)
	r.letter("bob@example.com")
	if log := r.logged(r.team.String()); !strings.HasPrefix(log, "email.changed ") || !strings.Contains(log, "email.change_asked") {
		t.Errorf("the log is %q", log)
	}
	b.submit("/logout")
	r.signIn(b, "robert@example.com").want("/account", 200, "member of Engines")
}

func TestALinkChangesTheAddressOfWhoAskedAndScannersUseNothingUp(t *testing.T) {
	r := newRig(t, web.Options{})
	b, phone, ada := newBrowser(t, r.server), newBrowser(t, r.server), newBrowser(t, r.server)
	r.signIn(phone, "bob@example.com")
	r.signIn(ada, "ada@example.com")
	r.signIn(b, "bob@example.com").open("/account/email").submit("/account/email", "email", "robert@example.com").want("/account/email/sent", 200)
	number := strings.Fields(b.text()[strings.Index(b.text(), "this number:"):])[2]
	m := r.mail()
	scanner := newBrowser(t, r.server)
	for range 20 {
		scanner.open(m.path).want("/login", 200)
		scanner.do(http.MethodHead, m.path, nil)
		scanner.do(http.MethodPost, m.path, url.Values{"secret": {m.secret}}).want("/login", 200)
	}
	ada.open(m.path).want(m.path, http.StatusGone, "another account")
	ada.do(http.MethodPost, m.path, url.Values{"secret": {m.secret}, "match": {number}}).want(m.path, http.StatusGone)
	phone.open(m.path).want(m.path, 200, "r…@example.com", "Firefox on Linux")
	phone.submit(m.path, "secret", m.secret, "match", "").want(m.path, http.StatusUnauthorized)
	r.wantAddress("bob@example.com")
	b.open(m.path).want(m.path, 200).submit(m.path, "secret", m.secret).want("/account", 200, "robert@example.com")
	b.open(m.path).want(m.path, http.StatusGone, "used up")
	phone.open("/account").want("/login", 200)

	r.letter("bob@example.com")
	r.signIn(phone, "robert@example.com")
	b.open("/account/email").submit("/account/email", "email", "rob@example.com").want("/account/email/sent", 200)
	number = strings.Fields(b.text()[strings.Index(b.text(), "this number:"):])[2]
	m = r.mail()
	phone.open(m.path).submit(m.path, "secret", m.secret, "match", number).want("/account", 200, "rob@example.com")
	b.open("/account").want("/login", 200)
}

func TestWhoeverHasTheOldMailboxTakesTheAddressBackWithoutSigningIn(t *testing.T) {
	r := newRig(t, web.Options{})
	thief, owner := newBrowser(t, r.server), newBrowser(t, r.server)
	steal := func(to string) string {
		t.Helper()
		thief.open("/account/email").submit("/account/email", "email", to).want("/account/email/sent", 200)
		thief.submit("/account/email/code", "code", r.mail().code).want("/account", 200, to)
		r.advance(time.Minute)
		return r.mail().secret
	}
	r.signIn(thief, "bob@example.com")
	token := steal("thief@example.com")
	later := steal("thief2@example.com")

	scanner := newBrowser(t, r.server)
	for range 20 {
		scanner.open("/undo").want("/undo", 200)
		scanner.submit("/undo", "token", token).want("/undo", 200, "everybody is signed out")
		scanner.submit("/undo").want("/undo", 200) // presses the button
	}
	r.wantAddress("thief2@example.com")
	owner.open("/undo").submit("/undo", "token", token).want("/undo", 200)
	owner.submit("/undo", "confirm", "thief@example.com").want("/undo", http.StatusBadRequest, "nothing was changed")
	owner.submit("/undo", "confirm", "Bob@Example.com").want("/undo", 200, "Your address is back", "the members of your teams and their roles, at the teams' providers")
	if told := <-r.box; told.To.String() != "thief2@example.com" {
		t.Errorf("%s is told, want the address that was given up", told.To)
	}
	r.wantAddress("bob@example.com")
	thief.open("/account").want("/login", 200)
	for _, over := range []string{token, later, "nonsense"} {
		owner.open("/undo").submit("/undo", "token", over).want("/undo", http.StatusGone, "This link is over")
	}
	if log := r.logged(r.team.String()); !strings.HasPrefix(log, "email.change_undone ") {
		t.Errorf("the log is %q", log)
	}
	r.signIn(owner, "bob@example.com").want("/account", 200, "member of Engines")
}

func TestAnAddressOfSomebodyElseLooksLikeAnyOther(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	r.signIn(b, "bob@example.com")
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var answers []string
	for _, address := range []string{"ada@example.com", "nobody@example.com"} {
		b.do(http.MethodPost, "/account/email", url.Values{"email": {address}})
		h := b.header.Clone()
		for _, varies := range []string{"Set-Cookie", "Content-Security-Policy", "Date"} {
			h.Del(varies)
		}
		var all strings.Builder
		_ = h.Write(&all)
		answers = append(answers, http.StatusText(b.status)+all.String()+b.body)
		if mail := r.letter(address); strings.Contains(mail.Text, "#") != (address == "nobody@example.com") {
			t.Errorf("the mail to %s is %s", address, mail.Text)
		}
	}
	if answers[0] != answers[1] {
		t.Errorf("the answers differ: %q", answers)
	}
}

func TestASecondFactorStaysUnderTheNewAddress(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	r.signIn(b, "ada@example.com")
	secret := r.enrol(b)
	b.open("/account/email").submit("/account/email", "email", "countess@example.com").want("/account/email/sent", 200)
	b.submit("/account/email/code", "code", r.mail().code).want("/account", 200, "countess@example.com", "owner of Engines", "authenticator app")
	r.letter("ada@example.com")
	b.submit("/logout")
	r.signIn(b, "countess@example.com").want("/login/factor", 200).submit("/login/factor", "code", r.totp(secret)).want("/account", 200)
	if member, err := r.app.Directory.FindMember(t.Context(), r.team, r.ada.ID); err != nil || member.Role != identity.RoleOwner {
		t.Errorf("ada is %+v, %v", member, err)
	}
}

func TestAnInvitationToAnAddressThatWasLeftIsForWhoLeftIt(t *testing.T) {
	r := newRig(t, web.Options{})
	b, dan := newBrowser(t, r.server), newBrowser(t, r.server)
	r.signIn(b, "ada@example.com")
	r.enrol(b)
	to, err := identity.ParseEmail("daniel@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := r.app.Addresses.Change(t.Context(), r.user("dan@example.com").ID, to); err != nil {
		t.Fatal(err)
	}
	b.open("/team").submit("/team/invitations", "email", "dan@example.com", "role", "viewer").want("/team", 200)
	token := r.mail().secret
	dan.open("/join").submit("/join", "token", token).submit("/join", "accept", "yes").want("/join", http.StatusConflict, "sign in with the new one first")
	if session(dan) != "" {
		t.Error("the invitation signs in")
	}
	r.signIn(dan, "daniel@example.com").open("/join").submit("/join", "token", token).submit("/join", "accept", "yes").want("/account/factors", 200)
	dan.open("/account").want("/account", 200, "viewer of Engines", "daniel@example.com")
}
