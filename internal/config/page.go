package config

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// page is the text of one file by lines, and what of it must not be shown.
type page struct {
	file  string
	lines [][]rune
	veils []veil
}

// veil hides the columns [from, to) of a line; both count runes from 1, as YAML does.
type veil struct{ line, from, to int }

// lineEnd matches the line breaks of YAML 1.1. They are more than \n, and a page that counted otherwise than the
// parser would show another line than the one it veiled.
var lineEnd = regexp.MustCompile("\r\n|[\r\n\u0085\u2028\u2029]")

func newPage(file string, data []byte) *page {
	p := &page{file: file}
	for _, line := range lineEnd.Split(strings.TrimPrefix(string(data), "\ufeff"), -1) {
		p.lines = append(p.lines, []rune(line))
	}
	return p
}

func (p *page) line(n int) []rune {
	if n < 1 || n > len(p.lines) {
		return nil
	}
	return p.lines[n-1]
}

// rest is the line from the node's first rune on.
func (p *page) rest(n *yaml.Node) []rune {
	line := p.line(n.Line)
	if n.Column < 1 || n.Column > len(line) {
		return nil
	}
	return line[n.Column-1:]
}

// extent is the number of runes that a scalar takes on its line; ok is false if it goes on beyond it, or has an anchor
// or a tag before it.
func (p *page) extent(n *yaml.Node) (width int, ok bool) {
	rest := p.rest(n)
	switch {
	case n.Kind != yaml.ScalarNode || len(rest) == 0:
		return 0, false
	case rest[0] == '"' || rest[0] == '\'':
		return quoted(rest)
	case n.Style == 0 && n.Value != "" && strings.HasPrefix(string(rest), n.Value):
		return len([]rune(n.Value)), true
	}
	return 0, false
}

// quoted is the length of the quoted scalar that text begins with, quotes counted.
func quoted(text []rune) (int, bool) {
	for i := 1; i < len(text); i++ {
		switch {
		case text[0] == '"' && text[i] == '\\':
			i++
		case text[i] != text[0]:
		case text[0] == '\'' && i+1 < len(text) && text[i+1] == '\'':
			i++
		default:
			return i + 1, true
		}
	}
	return 0, false
}

// at gives a fault that has its place and its excerpt and nothing else.
func (p *page) at(n *yaml.Node) Fault {
	width, ok := p.extent(n)
	if !ok {
		width = max(1, len(uncommented(p.rest(n), 0)))
	}
	f := Fault{File: p.file, Line: min(n.Line, len(p.lines)), Column: n.Column, Width: width}
	f.Source, f.caret = p.excerpt(f)
	return f
}

// uncommented cuts a comment that begins behind the first from runes, and the white space before it.
func uncommented(line []rune, from int) []rune {
	for i := from; i < len(line); i++ {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
			break
		}
	}
	return []rune(strings.TrimRight(string(line), " \t"))
}

// excerptWidth is the most of a line that is shown.
const excerptWidth = 120

// excerpt gives the line of a fault, veiled, and the column of its first rune in it; 0 if that is veiled.
// Comments are cut: they may hold yesterday's secret.
func (p *page) excerpt(f Fault) (string, int) {
	line := uncommented(p.line(f.Line), f.Column-1+f.Width)
	var shown []rune
	caret := 0
	for i := 0; i < len(line); i++ {
		if to := p.veiled(f.Line, i+1); to > 0 {
			shown = append(shown, []rune(bullets)...)
			i = min(to-1, len(line)) - 1
			continue
		}
		if i+1 == f.Column {
			caret = len(shown) + 1
		}
		shown = append(shown, printable(line[i]))
	}
	if end := shielded(shown); end < len(shown) {
		shown = append(shown[:end:end], []rune(" "+bullets)...)
		if caret > end {
			caret = 0
		}
	}
	if len(shown) > excerptWidth {
		start := max(0, min(caret-excerptWidth/2, len(shown)-excerptWidth))
		shown, caret = shown[start:start+excerptWidth], max(0, caret-start)
	}
	return string(shown), caret
}

