package people_test

import (
	"html"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sights are the pages that were looked at.
type sights struct {
	names []string
	paths []string // where the browser was
	texts []string // what it showed, in one line each
}

func (s *sights) see(name, path, text string) {
	s.names, s.paths, s.texts = append(s.names, name), append(s.paths, path), append(s.texts, strings.Join(strings.Fields(text), " "))
}

// unseen are the routes of pages that nobody looks at, with the reason.
var unseen = map[string]string{"/{$}": "leads on to the account"}

// ownRoutes are patterns of pages in the sources of package web, or constants that hold their paths.
var ownRoutes = regexp.MustCompile(`\{"GET (?:([^"]+)"|" \+ (\w+))`)

// wantAll demands that each page that a browser can open was looked at, and each template
// that there is: a page that is added has to be looked at too.
func (s *sights) wantAll(t *testing.T) {
	t.Helper()
	code := readAll(t, "../../../levqor/web/*.go")
	source := strings.Join(slices.Collect(maps.Values(code)), "\n")
	found := ownRoutes.FindAllStringSubmatch(source, -1)
	if len(found) < 15 {
		t.Fatalf("%d routes are found in the sources", len(found))
	}
	mux := http.NewServeMux()
	wanted := map[string]bool{}
	for _, route := range found {
		pattern := route[1]
		if route[2] != "" {
			held := regexp.MustCompile(`const ` + route[2] + ` = "([^"]+)"`).FindStringSubmatch(source)
			if held == nil {
				t.Fatalf("%s is no constant", route[2])
			}
			pattern = held[1]
		}
		mux.Handle(pattern, http.NotFoundHandler())
		wanted[pattern] = true
	}
	for _, path := range s.paths {
		_, pattern := mux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}})
		delete(wanted, pattern)
	}
	for pattern := range wanted {
		if unseen[pattern] == "" {
			t.Errorf("nobody has looked at %s", pattern)
		}
	}
	for pattern := range unseen {
		if !wanted[pattern] {
			t.Errorf("%s was looked at, or is no page", pattern)
		}
	}
	s.wantTemplates(t)
	t.Logf("%d pages were looked at: %v", len(s.names), s.names)
}

// wantTemplates demands that a phrase of each template was seen that no other has.
func (s *sights) wantTemplates(t *testing.T) {
	t.Helper()
	all := readAll(t, "../../../levqor/web/templates/*.html")
	phrases := map[string][]string{}
	for name, text := range all {
		for _, phrase := range tags.Split(text, -1) {
			if phrase = strings.Join(strings.Fields(html.UnescapeString(phrase)), " "); len(phrase) >= 8 {
				phrases[name] = append(phrases[name], phrase)
			}
		}
	}
	for name := range all {
		own := slices.DeleteFunc(phrases[name], func(phrase string) bool {
			for other, theirs := range phrases {
				if other != name && slices.Contains(theirs, phrase) {
					return true
				}
			}
			return false
		})
		seen := slices.ContainsFunc(own, func(phrase string) bool {
			return slices.ContainsFunc(s.texts, func(text string) bool { return strings.Contains(text, phrase) })
		})
		if !seen && !slices.Contains(withoutPhrase, name) {
			t.Errorf("nobody has looked at a page of %s, which says %q", name, own)
		}
	}
}

// withoutPhrase are templates that say nothing of their own, the frame of all pages and
// that of messages, which the sources write.
var withoutPhrase = []string{"layout.html", "message.html"}

var tags = regexp.MustCompile(`\{\{[^}]*\}\}|<[^>]*>`)

// readAll returns the files of a pattern but tests, by their names.
func readAll(t *testing.T, pattern string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(paths), err)
	}
	all := map[string]string{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(path)] = string(raw)
	}
	return all
}
