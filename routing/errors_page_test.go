package routing_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
)

//go:generate go test -run TestErrorsPage -rewrite .

var rewrite = flag.Bool("rewrite", false, "write docs/errors.md anew")

const errorsPage = "../docs/errors.md"

// TestReasonWords wants every reason to be told: what it means, what to do, and for one that bounces a condition whose
// type is one of RFC 6120 8.3.2 and a text.
func TestReasonWords(t *testing.T) {
	words := map[string]bool{}
	for _, r := range routing.Reasons() {
		if r.Word == "" || words[r.Word] {
			t.Errorf("the reason %q has no word of its own", r.Word)
		}
		words[r.Word] = true
		if !strings.HasSuffix(r.Means, ".") || !strings.HasSuffix(r.Mend, ".") {
			t.Errorf("%s: routing/reason_doc.go says no sentence of what it means, or of what to do", r.Word)
		}
		told := stanza.ErrorType(r.Error.Condition) != "" && r.Error.Text != ""
		if silent := r.Outcome == routing.Dropped; silent == told || told && !slices.Contains([]string{"auth", "cancel", "modify", "wait"}, r.Error.Type) {
			t.Errorf("%s ends %s and has the error %+v", r.Word, r.Outcome, r.Error)
		}
	}
}

// TestErrorsPage fails when docs/errors.md is not what the source says. It is written anew by
// go test ./routing -run TestErrorsPage -rewrite.
func TestErrorsPage(t *testing.T) {
	page := renderErrors(t)
	if *rewrite {
		if err := os.WriteFile(errorsPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(errorsPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) == page {
		return
	}
	want, got := strings.Split(page, "\n"), strings.Split(string(have), "\n")
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			t.Fatalf("docs/errors.md:%d is stale: go test ./routing -run TestErrorsPage -rewrite\nis   %s\nwant %s", i+1, got[i], want[i])
		}
	}
	t.Fatalf("docs/errors.md has %d lines instead of %d: go test ./routing -run TestErrorsPage -rewrite", len(got), len(want))
}

const errorsHead = `# Errors and reasons

<!-- Made from the source: go test ./routing -run TestErrorsPage -rewrite. Edit routing/reason.go and routing/reason_doc.go. -->

What the router says when a stanza does not arrive, when a link ends, and when a statement of sessions is refused. Each word here is
also the word in the log and the label in the account. Conditions are those of RFC 6120 8.3.3 (stanzas) and 4.9.3 (streams); texts are in
English and may change, words and conditions may not. ` + "`TO`" + ` stands for the address that the stanza had.

## Stanzas: answered with an error
The sender's node gets the stanza back as type ` + "`error`" + `, with its id, from the address that it was sent to (from the server, if that was no address).
An error or an iq result is never answered: it is dropped as error-to-nobody or result-to-nobody instead. Besides these, disco#info and disco#items with a
` + "`node`" + ` are answered cancel/item-not-found (XEP-0030).

`

const droppedHead = `
## Stanzas: dropped
Nobody is told; the account counts them under the word.

| reason | what it means | what to do |
|---|---|---|
`

const streamHead = `
## Streams: the link ends
The router sends ` + "`<stream:error/>`" + ` with a condition and a text, then its closing tag. The text names the byte of the stream where it can. Attach
again, with a growing and random delay; a node that gets the same error twice needs a person. ` + "`…`" + ` stands for what differs.

| condition | text | from |
|---|---|---|
`

const itemHead = `
## Sessions: a statement or a question is refused
An iq of ` + "`urn:patchbay:sessions:1`" + ` is refused as a whole. The error carries ` + "`<item xmlns='urn:patchbay:sessions:1' n='INDEX'/>`" + `, counted from 0, if it is the fault of one
item. The text tells cause and mend:

| error | text |
|---|---|
`

func renderErrors(t *testing.T) string {
	t.Helper()
	var out, dropped strings.Builder
	out.WriteString(errorsHead + "| reason | outcome | error | text | what it means | what to do |\n|---|---|---|---|---|---|\n")
	dropped.WriteString(droppedHead)
	for _, r := range routing.Reasons() {
		if r.Outcome != routing.Dropped {
			fmt.Fprintf(&out, "| `%s` | %s | %s/%s | %s | %s | %s |\n", r.Word, r.Outcome, r.Error.Type, r.Error.Condition,
				cell(strings.ReplaceAll(r.Error.Text, "%to", "`TO`")), cell(r.Means), cell(r.Mend))
		} else {
			fmt.Fprintf(&dropped, "| `%s` | %s | %s |\n", r.Word, cell(r.Means), cell(r.Mend))
		}
	}
	out.WriteString(dropped.String() + streamHead)
	for _, e := range collect(t, streamPackages, streamError) {
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", e.condition, cell(e.text), e.where)
	}
	out.WriteString(itemHead)
	for _, e := range collect(t, []string{"internal/service"}, itemError) {
		fmt.Fprintf(&out, "| %s | %s |\n", e.condition, cell(e.text))
	}
	return out.String()
}

// cell makes a text fit for a table: tags outside of code marks are shown, not obeyed.
func cell(s string) string {
	parts := strings.Split(strings.ReplaceAll(s, "|", `\|`), "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(parts[i])
	}
	return strings.Join(parts, "`")
}

// streamPackages make stream errors.
var streamPackages = []string{"stanza", "component", "routing", "internal/server"}