// shielded is how much of a line may be shown: what looks like a key of a secret and has no veil behind it ends it. The
// parser may have seen no key there, as in a comment that it takes for the rest of something else.
func shielded(line []rune) int {
	text := string(line)
	for _, at := range secretText.FindAllStringIndex(text, -1) {
		rest := strings.TrimLeft(text[at[1]:], " [{'\"-")
		if rest != "" && !strings.HasPrefix(rest, bullets) && !strings.Contains(text[at[0]:at[1]], "_file") {
			return utf8.RuneCountInString(text[:at[1]])
		}
	}
	return len(line)
}

// printable replaces what would move the caret or the terminal.
func printable(r rune) rune {
	switch {
	case r == '\t':
		return ' '
	case !unicode.IsPrint(r):
		return unicode.ReplacementChar
	}
	return r
}

// veiled gives the end of the veil that covers a place, or 0.
func (p *page) veiled(line, column int) int {
	for _, v := range p.veils {
		if v.line == line && v.from <= column && column < v.to {
			return v.to
		}
	}
	return 0
}

// hides reports whether the node's text is veiled.
func (p *page) hides(n *yaml.Node) bool { return p.veiled(n.Line, n.Column) > 0 }

var (
	secretWord = regexp.MustCompile(`(?i)secret|passw|token|credential|psk`)
	// secretText is a scalar that is a key and its value, run together by a missing space.
	secretText = regexp.MustCompile(`(?i)(secret|passw|token|credential|psk)[\w-]*["']?\s*[:=]`)
)

// words are all names of keys.
var words = func() (all []string) {
	paths := slices.Clone(later)
	for _, k := range keys {
		paths = append(paths, k.path)
	}
	for _, path := range paths {
		all = append(all, strings.Split(strings.ReplaceAll(path, eachEntry, ""), ".")...)
	}
	return all
}()

// secretName reports whether the value of a key of this name is to be hidden: also that of a misspelt one, and of one
// that is like no key at all, for what it holds cannot be known. A name with a dot is a domain, or a path that somebody
// took for a key (nodes.secret).
func secretName(name string) bool {
	if name == "secret_file" || name == "token_file" {
		return false
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	return secretWord.MatchString(name) || distance(strings.ToLower(last), "secret") <= 2 || last == name && nearest(name, words) == ""
}

// conceal veils all that is, or may be, a secret in the document.
func (p *page) conceal(doc *yaml.Node) {
	var order, hidden []*yaml.Node
	var visit func(n *yaml.Node, hide bool)
	visit = func(n *yaml.Node, hide bool) {
		order = append(order, n)
		hide = hide || n.Style&yaml.TaggedStyle != 0 || n.Anchor != "" // refused, and perhaps a key and its value run together
		if hide || n.Kind == yaml.ScalarNode && secretText.MatchString(n.Value) {
			hidden = append(hidden, n)
		}
		for i, child := range n.Content {
			value := n.Kind == yaml.MappingNode && i%2 == 1
			visit(child, hide || value && secretName(n.Content[i-1].Value))
		}
	}
	visit(doc, false)
	next := map[*yaml.Node]*yaml.Node{}
	for i := 1; i < len(order); i++ {
		next[order[i-1]] = order[i]
	}
	for _, n := range hidden {
		p.cover(n, next[n])
	}
}

// cover veils a node. Where its end is not plain to see, all is veiled up to the next node.
func (p *page) cover(n, next *yaml.Node) {
	if width, ok := p.extent(n); ok {
		p.veils = append(p.veils, veil{n.Line, n.Column, n.Column + width})
		return
	}
	end := yaml.Node{Line: len(p.lines), Column: math.MaxInt}
	if next != nil && n.Kind == yaml.ScalarNode {
		end = *next
	} else if n.Kind != yaml.ScalarNode {
		end.Line = n.Line
	}
	from := n.Column
	for line := n.Line; line <= end.Line; line++ {
		to := math.MaxInt
		if line == end.Line {
			to = end.Column
		}
		p.veils = append(p.veils, veil{line, from, to})
		from = 1
	}
}
