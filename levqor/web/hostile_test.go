package web_test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/web"
)

// send sends a request as a program does, follows nothing, and returns the answer with its
// body.
func (r *rig) send(method, path, form string, change func(*http.Request)) (*http.Response, string) {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, r.server.URL+path, strings.NewReader(form))
	if err != nil {
		r.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	change(req)
	client := *r.server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		r.Fatal(err)
	}
	return answer, string(body)
}

// entries returns the entries of a tenant's log about an action, the last first, with those
// that were noted to be recorded soon.
func (r *rig) entries(tenant string, action guard.Action) []guard.Entry {
	r.Helper()
	if err := r.app.SecurityLog.Flush(r.Context()); err != nil {
		r.Fatal(err)
	}
	entries, err := r.app.SecurityLog.Entries(r.Context(), tenant, guard.LogQuery{Action: action, Limit: 100})
	if err != nil {
		r.Fatal(err)
	}
	return entries
}

func TestForgedAddressesBuyNoTries(t *testing.T) {
	r := newRig(t, web.Options{Logins: guard.Policy{Limit: 5}})
	for i := range 10 {
		answer, _ := r.send(http.MethodPost, "/login", "email=nobody@example.com", func(req *http.Request) {
			forged := fmt.Sprintf("198.51.100.%d", i)
			for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip"} {
				req.Header.Set(name, forged)
			}
			req.Header.Set("Forwarded", "for="+forged)
		})
		if want := i >= 5; (answer.StatusCode == http.StatusTooManyRequests) != want {
			t.Errorf("try %d: status %d, want it refused: %v", i+1, answer.StatusCode, want)
		}
	}
	answer, _ := r.send(http.MethodPost, "/login/code", "code=0000-0000", func(req *http.Request) { req.Header.Set("X-Forwarded-For", "198.51.100.7") })
	failed := r.entries(identity.OwnerTenant, guard.ActionLoginFailed)
	if want := r.app.SecurityLog.Pseudonym("ip", guard.Network(netip.MustParseAddr("127.0.0.1"))); answer.StatusCode >= 500 || len(failed) != 1 || failed[0].Address != want {
		t.Errorf("status %d; the log has %+v, want the address %s", answer.StatusCode, failed, want)
	}
}

func TestHostileHeadersChangeNoPage(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	r.signIn(b, "bob@example.com").want("/account", 200)
	for _, name := range []string{
		"Host", "User-Agent", "Referer", "Origin", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override",
		"Accept", "Accept-Language", "Accept-Encoding", "Range", "If-None-Match", "Traceparent", "X-Request-Id",
	} {
		for _, value := range []string{"evil.example", `"><script>evil</script>`, "/evil", "${jndi:ldap://evil.example/a}", "evil' OR 1=1 --", strings.Repeat("evil", 4000)} {
			if name == "Host" && value != "evil.example" {
				continue // net/http sends no such host
			}
			for path, want := range map[string]int{"/account": http.StatusOK, "/login": http.StatusOK, "/account/delete": http.StatusOK, "/nowhere": http.StatusNotFound} {
				answer, body := r.send(http.MethodGet, path, "", func(req *http.Request) {
					req.Header.Set("Cookie", "__Host-lvq_session="+session(b))
					if req.Header.Set(name, value); name == "Host" {
						req.Host = value
					}
				})
				if answer.StatusCode != want || strings.Contains(body+fmt.Sprint(answer.Header), "evil") {
					t.Errorf("%s with %s: %.50q: status %d %v", path, name, value, answer.StatusCode, answer.Header)
				}
			}
		}
	}
	r.advance(time.Hour)
	answer, _ := r.send(http.MethodPost, "/login", "email=bob@example.com", func(req *http.Request) {
		req.Host = "evil.example"
		req.Header.Set("X-Forwarded-Host", "evil.example")
	})
	if to := answer.Header.Get("Location"); !strings.HasPrefix(to, "/login/sent") {
		t.Errorf("a forged host leads to %q", to)
	}
	r.mail() // whose link is that of the service
}

