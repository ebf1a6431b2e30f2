package archtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is a file of the module that is no test.
type source struct {
	*ast.File
	pkg  string // its path in the module
	fset *token.FileSet
}

// at says where a node stands.
func (s source) at(n ast.Node) string {
	p := s.fset.Position(n.Pos())
	return s.pkg + "/" + filepath.Base(p.Filename) + ":" + strconv.Itoa(p.Line)
}

// sources returns all files that were written by hand.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			if !strings.HasSuffix(name, ".gen.go") {
				all = append(all, parse(t, p.path(), filepath.Join(p.Dir, name), nil))
			}
		}
	}
	return all
}

func parse(t *testing.T, pkg, name string, text any) source {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return source{file, pkg, fset}
}

// imports returns the paths that a file imports.
func (s source) imports() []string {
	var all []string
	for _, spec := range s.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		all = append(all, name)
	}
	return all
}

// dangerous is what the code does without, or has in the packages that are listed alone.
var dangerous = map[string]string{
	"os/exec":        "internal/dbtest",                           // PgBouncer, for tests
	"unsafe":         "jobs/bunjobs",                              // rows of bytes that become text without a copy
	"math/rand/v2":   "client internal/timeid jobs jobs/jobstest", // jitter and IDs; nothing that must not be guessed
	"math/rand":      "",
	"C":              "",
	"plugin":         "",
	"html/template":  "levqor levqor/web", // mail and pages, whose texts are the program's own
	"text/template":  "levqor",            // the plain part of mail, where nothing is escaped since nothing is read as markup
	"encoding/xml":   "",
	"encoding/gob":   "",
	"encoding/csv":   "",
	"archive/tar":    "",
	"archive/zip":    "",
	"compress/flate": "",
	"compress/gzip":  "",
	"compress/zlib":  "",
	"expvar":         "", // these two register routes by being imported
	"net/http/pprof": "",
	"net/smtp":       "",
	"crypto/des":     "",
	"crypto/dsa":     "",
	"crypto/md5":     "",
	"crypto/rc4":     "",
	"crypto/rsa":     "",
	"crypto/sha1":    "levqor/factor", // within HMAC, for the codes that apps show (RFC 6238)
}

func TestDangerousPackagesAreImportedWhereListedAlone(t *testing.T) {
	for _, s := range sources(t) {
		for _, name := range s.imports() {
			if homes, listed := dangerous[name]; listed && !slices.Contains(strings.Fields(homes), s.pkg) {
				t.Errorf("%s imports %s", s.at(s.Name), name)
			}
		}
	}
}

// finder reports the nodes of a file that break a rule.
type finder func(source) []ast.Node

// find returns the nodes in and below one that are wrong.
func find(within ast.Node, wrong func(ast.Node) bool) []ast.Node {
	var all []ast.Node
	ast.Inspect(within, func(n ast.Node) bool {
		if n != nil && wrong(n) {
			all = append(all, n)
		}
		return true
	})
	return all
}

// rules of how the code is written, each with a text that breaks it in as many places as
// are given and texts beside that do not.
var rules = map[string]struct {
	find   finder
	sample string
	wrong  int
}{
	"what must not be guessed is compared in constant time": {comparesSecrets, `
		var _ = token == given.Secret
		var _ = bytes.Equal(sum, theirMAC)
		var _ = k.Hash != string(hash)
		var _ = class == Secret || token == "" || secret == nil || len(mac) == 32 || hmac.Equal(sum, mac)`, 3},
	"statements are the program's own text": {composesSQL, `
		var _ = db.NewRaw(fmt.Sprintf("SELECT %s", a))
		var _ = q.Where("a = " + strconv.Itoa(b)).OrderExpr(strings.ToLower(order))
		var _ = bun.Safe(fmt.Sprint(order))
		var _ = db.NewRaw("SELECT a " + rest + " WHERE ?", strings.ToLower(b)).Where("a = ?", fmt.Sprint(c))`, 4},
	"patterns are the program's own text": {compilesPatterns, `
		var fixed = regexp.MustCompile("a" + mark)
		func f(a string) { regexp.MustCompile(a); regexp.Compile("(" + a + ")") }`, 2},
	"certificates are checked": {named("tls", "InsecureSkipVerify"), `
		var _ = tls.Config{InsecureSkipVerify: true}`, 1},
	"encryption notices changes": {named("cipher", "NewCBCEncrypter", "NewCBCDecrypter", "NewCFBEncrypter", "NewCFBDecrypter", "NewCTR", "NewOFB"), `
		var _ = cipher.NewCTR(block, iv)`, 1},
	"no route serves a directory": {named("http", "FileServer", "FileServerFS", "ServeFile", "ServeFileFS", "Dir"), `
		var _ = http.FileServer(http.Dir("."))`, 2},
}

