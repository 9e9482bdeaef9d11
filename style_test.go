package boomgate_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxLines is the length past which a file holds more than one thing.
const maxLines = 500

// sleepers are the folders whose programs may pause: they play sensors and load, not servers.
var sleepers = []string{"device-sim", "bench"}

// requireTools is the variable that makes a missing program beside Go a failure; without it, a test that needs one says so and skips.
const requireTools = "BOOMGATE_REQUIRE_TOOLS"

// sourceFile is one Go file of the repository, parsed.
type sourceFile struct {
	path string // with slashes, from the root of the repository
	test bool
	size int // lines
	set  *token.FileSet
	ast  *ast.File
}

func TestEveryPackageHasExactlyOnePackageComment(t *testing.T) {
	t.Parallel()

	comments := map[string][]string{}
	for _, file := range sources(t) {
		if file.test {
			continue
		}
		folder := path.Dir(file.path)
		comments[folder] = append(comments[folder], nil...)
		if file.ast.Doc != nil {
			comments[folder] = append(comments[folder], file.path)
		}
	}
	for folder, files := range comments {
		switch len(files) {
		case 0:
			t.Errorf("package %s has no package comment: say what it does and what it must not know", folder)
		case 1:
		default:
			t.Errorf("package %s has %d package comments, in %s: keep one", folder, len(files), strings.Join(files, ", "))
		}
	}
}

func TestNoFileIsTooLongToRead(t *testing.T) {
	t.Parallel()

	for _, file := range sources(t) {
		if !file.test && file.size > maxLines {
			t.Errorf("%s has %d lines, more than %d: it holds more than one thing, divide it", file.path, file.size, maxLines)
		}
	}
}

func TestNothingSleepsButTheSimulatorAndTheBenchmarks(t *testing.T) {
	t.Parallel()

	for _, file := range sources(t) {
		first, _, _ := strings.Cut(file.path, "/")
		if slices.Contains(sleepers, first) {
			continue
		}
		for _, function := range functions(file) {
			if selects(function, "time", "Sleep") {
				t.Errorf("%s: %s calls time.Sleep: wait on the event (a channel, a context, testing/synctest)",
					file.at(function.Pos()), function.Name.Name)
			}
		}
	}
}

func TestNoPackageRunsCodeAtItsImport(t *testing.T) {
	t.Parallel()

	for _, file := range sources(t) {
		for _, function := range functions(file) {
			if function.Recv == nil && function.Name.Name == "init" {
				t.Errorf("%s: init(): a constructor takes what it needs, and nothing happens before main", file.at(function.Pos()))
			}
		}
	}
}

func TestPackageVariablesAreNeverChanged(t *testing.T) {
	t.Parallel()

	globals := map[string][]string{} // by folder
	for _, file := range sources(t) {
		folder := path.Dir(file.path)
		globals[folder] = append(globals[folder], packageVariables(file)...)
	}
	for _, file := range sources(t) {
		if file.test {
			continue
		}
		for _, function := range functions(file) {
			local := declared(function)
			for _, target := range assigned(function) {
				if slices.Contains(globals[path.Dir(file.path)], target.Name) && !slices.Contains(local, target.Name) {
					t.Errorf("%s: the package variable %s is changed: no global state, keep it in a value", file.at(target.Pos()), target.Name)
				}
			}
		}
	}
}

func TestTheNamesOfTestsReadAsSentences(t *testing.T) {
	t.Parallel()

	// At least three words after the identifier of an attack, if any: TestA1_AnIntersectingFilterIsRefused.
	sentence := regexp.MustCompile(`^Test([A-Z]+[0-9]+_)*([A-Z][a-z0-9]*_?){3,}$`)
	for _, file := range sources(t) {
		for _, function := range functions(file) {
			name := function.Name.Name
			if !file.test || function.Recv != nil || name == "TestMain" || !strings.HasPrefix(name, "Test") {
				continue
			}
			if !sentence.MatchString(name) {
				t.Errorf("%s: %s does not read as a sentence: say what holds, as in TestARefusedWillClosesTheConnection",
					file.at(function.Pos()), name)
			}
		}
	}
}

func TestATestIsSkippedOnlyForAMissingProgram(t *testing.T) {
	t.Parallel()

	for _, file := range sources(t) {
		for _, function := range functions(file) {
			if file.test && skips(function) && !speaks(function, requireTools) {
				t.Errorf("%s: %s skips: a test runs or does not exist; only a program beside Go may be missing, and %s=1 makes that a failure",
					file.at(function.Pos()), function.Name.Name, requireTools)
			}
		}
	}
}

