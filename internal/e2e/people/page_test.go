package people_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/levqor/sdk/levqor/identity"
)

// Every page can be used wide and narrow, in light and dark, by keyboard and by those who do
// not see it; it loads nothing that its policy or the network refuses, and nothing from
// elsewhere.
func TestPagesAreSoundInABrowser(t *testing.T) {
	t.Parallel()
	s, c := newService(t), newChromium(t)
	s.run()
	ada, bob := s.user("ada@example.com"), s.user("bob.the.builder.of.engines@subsidiary.example.com")
	team, err := s.app.Directory.CreateTenant(t.Context(), "Engines", ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.app.Directory.AddMember(t.Context(), team.ID, bob.ID, identity.Grant{Role: identity.RoleMember}); err != nil {
		t.Fatal(err)
	}
	s.user("dora@example.com")
	s.require("required.example", s.user("owner@required.example"), s.user("member@required.example"))
	v := &viewer{c.visitor(t, s.url), &sights{}}
	v.authenticator()
	v.signInPages(s, c)
	v.factorPages(s)
	v.providerPages(s, c)
	v.teamPages(s, c)
	v.open("/account")
	v.look("account")
	v.open("/account/delete")
	v.look("account-delete")
	v.emailPages(s, c)
	v.lastPages(s, c)
	v.wantAll(t)
}

// viewer looks at pages that it comes by.
type viewer struct {
	*tab
	*sights
}

// other returns somebody else, who looks at pages too.
func (v *viewer) other(s *service, c *chromium) *viewer {
	return &viewer{c.visitor(v.T, s.url), v.sights}
}

func (v *viewer) signInPages(s *service, c *chromium) {
	v.Helper()
	v.open("/login")
	v.look("login")
	m := v.ask(s, "ada@example.com")
	v.look("login-code")
	v.submit("/login/code", "code", "0000-0000")
	v.look("login-code-wrong")
	v.open(m.link())
	v.look("login-link")
	elsewhere := v.other(s, c)
	elsewhere.open(m.link())
	elsewhere.look("login-link-elsewhere")
	v.submit("/login/l/" + m.flow)
	v.open(m.link())
	v.look("login-link-used")
}

func (v *viewer) factorPages(s *service) {
	v.Helper()
	v.open("/account/factors")
	v.look("factors-needed")
	v.submit("/account/factors/totp")
	v.look("factors-app")
	v.submit("/account/factors/totp/confirm", "code", "000000").want("/account/factors/totp/confirm", "The code is wrong")
	v.look("factors-app-wrong")
	v.open("/account/factors").submit("/account/factors/passkeys", "name", "Laptop of the second floor")
	v.look("factors")
	v.submit("/account/factors/codes")
	v.look("recovery-codes")
	v.submit("/logout").signIn(s, "ada@example.com")
	v.look("login-factor")
	v.submit("/login/passkey").want("/account")
}

// providerPages begin within minutes of a proof.
func (v *viewer) providerPages(s *service, c *chromium) {
	v.Helper()
	v.open("/team/sso")
	v.look("providers")
	v.submit("/team/sso", "issuer", s.provider(), "client_id", "levqor", "client_secret", "hunter2", "domains", "a.domain.of.engines.example.com")
	v.look("connection")
	v.submit("/test").want(eval[string](v.tab, "location.pathname"), "Go on to 127.0.0.1")
	v.look("provider-tried")
	member := v.other(s, c)
	member.open("/login").submit("/login", "email", "member@required.example").want("/login", "Go on to 127.0.0.1", "Owners of the team")
	member.look("login-provider")
	member.open("/login/sso/done/sso_nope")
	member.look("login-provider-refused")
}

// lastPages are those for which time goes by, and those of an account that ends.
func (v *viewer) lastPages(s *service, c *chromium) {
	v.Helper()
	const address = "bob.the.builder.of.engines@subsidiary.example.com"
	bob := v.other(s, c)
	bob.signIn(s, address).want("/account")
	s.advance(10 * time.Minute)
	bob.open("/account/delete").want("/login/again", "needs a proof")
	bob.look("login-again")
	bob.signIn(s, address).want("/account").open("/account/delete").submit("/account/delete", "confirm", "somebody@example.com")
	bob.want("/account/delete", "nothing was deleted")
	bob.look("account-delete-wrong")
	bob.open("/account/delete").submit("/account/delete", "confirm", address).want("/account/delete", "Your account is deleted")
	bob.look("account-deleted")
}

// emailPages are those of somebody who moves to another address, in one of two browsers, and
// of whoever has the old mailbox and takes it back.
func (v *viewer) emailPages(s *service, c *chromium) {
	v.Helper()
	phone, dora, owner := v.other(s, c), v.other(s, c), v.other(s, c)
	phone.signIn(s, "dora@example.com").want("/account")
	dora.signIn(s, "dora@example.com").open("/account/email")
	dora.look("account-email")
	dora.submit("/account/email", "email", "dora@example.com").want("/account/email", "is the address that the account has")
	dora.look("account-email-wrong")
	dora.submit("/account/email", "email", "theodora@example.com").want("/account/email/sent", "new mailbox")
	dora.look("account-email-sent")
	dora.submit("/account/email/code", "code", "0000-0000").want("/account/email/code", "The code is wrong")
	dora.look("account-email-sent-wrong")
	m := s.mail()
	phone.open(m.link()).want("/account/email/l/"+m.flow, "The number that is shown where you asked")
	phone.look("account-email-link-elsewhere")
	dora.open(m.link())
	dora.look("account-email-link")
	dora.submit("/account/email/l/"+m.flow).want("/account", "theodora@example.com")
	dora.open(m.link()).want("/account/email/l/"+m.flow, "used up")
	dora.look("account-email-link-used")

	owner.open(s.mail().link())
	owner.look("undo")
	owner.submit("/undo").want("/undo", "everybody is signed out")
	owner.look("undo-confirm")
	owner.submit("/undo", "confirm", "somebody@example.com").want("/undo", "nothing was changed")
	owner.look("undo-wrong")
	owner.submit("/undo", "confirm", "dora@example.com").want("/undo", "Your address is back")
	owner.look("undo-done")
	if told := <-s.box; told.To.String() != "theodora@example.com" {
		v.Errorf("%s is told, want the address that was given up", told.To)
	}
}

func (v *viewer) teamPages(s *service, c *chromium) {
	v.Helper()
	v.open("/team").submit("/team/invitations", "email", "carol@example.com")
	v.look("team")
	link := s.mail().link()
	v.open("/team").submit("/team/delete", "confirm", "Something else").want("/team/delete", "nothing was deleted")
	v.look("team-delete-wrong")
	carol := v.other(s, c)
	carol.open(link)
	carol.look("join")
	carol.submit("/join")
	carol.look("join-invitation")
	carol.leads("accept", chromedp.Click(chromedp.CSS("button[name=accept]")))
	carol.open("/account")
	carol.look("account-of-a-member")
	carol.open("/team")
	carol.look("team-of-a-member")
	carol.open("/nowhere")
	carol.look("no-such-page")
}

// look judges the page that the browser shows.
func (v *viewer) look(name string) {
	v.Helper()
	v.see(name, eval[string](v.tab, "location.pathname"), v.text())
	for _, width := range []int64{390, 1280} {
		v.do("resize", chromedp.EmulateViewport(width, 900))
		for _, scheme := range []string{"dark", "light"} {
			call(v.tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
			for _, wrong := range eval[[]string](v.tab, judge) {
				v.Errorf("%s, %d pixels wide, %s: %s", name, width, scheme, wrong)
			}
		}
		v.keep(name + "-" + strconv.FormatInt(width, 10) + ".png")
	}
	v.wantNames(name)
	v.wantKeyboard(name)
	if kept := eval[[]string](v.tab, kept); len(kept) != 0 {
		v.Errorf("%s: the browser keeps %q", name, kept)
	}
	v.forgiveStatus()
	v.wantNoFaults()
}

// kept returns what scripts of the page could find in the browser: cookies that they may
// read, and the names of all that is stored.
const kept = `(async () => [
	...(await cookieStore.getAll()).map((c) => c.name), ...Object.keys(localStorage), ...Object.keys(sessionStorage),
	...(await indexedDB.databases()).map((d) => d.name), ...(await caches.keys()),
].filter((name) => name))()`

// judge returns what is wrong with how a page is built and shown: its headings, its labels,
// its width, the size of what is pressed (WCAG 2.2, 2.5.8) and the contrast of texts (1.4.3).
const judge = `(() => {
	const wrong = [];
	const all = (selector) => [...document.querySelectorAll(selector)].filter((e) => e.offsetParent !== null);
	const levels = all("h1, h2, h3, h4, h5, h6").map((e) => Number(e.tagName[1]));
	if (levels.filter((l) => l === 1).length !== 1 || levels.some((l, i) => l > (levels[i - 1] ?? 0) + 1)) {
		wrong.push("headings of levels " + levels);
	}
	if (!document.title || !document.documentElement.lang || all("main").length !== 1) {
		wrong.push("no title, language or main part");
	}
	if (document.documentElement.scrollWidth > innerWidth) {
		wrong.push("wider than the window by " + (document.documentElement.scrollWidth - innerWidth));
	}
	const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
	if (new Set(ids).size !== ids.length) {
		wrong.push("an id twice among " + ids);
	}
	for (const e of all("button, select, input, nav a")) {
		const box = e.getBoundingClientRect();
		if (box.width < 24 || box.height < 24) {
			wrong.push("too small to press: " + e.outerHTML);
		}
	}
	const widest = document.createElement("canvas").getContext("2d");
	for (const e of all("th, button, td:not(:first-child)")) {
		const style = getComputedStyle(e);
		widest.font = style.font;
		const room = e.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) + 1;
		for (const word of [...e.childNodes].filter((n) => n.nodeType === Node.TEXT_NODE).flatMap((n) => n.data.split(/[\s-]+/))) {
			if (widest.measureText(word).width > room) {
				wrong.push("a word that does not fit: " + word);
			}
		}
	}
	const numbers = (color) => color.match(/[\d.]+/g).map(Number);
	const luminance = (color) => {
		const [r, g, b] = numbers(color).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const ground = (e) => {
		for (; e; e = e.parentElement) {
			const color = getComputedStyle(e).backgroundColor;
			if (numbers(color)[3] !== 0) {
				return color;
			}
		}
		return "rgb(255, 255, 255)";
	};
	for (const e of all("body *")) {
		if (![...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim()) || e.closest("svg")) {
			continue;
		}
		const [low, high] = [luminance(getComputedStyle(e).color), luminance(ground(e))].sort((a, b) => a - b);
		if ((high + 0.05) / (low + 0.05) < 4.5) {
			wrong.push("too little contrast: " + e.outerHTML);
		}
	}
	return wrong;
})()`

// wantNames demands that everything that can be used has a name for those who do not see it.
func (v *viewer) wantNames(page string) {
	v.Helper()
	tree := call(v.tab, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	roles := map[string]int{}
	for _, n := range tree.Nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		role, name := strings.Trim(string(n.Role.Value), `"`), ""
		if n.Name != nil {
			name = strings.Trim(string(n.Name.Value), `"`)
		}
		roles[role]++
		used := []string{"button", "textbox", "combobox", "link", "checkbox", "heading", "navigation", "image", "columnheader"}
		if slices.Contains(used, role) && name == "" {
			v.Errorf("%s: a %s has no name", page, role)
		}
		if slices.Contains([]string{"button", "textbox", "combobox"}, role) {
			if roles[role+" "+name]++; roles[role+" "+name] > 1 {
				v.Errorf("%s: more than one %s is called %q", page, role, name)
			}
		}
	}
	if roles["heading"] == 0 || roles["main"] != 1 || roles["banner"] != 1 {
		v.Errorf("%s has the roles %v", page, roles)
	}
}

// wantKeyboard demands that the tab key leads through everything that can be used, in the
// order in which it stands, and that it shows where it is.
func (v *viewer) wantKeyboard(page string) {
	v.Helper()
	const usable = `[...document.querySelectorAll("a[href], button, input:not([type=hidden]), select")].filter((e) => e.offsetParent !== null)`
	count := eval[int](v.tab, `(() => { document.activeElement.blur(); getSelection().removeAllRanges(); return `+usable+`.length; })()`)
	for i := range count {
		v.do("tab", chromedp.KeyEvent(kb.Tab))
		at := eval[int](v.tab, `getComputedStyle(document.activeElement).outlineStyle === "none" ? -2 : `+usable+`.indexOf(document.activeElement)`)
		if at != i {
			v.Errorf("%s: after %d tabs the focus is at %d of %d", page, i+1, at, count)
			return
		}
	}
}

// forgiveStatus forgets that a page itself had a status that is none of success.
func (v *viewer) forgiveStatus() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.faults = slices.DeleteFunc(v.faults, func(fault string) bool {
		return strings.HasPrefix(fault, "log: network: Failed to load resource: the server responded with a status of 4") &&
			!strings.Contains(fault, "/assets/") && !strings.Contains(fault, ".ico")
	})
}

// keep keeps a picture of the page where LEVQOR_SCREENSHOTS wants one.
func (v *viewer) keep(name string) {
	v.Helper()
	dir := os.Getenv("LEVQOR_SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(v.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), picture, 0o600)
	}
	if err != nil {
		v.Fatal(err)
	}
}
