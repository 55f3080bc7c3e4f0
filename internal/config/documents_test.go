package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
)

//go:generate go test -run TestDocuments -rewrite .

var rewrite = flag.Bool("rewrite", false, "write docs/configuration.md and docs/patchbay.schema.json anew")

// TestDocuments fails when docs/configuration.md or docs/patchbay.schema.json is not what the table of keys says. They
// are written anew by go test ./internal/config -run TestDocuments -rewrite.
func TestDocuments(t *testing.T) {
	for file, text := range map[string]string{"../../docs/configuration.md": renderPage(t), "../../docs/patchbay.schema.json": string(Schema())} {
		if *rewrite {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		have, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		want, got := strings.Split(text, "\n"), strings.Split(string(have), "\n")
		for i := range max(len(want), len(got)) {
			if i >= len(want) || i >= len(got) || want[i] != got[i] {
				t.Errorf("%s:%d is stale: go test ./internal/config -run TestDocuments -rewrite", file, i+1)
				break
			}
		}
	}
}

const pageHead = `# Configuration

<!-- Made from the source: go test ./internal/config -run TestDocuments -rewrite. Edit internal/config/keys.go. -->

` + "`patchbay init`" + ` writes a file with every key, each with its default and a comment, and a fresh secret. ` + "`patchbay check`" + ` says every fault of a
file in one run. ` + "`patchbay serve --config patchbay.yaml`" + ` runs with it; without a file a server is a development server, on loopback.
Editors that know JSON Schema can use [patchbay.schema.json](patchbay.schema.json).

- What is not said has its default, so a file may be short. A key that this version does not know is a fault.
- ` + "`${NAME}`" + ` in a value is the environment variable NAME, put in after the file was parsed; ` + "`$$`" + ` is a $. Paths are relative to the file.
- Sizes are bytes, or have a unit: KiB, MiB, GiB. Times have a unit: ms, s, m, h.
- Keys marked *reload* are applied by ` + "`patchbay ctl reload`" + ` or SIGHUP while links run; the others need a restart.
- ` + "`patchbay serve --set KEY=VALUE`" + ` sets one key in the place of what the file says.
- Anchors, aliases, tags and merge keys of YAML are refused.

## A whole file
` + "```yaml" + `
%s` + "```" + `

`

// renderPage writes docs/configuration.md.
func renderPage(t *testing.T) string {
	t.Helper()
	example, err := Annotated("patchbay.yaml", "im.example")
	if err != nil {
		t.Fatal(err)
	}
	example = regexp.MustCompile(`"[0-9a-f]{32}"`).ReplaceAllString(example, `"MADE-BY-INIT-32-HEXADECIMAL-DIGITS"`)
	var b strings.Builder
	fmt.Fprintf(&b, pageHead, example)
	last := ""
	for _, k := range Keys() {
		section, _, below := strings.Cut(strings.ReplaceAll(k.Path, eachEntry, ""), ".")
		if !below {
			section = "server"
		}
		if section != last {
			writeSection(&b, section)
			last = section
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.Path, kindWords(k), code(k.Default), map[bool]string{true: "reload", false: "restart"}[k.Live], cell(k.Doc))
	}
	b.WriteString("\n" + pageRules)
	for _, c := range faultCodes(t) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", c.code, cell(c.means))
	}
	return b.String()
}

func writeSection(b *strings.Builder, name string) {
	title, doc := name, sections[name]
	if doc == "" {
		title, doc = "The server itself", "the keys that stand at the top"
	}
	if b.Len() > 0 && !strings.HasSuffix(b.String(), "\n\n") {
		b.WriteString("\n")
	}
	fmt.Fprintf(b, "## %s\n%s.\n\n| key | value | default | applied by | what it is |\n|---|---|---|---|---|\n", title, upper(doc))
}

func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// kindWords says the kind and range of a key, once.
func kindWords(k Key) string {
	if k.Range == "" || strings.Contains(k.Kind, k.Range) {
		return cell(k.Kind)
	}
	return cell(k.Kind + ", " + k.Range)
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + cell(text) + "`"
}

// cell is a text that stands in a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, "*", `\*`).Replace(text)
}

const pageRules = `## What keys must agree on
Refused: a node listed twice, or with the name of the server or of a user domain; a node without a secret where there is no ` + "`tls.ca`" + `, or with both secret and secret_file;
users of a node that are no user domain; more than one instance of a node with users; two listeners on one port;
` + "`listen.component`" + ` beyond loopback while ` + "`plaintext_from`" + ` names loopback only and there is no certificate for STARTTLS; ` + "`component_tls`" + ` or
` + "`tls.ca`" + ` without a certificate, and a certificate whose key does not fit; a token file that is also a secret or a key, or holds no token; ` + "`forward_to`" + ` that is no node; a queue smaller than one stanza.

Warned of: no server, users or nodes given; no address for nodes; ` + "`plaintext_from`" + ` that lets everybody in; ` + "`listen.http`" + ` beyond loopback, for it has
no TLS of its own: put a proxy with TLS before it, name that under ` + "`admin.hosts`" + `, and let probes and Prometheus use ` + "`listen.metrics`" + `; a
certificate that ends within 14 days; secrets, the token and the key in files that every user of the machine can read; an
offline store in which one message, or one user, has no room.

## What check says
One fault has a place (file, line, column), a message, mostly a mend, and a code. Codes are a contract; messages may change. ` + "`patchbay check -o json`" + `
gives a list of objects with ` + "`file`, `line`, `column`, `path` (the key), `code`, `message`, `mend`, `source`, `warning` and `text`" + ` (all in one line).
` + "`patchbay check --against-running`" + ` also asks the running server and lists what a reload would apply and what needs a restart; secrets are
compared by ` + "`HMAC-SHA256(token, secret)`" + `, which the server tells only to those who show the admin token.
Secrets are shown as •••••••• everywhere, also in the lines of the file that are quoted.

| code | what it says |
|---|---|
`

// faultCode is a code and what its comment says.
type faultCode struct{ code, means string }

// faultCodes reads the codes from faults.go.
func faultCodes(t *testing.T) (all []faultCode) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "faults.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "code") {
			return true
		}
		word := strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)
		if spec.Comment == nil {
			t.Errorf("the code %s has no comment", word)
			return true
		}
		all = append(all, faultCode{word, strings.TrimSpace(spec.Comment.Text())})
		return true
	})
	if len(all) == 0 {
		t.Error("faults.go has no codes: have they moved?")
	}
	return all
}

// TestSections wants words for each section of the table, and no others.
func TestSections(t *testing.T) {
	seen := map[string]bool{}
	var visit func(b *branch, path string)
	visit = func(b *branch, path string) {
		if b.key != nil || b.later {
			return
		}
		if path != "" && !strings.HasSuffix(path, eachName) {
			seen[path] = true
			if sections[path] == "" {
				t.Errorf("nothing is said of %s", path)
			}
		}
		for name, kid := range b.kids {
			if name == eachEntry {
				for leaf, k := range kid.kids {
					visit(k, path+eachEntry+"."+leaf)
				}
				continue
			}
			visit(kid, join(path, name))
		}
	}
	visit(root, "")
	for path := range sections {
		if !seen[path] {
			t.Errorf("%s is no section", path)
		}
	}
}
