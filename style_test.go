package patchbay_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The caps. They are on the tail: an average hides the one file nobody wants to open.
const (
	mostLines      = 400 // of a file
	mostSteps      = 60  // lines of a function, tables of cases within it not counted
	mostMethods    = 3   // of an interface
	mostInterfaces = 8   // in the tree, tests not counted
)

// exempt are the places that a rule spares, as "rule path" or "rule path:function", each with its reason. An entry that
// spares nothing is a fault itself.
var exempt = map[string]string{}

// source is one Go file.
type source struct {
	path      string // from the root, with /
	text      string
	set       *token.FileSet
	file      *ast.File
	test      bool
	generated bool
}

// rule finds what is wrong with one file.
type rule struct {
	name  string
	check func(s *source) []finding
}

// finding is one breach: in a function if fn is set.
type finding struct {
	line     int
	fn, says string
}

var rules = []rule{
	{"file length", longFile},
	{"function length", longFunctions},
	{"interface size", wideInterfaces},
	{"documentation", undocumented},
	{"left undone", undone},
	{"printing", printing},
	{"sleeping", sleeping},
	{"error text", errorTexts},
	{"words", words},
}

// TestStyle applies each rule to each file of the tree.
func TestStyle(t *testing.T) {
	files := tree(t)
	used := map[string]bool{}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, s := range files {
				for _, f := range r.check(s) {
					where := r.name + " " + s.path
					if f.fn != "" {
						where += ":" + f.fn
					}
					if exempt[where] != "" {
						used[where] = true
						continue
					}
					t.Errorf("%s:%d: %s", s.path, f.line, f.says)
				}
			}
		})
	}
	for where, why := range exempt {
		if !used[where] {
			t.Errorf("the exemption of %q (%s) spares nothing: take it out", where, why)
		}
	}
}

// tree reads all Go files of the repository.
func tree(t *testing.T) []*source {
	t.Helper()
	var all []*source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s, err := parse(filepath.ToSlash(path), string(text))
		all = append(all, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func parse(path, text string) (*source, error) {
	s := &source{path: path, text: text, set: token.NewFileSet(), test: strings.HasSuffix(path, "_test.go")}
	file, err := parser.ParseFile(s.set, path, text, parser.ParseComments|parser.SkipObjectResolution)
	s.file, s.generated = file, err == nil && ast.IsGenerated(file)
	return s, err
}

func (s *source) line(at token.Pos) int { return s.set.Position(at).Line }

// library reports whether other packages can import the file's.
func (s *source) library() bool { return !s.test && s.file.Name.Name != "main" }

// functions gives the declared functions by name: Func or Type.Method.
func (s *source) functions() map[string]*ast.FuncDecl {
	all := map[string]*ast.FuncDecl{}
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			name := f.Name.Name
			if recv := receiver(f); recv != "" {
				name = recv + "." + name
			}
			all[name] = f
		}
	}
	return all
}

func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return ""
	}
	at := f.Recv.List[0].Type
	if star, ok := at.(*ast.StarExpr); ok {
		at = star.X
	}
	if generic, ok := at.(*ast.IndexExpr); ok {
		at = generic.X
	}
	return at.(*ast.Ident).Name
}

// each calls f for every node of a kind.
func each[T ast.Node](root ast.Node, f func(T)) {
	ast.Inspect(root, func(n ast.Node) bool {
		if t, ok := n.(T); ok {
			f(t)
		}
		return true
	})
}

func longFile(s *source) []finding {
	if n := strings.Count(s.text, "\n"); n > mostLines && !s.generated {
		return []finding{{1, "", fmt.Sprintf("%d lines; %d is the most", n, mostLines)}}
	}
	return nil
}

func longFunctions(s *source) (found []finding) {
	for name, f := range s.functions() {
		if n := s.line(f.End()) - s.line(f.Pos()) + 1 - s.tables(f); n > mostSteps && !s.generated {
			found = append(found, finding{s.line(f.Pos()), name, fmt.Sprintf("%s has %d lines; %d is the most", name, n, mostSteps)})
		}
	}
	return found
}

// tables counts the lines of composite literals within a function that hold no function themselves: they are data.
func (s *source) tables(f *ast.FuncDecl) int {
	lines := 0
	ast.Inspect(f, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		steps := false
		each(lit, func(*ast.FuncLit) { steps = true })
		if !steps {
			lines += max(0, s.line(lit.End())-s.line(lit.Pos())-1)
		}
		return steps
	})
	return lines
}

func wideInterfaces(s *source) (found []finding) {
	each(s.file, func(i *ast.InterfaceType) {
		if n := methods(i); n > mostMethods {
			found = append(found, finding{s.line(i.Pos()), "", fmt.Sprintf("an interface of %d methods; %d is the most", n, mostMethods)})
		}
	})
	return found
}

// methods counts methods and embedded interfaces; a list of types is a constraint, not a method.
func methods(i *ast.InterfaceType) int {
	n := 0
	for _, f := range i.Methods.List {
		switch f.Type.(type) {
		case *ast.BinaryExpr, *ast.UnaryExpr:
		default:
			n += max(1, len(f.Names))
		}
	}
	return n
}

