package asvs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mayBeOpen is how many lines of a level are not shown yet. It falls and never rises; the
// aim is none of level 1 and at most 9 of level 2, which is 5 %.
var mayBeOpen = map[string]int{"1": 0, "2": 0}

const (
	root     = "../.."
	document = root + "/docs/asvs.md"
	module   = "github.com/levqor/sdk/"
)

// The sections of the standard that ask for documentation: what shows those is a
// document. Everything else is shown by something that runs.
var ofDocumentation = strings.Fields("V2.1 V5.1 V6.1 V7.1 V8.1 V11.1 V13.1 V14.1 V15.1 V16.1")

// line is one of the document.
type line struct{ id, level, asks, met, shown string }

// The forms of what shows a line: a test, a step of .ci/run, a section of a document.
var (
	code    = regexp.MustCompile("`([^`]+)`")
	test    = regexp.MustCompile(`^([a-z0-9_/]+)\.((?:Test|Fuzz|Example)[A-Za-z0-9_]*)((?:/[^/]+)*)$`)
	step    = regexp.MustCompile(`^\.ci/run: (.+)$`)
	section = regexp.MustCompile(`\[[^\]]+\]\(([^)#]+)#([^)]+)\)`)
)

// state is what the last column begins with where nothing is named.
func (l line) state() string {
	for _, state := range []string{"n/a", "open"} {
		if strings.HasPrefix(l.shown, state+": ") {
			return state
		}
	}
	return "shown"
}

// named returns what a line names of one form.
func (l line) named(form *regexp.Regexp) [][]string {
	var all [][]string
	for _, span := range code.FindAllStringSubmatch(l.shown, -1) {
		if m := form.FindStringSubmatch(span[1]); m != nil {
			all = append(all, m)
		}
	}
	return all
}

