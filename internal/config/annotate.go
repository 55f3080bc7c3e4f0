package config

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// annotateColumn is where comments stand, unless the value is longer, and annotateWidth how long one may be.
const (
	annotateColumn = 33
	annotateWidth  = 100
)

// Annotated gives the text of a configuration with every key of the table in it, each with its default and what it
// means: a server, a user domain, and one node with a fresh secret. Keys below offline.domains are comments. name is
// the file's, for its first line. The error says what is wrong with the domain.
func Annotated(name, domain string) (string, error) {
	if _, bad := readDomain(domain, scope{}); bad != nil {
		return "", bad.of(brief(domain))
	}
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	file := &annotation{domain: domain, own: map[string]string{
		keyServer:             quoteText("hub1." + domain),
		keyUsers:              "[" + quoteText(domain) + "]",
		"nodes[].domain":      quoteText("node1." + domain),
		"nodes[].secret":      `"` + hex.EncodeToString(random) + `"`,
		"nodes[].secret_file": `""`,
		"nodes[].users":       "[" + quoteText(domain) + "]",
	}}
	fmt.Fprintf(&file.text, "# %s - made by patchbay init. Check: patchbay check. Apply: patchbay ctl reload (keys marked R need a restart).\n"+
		"# ${NAME} in a value is the environment variable NAME ($$ is $). Paths are relative to this file. Sizes: KiB MiB GiB. Times: ms s m h.\n"+
		"# All keys stand here, each with its default but for names and secrets: what is taken out stays as it is.\n", name)
	for i := range keys {
		file.key(&keys[i])
	}
	text := file.text.String()
	if _, faults := Parse(name, []byte(text), nil); len(faults) > 0 { // a domain to which no name fits before
		return "", errors.New(faults[0].Message)
	}
	return text, nil
}

// annotation is a file that is being written.
type annotation struct {
	domain string
	own    map[string]string // values that are no defaults
	text   strings.Builder
	last   []string // the path of the last key
}

// key writes one key, and before it the sections that it begins.
func (a *annotation) key(k *key) {
	path := strings.Split(strings.ReplaceAll(k.path, eachEntry, "."+eachEntry), ".")
	for depth := range path {
		if depth < len(a.last) && strings.Join(a.last[:depth+1], ".") == strings.Join(path[:depth+1], ".") {
			continue
		}
		name, value, doc := path[depth], "", sections[k.sectionAt(path[:depth+1])]
		switch {
		case name == eachEntry:
			continue // its first key begins it
		case name == eachName:
			name, doc = quoteText(a.domain), ""
		case depth == len(path)-1:
			value, doc = " "+a.value(k), k.doc
			if !k.live {
				doc = "R " + doc
			}
		}
		a.line(indent(path, depth, a.last)+name+":"+value, doc)
	}
	a.last = path
}

// sectionAt is the path of a section as the table would write it.
func (k *key) sectionAt(path []string) string {
	return strings.ReplaceAll(strings.Join(path, "."), "."+eachEntry, eachEntry)
}

// value is what the file says of a key. An exception has the general value.
func (a *annotation) value(k *key) string {
	if own := a.own[k.path]; own != "" {
		return own
	}
	if _, leaf, ok := strings.Cut(k.path, eachName+"."); ok {
		return root.at("offline." + leaf).key.def
	}
	return k.def
}

// indent is what stands before a name: two columns for each level, a dash before the first key of an entry, and a #
// for what is only shown.
func indent(path []string, depth int, last []string) string {
	levels, entry, shown := depth, false, false
	for i, name := range path[:depth] {
		entry = entry || name == eachEntry && (i >= len(last) || last[i] != eachEntry)
		shown = shown || i > 0 && strings.Join(path[:i+1], ".") == keyOffline
	}
	switch {
	case entry:
		return strings.Repeat("  ", levels-1) + "- "
	case shown:
		return "    # " + strings.Repeat("  ", levels-2)
	}
	return strings.Repeat("  ", levels)
}

// line writes one line with its comment, which may go on in the next ones.
func (a *annotation) line(text, doc string) {
	for i, part := range wrap(doc, annotateWidth) {
		if i > 0 {
			text = ""
		}
		fmt.Fprintf(&a.text, "%s%s# %s\n", text, strings.Repeat(" ", max(2, annotateColumn-utf8.RuneCountInString(text))), part)
	}
	if doc == "" {
		a.text.WriteString(text + "\n")
	}
}

// wrap breaks a text into lines of at most width runes, between words.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