// told is one error as the source writes it.
type told struct{ condition, text, where string }

// collect finds the errors that packages make, by reading their source: sorted by condition, each once.
func collect(t *testing.T, dirs []string, find func(texts, ast.Node) []told) []told {
	t.Helper()
	all := map[told]bool{}
	for _, dir := range dirs {
		files, err := filepath.Glob("../" + dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("no source in %s: %v", dir, err)
		}
		found := len(all)
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range collectFile(file, find) {
				e.where = dir
				all[e] = true
			}
		}
		if len(all) == found {
			t.Fatalf("%s makes no error: has the way of making them changed?", dir)
		}
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b told) int {
		return strings.Compare(a.condition+a.text+a.where, b.condition+b.text+b.where)
	})
}

// collectFile finds the errors of one file, function by function. The makers themselves have only parameters to tell.
func collectFile(file *ast.File, find func(texts, ast.Node) []told) (all []told) {
	global := texts{"NSComponent": {stanza.NSComponent}, "NSStream": {stanza.NSStream}}
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok {
			global.read(g)
		}
	}
	for _, d := range file.Decls {
		known := maps.Clone(global)
		if f, ok := d.(*ast.FuncDecl); ok {
			if _, maker := streamMakers[f.Name.Name]; maker {
				continue
			}
			known.read(f)
		}
		ast.Inspect(d, func(n ast.Node) bool {
			all = append(all, find(known, n)...)
			return true
		})
	}
	return all
}

// streamMakers are the functions that make a stream error, with the places of condition and text among their arguments
// (-1: invalid-from).
var streamMakers = map[string][2]int{"fail": {0, 2}, "fault": {0, 1}, "invalidFrom": {-1, 0}}

// streamError recognises a stream error: a literal, or a call of one of the functions that make them.
func streamError(known texts, n ast.Node) []told {
	switch n := n.(type) {
	case *ast.CompositeLit:
		if name(n.Type) != "StreamError" {
			return nil
		}
		var condition, text ast.Expr
		for _, el := range n.Elts {
			if kv, ok := el.(*ast.KeyValueExpr); ok && name(kv.Key) == "Condition" {
				condition = kv.Value
			} else if ok && name(kv.Key) == "Text" {
				text = kv.Value
			}
		}
		return known.told(condition, text)
	case *ast.CallExpr:
		at, ok := streamMakers[name(n.Fun)]
		if !ok || len(n.Args) <= at[1] {
			return nil
		}
		if at[0] < 0 {
			return known.told(&ast.BasicLit{Kind: token.STRING, Value: `"invalid-from"`}, n.Args[at[1]])
		}
		return known.told(n.Args[at[0]], n.Args[at[1]])
	}
	return nil
}

// itemError recognises a refusal of a statement of sessions: refuse(item, type, condition, text).
func itemError(known texts, n ast.Node) []told {
	call, ok := n.(*ast.CallExpr)
	if !ok || name(call.Fun) != "refuse" || len(call.Args) != 4 {
		return nil
	}
	all := known.told(call.Args[2], call.Args[3])
	for i := range all {
		all[i].condition = known.words(call.Args[1])[0] + "/" + all[i].condition
	}
	return all
}

// name gives the last word of an identifier, or of pkg.Name.
func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// texts are what the names of a function may stand for.
type texts map[string][]string

// read notes what is assigned to each name.
func (x texts) read(root ast.Node) {
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for i, id := range n.Names {
				if i < len(n.Values) {
					x[id.Name] = x.words(n.Values[i])
				}
			}
		case *ast.AssignStmt:
			id, ok := n.Lhs[0].(*ast.Ident)
			if !ok || len(n.Lhs) != len(n.Rhs) {
				break
			}
			switch n.Tok {
			case token.DEFINE:
				x[id.Name] = x.words(n.Rhs[0])
			case token.ASSIGN:
				x[id.Name] = append(x[id.Name], x.words(n.Rhs[0])...)
			case token.ADD_ASSIGN:
				x[id.Name] = append(x[id.Name], joined(x[id.Name], x.words(n.Rhs[0]))...)
			}
		}
		return true
	})
}

// words gives the texts that an expression may make, with … for each part that is known only when it runs.
func (x texts) words(e ast.Expr) []string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return []string{s}
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return joined(x.words(e.X), x.words(e.Y))
		}
	case *ast.Ident, *ast.SelectorExpr:
		if s := x[name(e)]; len(s) > 0 {
			return slices.Clone(s)
		}
	case *ast.CallExpr:
		if name(e.Fun) == "Sprintf" {
			return []string{strings.NewReplacer("%d", "…", "%s", "…", "%v", "…").Replace(x.words(e.Args[0])[0])}
		}
	}
	return []string{"…"}
}

// told gives each error that a condition and a text may make.
func (x texts) told(condition, text ast.Expr) (all []told) {
	for _, c := range x.words(condition) {
		for _, s := range x.words(text) {
			if s != "" && c != "…" { // an error that only goes on, or the empty text before a switch
				all = append(all, told{condition: c, text: s})
			}
		}
	}
	return all
}

// joined puts each of the second behind each of the first.
func joined(first, second []string) (all []string) {
	for _, a := range first {
		for _, b := range second {
			all = append(all, strings.ReplaceAll(a+b, "……", "…"))
		}
	}
	return all
}
