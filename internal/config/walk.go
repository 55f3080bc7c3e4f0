package config

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// walk goes over the nodes of one document along the tree of keys, fills a Config and gathers faults.
type walk struct {
	conf   *Config
	place  func(n *yaml.Node) Fault    // where a node stands
	hidden func(n *yaml.Node) bool     // may its text not be shown
	env    func(string) (string, bool) // nil: $ is an ordinary rune
	faults Faults
}

func (w *walk) fault(n *yaml.Node, bad problem) {
	f := w.place(n)
	f.Code, f.Message, f.Mend = bad.code, bad.says, bad.mend
	w.faults = append(w.faults, f)
}

// told is fault for a message that already shows the value: the source line would only repeat it.
func (w *walk) told(n *yaml.Node, bad problem) {
	w.fault(n, bad)
	last := &w.faults[len(w.faults)-1]
	if last.caret > 0 {
		last.Source = ""
	}
}

// visit takes the node of one branch.
func (w *walk) visit(n *yaml.Node, b *branch, path string, in scope) {
	w.mark(n, path, in)
	before := len(w.faults)
	switch {
	case !w.plain(n):
	case b.key != nil:
		w.leaf(n, b.key, path, in)
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null": // all below it is a comment
	case b.kids[eachEntry] != nil:
		w.entries(n, b.kids[eachEntry], path, in)
	default:
		w.mapping(n, b, path, in)
	}
	for i := range w.faults[before:] {
		if f := &w.faults[before+i]; f.Path == "" { // else a key further in has said it
			f.Path = shown(path, in)
		}
		w.conf.broken[path] = w.conf.broken[path] || !w.faults[before+i].meant
	}
}

// mark notes where a key stands, for the faults of Validate.
func (w *walk) mark(n *yaml.Node, path string, in scope) {
	at := w.place(n)
	at.Path = shown(path, in)
	w.conf.marks[path] = at
}

// named gives the last fault the path of a key that is not visited, unless its name may not be shown.
func (w *walk) named(k *yaml.Node, path string, in scope) {
	if w.quote(k) == k.Value {
		w.faults[len(w.faults)-1].Path = shown(path, in)
	}
}

// shown is a path with the node's domain in it, if it has one.
func shown(path string, in scope) string {
	if rest, ok := strings.CutPrefix(path, nodePath(in.node, "")); ok && in.name != "" {
		return keyNodes + "[" + in.name + "]" + rest
	}
	return path
}

// plain refuses what makes one YAML node stand for another. A configuration is read by people, and an alias can make a
// small file huge.
func (w *walk) plain(n *yaml.Node) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		w.fault(n, problem{codeYAML, "anchors and aliases are not used here", "write the value itself; quote one that begins with & or *"})
	case n.Style&yaml.TaggedStyle != 0:
		w.fault(n, problem{codeYAML, "tags are not used here", "write the value without it; quote one that begins with !"})
	default:
		return true
	}
	return false
}

// mapping takes keys and their values.
func (w *walk) mapping(n *yaml.Node, b *branch, path string, in scope) {
	if n.Kind != yaml.MappingNode {
		what := "the file"
		if path != "" {
			what = label(path, in)
		}
		w.fault(n, problem{codeType, what + " must hold keys", b.shape()})
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch line, twice := first[k.Value]; {
		case k.Tag == "!!merge":
			w.fault(k, problem{codeYAML, "merge keys are not used here", "write the keys themselves"})
		case k.Kind != yaml.ScalarNode:
			w.fault(k, problem{codeType, "a key must be one word", ""})
		case !w.plain(k):
		case twice:
			w.fault(k, problem{codeTwice, w.quote(k) + " is given twice (first on line " + strconv.Itoa(line) + ")", "keep one"})
			w.named(k, join(path, k.Value), in)
		default:
			first[k.Value] = k.Line
			w.pair(k, v, b, join(path, k.Value), in)
		}
	}
}

// pair takes one key and its value.
func (w *walk) pair(k, v *yaml.Node, b *branch, path string, in scope) {
	kid := b.kids[k.Value]
	if each := b.kids[eachName]; each != nil {
		kid, in.domain = each, k.Value
		if _, bad := readDomain(k.Value, in); bad != nil {
			w.told(k, problem{bad.code, w.quote(k) + " " + bad.says, bad.mend})
			return
		}
	}
	switch {
	case k.Value == eachEntry || k.Value == eachName || kid == nil:
		w.fault(k, problem{codeUnknown, "unknown key " + w.name(k, path, in), b.mend(k.Value)})
		w.named(k, path, in)
	case kid.later:
		w.fault(k, problem{codeLater, label(path, in) + " is not in this version", "take it out"})
		w.named(k, path, in)
	default:
		w.visit(v, kid, path, in)
		if b.kids[eachName] != nil {
			w.mark(k, path, in) // the name is what can be wrong, not what it holds
		}
	}
}

