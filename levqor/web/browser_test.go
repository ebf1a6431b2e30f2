package web_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// browser is a visitor's, without scripts: it keeps cookies, follows redirects and sends
// the forms of the page that it shows.
type browser struct {
	*testing.T
	server *httptest.Server
	client *http.Client
	agent  string

	at     *url.URL
	status int
	header http.Header
	body   string
	page   *html.Node
}

func newBrowser(t *testing.T, server *httptest.Server) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := *server.Client()
	client.Jar = jar
	return &browser{T: t, server: server, client: &client, agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
}

// open follows a link to a page.
func (b *browser) open(to string) *browser {
	b.Helper()
	return b.do(http.MethodGet, to, nil)
}

func (b *browser) do(method, to string, form url.Values) *browser {
	b.Helper()
	target := b.resolve(to)
	var body io.Reader = http.NoBody
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.Context(), method, target, body)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("User-Agent", b.agent)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Origin", b.server.URL)
	}
	answer, err := b.client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		b.Fatal(err)
	}
	b.at, b.status, b.header, b.body = answer.Request.URL, answer.StatusCode, answer.Header, string(raw)
	if b.page, err = html.Parse(strings.NewReader(b.body)); err != nil {
		b.Fatal(err)
	}
	return b
}

func (b *browser) resolve(to string) string {
	b.Helper()
	base := b.at
	if base == nil {
		base, _ = url.Parse(b.server.URL)
	}
	target, err := base.Parse(to)
	if err != nil {
		b.Fatal(err)
	}
	return target.String()
}

// submit fills in the form whose action ends so, with pairs of names and values, and sends
// it. It fails the test if the page has no such form or the form no such field.
func (b *browser) submit(action string, pairs ...string) *browser {
	b.Helper()
	form := b.find(func(n *html.Node) bool { return n.Data == "form" && strings.HasSuffix(attr(n, "action"), action) })
	if form == nil {
		b.Fatalf("%s has no form for %s:\n%s", b.at, action, b.body)
	}
	values := url.Values{}
	walk(form, func(n *html.Node) {
		if name := attr(n, "name"); name != "" && (n.Data == "input" || n.Data == "select") {
			values.Set(name, attr(n, "value"))
		}
	})
	for i := 0; i < len(pairs); i += 2 {
		if !values.Has(pairs[i]) && !strings.Contains(b.body, `<button name="`+pairs[i]+`"`) {
			b.Fatalf("the form for %s has no field %s:\n%s", action, pairs[i], b.body)
		}
		values.Set(pairs[i], pairs[i+1])
	}
	return b.do(http.MethodPost, attr(form, "action"), values)
}

// want demands where the browser is, with what status, and words that the page shows.
func (b *browser) want(path string, status int, words ...string) *browser {
	b.Helper()
	if b.at.Path != path || b.status != status {
		b.Fatalf("the browser is at %s with status %d, want %s with %d:\n%s", b.at.Path, b.status, path, status, b.body)
	}
	text := b.text()
	for _, w := range words {
		if !strings.Contains(text, w) {
			b.Errorf("%s does not show %q:\n%s", path, w, text)
		}
	}
	return b
}

// text returns what the page shows, in one line.
func (b *browser) text() string {
	var all strings.Builder
	walk(b.page, func(n *html.Node) {
		if n.Type == html.TextNode && (n.Parent == nil || n.Parent.Data != "script") {
			all.WriteString(n.Data + " ")
		}
	})
	return strings.Join(strings.Fields(all.String()), " ")
}

// find returns the first element that is such, nil if there is none.
func (b *browser) find(is func(*html.Node) bool) *html.Node {
	var found *html.Node
	walk(b.page, func(n *html.Node) {
		if found == nil && n.Type == html.ElementNode && is(n) {
			found = n
		}
	})
	return found
}

func walk(n *html.Node, visit func(*html.Node)) {
	visit(n)
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		walk(c, visit)
	}
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