// parse reads the lines of a document, which are the rows that begin with an id.
func parse(text string) ([]line, error) {
	var lines []line
	for row := range strings.Lines(text) {
		if !strings.HasPrefix(row, "| V") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
		if len(cells) != 5 {
			return nil, fmt.Errorf("%q has %d columns, want 5", row, len(cells))
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		lines = append(lines, line{cells[0], cells[1], cells[2], cells[3], cells[4]})
	}
	return lines, nil
}

func read(t *testing.T) []line {
	t.Helper()
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := parse(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestEveryRequirementHasItsLine(t *testing.T) {
	raw, err := os.ReadFile("testdata/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	levels := map[string]string{}
	for row := range strings.Lines(string(raw)) {
		if id, level, ok := strings.Cut(strings.TrimSpace(row), " "); ok && id != "#" {
			levels[id] = level
		}
	}
	if len(levels) != 70+183 {
		t.Errorf("the list has %d requirements, the standard has 70 of level 1 and 183 of level 2", len(levels))
	}
	for _, l := range read(t) {
		if levels[l.id] != l.level {
			t.Errorf("%s is written as of level %q, want %q, and once", l.id, l.level, levels[l.id])
		}
		delete(levels, l.id)
		if n := len(strings.Fields(l.asks)); n == 0 || n > 12 {
			t.Errorf("%s is told in %d words, want 1 to 12", l.id, n)
		}
		if l.met == "" {
			t.Errorf("%s does not say how it is met", l.id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(levels)) {
		t.Errorf("%s has no line", id)
	}
}

func TestEveryLineSaysWhatShowsIt(t *testing.T) {
	open := map[string]int{}
	for _, l := range read(t) {
		_, reason, _ := strings.Cut(l.shown, ": ")
		switch l.state() {
		case "open":
			open[l.level]++
			fallthrough
		case "n/a":
			if len(strings.Fields(reason)) < 3 {
				t.Errorf("%s is %s and gives no reason", l.id, l.state())
			}
			continue
		}
		runs := len(l.named(test)) + len(l.named(step))
		if runs != len(code.FindAllString(l.shown, -1)) {
			t.Errorf("%s names what is neither a test nor a step: %s", l.id, l.shown)
		}
		documents := slices.Contains(ofDocumentation, l.id[:strings.LastIndexByte(l.id, '.')]) && section.MatchString(l.shown)
		if runs == 0 && !documents {
			t.Errorf("%s is shown by nothing that runs: %s", l.id, l.shown)
		}
	}
	for level, most := range mayBeOpen {
		if open[level] != most {
			t.Errorf("%d lines of level %s are open, %d are expected: close them or lower the figure", open[level], level, most)
		}
	}
}

func TestEveryNamedTestExists(t *testing.T) {
	known := map[string]map[string]bool{} // by package
	for _, l := range read(t) {
		for _, m := range l.named(test) {
			dir, name := m[1], m[2]
			if known[dir] == nil {
				known[dir] = testsOf(t, filepath.Join(root, dir))
			}
			if !known[dir][name] {
				t.Errorf("%s names %s, which %s does not have", l.id, name, dir)
			}
		}
	}
	if len(known) == 0 {
		t.Error("no test is named")
	}
}

// testsOf returns the names of the functions in the test files of a directory.
func testsOf(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}

func TestEveryNamedStepAndSectionExists(t *testing.T) {
	ci, err := os.ReadFile(root + "/.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range read(t) {
		for _, m := range l.named(step) {
			if !strings.Contains(string(ci), "\nstep '"+m[1]+"'\n") {
				t.Errorf("%s names the step %q, which .ci/run does not have", l.id, m[1])
			}
		}
		for _, m := range section.FindAllStringSubmatch(l.shown, -1) {
			raw, err := os.ReadFile(filepath.Join(filepath.Dir(document), m[1]))
			if err != nil {
				t.Errorf("%s: %v", l.id, err)
			} else if !slices.Contains(anchors(string(raw)), m[2]) {
				t.Errorf("%s names the section %s of %s, which it does not have", l.id, m[2], m[1])
			}
		}
	}
}

// anchors returns what links to the headings of a Markdown file end with, as GitHub makes
// them.
func anchors(text string) []string {
	var all []string
	for row := range strings.Lines(text) {
		title, ok := strings.CutPrefix(strings.TrimLeft(row, "#"), " ")
		if !ok || !strings.HasPrefix(row, "#") {
			continue
		}
		all = append(all, strings.Map(func(c rune) rune {
			switch {
			case c == ' ':
				return '-'
			case strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_", c):
				return c
			default:
				return -1
			}
		}, strings.ToLower(strings.TrimSpace(title))))
	}
	return all
}

// The files of results are those of go test -json, with the system's list separator
// between. The checks give them after all tests have run; without them there is nothing
// to say.
func TestEveryNamedTestRanAndPassed(t *testing.T) {
	files := os.Getenv("LEVQOR_TEST_RESULTS")
	if files == "" {
		t.Skip("LEVQOR_TEST_RESULTS names no results of go test -json")
	}
	verdicts := map[string]string{}
	for _, name := range filepath.SplitList(files) {
		raw, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		found, err := verdictsOf(strings.NewReader(string(raw)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		maps.Copy(verdicts, found)
	}
	for _, wrong := range notPassed(read(t), verdicts) {
		t.Error(wrong)
	}
}

// verdictsOf reads how each test ended, by its path such as levqor/guard.TestX/case_a.
func verdictsOf(r io.Reader) (map[string]string, error) {
	verdicts := map[string]string{}
	for dec := json.NewDecoder(r); ; {
		var e struct{ Action, Package, Test string }
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return verdicts, nil
		} else if err != nil {
			return nil, err
		}
		if e.Test != "" && slices.Contains([]string{"pass", "fail", "skip"}, e.Action) {
			verdicts[strings.TrimPrefix(e.Package, module)+"."+e.Test] = e.Action
		}
	}
}

// notPassed says which tests that lines name did not run or did not pass. The spaces in the
// name of a case are written as package testing does.
func notPassed(lines []line, verdicts map[string]string) []string {
	var wrong []string
	for _, l := range lines {
		for _, m := range l.named(test) {
			switch got := verdicts[strings.ReplaceAll(m[0], " ", "_")]; got {
			case "pass":
			case "":
				wrong = append(wrong, fmt.Sprintf("%s names %s, which did not run", l.id, m[0]))
			default:
				wrong = append(wrong, fmt.Sprintf("%s names %s, whose verdict is %s", l.id, m[0], got))
			}
		}
	}
	return wrong
}

func TestATestThatDidNotPassIsFound(t *testing.T) {
	lines, err := parse("| V1.1.1 | 1 | a | b | `levqor/guard.TestA`, `levqor/guard.TestB/a case`, `levqor/guard.TestC`, `levqor/guard.TestD`, `.ci/run: x` |\n")
	if err != nil {
		t.Fatal(err)
	}
	verdicts, err := verdictsOf(strings.NewReader(`{"Action":"start","Package":"github.com/levqor/sdk/levqor/guard"}
		{"Action":"pass","Package":"github.com/levqor/sdk/levqor/guard","Test":"TestA"}
		{"Action":"pass","Package":"github.com/levqor/sdk/levqor/guard","Test":"TestB/a_case"}
		{"Action":"skip","Package":"github.com/levqor/sdk/levqor/guard","Test":"TestC"}
		{"Action":"pass","Package":"github.com/levqor/sdk/levqor/identity","Test":"TestD"}
		{"Action":"pass","Package":"github.com/levqor/sdk/levqor/guard"}`))
	if err != nil {
		t.Fatal(err)
	}
	got := notPassed(lines, verdicts)
	want := []string{"V1.1.1 names levqor/guard.TestC, whose verdict is skip", "V1.1.1 names levqor/guard.TestD, which did not run"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
