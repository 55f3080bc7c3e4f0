package config

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Value is one key and its value.
type Value struct {
	Path    string   // a node is named by its domain: nodes[node1.im.example].users
	Text    string   // as the file would hold it; bullets for secrets, paths from the root
	Live    bool     // a reload applies it; otherwise a restart is needed
	Secrets []Secret // what the bullets stand for: of the file or of a secret_file

	group  int    // the first row of the table's rows for the same things
	owner  string // the node's domain, "" for other keys
	veiled bool   // Text is bullets
	print  string // what a server that tells no secrets says of Secrets instead
}

// Values gives all keys and their values in the order of the file, defaults too, with two exceptions: nodes[].secret
// stands there also if it comes from a secret_file, and a user domain under offline.domains has only the keys that it
// says itself.
func (c *Config) Values() []Value {
	var all []Value
	for i := 0; i < len(keys); {
		rows := related(keys[i:])
		for _, in := range c.scopes(keys[i].path) {
			for j := range rows {
				if texts, said := rows[j].get(c, in); said || in.domain == "" {
					all = append(all, rows[j].value.of(c, in, texts).at(&rows[j], in, i))
				}
			}
		}
		i += len(rows)
	}
	return all
}

func (v value) of(c *Config, in scope, texts []string) Value {
	out := Value{Text: v.line(texts), veiled: v.secrets != nil}
	if v.secrets != nil {
		out.Secrets = slices.Clone(v.secrets(c, in))
	}
	return out
}

// line is one text, or the list of many.
func (v value) line(texts []string) string {
	text := strings.Join(texts, ", ")
	if v.list && (len(texts) != 1 || !v.either) {
		text = "[" + text + "]"
	}
	return text
}

// items are the texts of a line, without quotes.
func items(line string) (texts []string) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(line), &doc); err != nil || len(doc.Content) != 1 {
		return []string{line}
	}
	at := doc.Content[0]
	if at.Kind != yaml.SequenceNode {
		return []string{at.Value}
	}
	for _, n := range at.Content {
		texts = append(texts, n.Value)
	}
	return texts
}

func (v Value) at(k *key, in scope, group int) Value {
	v.Path, v.Live, v.group, v.owner = named(k.path, in), k.live, group, in.name
	return v
}

// named puts names where the path of a key stands for many.
func named(path string, in scope) string {
	path = strings.Replace(path, eachEntry, "["+in.name+"]", 1)
	return strings.Replace(path, eachName, in.domain, 1)
}

// related are the first rows that stand for the same things: one row, or all of one node or one user domain.
func related(rows []key) []key {
	of := stem(rows[0].path)
	n := 1
	for of != "" && n < len(rows) && stem(rows[n].path) == of {
		n++
	}
	return rows[:n]
}

// scopes are the places in the Config that a path stands for.
func (c *Config) scopes(path string) (all []scope) {
	switch stem(path) {
	case "":
		return []scope{{}}
	case keyNodes:
		for i := range c.Nodes {
			all = append(all, scope{node: i, name: c.Nodes[i].Domain})
		}
	case keyOffline + ".":
		for _, d := range slices.Sorted(maps.Keys(c.Offline.Domains)) {
			all = append(all, scope{domain: d})
		}
	}
	return all
}

// stem is what stands before the mark of many in a path, "" if there is none.
func stem(path string) string {
	for _, mark := range []string{eachEntry, eachName} {
		if of, _, ok := strings.Cut(path, mark); ok {
			return of
		}
	}
	return ""
}

// Print tells whether two secrets are the same to those who share a token, and nothing to others: for each secret the
// first 16 hex digits of HMAC-SHA256(token, secret), sorted and with commas between. It is "" if there is no secret.
func (v Value) Print(token string) string {
	var prints []string
	for _, s := range v.Secrets {
		mac := hmac.New(sha256.New, []byte(token))
		mac.Write([]byte(s))
		prints = append(prints, hex.EncodeToString(mac.Sum(nil))[:16])
	}
	slices.Sort(prints)
	return strings.Join(prints, ",")
}

// quoteText is a text as the file would hold it, in quotes where YAML would take it for something else.
func quoteText(text string) string {
	file := text
	if strings.Contains(text, "${") || strings.Contains(text, "$$") {
		file = strings.ReplaceAll(text, "$", "$$")
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(file+": "+file+"\n? ["+file+", "+file+"]\n"), &doc); err == nil && plainEverywhere(doc.Content[0], file) {
		return file
	}
	return strconv.Quote(file)
}

// plainEverywhere reports whether a mapping reads as {file: file, [file, file]: nothing}.
func plainEverywhere(m *yaml.Node, file string) bool {
	if m.Kind != yaml.MappingNode || len(m.Content) != 4 || len(m.Content[2].Content) != 2 {
		return false
	}
	words := append(m.Content[2].Content, m.Content[:2]...)
	return !slices.ContainsFunc(words, func(n *yaml.Node) bool {
		return n.Kind != yaml.ScalarNode || n.Tag != "!!str" || n.Style != 0 || n.Value != file || n.Anchor != ""
	})
}

// writePath gives a path from the root, so that it means the same wherever it is read.
func writePath(path string) string {
	if path == "" || path == Memory {
		return quoteText(path)
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return quoteText(path)
}
