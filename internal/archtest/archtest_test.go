package archtest_test

import (
	"encoding/json"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/levqor/sdk"

type pkg struct {
	ImportPath string
	Name       string
	Dir        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

// path is the one within the module.
func (p pkg) path() string { return own(p.ImportPath) }

// own returns the path of a package within the module, "" if it is not of it.
func own(importPath string) string {
	if importPath == module {
		return "."
	}
	rel, ok := strings.CutPrefix(importPath, module+"/")
	if !ok {
		return ""
	}
	return rel
}

// packages lists those of the module, with what they import on any system.
func packages(t *testing.T) []pkg {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return all
}

var list = sync.OnceValues(func() ([]pkg, error) {
	byPath := map[string]pkg{}
	for _, system := range []string{"linux", "darwin", "windows"} {
		cmd := exec.Command("go", "list", "-json=ImportPath,Name,Dir,GoFiles,Imports,Deps", "./...")
		cmd.Dir = "../.."
		cmd.Env = append(os.Environ(), "GOOS="+system)
		out, err := cmd.Output()
		if err != nil {
			return nil, err
		}
		for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
			var p pkg
			if err := dec.Decode(&p); err == io.EOF {
				break
			} else if err != nil {
				return nil, err
			}
			seen := byPath[p.ImportPath]
			p.GoFiles = union(p.GoFiles, seen.GoFiles)
			p.Imports = union(p.Imports, seen.Imports)
			p.Deps = union(p.Deps, seen.Deps)
			byPath[p.ImportPath] = p
		}
	}
	return slices.SortedFunc(maps.Values(byPath), func(a, b pkg) int { return strings.Compare(a.ImportPath, b.ImportPath) }), nil
})

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// within reports whether an import path is prefix or below it.
func within(importPath, prefix string) bool {
	return importPath == prefix || strings.HasPrefix(importPath, prefix+"/")
}

func TestEveryPackageIsListedAndEveryListedPackageExists(t *testing.T) {
	unseen := maps.Clone(rooms)
	for _, p := range packages(t) {
		if _, ok := rooms[p.path()]; !ok {
			t.Errorf("%s has no line in the list of rooms", p.path())
		}
		delete(unseen, p.path())
	}
	for name := range unseen {
		t.Errorf("%s is in the list of rooms and does not exist", name)
	}
}

func TestPackagesBringAlongWhatIsListedAndNoMore(t *testing.T) {
	for _, p := range packages(t) {
		allowed := rooms[p.path()]
		needed := map[string]bool{}
		for _, dep := range p.Deps {
			var words []string
			if name := own(dep); name != "" {
				words = matching(strings.Fields(allowed.own), func(word string) bool { return word == "*" || word == name })
			} else if costs(dep) {
				words = matching(tech(allowed), func(prefix string) bool { return within(dep, prefix) })
			} else {
				continue
			}
			if len(words) == 0 {
				t.Errorf("%s brings along %s", p.path(), dep)
			}
			for _, w := range words {
				needed[w] = true
			}
		}
		for _, word := range append(strings.Fields(allowed.own), tech(allowed)...) {
			if !needed[word] {
				t.Errorf("%s may bring along %s and does not: shorten the list", p.path(), word)
			}
		}
	}
}

func tech(r room) []string {
	var prefixes []string
	for _, t := range r.tech {
		prefixes = append(prefixes, strings.Fields(string(t))...)
	}
	return prefixes
}

func matching(words []string, fits func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(words), func(word string) bool { return !fits(word) })
}

// costs reports whether a package outside the module must be listed: those of
// third parties, and the two of the standard library that decide what a room is.
func costs(importPath string) bool {
	return thirdParty(importPath) || importPath == "database/sql" || importPath == "net/http"
}

// thirdParty reports whether a package outside the module is not of the standard
// library. Parts of that which are vendored begin with vendor/.
func thirdParty(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return strings.Contains(first, ".")
}

func TestTechnologiesAreImportedInTheirHomesOnly(t *testing.T) {
	for _, p := range packages(t) {
		if p.Name == "main" {
			continue
		}
		for _, home := range homes {
			welcome := slices.ContainsFunc(strings.Fields(home.names), func(pattern string) bool {
				ok, err := path.Match(pattern, p.Name)
				return ok && err == nil
			})
			if welcome {
				continue
			}
			for _, imported := range p.Imports {
				if imported == home.imports || thirdParty(imported) && within(imported, home.imports) {
					t.Errorf("%s imports %s, which belongs in packages named %q", p.path(), imported, home.names)
				}
			}
		}
	}
}

func TestPackageNamesAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, p := range packages(t) {
		if p.Name == "main" {
			continue
		}
		if other := seen[p.Name]; other != "" {
			t.Errorf("%s and %s have the same name", other, p.path())
		}
		seen[p.Name] = p.path()
	}
}

func TestPackagesHaveOneCommentAndExportedNamesHaveTheirs(t *testing.T) {
	for _, p := range packages(t) {
		fset := token.NewFileSet()
		var written []*ast.File
		var comments []string
		for _, name := range p.GoFiles {
			if strings.HasSuffix(name, ".gen.go") {
				continue
			}
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			written = append(written, file)
			if file.Doc != nil {
				comments = append(comments, name)
			}
		}
		if len(comments) != 1 {
			t.Errorf("%s has package comments in %q, want one", p.path(), comments)
		}
		if p.Name == "main" || strings.Contains("/"+p.path(), "/internal/") {
			continue
		}
		d, err := doc.NewFromFiles(fset, written, p.ImportPath)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range undocumented(d) {
			t.Errorf("%s: %s has no comment", p.path(), name)
		}
	}
}

// undocumented returns the exported names without a comment. A comment on a group
// of constants or variables is one on each of them.
func undocumented(d *doc.Package) []string {
	var names []string
	note := func(text, name string) {
		if text == "" && ast.IsExported(name) {
			names = append(names, name)
		}
	}
	funcs, values := slices.Clone(d.Funcs), slices.Concat(d.Consts, d.Vars)
	for _, typ := range d.Types {
		note(typ.Doc, typ.Name)
		if ast.IsExported(typ.Name) {
			funcs = append(funcs, typ.Methods...)
		}
		funcs = append(funcs, typ.Funcs...)
		values = slices.Concat(values, typ.Consts, typ.Vars)
	}
	for _, f := range funcs {
		note(f.Doc, f.Name)
	}
	for _, v := range values {
		for _, spec := range v.Decl.Specs {
			spec := spec.(*ast.ValueSpec)
			for _, name := range spec.Names {
				note(v.Doc+spec.Doc.Text()+spec.Comment.Text(), name.Name)
			}
		}
	}
	return names
}
