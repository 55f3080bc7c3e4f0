package config

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Default gives the configuration of a development server without its nodes: loopback only, no TLS. See Development.
func Default() *Config { return defaults("") }

func defaults(dir string) *Config {
	c := &Config{marks: map[string]Fault{}, broken: map[string]bool{}}
	for i := range keys {
		if variable(keys[i].path) {
			continue
		}
		w := walk{conf: c, place: func(*yaml.Node) Fault { return Fault{} }, hidden: func(*yaml.Node) bool { return true }}
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(keys[i].def), &doc); err == nil {
			w.leaf(doc.Content[0], &keys[i], keys[i].path, scope{dir: dir})
		}
	}
	return c
}

// Parse reads a configuration. file is its name, for faults and because relative paths start at its directory; data is
// its text; env looks up environment variables, and where it is nil a $ is an ordinary character. All faults come in one run. The Config is nil if a fault is no mere
// warning. Parse opens no file: what a secret_file holds is read by Load.
func Parse(file string, data []byte, env func(string) (string, bool)) (*Config, Faults) {
	c, faults := parse(file, data, env)
	if c == nil {
		return nil, faults
	}
	return c.judge(faults)
}

// judge adds the faults of several keys together to those of single ones.
func (c *Config) judge(faults Faults) (*Config, Faults) {
	faults = append(faults, c.Validate()...)
	faults.scrub(c.secrets())
	faults.sort()
	if faults.Fatal() {
		return nil, faults
	}
	return c, faults
}

func (c *Config) secrets() []Secret {
	var all []Secret
	for i := range c.Nodes {
		all = append(all, c.Nodes[i].Secret...)
	}
	return all
}

// parse reads single keys. The Config is nil if the file is not YAML at all.
func parse(file string, data []byte, env func(string) (string, bool)) (*Config, Faults) {
	p := newPage(file, data)
	doc, bad := read(p, data)
	if bad != nil {
		return nil, Faults{*bad}
	}
	dir := filepath.Dir(file)
	c := defaults(dir)
	c.file = file
	w := walk{conf: c, place: p.at, hidden: p.hides, env: env}
	if len(doc.Content) > 0 {
		p.conceal(doc)
		w.visit(doc.Content[0], root, "", scope{dir: dir})
	}
	return c, w.faults
}

// read gives the one document of a file, an empty node if it holds only comments.
func read(p *page, data []byte) (*yaml.Node, *Fault) {
	if bad := unprintable(p, data); bad != nil {
		return nil, bad
	}
	from := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := from.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, syntax(p, err)
	}
	switch err := from.Decode(&second); {
	case errors.Is(err, io.EOF):
		return &doc, nil
	case err != nil:
		return nil, syntax(p, err)
	}
	line := min(second.Content[0].Line, len(p.lines)) // an empty one stands behind the end
	return nil, &Fault{File: p.file, Line: line, Code: codeSyntax, Message: "a second document begins here", Mend: "one file, one document: take out the ---"}
}

// unprintable finds what no text file holds, before the YAML parser says it without a line.
func unprintable(p *page, data []byte) *Fault {
	f := &Fault{File: p.file, Code: codeSyntax, Message: "this is not a text file in UTF-8", Mend: "name the YAML file, or save it as UTF-8"}
	for i, line := range bytes.Split(data, []byte("\n")) {
		if !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 {
			f.Line = i + 1
			return f
		}
	}
	return nil
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// unknownAnchor begins the one message that quotes the file.
const unknownAnchor = "unknown anchor"

// causes are the messages of the YAML parser that people meet, by their beginning, and what to do.
var causes = []struct{ text, mend string }{
	{"found a tab character that violates indentation", "indent with spaces"},
	{"found character that cannot start any token", "quote a value that begins with @ % ` or a tab"},
	{"mapping values are not allowed in this context", "quote a value that holds a colon and a space; check the indentation"},
	{"did not find expected key", "check the indentation of this line and the next"},
	{"did not find expected '-' indicator", "check the indentation of this line and the next"},
	{"did not find expected ',' or", "close the bracket, or put a comma"},
	{"could not find expected ':'", "KEY: VALUE, with a space behind the colon"},
	{"found unknown escape character", "within double quotes write \\\\ for \\, or use single quotes"},
	{"found unexpected end of stream", "close the quote"},
	{unknownAnchor, "quote a value that begins with *"},
}

// syntax says one clear fault for a file that is not YAML. The parser's own words may quote the file, which may be a
// secret, so only known ones are passed on; for the same reason the line is shown up to its first colon only.
func syntax(p *page, err error) *Fault {
	f := &Fault{File: p.file, Line: 1, Code: codeSyntax, Message: "this is not YAML"}
	m := yamlError.FindStringSubmatch(err.Error())
	if m == nil {
		return f
	}
	if n, err := strconv.Atoi(m[1]); err == nil {
		f.Line = max(1, min(n, len(p.lines)))
	}
	for _, c := range causes {
		switch {
		case !strings.HasPrefix(m[2], c.text):
		case c.text == unknownAnchor:
			f.Message, f.Mend = f.Message+": an alias to nothing", c.mend
		default:
			f.Message, f.Mend = f.Message+": "+m[2], c.mend
		}
	}
	name, rest, colon := strings.Cut(string(p.line(f.Line)), ":")
	if !colon || secretWord.MatchString(rest) {
		return f
	}
	for _, r := range name {
		f.Source += string(printable(r))
	}
	f.Source += ":"
	if strings.TrimSpace(rest) != "" {
		f.Source += " " + bullets
	}
	return f
}