func TestOversizedCookiesAreNone(t *testing.T) {
	r := newRig(t, web.Options{})
	for _, cookies := range []string{
		"__Host-lvq_session=" + strings.Repeat("A", 60<<10), "__Host-lvq_login=" + strings.Repeat("A", 60<<10), "__Host-lvq_device=" + strings.Repeat("A", 60<<10),
		strings.Repeat("__Host-lvq_session=A; ", 1500), "__Host-lvq_login=" + strings.Repeat("A", 20_000) + "." + strings.Repeat("A", 20_000) + ".11",
	} {
		with := func(req *http.Request) { req.Header.Set("Cookie", cookies) }
		if answer, body := r.send(http.MethodGet, "/account", "", with); answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(answer.Header.Get("Location"), "/login?") || strings.Contains(body, "AAAA") {
			t.Errorf("%.30s…: status %d %v", cookies, answer.StatusCode, answer.Header)
		}
		before := len(r.entries(identity.OwnerTenant, guard.ActionLoginFailed))
		answer, body := r.send(http.MethodPost, "/login/code", "code=0000-0000", with)
		if answer.StatusCode >= 500 || strings.Contains(body, "AAAA") || strings.Contains(fmt.Sprint(answer.Header), "AAAA") {
			t.Errorf("%.30s…: status %d %v", cookies, answer.StatusCode, answer.Header)
		}
		if after := len(r.entries(identity.OwnerTenant, guard.ActionLoginFailed)); after != before+1 {
			t.Errorf("%.30s…: the log has %d failures, want %d", cookies, after, before+1)
		}
	}
}

func TestAReplayedCodeOfAnAppLooksLikeAWrongOneAndIsRecorded(t *testing.T) {
	r := newRig(t, web.Options{})
	b, thief := newBrowser(t, r.server), newBrowser(t, r.server)
	r.signIn(b, "bob@example.com")
	secret := r.enrol(b)
	b.submit("/logout")
	r.advance(time.Hour)
	r.signIn(b, "bob@example.com").want("/login/factor", 200)
	r.advance(time.Minute)
	r.signIn(thief, "bob@example.com").want("/login/factor", 200)
	code := r.totp(secret)
	b.submit("/login/factor", "code", code).want("/account", 200)
	var answers []string
	for _, shown := range []string{code, "000000"} {
		thief.open("/login/factor").submit("/login/factor", "code", shown).want("/login/factor", http.StatusUnauthorized)
		answers = append(answers, regexp.MustCompile(`nonce="[^"]*"`).ReplaceAllString(thief.body, ""))
	}
	if answers[0] != answers[1] {
		t.Errorf("a code that was used is told from a wrong one: %q", answers)
	}
	thief.open("/account").want("/login/factor", 200)
	failed := r.entries(r.team.String(), guard.ActionLoginFailed)
	count := 0
	for _, e := range failed {
		count += e.Count
		if e.Actor != r.bob.ID.String() || e.Detail["by"] != "totp" || strings.Contains(fmt.Sprintf("%+v", e), code) {
			t.Errorf("the log has %+v", e)
		}
	}
	if half := r.entries(identity.OwnerTenant, guard.ActionLoginFailed); count+len(half) != 2 {
		t.Errorf("%d and %d failures are recorded", count, len(half))
	}
}

