package people_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"golang.org/x/net/html"

	"github.com/levqor/sdk/levqor/login"
)

// scan is one look of a program into a mail.
type scan struct {
	*testing.T
	client  *http.Client
	browser *chromium
	mail    letter
	service *service
}

// scanners are programs that follow links of mails before people do: those of mail servers,
// of mail programs, of chats into which somebody pastes a link, of firewalls.
var scanners = []struct {
	name string
	scan func(*scan)
}{
	{"asks for the headers before anything is delivered", func(s *scan) { s.fetch(http.MethodHead, s.mail.link(), nil) }},
	{"fetches each link of a mail", func(s *scan) { s.fetch(http.MethodGet, s.mail.link(), nil) }},
	{"wraps links in its own and follows where they lead", (*scan).wrapped},
	{"fetches each link of the page too", (*scan).crawl},
	{"prefetches and prerenders what may be opened next", (*scan).prefetch},
	{"shows a preview in a chat", (*scan).preview},
	{"keeps cookies from one look to the next", (*scan).withCookies},
	{"looks fifty times, two at once", (*scan).often},
	{"tries forms out by GET", (*scan).tryForms},
	{"runs the scripts of the page", (*scan).runScripts},
	{"presses what does not look like a login", (*scan).pressOthers},
	{"presses the button that signs in", (*scan).pressSignIn},
}

func TestScannersOfMailsUseNoLoginUp(t *testing.T) {
	t.Parallel()
	b := newChromium(t)
	if len(scanners) != 12 {
		t.Fatalf("there are %d scanners", len(scanners))
	}
	const address = "person@example.com"
	ways := []struct {
		name   string
		signIn func(*tab, letter)
	}{
		{"link", func(person *tab, m letter) { person.open(m.link()).submit("/login/l/" + m.flow) }},
		{"code", func(person *tab, m letter) { person.submit("/login/code", "code", m.code) }},
	}
	for i, scanner := range scanners {
		after := ways
		if os.Getenv("LEVQOR_SCANS") != "all" { // what the scan leaves of the link is looked at anyway
			after = ways[i%2:][:1]
		}
		t.Run(scanner.name, func(t *testing.T) {
			t.Parallel() // each with a service of its own, whose clock it moves on
			s := newService(t)
			s.run()
			s.user(address)
			for _, way := range after {
				person := b.visitor(t, s.url)
				m := person.ask(s, address)
				scanner.scan(&scan{t, &http.Client{Timeout: time.Minute}, b, m, s})
				if left, err := s.app.Links.Look(t.Context(), m.flow); err != nil || left.TriesLeft != login.MaxTries {
					t.Errorf("by %s: after the scan the link is %+v, %v", way.name, left, err)
				}
				way.signIn(person, m)
				person.want("/account", address)
				person.wantNoFaults()
			}
		})
	}
}

// fetch sends a request and returns the page that answers it.
func (s *scan) fetch(method, to string, header http.Header) *html.Node {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, to, http.NoBody)
	if err != nil {
		s.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	answer, err := s.client.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := html.Parse(answer.Body)
	if err != nil || answer.StatusCode >= http.StatusInternalServerError {
		s.Fatalf("%s %s: status %d, %v", method, to, answer.StatusCode, err)
	}
	return page
}

// wrapped follows a link to a server of the scanner's that sends on to the real one.
func (s *scan) wrapped() {
	redirector := httptest.NewServer(http.RedirectHandler(s.mail.link(), http.StatusFound))
	defer redirector.Close()
	s.fetch(http.MethodHead, redirector.URL, nil)
	s.fetch(http.MethodGet, redirector.URL, nil)
}

// targets returns what a page leads to.
func (s *scan) targets(page *html.Node) (all []string) {
	base, _ := url.Parse(s.mail.page)
	for n := range page.Descendants() {
		for _, a := range n.Attr {
			if a.Key != "href" && a.Key != "src" && a.Key != "action" {
				continue
			}
			if to, err := base.Parse(a.Val); err == nil && to.Host == base.Host {
				all = append(all, to.String())
			}
		}
	}
	return all
}

func (s *scan) crawl() {
	seen, waiting := map[string]bool{}, []string{s.mail.link()}
	for len(waiting) > 0 && len(seen) < 50 {
		to := waiting[0]
		waiting = waiting[1:]
		if seen[to] {
			continue
		}
		seen[to] = true
		waiting = append(waiting, s.targets(s.fetch(http.MethodGet, to, nil))...)
	}
	if len(seen) < 3 {
		s.Errorf("the crawl has found %v", seen)
	}
}

func (s *scan) prefetch() {
	for _, header := range []http.Header{
		{"Purpose": {"prefetch"}}, {"Sec-Purpose": {"prefetch"}}, {"Sec-Purpose": {"prefetch;prerender"}}, {"X-Moz": {"prefetch"}}, {"X-Purpose": {"preview"}},
	} {
		s.fetch(http.MethodGet, s.mail.link(), header)
	}
}