// entries takes the list of nodes.
func (w *walk) entries(n *yaml.Node, b *branch, path string, in scope) {
	if n.Kind != yaml.SequenceNode {
		w.fault(n, problem{codeType, path + " must be a list", "- " + b.current()[0] + ": ..."})
		return
	}
	for _, entry := range n.Content {
		in.node, in.name = len(w.conf.Nodes), w.domainOf(entry)
		w.conf.Nodes = append(w.conf.Nodes, newNode())
		at := path + "[" + strconv.Itoa(in.node) + "]"
		w.mark(entry, at, in)
		if w.plain(entry) {
			w.mapping(entry, b, at, in)
		}
	}
}

// domainOf finds the name of an entry of nodes before its keys are read, so that faults can name it.
func (w *walk) domainOf(entry *yaml.Node) string {
	for i := 0; i+1 < len(entry.Content) && entry.Kind == yaml.MappingNode; i += 2 {
		v := entry.Content[i+1]
		if entry.Content[i].Value == "domain" && v.Kind == yaml.ScalarNode && v.Value != "" && !w.hidden(v) {
			return brief(v.Value)
		}
	}
	return ""
}

// leaf takes the value, or the list of values, of one key.
func (w *walk) leaf(n *yaml.Node, k *key, path string, in scope) {
	scalar := n.Kind == yaml.ScalarNode && n.Tag != "!!null"
	switch {
	case scalar && (!k.list || k.either):
		k.clear(w.conf, in)
		w.put(n, k, path, in)
	case k.list && n.Kind == yaml.SequenceNode && k.most > 0 && len(n.Content) > k.most:
		w.fault(n, problem{codeType, label(path, in) + " must be " + k.name, "keep " + strconv.Itoa(k.most)})
	case k.list && n.Kind == yaml.SequenceNode:
		k.clear(w.conf, in)
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
				w.fault(item, problem{codeType, label(path, in) + " must be " + k.name, ""})
			} else if w.plain(item) {
				w.put(item, k, path, in)
			}
		}
	default:
		w.fault(n, problem{codeType, label(path, in) + " must be " + k.name, w.example(n, k, path)})
	}
}

// example mends a value of the wrong shape: a single word where a list is meant, else what stands there by default.
func (w *walk) example(n *yaml.Node, k *key, path string) string {
	last := path[strings.LastIndexByte(path, '.')+1:]
	switch {
	case k.secrets != nil:
		return mendSecret
	case k.list && n.Kind == yaml.ScalarNode && n.Tag != "!!null" && !w.hidden(n):
		return last + ": [" + brief(n.Value) + "]"
	case k.def != "":
		return last + ": " + k.def
	}
	return ""
}

// put reads one value into its field.
func (w *walk) put(n *yaml.Node, k *key, path string, in scope) {
	text, used, taken := n.Value, false, false
	var bad *problem
	if w.env != nil {
		text, used, bad = expand(n.Value, w.env)
	}
	if bad == nil {
		taken, bad = k.put(w.conf, in, text)
		if bad != nil && used {
			bad.mend = "" // it may hold what the variable holds
		}
	}
	switch {
	case bad == nil:
	case k.secrets != nil:
		w.fault(n, problem{bad.code, label(path, in) + " " + bad.says, bad.mend})
	case bad.code == codeRange:
		w.told(n, problem{bad.code, label(path, in) + " " + brief(n.Value) + " " + bad.says, bad.mend})
	default:
		w.told(n, problem{bad.code, w.quote(n) + " " + bad.says, bad.mend})
	}
	if bad != nil {
		w.faults[len(w.faults)-1].meant = taken
	}
}

// quote names a value by its text, as it stands in the file.
func (w *walk) quote(n *yaml.Node) string {
	if w.hidden(n) {
		return bullets
	}
	return brief(n.Value)
}

// name names a key by its path, an odd one by its text.
func (w *walk) name(k *yaml.Node, path string, in scope) string {
	if text := w.quote(k); text != k.Value {
		return text
	}
	return label(path, in)
}

// brief is text fit for a message: quoted if it has no visible end, cut if it is long.
func brief(text string) string {
	const most = 80
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	odd := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
	if text == "" || strings.ContainsFunc(text, odd) {
		return strconv.Quote(text)
	}
	return text
}

// label names a key for people: "listen.http", "secret of node1.im.example", "nodes[0].users".
func label(path string, in scope) string {
	if rest, ok := strings.CutPrefix(path, keyNodes+"["); ok && in.name != "" {
		if _, leaf, ok := strings.Cut(rest, "]."); ok {
			return leaf + " of " + in.name
		}
		return "the entry of " + in.name
	}
	return path
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// newNode is an entry of nodes with the defaults of the table.
func newNode() Node {
	c := &Config{Nodes: make([]Node, 1)}
	for i := range keys {
		if strings.HasPrefix(keys[i].path, keyNodes) && keys[i].def != "" {
			keys[i].put(c, scope{}, keys[i].def)
		}
	}
	return c.Nodes[0]
}

// variable reports whether a path stands for many keys.
func variable(path string) bool {
	return slices.ContainsFunc([]string{eachEntry, eachName}, func(s string) bool { return strings.Contains(path, s) })
}