func TestTheSessionOfADeletedMemberOpensNothing(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	r.signIn(b, "bob@example.com").open("/team").want("/team", 200, "Engines")
	if err := r.app.Directory.RemoveMember(t.Context(), r.team, r.bob.ID); err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"/account", "/team", "/account/factors"} {
		if b.open(page); strings.Contains(b.body, "Engines") {
			t.Errorf("%s shows the team to somebody who is out of it", page)
		}
	}
	b.open("/team").want("/team", http.StatusNotFound)
	for _, form := range []string{"/team/name", "/team/leave", "/team/role", "/team/delete", "/team/invitations"} {
		b.do(http.MethodPost, form, url.Values{"name": {"Mallory"}, "user": {r.ada.ID.String()}, "role": {"viewer"}, "confirm": {"Engines"}, "email": {"x@example.com"}})
		if b.status != http.StatusNotFound {
			t.Errorf("%s has status %d", form, b.status)
		}
	}
	b.do(http.MethodPost, "/account/tenant", url.Values{"tenant": {r.team.String()}}).want("/account/tenant", http.StatusNotFound)
	if tenant, err := r.app.Directory.FindTenant(t.Context(), r.team); err != nil || tenant.Name != "Engines" {
		t.Errorf("the team is %+v, %v", tenant, err)
	}
	if err := r.app.DeleteUser(t.Context(), r.bob.ID, guard.Event{Tenant: identity.OwnerTenant, Action: guard.ActionUserDeleted, Outcome: guard.OutcomeSuccess}); err != nil {
		t.Fatal(err)
	}
	for _, rt := range web.Routes() {
		method, path, _ := strings.Cut(rt.Pattern, " ")
		if rt.Access == "open" {
			continue
		}
		answer, _ := r.send(method, strings.Replace(path, "{$}", "", 1), "", func(req *http.Request) { req.Header.Set("Cookie", "__Host-lvq_session="+session(b)) })
		if answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(answer.Header.Get("Location"), "/login?") {
			t.Errorf("%s: status %d to %s", rt.Pattern, answer.StatusCode, answer.Header.Get("Location"))
		}
	}
}

// Each place that takes a return path answers with a path of this origin, whatever it says.
func TestNoFormLeadsElsewhere(t *testing.T) {
	r := newRig(t, web.Options{})
	b := newBrowser(t, r.server)
	r.signIn(b, "bob@example.com")
	secret := r.enrol(b)
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, to := range []string{
		"//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "https:evil.example", "///evil.example", "/%2fevil.example", "/%5cevil.example",
		"/%252fevil.example", "javascript:alert(1)", "/\t/evil.example", "/..//evil.example", "/a\r\nSet-Cookie: evil=1", "/" + strings.Repeat("evil", 1000), "evil.example", "@evil.example",
	} {
		if httpguard.ReturnPath(to) != "/" {
			t.Errorf("%q is a path of this origin", to)
		}
		for _, c := range []struct {
			method, path string
			form         url.Values
		}{
			{http.MethodGet, "/login?return=" + url.QueryEscape(to), nil},
			{http.MethodGet, "/login/again?return=" + url.QueryEscape(to), nil},
			{http.MethodGet, "/login/factor?return=" + url.QueryEscape(to), nil},
			{http.MethodPost, "/login", url.Values{"email": {"nobody@example.com"}, "return": {to}}},
			{http.MethodPost, "/login/again", url.Values{"return": {to}}},
			{http.MethodPost, "/login/factor", url.Values{"code": {""}, "return": {to}}},
			{http.MethodPost, "/login/recovery", url.Values{"recovery": {"nope"}, "return": {to}}},
		} {
			r.advance(10 * time.Minute)
			if c.form.Has("code") {
				c.form.Set("code", r.totp(secret))
			}
			b.do(c.method, c.path, c.form)
			at := b.header.Get("Location")
			u, err := url.Parse(at)
			if err != nil || u.Host != "" || u.Scheme != "" || strings.HasPrefix(at, "//") || strings.Contains(b.body+fmt.Sprint(b.header), "evil") || b.status >= 500 {
				t.Errorf("%s %s with %.30q: status %d to %q", c.method, c.path[:min(30, len(c.path))], to, b.status, at)
			}
		}
	}
	if raised := r.entries(r.team.String(), guard.ActionLoginSucceeded); len(raised) < 16 {
		t.Errorf("%d logins were led to a page", len(raised))
	}
}
