package config

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// Set puts one value, as the file would hold it, in the place of what the file said: --set KEY=VALUE. Lists are
// written [a, b]. A path in it is relative to the working directory and $ is an ordinary character: the shell has its
// own variables. Call Validate after the last Set. The fault is nil if there is none.
func (c *Config) Set(path, value string) *Fault {
	where := Fault{File: "--set " + brief(path)}
	k, bad := settable(path)
	if bad != nil {
		where.Code, where.Message, where.Mend = bad.code, bad.says, bad.mend
		return &where
	}
	where.Path = path
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
	if k.list {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(value), &doc); err != nil || len(doc.Content) != 1 {
			where.Code, where.Message, where.Mend = codeType, path+" must be "+k.name, path+"="+k.def
			return &where
		}
		node = doc.Content[0]
	}
	w := walk{conf: c, place: func(*yaml.Node) Fault { return where }, hidden: func(*yaml.Node) bool { return false }}
	c.ready()
	delete(c.broken, path)
	w.visit(node, &branch{key: k}, path, scope{})
	if len(w.faults) > 0 {
		return &w.faults[0]
	}
	return nil
}

// ready makes the maps of a Config that was made by hand.
func (c *Config) ready() {
	if c.marks == nil {
		c.marks, c.broken = map[string]Fault{}, map[string]bool{}
	}
}

// settable finds the row of a path, if a command line may set it.
func settable(path string) (*key, *problem) {
	at := root
	for name := range strings.SplitSeq(path, ".") {
		if at.later {
			break
		}
		kid := at.kids[name]
		if kid == nil || name == eachEntry || name == eachName {
			return nil, &problem{codeUnknown, "unknown key " + brief(path), at.mend(name)}
		}
		at = kid
		if at.kids[eachEntry] != nil || at.kids[eachName] != nil {
			// Secrets must not stand on a command line: every user of the machine can list those.
			return nil, &problem{codeType, path + " cannot be set here", "write it in the file"}
		}
	}
	switch {
	case at.later:
		return nil, &problem{codeLater, path + " is not in this version", "take it out"}
	case at.key == nil:
		return nil, &problem{codeType, path + " holds keys", "set one of " + path + "." + strings.Join(at.current(), ", ")}
	}
	return at.key, nil
}