func TestTheCodeKeepsTheRules(t *testing.T) {
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			if found := rule.find(parse(t, "", "sample.go", "package sample\n"+rule.sample)); len(found) != rule.wrong {
				t.Errorf("the sample breaks the rule in %d places, %d are found", rule.wrong, len(found))
			}
			for _, s := range sources(t) {
				for _, n := range rule.find(s) {
					t.Errorf("%s breaks it", s.at(n))
				}
			}
		})
	}
}

// named finds where names of a package, or fields of its structs, are used.
func named(pkg string, names ...string) finder {
	return func(s source) []ast.Node {
		return find(s.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				return isPackage(n.X, pkg) && slices.Contains(names, n.Sel.Name)
			case *ast.KeyValueExpr:
				key, ok := n.Key.(*ast.Ident)
				return ok && slices.Contains(names, key.Name)
			default:
				return false
			}
		})
	}
}

func isPackage(e ast.Expr, names ...string) bool {
	id, ok := e.(*ast.Ident)
	return ok && slices.Contains(names, id.Name)
}

// guessed matches the names of what an attacker would like to find out byte by byte.
var guessed = regexp.MustCompile(`(?i)(token|secret|sig|signature|mac|hash|digest|sum)s?$`)

func comparesSecrets(s source) []ast.Node {
	if strings.HasSuffix(s.pkg, "test") { // test kits compare what they have made themselves
		return nil
	}
	return find(s.File, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			return (n.Op == token.EQL || n.Op == token.NEQ) && !isConstant(n.X) && !isConstant(n.Y) && (isSecret(n.X) || isSecret(n.Y))
		case *ast.CallExpr:
			f, ok := n.Fun.(*ast.SelectorExpr)
			return ok && isPackage(f.X, "bytes", "slices") && f.Sel.Name == "Equal" && slices.ContainsFunc(n.Args, isSecret)
		default:
			return false
		}
	})
}

func isSecret(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return guessed.MatchString(e.Name)
	case *ast.SelectorExpr:
		return guessed.MatchString(e.Sel.Name)
	case *ast.CallExpr: // string(hash)
		return len(e.Args) == 1 && isPackage(e.Fun, "string") && isSecret(e.Args[0])
	default:
		return false
	}
}

// isConstant reports whether an expression is a literal, or an exported name of the
// package itself, which are its constants.
func isConstant(e ast.Expr) bool {
	_, literal := e.(*ast.BasicLit)
	id, ok := e.(*ast.Ident)
	return literal || ok && (id.IsExported() || slices.Contains([]string{"nil", "true", "false"}, id.Name))
}

// queries are the functions of bun whose first argument is SQL.
var queries = strings.Fields("NewRaw Where WhereOr OrderExpr ColumnExpr TableExpr GroupExpr Having Set On Join DistinctOn Returning Safe")

func composesSQL(s source) []ast.Node {
	if s.pkg != "" && !strings.Contains(s.pkg, "bun") {
		return nil
	}
	return find(s.File, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return false
		}
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains(queries, f.Sel.Name) || isPackage(f.X, "strings") {
			return false
		}
		return len(find(call.Args[0], formats)) > 0
	})
}

// formats reports whether a node is a call of a function that makes texts.
func formats(n ast.Node) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	return ok && isPackage(f.X, "fmt", "strings", "strconv")
}

// compilesPatterns finds patterns that are compiled in functions, where they could hold
// what somebody sent.
func compilesPatterns(s source) []ast.Node {
	var all []ast.Node
	for _, d := range s.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		all = append(all, find(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			return ok && isPackage(sel.X, "regexp") && strings.Contains(sel.Sel.Name, "Compile")
		})...)
	}
	return all
}

// A policy with nonces stops scripts and styles in attributes, so a page that has them
// would be broken, and a policy that lets them run would be none.
var inline = regexp.MustCompile(`(?i)<[a-z][^>]*\s(on[a-z]+|style)\s*=|<[a-z][^>]*\s(href|src|action)\s*=\s*["']?\s*(javascript|data|vbscript):`)

func TestTemplatesHoldNoScriptsInAttributes(t *testing.T) {
	for _, wrong := range []string{`<a onclick="x()">`, "<p\nstyle=\"color: red\">", `<a href="javascript:x()">`, `<form class="a" action='javascript:x'>`} {
		if !inline.MatchString(wrong) {
			t.Errorf("%s is not found", wrong)
		}
	}
	for _, right := range []string{`<a href="/style=x">`, `<script nonce="{{.Nonce}}">`, `<input name="on">`, `one < two onclick=`} {
		if inline.MatchString(right) {
			t.Errorf("%s is taken for a script", right)
		}
	}
	err := filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == ".cache" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case !slices.Contains([]string{".html", ".gohtml", ".tmpl", ".svg"}, filepath.Ext(name)):
			return nil
		}
		raw, err := os.ReadFile(name)
		if found := inline.FindString(string(raw)); found != "" {
			t.Errorf("%s has %s", name, found)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
