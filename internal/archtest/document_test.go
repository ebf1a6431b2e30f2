package archtest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents returns the texts of the module for people, by their paths from its root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && entry.Name() != "..":
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		raw, err := os.ReadFile(path)
		all[strings.TrimPrefix(filepath.ToSlash(path), "../../")] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	links    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headings = regexp.MustCompile(`(?m)^#+ (.+)$`)
	unslug   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns the names by which links reach the headings of a document.
func anchors(text string) map[string]bool {
	all := map[string]bool{"": true}
	for _, found := range headings.FindAllStringSubmatch(text, -1) {
		all[strings.ReplaceAll(unslug.ReplaceAllString(strings.ToLower(found[1]), ""), " ", "-")] = true
	}
	return all
}

func TestLinksOfDocumentsLeadSomewhere(t *testing.T) {
	all, followed := documents(t), 0
	for path, text := range all {
		for _, found := range links.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, ":") {
				continue // elsewhere
			}
			followed++
			at := path
			if target != "" {
				at = filepath.ToSlash(filepath.Join(filepath.Dir(path), target))
			}
			if _, err := os.Stat(filepath.Join("../..", at)); err != nil {
				t.Errorf("%s links to %s, which is not there", path, found[1])
			} else if filepath.Ext(at) == ".md" && !anchors(all[at])[anchor] {
				t.Errorf("%s links to %s, which has no such heading", path, found[1])
			}
		}
	}
	if followed < 10 {
		t.Errorf("%d links were followed", followed)
	}
}

func TestTheDesignListsItsFiles(t *testing.T) {
	all := documents(t)
	for path := range all {
		if strings.HasPrefix(path, "docs/design/") && !strings.Contains(all["DESIGN.md"], "]("+path+")") {
			t.Errorf("DESIGN.md does not list %s", path)
		}
	}
	files, err := os.ReadDir("../../docs/design")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files { // what an editor or a merge leaves behind is committed with the rest
		if !f.Type().IsRegular() || filepath.Ext(f.Name()) != ".md" {
			t.Errorf("docs/design has %s, which is no document", f.Name())
		}
	}
	for path, most := range map[string]int{"README.md": 150, "DESIGN.md": 400} {
		if n := strings.Count(all[path], "\n"); n >= most {
			t.Errorf("%s has %d lines, want less than %d", path, n, most)
		}
	}
}
