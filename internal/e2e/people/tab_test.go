package people_test

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium is a running browser.
type chromium struct {
	*testing.T
	ctx context.Context //nolint:containedctx // chromedp hands its browser around in one
}

// running is the browser of all tests, whose visitors share nothing: it takes longer to start
// than most tests take.
var running struct {
	once sync.Once
	ctx  context.Context //nolint:containedctx // as in chromium
	stop func()
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if running.stop != nil {
		running.stop()
	}
	os.Exit(code)
}

// newChromium returns the browser, started if it was not.
func newChromium(t *testing.T) *chromium {
	t.Helper()
	path := findChromium(t)
	running.once.Do(func() { running.ctx, running.stop, running.err = startChromium(path) })
	if running.err != nil {
		t.Fatalf("%s does not start: %v", path, running.err)
	}
	return &chromium{t, running.ctx}
}

// startChromium starts a browser that runs until it is stopped.
func startChromium(path string) (ctx context.Context, stop func(), err error) {
	opts := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.WSURLReadTimeout(time.Minute), chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1280, 900))
	if os.Geteuid() == 0 { // Chromium has no sandbox for root
		opts = append(opts, chromedp.NoSandbox)
	}
	allocated, end := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, closeTab := chromedp.NewContext(allocated)
	return ctx, func() { closeTab(); end() }, chromedp.Do(ctx)
}

func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("LEVQOR_TEST_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("there is no Chromium, and CI=true")
	}
	t.Skip("SKIPPED, NOT PASSED: there is no Chromium; install the package chromium or set LEVQOR_TEST_CHROMIUM to its path")
	return ""
}

// tab is a page of a browser that shares nothing with others: cookies and storage are its
// own. It notes what the browser complains about.
type tab struct {
	*testing.T
	ctx context.Context //nolint:containedctx // as in chromium
	url string          // of the service

	mu     sync.Mutex
	faults []string
}

// visitor opens an empty tab for somebody.
func (c *chromium) visitor(t *testing.T, url string) *tab {
	t.Helper()
	ctx, stop := chromedp.NewContext(c.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(stop)
	limit := time.AfterFunc(5*time.Minute, stop)
	t.Cleanup(func() { limit.Stop() })
	b := &tab{T: t, ctx: ctx, url: url}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	_, err := chromedp.Call(ctx, audits.Enable, cdp.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// listen notes errors of scripts, what was written to the console as one, resources that did
// not load, and what the policies of pages have kept from happening.
func (b *tab) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.note("exception: %v", e.ExceptionDetails)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			b.note("console: %s: %s", e.Type, written(e.Args))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.note("log: %s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *audits.EventIssueAdded:
		b.note("issue: %s", issue(e.Issue))
	case *network.EventRequestWillBeSent:
		if at, err := url.Parse(e.Request.URL); err == nil && at.Scheme != "data" && !strings.HasPrefix(e.Request.URL, b.url) {
			b.note("a request to %s", at.Host)
		}
	}
}

// issue returns what an issue is about.
func issue(i *audits.InspectorIssue) string {
	if g := i.Details.GenericIssueDetails; g != nil {
		return fmt.Sprintf("%s, %s", i.Code, g.ErrorType)
	}
	return string(i.Code)
}

// written returns what was written to the console.
func written(args []*runtime.RemoteObject) string {
	var words []string
	for _, a := range args {
		words = append(words, cmp.Or(strings.Trim(string(a.Value), `"`), a.Description))
	}
	return strings.Join(words, " ")
}

func (b *tab) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

// wantNoFaults demands that the browser has complained about nothing so far.
func (b *tab) wantNoFaults() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, fault := range b.faults {
		b.Errorf("the browser notes: %s", fault)
	}
	b.faults = nil
}

// step is something that is done within a page.
type step = chromedp.Action[chromedp.Void]

// do takes steps within a page.
func (b *tab) do(what string, steps ...step) *tab {
	b.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.Fatalf("%s: %v", what, err)
	}
	return b
}

// leads takes steps of which the last opens another page, and waits for that.
func (b *tab) leads(what string, steps ...step) *tab {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, steps...); err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.Fatalf("%s: %v\n%s\n%q", what, err, b.text(), b.faults)
	}
	return b
}

// open goes to a page of the service, or to a whole address.
func (b *tab) open(to string) *tab {
	b.Helper()
	if strings.HasPrefix(to, "/") {
		to = b.url + to
	}
	return b.leads("open "+to, chromedp.Navigate(to))
}

// submit fills in the form whose action ends so, with pairs of names and values, and
// presses its button.
func (b *tab) submit(action string, pairs ...string) *tab {
	b.Helper()
	form := `form[action$="` + action + `"]`
	var steps []step
	for i := 0; i < len(pairs); i += 2 {
		field := fmt.Sprintf(`%s [name="%s"]`, form, pairs[i])
		steps = append(steps, chromedp.SetValue(chromedp.CSS(field), pairs[i+1]))
	}
	return b.leads("submit "+action, append(steps, chromedp.Click(chromedp.CSS(form+" button")))...)
}

// want demands where the browser is, and words that the page shows.
func (b *tab) want(path string, words ...string) *tab {
	b.Helper()
	at, text := eval[string](b, "location.href"), b.text()
	if u, err := url.Parse(at); err != nil || u.Path != path {
		b.Fatalf("the browser is at %s, want %s:\n%s", at, path, text)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			b.Errorf("%s does not show %q:\n%s", path, w, text)
		}
	}
	return b
}

// text returns what the page shows, as far as that can be said.
func (b *tab) text() string {
	text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
	return text
}

// eval returns what an expression of JavaScript yields in the page.
func eval[T any](b *tab, expression string) T {
	b.Helper()
	result, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("evaluate %s: %v", expression, err)
	}
	return result
}

// ask asks for a mail to an address and returns what it brings. The clock of the service
// moves on, since mails to one address are a minute apart.
func (b *tab) ask(s *service, address string) letter {
	b.Helper()
	s.advance(25 * time.Minute)
	b.open("/login").submit("/login", "email", address).want("/login/sent", "Look into your mail")
	return s.mail()
}

// signIn signs somebody in by the code of a mail.
func (b *tab) signIn(s *service, address string) *tab {
	b.Helper()
	m := b.ask(s, address)
	return b.submit("/login/code", "code", m.code)
}
