package config

import (
	"slices"
	"strings"
)

// Told is a key and its value as a running server tells them.
type Told struct {
	Path, Text string // as in Value
	Print      string // as Value.Print gives it; "" if the server was not shown the token
	Live       bool   // a reload applies it
}

// DiffTold gives the keys in which c differs from what a running server tells, as Diff does. Secrets are compared by
// their prints with the token, and where a print is missing by their number only.
func (c *Config) DiffTold(running []Told, token string) []Change {
	old, new := make([]Value, 0, len(running)), c.Values()
	for _, t := range running {
		old = append(old, t.value())
	}
	for i := range new {
		if token != "" {
			new[i].print = new[i].Print(token)
		}
		new[i].Secrets = nil // the other side tells none to compare with
	}
	return diff(old, new)
}

// value is what is told, as a Value. A server may be of another version: a key that is not in the table stays as it is.
// Of one that is a secret nothing is shown, whatever was sent.
func (t Told) value() Value {
	v := Value{Path: t.Path, Text: t.Text, Live: t.Live, print: t.Print, group: len(keys)}
	for i := 0; i < len(keys); {
		rows := related(keys[i:])
		for j := range rows {
			in, ok := rows[j].stands(t.Path)
			if !ok {
				continue
			}
			v.group, v.owner, v.veiled = i, in.name, rows[j].secrets != nil
			if v.veiled {
				v.Text = rows[j].line(slices.Repeat([]string{bullets}, len(items(t.Text))))
			}
			return v
		}
		i += len(rows)
	}
	return v
}

// stands reports whether a path with names in it is one of this row, and gives the names.
func (k *key) stands(path string) (in scope, ok bool) {
	before, after, entry := strings.Cut(k.path, eachEntry)
	if entry {
		name, found := strings.CutPrefix(path, before+"[")
		in.name, ok = strings.CutSuffix(name, "]"+after)
		return in, found && ok
	}
	before, after, many := strings.Cut(k.path, eachName)
	if many {
		name, found := strings.CutPrefix(path, before)
		in.domain, ok = strings.CutSuffix(name, after)
		return in, found && ok
	}
	return in, path == k.path
}
