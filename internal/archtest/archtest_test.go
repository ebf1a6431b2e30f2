package archtest_test

import (
	"encoding/json"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/levqor/sdk"

// reach lists, for each package, the third-party modules that it may bring
// along, directly or not. A package that is not listed fails the test, and so
// does a line without a package.
var reach = map[string][]string{
	"":                            nil,
	"client":                      {oapi},
	"jobs":                        nil,
	"jobs/bunjobs":                {bun},
	"jobs/httpjobs":               nil,
	"jobs/jobstest":               nil,
	"levqor":                      nil,
	"levqor/identity":             nil,
	"levqor/levqortest":           nil,
	"levqor/bunlevqor":            {bun, drivers},
	"levqor/httpapi":              {oapi, validation},
	"levqor/httpapi/internal/oas": {oapi},
	"internal/archtest":           nil,
	"internal/bundb":              {bun},
	"internal/bunopen":            {bun, drivers},
	"internal/dbtest":             {bun, drivers},
	"internal/egress":             nil,
	"internal/fault":              nil,
	"examples/customstore":        nil,
	"examples/jobsonly":           {bun, drivers},
	"examples/quickstart":         {bun, drivers},
	"examples/server":             {bun, drivers, oapi, validation},
}

// What a technology brings along, as prefixes of import paths.
const (
	bun = "github.com/uptrace/bun github.com/jinzhu/inflection github.com/puzpuzpuz/xsync github.com/tmthrgd/go-hex " +
		"github.com/vmihailenco/ golang.org/x/sys"
	drivers = "github.com/jackc/ modernc.org/ github.com/dustin/go-humanize github.com/google/uuid github.com/mattn/go-isatty " +
		"github.com/ncruces/go-strftime github.com/remyoudompheng/bigfft golang.org/x/text golang.org/x/sys golang.org/x/sync golang.org/x/crypto"
	oapi       = "github.com/oapi-codegen/runtime github.com/google/uuid github.com/apapsch/go-jsonmerge"
	validation = "github.com/getkin/kin-openapi github.com/go-openapi/ github.com/go-playground/ github.com/gabriel-vasile/mimetype " +
		"github.com/leodido/go-urn github.com/oasdiff/ github.com/santhosh-tekuri/ github.com/perimeterx/ github.com/mohae/ github.com/josharian/ github.com/mailru/ " +
		"github.com/woodsbury/ go.yaml.in/yaml gopkg.in/yaml golang.org/x/crypto golang.org/x/text golang.org/x/sys"
)

// forbidden lists packages of this module and of the standard library that a
// package must not bring along.
var forbidden = map[string][]string{
	"jobs":              {"net/http", "database/sql", "levqor"},
	"levqor":            {"net/http", "database/sql", "internal/bundb", "client"},
	"levqor/identity":   {"net/http", "database/sql", "jobs"},
	"levqor/levqortest": {"net/http", "database/sql"},
	"jobs/jobstest":     {"net/http", "database/sql", "levqor"},
	"jobs/bunjobs":      {"net/http", "levqor"},
	"jobs/httpjobs":     {"database/sql", "levqor"},
	"levqor/bunlevqor":  {"levqor/httpapi", "client"},
	"levqor/httpapi":    {"database/sql", "levqor/bunlevqor", "jobs/bunjobs"},
	"client":            {"database/sql", "jobs", "levqor"},
}

type pkg struct {
	ImportPath string
	Name       string
	Dir        string
	GoFiles    []string
	Deps       []string
	Standard   bool
}

// rel returns the path within the module.
func (p pkg) rel() string { return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/") }

// packages lists those of the module.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Dir,GoFiles,Deps,Standard", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestPackagesReachWhatIsListed(t *testing.T) {
	listed := map[string]bool{}
	for _, p := range packages(t) {
		allowed, ok := reach[p.rel()]
		listed[p.rel()] = true
		if !ok {
			t.Errorf("%s is not in the list", p.ImportPath)
			continue
		}
		prefixes := strings.Fields(strings.Join(allowed, " "))
		for _, dep := range p.Deps {
			if !thirdParty(dep) || slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(dep, prefix) }) {
				continue
			}
			t.Errorf("%s brings along %s", p.ImportPath, dep)
		}
		for _, no := range forbidden[p.rel()] {
			if slices.Contains(p.Deps, no) || slices.Contains(p.Deps, module+"/"+no) {
				t.Errorf("%s brings along %s", p.ImportPath, no)
			}
		}
	}
	for path := range reach {
		if !listed[path] {
			t.Errorf("%s is in the list and does not exist", path)
		}
	}
}

// thirdParty reports whether a path is neither of the standard library nor of
// this module. Vendored parts of the standard library begin with vendor/.
func thirdParty(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".") && path != module && !strings.HasPrefix(path, module+"/")
}

func TestPackageNamesAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, p := range packages(t) {
		if p.Name == "main" {
			continue
		}
		if other := seen[p.Name]; other != "" {
			t.Errorf("%s and %s have the same name", other, p.ImportPath)
		}
		seen[p.Name] = p.ImportPath
	}
}

func TestPackagesHaveOneCommentAndNamesHaveTheirs(t *testing.T) {
	for _, p := range packages(t) {
		fset := token.NewFileSet()
		var files []*ast.File
		comments := 0
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if file.Doc != nil && !strings.HasSuffix(name, ".gen.go") {
				comments++
			}
			if !strings.HasSuffix(name, ".gen.go") {
				files = append(files, file)
			}
		}
		if comments != 1 {
			t.Errorf("%s has %d package comments", p.ImportPath, comments)
		}
		if p.Name == "main" || strings.HasPrefix(p.rel(), "internal/") {
			continue
		}
		d, err := doc.NewFromFiles(fset, files, p.ImportPath)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range undocumented(d) {
			t.Errorf("%s.%s has no comment", p.ImportPath, name)
		}
	}
}

func undocumented(d *doc.Package) []string {
	var names []string
	note := func(text, name string) {
		if text == "" && ast.IsExported(name) {
			names = append(names, name)
		}
	}
	funcs := slices.Clone(d.Funcs)
	for _, typ := range d.Types {
		note(typ.Doc, typ.Name)
		if ast.IsExported(typ.Name) {
			funcs = append(funcs, typ.Methods...)
		}
		funcs = append(funcs, typ.Funcs...)
	}
	for _, f := range funcs {
		note(f.Doc, f.Name)
	}
	return names
}

func TestTheModuleFileIsLean(t *testing.T) {
	raw, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "replace") || strings.HasPrefix(line, "tool") {
			t.Errorf("go.mod has the line %q, which users would inherit", strings.TrimSpace(line))
		}
	}
}

func TestTheServerIsThin(t *testing.T) {
	files, err := filepath.Glob("../../examples/server/*.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		lines += strings.Count(string(raw), "\n")
	}
	if lines == 0 || lines > 300 {
		t.Errorf("examples/server has %d lines; what it lacks belongs in levqor or httpapi", lines)
	}
}

// A program of its own module that imports jobs alone downloads nothing.
func TestAProgramWithJobsAloneNeedsNoThirdParty(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/host\n\ngo 1.26\n\nrequire "+module+" v0.0.0\n\nreplace "+module+" => "+root+"\n")
	write("main.go", "package main\n\nimport \""+module+"/jobs\"\n\nfunc main() { println(jobs.DefaultQueue) }\n")
	cmd := exec.Command("go", "run", "-mod=mod", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go run: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.sum")); !os.IsNotExist(err) {
		t.Errorf("go.sum was written: %v", err)
	}
}