// TestInterfaces counts the interfaces of the tree.
func TestInterfaces(t *testing.T) {
	var names []string
	for _, s := range tree(t) {
		if s.test {
			continue
		}
		each(s.file, func(i *ast.InterfaceType) {
			if methods(i) > 0 {
				names = append(names, fmt.Sprintf("%s:%d", s.path, s.line(i.Pos())))
			}
		})
	}
	if len(names) > mostInterfaces {
		t.Errorf("%d interfaces; %d is the most:\n%s", len(names), mostInterfaces, strings.Join(names, "\n"))
	}
}

// TestPackageComments wants a comment on each package.
func TestPackageComments(t *testing.T) {
	has := map[string]bool{}
	for _, s := range tree(t) {
		if !s.test {
			dir := filepath.Dir(s.path)
			has[dir] = has[dir] || s.file.Doc != nil
		}
	}
	for dir, ok := range has {
		if !ok {
			t.Errorf("package %s has no comment: one sentence of purpose, then a drawing, then the owners", dir)
		}
	}
}

func undocumented(s *source) (found []finding) {
	if !s.library() {
		return nil
	}
	say := func(name *ast.Ident, docs ...*ast.CommentGroup) {
		if name.IsExported() && !slices.ContainsFunc(docs, func(c *ast.CommentGroup) bool { return c != nil }) {
			found = append(found, finding{s.line(name.Pos()), "", name.Name + " is exported and has no comment"})
		}
	}
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if recv := receiver(d); recv == "" || ast.IsExported(recv) {
				say(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					say(spec.Name, d.Doc, spec.Doc, spec.Comment)
				case *ast.ValueSpec:
					if d.Tok == token.CONST && spec.Values == nil {
						continue // goes on with the list that the block's first line opens
					}
					for _, name := range spec.Names {
						say(name, d.Doc, spec.Doc, spec.Comment)
					}
				}
			}
		}
	}
	return found
}

var undoneWord = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)

func undone(s *source) (found []finding) {
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			if word := undoneWord.FindString(c.Text); word != "" {
				found = append(found, finding{s.line(c.Pos()), "", word + ": do it, or say in an issue why not yet"})
			}
		}
	}
	return found
}

// calls finds the calls of package functions whose "pkg.Func" matches.
func (s *source) calls(name *regexp.Regexp, f func(fn, call string, c *ast.CallExpr)) {
	for fn, decl := range s.functions() {
		each(decl, func(c *ast.CallExpr) {
			if sel, ok := c.Fun.(*ast.SelectorExpr); ok {
				if pkg, ok := sel.X.(*ast.Ident); ok && name.MatchString(pkg.Name+"."+sel.Sel.Name) {
					f(fn, pkg.Name+"."+sel.Sel.Name, c)
				}
			}
		})
	}
}

var printCall = regexp.MustCompile(`^fmt\.Print(f|ln)?$`)

func printing(s *source) (found []finding) {
	if s.library() {
		s.calls(printCall, func(fn, call string, c *ast.CallExpr) {
			found = append(found, finding{s.line(c.Pos()), fn, call + " in a library: return it, or take an io.Writer"})
		})
	}
	return found
}

var sleepCall = regexp.MustCompile(`^time\.Sleep$`)

// sleeping spares files of synctest, where time is not real and sleeping is how a test lets it pass.
func sleeping(s *source) (found []finding) {
	for _, i := range s.file.Imports {
		if s.test && i.Path.Value == `"testing/synctest"` {
			return nil
		}
	}
	s.calls(sleepCall, func(fn, call string, c *ast.CallExpr) {
		found = append(found, finding{s.line(c.Pos()), fn, call + " in " + fn + ": wait for what you wait for, or use testing/synctest"})
	})
	return found
}

var (
	errorCall = regexp.MustCompile(`^(errors\.New|fmt\.Errorf)$`)
	capital   = regexp.MustCompile("^[\"`][A-Z][a-z]")
	excuse    = regexp.MustCompile(`(?i)\b(failed to|unable to|could not|error (while|when|in))\b`)
	endMark   = regexp.MustCompile("([.!]|\\\\n)[\"`]$")
)

func errorTexts(s *source) (found []finding) {
	if s.test {
		return nil
	}
	s.calls(errorCall, func(fn, call string, c *ast.CallExpr) {
		text, ok := c.Args[0].(*ast.BasicLit)
		if !ok {
			return
		}
		for says, wrong := range map[string]*regexp.Regexp{
			"begins with a capital": capital, "says that it failed, which an error says by being one": excuse, "ends with a mark": endMark,
		} {
			if wrong.MatchString(text.Value) {
				found = append(found, finding{s.line(text.Pos()), fn, "the error " + text.Value + " " + says})
			}
		}
	})
	return found
}

var foreignWord = regexp.MustCompile(`^(?i:packets?|clients?)$|Packet`)

// words keeps to the words of the RFCs for what is declared: a stanza is no packet, a node or sibling is no client.
func words(s *source) (found []finding) {
	if s.test {
		return nil
	}
	say := func(names ...*ast.Ident) {
		for _, n := range names {
			if foreignWord.MatchString(n.Name) {
				found = append(found, finding{s.line(n.Pos()), "", n.Name + " is no word of the RFCs: stanza, stream, link, node"})
			}
		}
	}
	each(s.file, func(f *ast.FuncDecl) { say(f.Name) })
	each(s.file, func(f *ast.TypeSpec) { say(f.Name) })
	each(s.file, func(f *ast.Field) { say(f.Names...) })
	return found
}