// sources parses every Go file of the repository.
func sources(tb testing.TB) []sourceFile {
	tb.Helper()

	var files []sourceFile
	root := os.DirFS(".")
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata"):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, name, text, parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, sourceFile{
			path: name, test: strings.HasSuffix(name, "_test.go"), size: bytes.Count(text, []byte("\n")), set: set, ast: parsed,
		})
		return nil
	})
	if err != nil {
		tb.Fatalf("reading the sources: %v", err)
	}
	return files
}

// at names a place in the file, for a message.
func (f sourceFile) at(pos token.Pos) string { return f.set.Position(pos).String() }

func functions(file sourceFile) []*ast.FuncDecl {
	var found []*ast.FuncDecl
	for _, declaration := range file.ast.Decls {
		if function, ok := declaration.(*ast.FuncDecl); ok {
			found = append(found, function)
		}
	}
	return found
}

// selects tells whether a function says owner.name.
func selects(function *ast.FuncDecl, owner, name string) bool {
	return holds(function, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok || selector.Sel.Name != name {
			return false
		}
		ident, ok := selector.X.(*ast.Ident)
		return ok && ident.Name == owner
	})
}

// skips tells whether a function skips a test.
func skips(function *ast.FuncDecl) bool {
	for _, receiver := range []string{"t", "tb", "b"} {
		for _, method := range []string{"Skip", "Skipf", "SkipNow"} {
			if selects(function, receiver, method) {
				return true
			}
		}
	}
	return false
}

// speaks tells whether a function holds a literal with that text.
func speaks(function *ast.FuncDecl, text string) bool {
	return holds(function, func(node ast.Node) bool {
		literal, ok := node.(*ast.BasicLit)
		return ok && literal.Kind == token.STRING && strings.Contains(literal.Value, text)
	})
}

// holds tells whether any part of a function is as asked.
func holds(function *ast.FuncDecl, asked func(ast.Node) bool) bool {
	found := false
	ast.Inspect(function, func(node ast.Node) bool {
		found = found || node != nil && asked(node)
		return !found
	})
	return found
}

// packageVariables returns the names of the variables that the file declares for its package.
func packageVariables(file sourceFile) []string {
	var names []string
	for _, declaration := range file.ast.Decls {
		if general, ok := declaration.(*ast.GenDecl); ok && general.Tok == token.VAR {
			for _, spec := range general.Specs {
				if value, ok := spec.(*ast.ValueSpec); ok {
					names = append(names, texts(value.Names)...)
				}
			}
		}
	}
	return names
}

// declared returns the names that a function declares anywhere in itself: its parameters and its variables.
func declared(function *ast.FuncDecl) []string {
	var names []string
	add := func(expressions ...ast.Expr) {
		for _, expression := range expressions {
			if ident, ok := expression.(*ast.Ident); ok {
				names = append(names, ident.Name)
			}
		}
	}
	ast.Inspect(function, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.Field:
			names = append(names, texts(node.Names)...)
		case *ast.ValueSpec:
			names = append(names, texts(node.Names)...)
		case *ast.RangeStmt:
			add(node.Key, node.Value)
		case *ast.AssignStmt:
			if node.Tok == token.DEFINE {
				add(node.Lhs...)
			}
		}
		return true
	})
	return names
}

func texts(idents []*ast.Ident) []string {
	names := make([]string, 0, len(idents))
	for _, ident := range idents {
		names = append(names, ident.Name)
	}
	return names
}

// assigned returns the variables that the function assigns to, increments, or changes an element of.
func assigned(function *ast.FuncDecl) []*ast.Ident {
	var targets []*ast.Ident
	add := func(expression ast.Expr) {
		if index, ok := expression.(*ast.IndexExpr); ok {
			expression = index.X
		}
		if ident, ok := expression.(*ast.Ident); ok && ident.Name != "_" {
			targets = append(targets, ident)
		}
	}
	ast.Inspect(function, func(node ast.Node) bool {
		switch statement := node.(type) {
		case *ast.AssignStmt:
			if statement.Tok != token.DEFINE {
				for _, left := range statement.Lhs {
					add(left)
				}
			}
		case *ast.IncDecStmt:
			add(statement.X)
		}
		return true
	})
	return targets
}
