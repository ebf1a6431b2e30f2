package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/login"
	"github.com/levqor/sdk/levqor/web"
)

func TestPeopleSignInByCodeAndOut(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	b.open("/account").want("/login", 200, "Sign in")
	r.signIn(b, "Bob@Example.com").want("/account", 200, "bob@example.com", "Engines", "Firefox on Linux")
	cookie := session(b)
	b.submit("/logout").want("/login", 200)
	thief := newBrowser(t, r.server)
	at, _ := url.Parse(r.server.URL)
	thief.client.Jar.SetCookies(at, []*http.Cookie{{Name: "__Host-lvq_session", Value: cookie, Path: "/", Secure: true}})
	thief.open("/account").want("/login", 200)
	if got := r.logged(r.team.String()); got != "session.ended login.succeeded" {
		t.Errorf("the log is %q", got)
	}
}

func TestALinkIsForTheButtonAndScannersUseNothingUp(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	b.open("/login").submit("/login", "email", "bob@example.com", "return", "/team").want("/login/sent", 200)
	m := r.mail()
	scanner := newBrowser(t, r.server)
	for range 50 {
		scanner.open(m.path).want(m.path, 200, "b…@example.com")
		scanner.do(http.MethodHead, m.path, nil)
	}
	b.open(m.path).want(m.path, 200).submit(m.path, "secret", m.secret).want("/account", 200, "bob@example.com")
	b.open(m.path).want(m.path, http.StatusGone, "used up")
}

func TestAnotherBrowserRepeatsTheNumber(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	b.open("/login").submit("/login", "email", "bob@example.com").want("/login/sent", 200)
	number := strings.Fields(b.text()[strings.Index(b.text(), "this number:"):])[2]
	m := r.mail()
	phone := newBrowser(t, r.server)
	phone.open(m.path).want(m.path, 200, "Firefox on Linux")
	phone.submit(m.path, "secret", m.secret, "match", "").want(m.path, http.StatusUnauthorized)
	phone.submit(m.path, "secret", m.secret, "match", number).want("/account", 200, "bob@example.com")
}

func TestWrongCodesAreTold(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	b.open("/login/sent").want("/login", 200)
	b.submit("/login", "email", "no address").want("/login", http.StatusBadRequest)
	b.submit("/login", "email", "bob@example.com").want("/login/sent", 200)
	code := r.mail().code
	for range login.MaxTries {
		b.submit("/login/code", "code", "0000-0000").want("/login/code", http.StatusUnauthorized, "The code is wrong")
	}
	b.submit("/login/code", "code", code).want("/login/code", http.StatusUnauthorized, "The code is wrong")
}

func TestKnownUnknownAndDisabledAddressesLookAlike(t *testing.T) {
	r := newRig(t, web.Options{})
	eve := r.user("eve@example.com")
	if _, err := r.app.Directory.DisableUser(t.Context(), eve.ID); err != nil {
		t.Fatal(err)
	}
	var answers []string
	for _, address := range []string{"bob@example.com", "nobody@example.com", "eve@example.com"} {
		b := newBrowser(t, r.server)
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		b.do(http.MethodPost, "/login", url.Values{"email": {address}})
		h := b.header.Clone()
		if len(h["Set-Cookie"]) != 1 || b.status != http.StatusSeeOther {
			t.Fatalf("%s: %d %v", address, b.status, h)
		}
		for _, varies := range []string{"Set-Cookie", "Content-Security-Policy", "Date"} {
			h.Del(varies)
		}
		var all strings.Builder
		_ = h.Write(&all)
		answers = append(answers, all.String()+b.body)
	}
	if answers[0] != answers[1] || answers[0] != answers[2] {
		t.Errorf("the answers differ: %q", answers)
	}
}

func TestTheReturnPathStaysHere(t *testing.T) {
	r := newRig(t, web.Options{})
	for _, to := range []string{"//evil.example", "/\\evil.example", "https://evil.example", "https:evil.example", "/%2fevil.example", "/%5cevil.example", "javascript:alert(1)", "/\t/evil.example", "/..//evil.example"} {
		b := newBrowser(t, r.server)
		r.advance(2 * time.Hour) // of mails to one address
		b.open("/login?return="+url.QueryEscape(to)).submit("/login", "email", "bob@example.com").want("/login/sent", 200)
		b.submit("/login/code", "code", r.mail().code).want("/account", 200)
		if "https://"+b.at.Host != r.server.URL || strings.Contains(b.body, "evil") {
			t.Errorf("%q leads to %s", to, b.at)
		}
	}
}

func TestASessionIsNeverTheOneFromBefore(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	at, _ := url.Parse(r.server.URL)
	planted := strings.Repeat("A", 43)
	b.client.Jar.SetCookies(at, []*http.Cookie{{Name: "__Host-lvq_session", Value: planted, Path: "/", Secure: true}})
	r.signIn(b, "bob@example.com").want("/account", 200)
	first := session(b)
	if first == "" || first == planted {
		t.Fatalf("the session is %q", first)
	}
	r.signIn(b, "bob@example.com").want("/account", 200)
	if _, err := r.app.Sessions.Authenticate(t.Context(), first); err == nil || session(b) == first {
		t.Error("the session from before goes on")
	}
}

func TestAskingForMailIsLimited(t *testing.T) {
	r := newRig(t, web.Options{Logins: guard.Policy{Limit: 5}})
	b := newBrowser(t, r.server)
	for range 5 {
		b.open("/login").submit("/login", "email", "nobody@example.com").want("/login/sent", 200)
	}
	b.open("/login").submit("/login", "email", "bob@example.com").want("/login", http.StatusTooManyRequests, "too many tries")
	if b.header.Get("Retry-After") == "" {
		t.Error("the page does not say when to come back")
	}
}

func TestForgedRequestsAndFormsThatAreNoneAreRefused(t *testing.T) {
	r := newRig(t, web.Options{})
	for _, rt := range web.Routes() {
		method, path, _ := strings.Cut(rt.Pattern, " ")
		if method != http.MethodPost {
			continue
		}
		path = strings.ReplaceAll(path, "{flow}", strings.Repeat("a", 22))
		for what, change := range map[string]func(*http.Request){
			"from another site": func(req *http.Request) { req.Header.Set("Sec-Fetch-Site", "cross-site") },
			"from a neighbour":  func(req *http.Request) { req.Header.Set("Sec-Fetch-Site", "same-site") },
			"of another origin": func(req *http.Request) { req.Header.Set("Origin", "https://evil.example") },
		} {
			if got := r.post(path, "a=b", change); got != http.StatusForbidden {
				t.Errorf("%s %s: status %d, want 403", path, what, got)
			}
		}
		for _, form := range []string{"a=1&a=2", "a=%00", "a=%zz", "a=" + strings.Repeat("x", 70<<10)} {
			if got := r.post(path, form, func(*http.Request) {}); got != http.StatusBadRequest {
				t.Errorf("%s with the form %.20q: status %d, want 400", path, form, got)
			}
		}
	}
}

// post sends a form as a program does, and returns the status of the answer.
func (r *rig) post(path, form string, change func(*http.Request)) int {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, r.server.URL+path, strings.NewReader(form))
	if err != nil {
		r.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	change(req)
	answer, err := r.server.Client().Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}