func (s *scan) preview() {
	for _, agent := range []string{
		"Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
		"WhatsApp/2.23.20.0", "TelegramBot (like TwitterBot)", "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
		"Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5", "Twitterbot/1.0",
	} {
		s.fetch(http.MethodGet, s.mail.link(), http.Header{"User-Agent": {agent}, "Range": {"bytes=0-32768"}, "Accept": {"*/*"}})
	}
}

func (s *scan) withCookies() {
	s.client.Jar, _ = cookiejar.New(nil)
	at, _ := url.Parse(s.service.url)
	s.client.Jar.SetCookies(at, []*http.Cookie{{Name: "lvq_login", Value: s.mail.flow + "." + strings.Repeat("A", 43) + ".11", Path: "/"}})
	for range 3 {
		s.fetch(http.MethodGet, s.service.url+"/login", nil)
		s.fetch(http.MethodGet, s.mail.link(), nil)
		s.fetch(http.MethodGet, s.service.url+"/login/sent", nil)
	}
}

func (s *scan) often() {
	var both sync.WaitGroup
	for _, methods := range [][]string{{http.MethodHead, http.MethodGet}, {http.MethodGet, http.MethodOptions}} {
		both.Go(func() {
			for i := range 50 {
				answer, err := s.send(methods[i%2])
				if err != nil {
					s.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
			}
		})
	}
	both.Wait()
}

func (s *scan) send(method string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(s.Context(), method, s.mail.link(), http.NoBody)
	if err != nil {
		return nil, err
	}
	return s.client.Do(r)
}

// tryForms sends what a form would, in the address: also the secret, which scanners have.
func (s *scan) tryForms() {
	page := s.fetch(http.MethodGet, s.mail.link(), nil)
	forms := 0
	for n := range page.Descendants() {
		if n.Data != "form" {
			continue
		}
		forms++
		for _, query := range []string{"?", "?secret=" + s.mail.secret, "?secret=" + s.mail.secret + "&match=11", "?code=" + url.QueryEscape(s.mail.code)} {
			for _, to := range s.targets(n) {
				s.fetch(http.MethodGet, to+query, nil)
			}
			s.fetch(http.MethodGet, s.service.url+"/login/code"+query, nil)
		}
	}
	if forms == 0 {
		s.Error("the page has no form")
	}
}

// runScripts opens the page in a browser, which reads the secret, and does nothing there.
func (s *scan) runScripts() {
	b := s.browser.visitor(s.T, s.service.url).open(s.mail.link())
	b.want("/login/l/"+s.mail.flow, "You will be signed in as")
	if got := eval[string](b, `document.querySelector("[name=secret]").value`); got != s.mail.secret {
		s.Errorf("the script has read %q", got)
	}
	b.wantNoFaults()
}

// pressing presses all of a page but the buttons of logins, where it leads nowhere else, and
// returns how much that was: most pages on the way in hold little else that looks pressable.
const pressing = `(() => {
	let pressed = 0;
	for (const each of document.querySelectorAll("body *")) {
		if (each.checkVisibility() && !each.closest("button")?.form?.action.includes("/login")) {
			each.addEventListener("click", (event) => event.preventDefault(), { once: each.matches("a") });
			each.click();
			pressed++;
		}
	}
	return pressed;
})()`

// pressOthers presses all that can be pressed but the button of the login, on the page and on
// those that it leads to.
func (s *scan) pressOthers() {
	b := s.browser.visitor(s.T, s.service.url)
	asked := s.mail.flow + "." + strings.Repeat("A", 43) + ".11" // the scanner pretends that it is where somebody has asked
	b.open("/login").do("cookie", chromedp.Evaluate[chromedp.Void](`void (document.cookie = "lvq_login=`+asked+`; path=/")`))
	for _, page := range []string{s.mail.link(), s.service.url + "/login", s.service.url + "/join", s.service.url + "/login/sent"} {
		pressed := eval[int](b.open(page), pressing)
		if at := eval[string](b, "location.href"); pressed == 0 || at != page && page != s.mail.link() {
			s.Errorf("%s: %d things are pressed at %s", page, pressed, at)
		}
	}
}

// pressSignIn presses the button in a browser that has not asked: as people do, and then as
// a program does that minds no required field.
func (s *scan) pressSignIn() {
	b := s.browser.visitor(s.T, s.service.url).open(s.mail.link())
	b.do("press", chromedp.Click(chromedp.CSS(`form[action^="/login/l/"] button`)))
	b.want("/login/l/"+s.mail.flow, "The number that is shown where you asked")
	for range login.MaxTries + 1 { // more often than codes may be tried
		b.open(s.mail.link()).leads("force", chromedp.Evaluate[chromedp.Void](`void document.querySelector("form[data-fragment]").submit()`))
		b.want("/login/l/"+s.mail.flow, "That did not work", "The number that is shown where you asked")
	}
}
