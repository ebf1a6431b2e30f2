// Command typecheck reads packages and all that they import as the compiler for other
// systems does, without making code of them, which takes minutes for SQLite alone.
//
//	go run -C internal/tools ./typecheck ../.. windows darwin
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: typecheck DIRECTORY GOOS…")
		os.Exit(2)
	}
	failed := false
	for _, system := range os.Args[2:] {
		wrong, err := check(os.Args[1], system)
		if err != nil {
			fmt.Fprintln(os.Stderr, "typecheck:", err)
			os.Exit(1)
		}
		failed = failed || wrong
	}
	if failed {
		os.Exit(1)
	}
}

// check reports whether the module of a directory is wrong for a system, and says where.
func check(dir, system string) (wrong bool, err error) {
	loaded, err := packages.Load(&packages.Config{
		Mode:      packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedDeps | packages.NeedTypes | packages.NeedSyntax | packages.NeedModule,
		Dir:       dir,
		Env:       append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0"),
		ParseFile: parseFile,
	}, "./...")
	if err != nil {
		return false, err
	}
	packages.Visit(loaded, nil, func(p *packages.Package) {
		for _, e := range p.Errors {
			if p.Module != nil && p.Module.Main {
				fmt.Printf("%s: %s: %s\n", system, p.PkgPath, e)
				wrong = true
			}
		}
	})
	fmt.Printf("%s: %d packages\n", system, len(loaded))
	return wrong, nil
}

// parseFile leaves out what is within the functions of other modules, and what is wrong there
// for that reason is passed over.
func parseFile(fset *token.FileSet, name string, src []byte) (*ast.File, error) {
	file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution|parser.ParseComments)
	if file == nil || !(strings.Contains(name, "/pkg/mod/") || strings.Contains(name, "/go/src/")) {
		return file, err
	}
	for _, d := range file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			fn.Body = nil
		}
	}
	return file, err
}
