package cmd_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// Bounds of a package, test files aside. A package that grows beyond them has more than one job.
const (
	maxFiles = 16
	maxLines = 2500
)

// TestPackages: no package is too large, each says in doc.go what it is for, and every exported
// identifier has a comment.
func TestPackages(t *testing.T) {
	type size struct{ files, lines int }
	sizes, documented := map[string]size{}, map[string]bool{}
	eachSource(t, func(name string, entry fs.DirEntry) error {
		if entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.Contains(name, "/testdata/") || strings.HasPrefix(name, "functions/examples/") {
			return nil
		}
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		s := sizes[path.Dir(name)]
		sizes[path.Dir(name)] = size{s.files + 1, s.lines + bytes.Count(data, []byte("\n"))}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, data, parser.ParseComments)
		if err != nil {
			return err
		}
		if doc := file.Doc.Text(); doc != "" {
			opening := "Package " + file.Name.Name + " "
			if file.Name.Name == "main" {
				opening = "Command " + path.Base(path.Dir(name)) + " "
			}
			if path.Base(name) != "doc.go" || !strings.HasPrefix(doc, opening) {
				t.Errorf("%s: the documentation of a package stands in doc.go and begins with %q", name, opening)
			}
			documented[path.Dir(name)] = true
		}
		for _, identifier := range uncommented(file) {
			t.Errorf("%s: the exported %s has no comment", fset.Position(identifier.Pos()), identifier.Name)
		}
		return nil
	})
	for folder, s := range sizes {
		if s.files > maxFiles || s.lines > maxLines {
			t.Errorf("%s has %d files and %d lines, at most %d and %d are allowed", folder, s.files, s.lines, maxFiles, maxLines)
		}
		if !documented[folder] {
			t.Errorf("%s has no documentation", folder)
		}
	}
	if len(sizes) < 40 {
		t.Errorf("only %d packages were found", len(sizes))
	}
}

// uncommented are the exported identifiers of a file without a comment. One comment does for a
// group of constants or variables.
func uncommented(file *ast.File) (all []*ast.Ident) {
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
				all = append(all, d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
						all = append(all, s.Name)
					}
				case *ast.ValueSpec:
					if s.Names[0].IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
						all = append(all, s.Names[0])
					}
				}
			}
		}
	}
	return all
}

// exportedReceiver reports whether a function is no method, or one of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	receiver := d.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	if index, ok := receiver.(*ast.IndexExpr); ok { // of a generic type
		receiver = index.X
	}
	name, ok := receiver.(*ast.Ident)
	return ok && name.IsExported()
}

// TestGoroutinesRecover: a panic in a goroutine ends the process, and the third end of the process
// within half an hour ends the Functions host. So each goroutine recovers, or calls what does.
func TestGoroutinesRecover(t *testing.T) {
	elsewhere := map[string]string{
		"functions/cmd/internal/serve/serve.go": "net/http recovers for each request",
		"functions/cmd/local/main.go":           "no host",
		"functions/cmd/local/sandbox":           "no host",
		"shared/eventlog/writer.go":             "it copies bytes that are there",
		"shared/expiry/outbox.go":               "digest recovers",
		"shared/expiry/sweep.go":                "tend recovers",
		"shared/flight/flight.go":               "bounded recovers",
		"shared/link/telling/send.go":           "deliver recovers",
		"shared/store/aztable/schedule.go":      "fill recovers",
	}
	used := map[string]bool{}
	eachSource(t, func(name string, entry fs.DirEntry) error {
		folder := path.Dir(name)
		if entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasSuffix(folder, "test") || strings.Contains(name, "/testdata/") || strings.HasPrefix(name, "functions/examples/") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if !startsGoroutine(n) || recovers(n) {
				return true
			}
			switch {
			case elsewhere[name] != "":
				used[name] = true
			case elsewhere[folder] != "":
				used[folder] = true
			default:
				t.Errorf("%s: a goroutine does not recover from a panic", name)
			}
			return true
		})
		return nil
	})
	for name := range elsewhere {
		if !used[name] {
			t.Errorf("%s starts no goroutine that needs a reason", name)
		}
	}
}

// startsGoroutine recognizes the statement go, and methods called Go or DoChan. A flight.Group, in a
// field called flights, recovers by itself.
func startsGoroutine(n ast.Node) bool {
	if _, ok := n.(*ast.GoStmt); ok {
		return true
	}
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || method.Sel.Name == "DoChan" {
		return ok
	}
	of, isField := method.X.(*ast.SelectorExpr)
	return method.Sel.Name == "Go" && !(isField && of.Sel.Name == "flights")
}

// recovers reports whether recover is called inside n.
func recovers(n ast.Node) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			name, _ := call.Fun.(*ast.Ident)
			found = found || name != nil && name.Name == "recover"
		}
		return true
	})
	return found
}
